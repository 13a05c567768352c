//! From the drain to the new version, or back to the old one.
//!
//! Answers of a preparation and of an attempt are the same facts; the number tells whose they are.

use super::super::effect::Effect;
use super::super::hook::Aftermath;
use super::super::phase::{AfterFailure, Attempt, Failed, Phase, PhaseName, Swapping, Why};
use super::super::state::{Performed, Stage};
use super::super::values::{Announcement, Archive, Binary, Code, Failure, Upgrade};
use super::{Next, Rejected, Step, backups, daemon, hooks, prepare, queue, rollback, session};

/// The daemon is down, and nothing is left of its group.
pub(super) fn back_up(next: &mut Next, attempt: Attempt) {
    if let Some(back) = attempt.back.clone() {
        rollback::settle_data(next, attempt, back);
        return;
    }
    if !next.state.recording {
        let text = "the journal can't be written, and an upgrade must be on the record".to_owned();
        fail(next, attempt, &Failure { code: Code::Io, text }, false);
        return;
    }
    let id = attempt.id;
    next.order(if next.state.policy.skip_backup {
        Effect::SkipBackup { attempt: id }
    } else {
        let (upgrade, sealed) = (attempt.upgrade.clone(), attempt.backup.clone());
        Effect::SealBackup { attempt: id, upgrade, sealed }
    });
    next.enter(Phase::BackingUp(attempt));
}

pub(super) fn backed_up(next: &mut Next, id: u64, archive: Option<&Archive>) -> Step {
    let Phase::BackingUp(attempt) = &next.state.phase else {
        return sealed_late(next, id, archive);
    };
    let mut attempt = answered(attempt, id)?;
    if attempt.back.is_some() {
        return Err(Rejected::Stale);
    }
    attempt.backup = archive.cloned();
    next.order(Effect::TakeLock { attempt: id, upgrade: attempt.upgrade.clone() });
    next.enter(Phase::Locking(attempt));
    Ok(())
}

/// It was sealed in the moment in which its attempt failed.
fn sealed_late(next: &mut Next, id: u64, archive: Option<&Archive>) -> Step {
    let (_, attempt, _) = failed(&next.state.phase, id)?;
    let late = archive.filter(|archive| attempt.backup.as_ref() != Some(archive));
    backups::discard(next, Some(late.ok_or(Rejected::Stale)?.clone()));
    Ok(())
}

pub(super) fn lock_taken(next: &mut Next, id: u64) -> Step {
    if let Some(candidate) = prepare::candidate(next, id) {
        let Stage::Locking(binary) = &candidate.stage else { return Err(Rejected::Stale) };
        candidate.stage = Stage::Locked(binary.clone());
        prepare::advance(next);
        return Ok(());
    }
    let Phase::Locking(attempt) = &next.state.phase else { return Err(Rejected::Stale) };
    let attempt = answered(attempt, id)?;
    if let Some(back) = attempt.back.clone() {
        rollback::commit(next, attempt, back, false);
        return Ok(());
    }
    let upgrade = attempt.upgrade.clone();
    next.order(match attempt.binary.clone() {
        Some(binary) => Effect::ConfirmBinary { attempt: id, upgrade, binary },
        None => Effect::FetchBinary { attempt: id, upgrade },
    });
    next.enter(Phase::Downloading(attempt));
    Ok(())
}

pub(super) fn binary_fetched(next: &mut Next, id: u64) -> Step {
    if let Some(candidate) = prepare::candidate(next, id) {
        let Stage::Fetching = candidate.stage else { return Err(Rejected::Stale) };
        candidate.stage = Stage::Checking;
        let upgrade = candidate.upgrade.clone();
        next.order(Effect::CheckBinary { attempt: id, upgrade });
        return Ok(());
    }
    let Phase::Downloading(attempt) = &next.state.phase else { return Err(Rejected::Stale) };
    let attempt = answered(attempt, id)?;
    next.order(Effect::CheckBinary { attempt: id, upgrade: attempt.upgrade.clone() });
    next.enter(Phase::Verifying(attempt));
    Ok(())
}

pub(super) fn binary_present(next: &mut Next, id: u64) -> Step {
    let Phase::Downloading(attempt) = &next.state.phase else { return Err(Rejected::Stale) };
    let attempt = answered(attempt, id)?;
    let Some(binary) = attempt.binary.clone() else { return Err(Rejected::Stale) };
    let upgrade = attempt.upgrade.clone();
    next.order(Effect::ConfirmCheck { attempt: id, upgrade, binary });
    next.enter(Phase::Verifying(attempt));
    Ok(())
}

pub(super) fn binary_checked(next: &mut Next, id: u64, binary: &Binary) -> Step {
    if let Some(candidate) = prepare::candidate(next, id) {
        let Stage::Checking = candidate.stage else { return Err(Rejected::Stale) };
        candidate.stage = Stage::Sizing(Some(binary.clone()));
        next.order(Effect::CheckRoom { attempt: id });
        return Ok(());
    }
    let Phase::Verifying(attempt) = &next.state.phase else { return Err(Rejected::Stale) };
    let mut attempt = answered(attempt, id)?;
    attempt.binary = Some(binary.clone());
    next.order(Effect::CommitSwap {
        attempt: id,
        upgrade: attempt.upgrade.clone(),
        from: attempt.from.clone(),
        plan_current: attempt.plan_current.clone(),
    });
    next.enter(Phase::Swapping(Swapping { attempt, committed: false, stop: false }));
    Ok(())
}

