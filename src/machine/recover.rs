//! Recovery: what the journal says is compared with what is found.
//!
//! The journal tells what *may* have been done, a look at disk and processes what *was* done.
//! [`recover`] is total: every pair has exactly one [`Row`], whose result is an event like any
//! other, so that a crash during recovery is nothing special.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::phase::{AfterDrain, AfterFailure, Attempt, Phase, PhaseName, Swapping, Wait};
use super::state::{Queue, State};
use super::values::{Binary, Daemon, Version};
use super::wishes::Holding;

/// How often an attempt is taken up after crashes before it is given up.
pub const RESUMPTIONS_MAX: u32 = 3;

/// What a look at the disk and the processes found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observed {
    /// When.
    pub at: DateTime<Utc>,
    /// A daemon of an earlier session that is still alive.
    pub daemon: Option<Daemon>,
    /// What this instance's version file names; `None` where it is absent or damaged.
    pub version: Option<Version>,
    /// What the plan says; `None` where it is absent or damaged.
    pub queue: Option<Queue>,
    /// What `current` is.
    pub link: Link,
    /// The binary that was asked for, if it is still the one that was checked.
    pub binary: Option<Binary>,
    /// Whether the sealed backup that was asked for is whole, and the home as it was then.
    pub backup_holds: bool,
}

/// What stands in the place of `current`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// Nothing.
    Absent,
    /// A link to something else than a version's folder: where it points, as it is stored.
    Astray(String),
    /// A link to the folder of the version of this name.
    LeadsTo(String),
    /// A file or a folder. Nobody knows what is in it, so it is left alone.
    NoLink,
}

impl Link {
    /// In words: `u1`, `absent`, `astray (elsewhere/u1)`, `no link`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Absent => "absent".to_owned(),
            Self::Astray(target) => format!("astray ({target})"),
            Self::LeadsTo(name) => name.clone(),
            Self::NoLink => "no link".to_owned(),
        }
    }

    /// The version that it leads to.
    #[must_use]
    pub fn version(&self) -> Option<&String> {
        match self {
            Self::LeadsTo(name) => Some(name),
            Self::Absent | Self::Astray(_) | Self::NoLink => None,
        }
    }
}

/// A row of the recovery table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// The last session ended in order, or there was none.
    AtRest,
    /// The last session was killed with its daemon up, or with a start due.
    DaemonLost,
    /// The last session was killed, and its daemon outlived it.
    DaemonLeftBehind,
    /// The last session gave the daemon up.
    GaveUp,
    /// The last session was killed while it went back to the old version.
    WasFailing,
    /// The last session was stopped in order in the middle of an attempt.
    AttemptTakenUp,
    /// The last session was killed before the commit point of an attempt.
    AttemptResumed,
    /// The same, too often.
    AttemptGivenUp,
    /// An attempt was interrupted, and the plan no longer asks for it, or a person holds upgrades.
    AttemptWithdrawn,
    /// An attempt was interrupted, and its binary is not as it was checked.
    AttemptUnprepared,
    /// The last session was killed after the commit point.
    SwapInterrupted,
    /// A roll-back was interrupted before its commit point, however often.
    RollBackResumed,
    /// The last session was killed after the commit point of a roll-back.
    RollBackSwapInterrupted,
    /// The version file names what neither the journal nor an attempt of ours explains.
    VersionMovedOutside,
}

impl Row {
    /// All rows.
    pub const ALL: [Self; 14] = [
        Self::AtRest,
        Self::DaemonLost,
        Self::DaemonLeftBehind,
        Self::GaveUp,
        Self::WasFailing,
        Self::AttemptTakenUp,
        Self::AttemptResumed,
        Self::AttemptGivenUp,
        Self::AttemptWithdrawn,
        Self::AttemptUnprepared,
        Self::SwapInterrupted,
        Self::RollBackResumed,
        Self::RollBackSwapInterrupted,
        Self::VersionMovedOutside,
    ];
}

/// The event that tells how what was found fits what the journal says.
#[must_use]
pub fn recover(state: &State, observed: Observed) -> Event {
    Event::Recovered { row: row(state, &observed), observed }
}

