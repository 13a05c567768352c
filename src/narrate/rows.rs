//! The rows of the recovery table in words.

use crate::machine::Row;

/// What a row of the recovery table means.
#[must_use]
pub fn row(row: Row) -> &'static str {
    match row {
        Row::AtRest => "the last session ended in order, or there was none",
        Row::DaemonLost => "the last session was killed with its daemon up, or about to start",
        Row::DaemonLeftBehind => "a daemon of an earlier session is still up; it is ended first",
        Row::GaveUp => "the last session gave the daemon up; its failures are counted anew",
        Row::WasFailing => "the last session was killed on its way back to the old version",
        Row::AttemptTakenUp => "an upgrade was stopped in order; it is taken up again",
        Row::AttemptResumed => "an upgrade was interrupted by a crash; it is taken up again",
        Row::AttemptGivenUp => "an upgrade was interrupted too often; the old version runs",
        Row::AttemptWithdrawn => {
            "an upgrade was interrupted, and is held by a person or no longer in the plan"
        }
        Row::AttemptUnprepared => "an upgrade was interrupted, and its binary has changed",
        Row::SwapInterrupted => "an upgrade was interrupted after its commit; it is finished",
        Row::RollBackResumed => "a roll-back is due, or was interrupted; it is performed",
        Row::RollBackSwapInterrupted => {
            "a roll-back was interrupted after its commit; it is finished"
        }
        Row::VersionMovedOutside => "the version was changed by somebody else; it is accepted",
    }
}