/// The commit point is passed: from here on there is only the new version.
pub(super) fn swap_committed(next: &mut Next, id: u64) -> Step {
    let (attempt, stop) = match &next.state.phase {
        Phase::Swapping(Swapping { attempt, stop, .. }) => (answered(attempt, id)?, *stop),
        // A second look found that the version file was moved all the same.
        phase @ Phase::Failed(Failed { phase: PhaseName::Swapping, .. }) => {
            let (_, attempt, stop) = failed(phase, id)?;
            (attempt, stop)
        }
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => return Err(Rejected::Stale),
    };
    if let Some(back) = attempt.back.clone() {
        rollback::committed(next, attempt, back, stop);
        return Ok(());
    }
    note_performed(next, &attempt);
    let upgrade = attempt.upgrade;
    if next.state.phase.name() == PhaseName::Failed && next.state.recording {
        let (upgrade, plan_current) = (upgrade.clone(), attempt.plan_current.clone());
        next.order(Effect::MoveShared { upgrade, plan_current });
    }
    next.state.startup_failures = 0;
    next.state.troubles.retain(|trouble| trouble.name != upgrade.name);
    take_over_move(next, &upgrade, attempt.plan_current.as_ref());
    queue::drop_superseded(next);
    let policy = &next.state.policy;
    if stop || upgrade.manual || !policy.restart_after_upgrade {
        next.order(Effect::ReleaseLock);
        session::end(next, None);
    } else {
        daemon::start(next, Why::Upgraded, upgrade.target());
        next.order(Effect::ReleaseLock);
    }
    Ok(())
}

/// What is installed from here on, and what a roll-back of it would need.
pub(super) fn note_performed(next: &mut Next, attempt: &Attempt) {
    next.state.installed = attempt.upgrade.target();
    next.state.undone = None;
    next.state.performed = Some(Performed {
        upgrade: attempt.upgrade.clone(),
        from: attempt.from.clone(),
        backup: attempt.backup.clone(),
        lived: false,
        told: false,
    });
}

/// What the plan says now, so that it need not be read again before the next decision.
fn take_over_move(next: &mut Next, upgrade: &Upgrade, before: Option<&Announcement>) {
    let queue = &mut next.state.queue;
    if queue.is_moved_by(upgrade, before) {
        queue.current = Some(upgrade.clone());
    }
    queue.entries.retain(|entry| entry.name != upgrade.name);
    queue.in_place.retain(|name| *name != upgrade.name);
    if !queue.performed.contains(&upgrade.name) {
        queue.performed.push(upgrade.name.clone());
    }
}

pub(super) fn work_failed(next: &mut Next, id: u64, failure: &Failure) -> Step {
    if prepare::candidate(next, id).is_some() {
        prepare::failed(next, failure);
        return Ok(());
    }
    let (attempt, stop) = match &next.state.phase {
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt) => (answered(attempt, id)?, false),
        // Only plan, history and link are behind; the next session moves them.
        Phase::Swapping(Swapping { committed: true, .. }) => return swap_committed(next, id),
        Phase::Swapping(Swapping { attempt, committed: false, stop }) => {
            (answered(attempt, id)?, *stop)
        }
        // Whether it is committed can't be told: the daemon comes first, and the backup stays.
        Phase::Failed(Failed { phase: PhaseName::Swapping, .. }) => {
            let (_, attempt, stop) = failed(&next.state.phase, id)?;
            old_version(next, attempt, stop);
            return Ok(());
        }
        Phase::Running(_) | Phase::Draining(_) | Phase::Restarting(_) | Phase::Failed(_) => {
            return Err(Rejected::Stale);
        }
    };
    fail(next, attempt, failure, stop);
    Ok(())
}

/// Back to the old version, which has held all the time.
pub(super) fn fail(next: &mut Next, attempt: Attempt, failure: &Failure, stop: bool) {
    if attempt.back.is_some() {
        rollback::fail(next, attempt, failure, stop);
        return;
    }
    let phase = next.state.phase.name();
    queue::hold(next, &attempt.upgrade, failure);
    // Where the commit point may have been passed, the backup stays until it is known.
    let in_doubt = (phase == PhaseName::Swapping).then(|| attempt.upgrade.clone());
    if in_doubt.is_none() {
        backups::discard(next, attempt.backup.clone());
    }
    next.order(Effect::StandDown { attempt: attempt.id, in_doubt });
    if !stop {
        let call = hooks::of_attempt(&attempt, phase, failure, Aftermath::OldVersion);
        hooks::tell(next, call);
    }
    let then = AfterFailure::OldVersion { attempt, stop };
    next.enter(Phase::Failed(Failed { phase, failure: failure.clone(), then, notice: None }));
}

/// Nothing half-done is left, and nothing is committed: the old version comes back.
pub(super) fn stood_down(next: &mut Next, id: u64) -> Step {
    let (phase, attempt, stop) = failed(&next.state.phase, id)?;
    if phase == PhaseName::Swapping {
        backups::discard(next, attempt.backup.clone());
    }
    old_version(next, attempt, stop);
    Ok(())
}

/// The failed attempt with this number, the phase it failed in, and whether a stop was requested.
fn failed(phase: &Phase, id: u64) -> Result<(PhaseName, Attempt, bool), Rejected> {
    let Phase::Failed(Failed { phase, then: AfterFailure::OldVersion { attempt, stop }, .. }) =
        phase
    else {
        return Err(Rejected::Stale);
    };
    Ok((*phase, answered(attempt, id)?, *stop))
}

fn old_version(next: &mut Next, attempt: Attempt, stop: bool) {
    if stop {
        session::end(next, None);
    } else {
        daemon::start(next, Why::AttemptFailed, attempt.from);
    }
}

/// The attempt, if `id` is its number.
pub(super) fn answered(attempt: &Attempt, id: u64) -> Result<Attempt, Rejected> {
    if attempt.id == id { Ok(attempt.clone()) } else { Err(Rejected::Stale) }
}