/// The one row that applies.
pub(super) fn row(state: &State, observed: &Observed) -> Row {
    if observed.daemon.is_some() {
        return Row::DaemonLeftBehind;
    }
    match standing(&state.phase) {
        Standing::Attempt { attempt, swaps, .. } if swaps && is_committed(attempt, observed) => {
            if attempt.back.is_some() {
                Row::RollBackSwapInterrupted
            } else {
                Row::SwapInterrupted
            }
        }
        // Nobody but a person has moved the version file before a swap was ordered.
        Standing::Attempt { attempt, .. } if is_moved(&attempt.from, observed) => {
            Row::VersionMovedOutside
        }
        // It is finished whatever the plan says: the home may be half restored.
        Standing::Attempt { attempt, .. } if attempt.back.is_some() => Row::RollBackResumed,
        Standing::Attempt { attempt, counts, .. } => attempt_row(state, attempt, counts, observed),
        Standing::Failing { attempt, swapped } => {
            // The swap itself may have failed only after the version file was moved.
            if swapped && is_committed(attempt, observed) {
                Row::SwapInterrupted
            } else if is_moved(&state.installed, observed) {
                Row::VersionMovedOutside
            } else {
                Row::WasFailing
            }
        }
        Standing::Idle(_) if is_moved(&state.installed, observed) => Row::VersionMovedOutside,
        Standing::Idle(row) => row,
    }
}

fn attempt_row(state: &State, attempt: &Attempt, counts: bool, observed: &Observed) -> Row {
    if !is_asked_for(state, attempt, observed) {
        return Row::AttemptWithdrawn;
    }
    if counts && attempt.resumed >= RESUMPTIONS_MAX {
        return Row::AttemptGivenUp;
    }
    if attempt.binary.is_some() && observed.binary != attempt.binary {
        return Row::AttemptUnprepared;
    }
    if counts { Row::AttemptResumed } else { Row::AttemptTakenUp }
}

fn is_committed(attempt: &Attempt, observed: &Observed) -> bool {
    observed.version.as_ref() == Some(&attempt.target())
}

/// A version file that is lost is written anew; one that names another version is believed.
fn is_moved(from: &Version, observed: &Observed) -> bool {
    observed.version.as_ref().is_some_and(|version| version != from)
}

/// A plan that can't be read withdraws nothing: the last known one holds. What a person holds by
/// now has to begin anew once it is released; nobody is to find it going on after all.
fn is_asked_for(state: &State, attempt: &Attempt, observed: &Observed) -> bool {
    let holds = |holding: &Holding| holding.until.is_none_or(|until| until > observed.at);
    if state.holding.as_ref().is_some_and(holds) {
        return false;
    }
    let queue = observed.queue.as_ref().unwrap_or(&state.queue);
    queue.current.iter().chain(&queue.entries).any(|upgrade| upgrade.is(&attempt.upgrade))
}

/// What the last durable phase means for a new session.
enum Standing<'a> {
    /// Nothing was under way.
    Idle(Row),
    /// An attempt was; `counts` where its interruption was no orderly stop, `swaps` where its swap
    /// was ordered.
    Attempt { attempt: &'a Attempt, counts: bool, swaps: bool },
    /// An attempt had failed, in its swap or before, and the old version was coming back.
    Failing { attempt: &'a Attempt, swapped: bool },
}

fn standing(phase: &Phase) -> Standing<'_> {
    let under_way = |attempt, counts| Standing::Attempt { attempt, counts, swaps: false };
    match phase {
        Phase::Running(_) => Standing::Idle(Row::DaemonLost),
        Phase::Draining(draining) => match &draining.then {
            AfterDrain::Upgrade(attempt) => under_way(attempt, true),
            AfterDrain::End(Some(attempt)) => under_way(attempt, false),
            AfterDrain::FailedStart(_) | AfterDrain::End(None) => Standing::Idle(Row::DaemonLost),
            AfterDrain::Recover { before, .. } => standing(before),
        },
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt) => under_way(attempt, true),
        Phase::Swapping(Swapping { attempt, stop, .. }) => {
            Standing::Attempt { attempt, counts: !stop, swaps: true }
        }
        Phase::Restarting(restarting) => match &restarting.wait {
            Wait::Session { resume: Some(attempt) } => under_way(attempt, false),
            Wait::Session { resume: None } => Standing::Idle(Row::AtRest),
            Wait::Delay { .. } | Wait::PreStart | Wait::Spawning { .. } => {
                Standing::Idle(Row::DaemonLost)
            }
        },
        Phase::Failed(failed) => {
            let swapped = failed.phase == PhaseName::Swapping;
            match &failed.then {
                AfterFailure::OldVersion { attempt, .. } => Standing::Failing { attempt, swapped },
                AfterFailure::GivenUp { .. } => Standing::Idle(Row::GaveUp),
                AfterFailure::RollBack(attempt) => under_way(attempt, true),
                AfterFailure::RollBackFailed(attempt) => {
                    Standing::Attempt { attempt, counts: false, swaps: swapped }
                }
            }
        }
    }
}
