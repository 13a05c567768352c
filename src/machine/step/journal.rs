//! The journal itself fails, and comes back.
//!
//! While records can only be held in memory, the daemon is looked after as always, and no upgrade
//! begins or goes on: what it changes on disk must be on the record first.

use super::super::phase::Phase;
use super::super::values::Failure;
use super::{Next, Rejected, Step, attempt, backups, prepare, session};

pub(super) fn failed(next: &mut Next, failure: &Failure) -> Step {
    if !next.state.recording {
        return Err(Rejected::Unchanged);
    }
    next.state.recording = false;
    match next.state.phase.clone() {
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt)
            if attempt.back.is_none() =>
        {
            attempt::fail(next, attempt, failure, false);
        }
        // A drain ends first; a swap that is ordered is on the record. A roll-back waits where it
        // is: neither version may be started on what may be half restored.
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => {}
    }
    Ok(())
}

pub(super) fn restored(next: &mut Next) -> Step {
    if next.state.recording {
        return Err(Rejected::Unchanged);
    }
    next.state.recording = true;
    backups::discard_unneeded(next);
    session::catch_up(next);
    prepare::choose(next);
    prepare::advance(next);
    Ok(())
}
