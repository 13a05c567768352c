//! Records for the log.

use super::{Severity, phases, severity, text};
use crate::journal::Hash;
use crate::machine::{Event, Record, State};

/// Writes a record to the log, which was made in the state `before`. With every upgrade goes the
/// journal's head, so that what it covers can be proven later by somebody who kept the log
/// elsewhere.
pub(crate) fn log(record: &Record, before: &State, head: &Hash) {
    let text = text(record, before.phase.roll_back());
    let phases = phases(record);
    // The fields are for systemd's journal: elsewhere the text is all that is written.
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                record = record.seq,
                session = %record.session,
                event = record.event.name(),
                from = %record.from,
                to = %record.to,
                "{phases}: {text}"
            )
        };
    }
    match severity(record) {
        Severity::Bad => tell!(error),
        Severity::Odd => tell!(warn),
        Severity::Normal => tell!(info),
        Severity::Small => tell!(debug),
    }
    if let Event::SwapCommitted { .. } = record.event {
        let seq = record.seq;
        tracing::info!(record = seq, %head, "journal head after record {seq}: {head}");
    }
}
