//! What is found out, fetched and verified while the daemon runs.

use super::super::effect::Effect;
use super::super::phase::{
    AfterDrain, Attempt, DrainStep, Draining, Phase, Restarting, Running, Wait,
};
use super::super::recover::Observed;
use super::super::state::{Candidate, Stage, State};
use super::super::values::{Binary, Failure, Remedy, Upgrade};
use super::super::{phase::Swapping, timer::Timer};
use super::{Next, Rejected, Step, daemon, health, hooks, queue, wishes};

impl Candidate {
    /// The binary, once its digest and build info are known to be right.
    #[must_use]
    pub fn checked_binary(&self) -> Option<&Binary> {
        match &self.stage {
            Stage::Fetching | Stage::Checking => None,
            Stage::Copying(binary)
            | Stage::Refreshing(binary)
            | Stage::Locking(binary)
            | Stage::Locked(binary) => Some(binary),
            Stage::Sizing(binary) | Stage::Ready(binary) | Stage::Hooking(binary) => {
                binary.as_ref()
            }
        }
    }

    /// The binary, once nothing is left to be found out that another session would have to find
    /// out again. A copy of the home goes with its session.
    pub(super) fn kept_binary(&self) -> Option<&Binary> {
        match &self.stage {
            Stage::Fetching | Stage::Checking | Stage::Sizing(_) => None,
            Stage::Copying(binary)
            | Stage::Refreshing(binary)
            | Stage::Locking(binary)
            | Stage::Locked(binary) => Some(binary),
            Stage::Ready(binary) | Stage::Hooking(binary) => binary.as_ref(),
        }
    }

    /// Whether only the last steps are left, which take moments once the daemon is down.
    fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Fetching
            | Stage::Checking
            | Stage::Sizing(Some(_))
            | Stage::Copying(_)
            | Stage::Hooking(_) => false,
            Stage::Sizing(None)
            | Stage::Ready(_)
            | Stage::Refreshing(_)
            | Stage::Locking(_)
            | Stage::Locked(_) => true,
        }
    }
}

/// Makes the first upgrade that nothing holds back the candidate, and drops another one.
///
/// Only where the daemon is up, or about to be: an attempt under way is not disturbed. Nor where
/// the plan can't be read: what it asked for could not be fetched, again and again.
pub(super) fn choose(next: &mut Next) {
    let may_choose = next.state.recording && next.state.plan_reads;
    if !is_up_or_coming(&next.state.phase) || !may_choose {
        return;
    }
    let wanted = next.state.next_upgrade().cloned();
    let chosen = next.state.candidate.as_ref().map(|candidate| &candidate.upgrade);
    match (chosen, wanted) {
        (Some(chosen), Some(wanted)) if chosen.is(&wanted) => retime(next, wanted),
        (None, None) => {}
        (_, wanted) => {
            drop_candidate(next);
            if let Some(wanted) = wanted {
                nominate(next, wanted);
            }
        }
    }
}

/// Its time may be another one by now. That it was due is of the time before.
fn retime(next: &mut Next, wanted: Upgrade) {
    let Some(candidate) = next.state.candidate.as_mut() else { return };
    if !candidate.upgrade.is_retimed(&wanted) {
        return;
    }
    let moves = candidate.upgrade.due_at != wanted.due_at;
    candidate.upgrade = wanted;
    if moves {
        candidate.due = false;
        let watch = watch_due(candidate);
        next.order(watch);
    }
}

fn is_up_or_coming(phase: &Phase) -> bool {
    match phase {
        Phase::Running(_) => true,
        Phase::Restarting(Restarting { wait, .. }) => match wait {
            Wait::Delay { .. } => true,
            Wait::PreStart | Wait::Spawning { .. } | Wait::Session { .. } => false,
        },
        Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(Swapping { .. })
        | Phase::Failed(_) => false,
    }
}

pub(super) fn drop_candidate(next: &mut Next) {
    if let Some(candidate) = next.state.candidate.take() {
        next.order(Effect::CancelPreparation { attempt: candidate.id });
    }
}

fn nominate(next: &mut Next, upgrade: Upgrade) {
    next.state.last_attempt += 1;
    let id = next.state.last_attempt;
    let ahead = next.state.policy.prepare_ahead;
    let stage = if ahead { Stage::Fetching } else { Stage::Ready(None) };
    let candidate = Candidate { id, upgrade, due: false, stage, hooked: false };
    next.order(watch_due(&candidate));
    if ahead {
        let upgrade = candidate.upgrade.clone();
        next.order(Effect::FetchBinary { attempt: id, upgrade });
    }
    next.state.candidate = Some(candidate);
}

pub(super) fn watch_due(candidate: &Candidate) -> Effect {
    Effect::WatchDue { attempt: candidate.id, at: candidate.upgrade.due_at }
}

/// The candidate with this number, if it is still the one.
pub(super) fn candidate(next: &mut Next, id: u64) -> Option<&mut Candidate> {
    next.state.candidate.as_mut().filter(|candidate| candidate.id == id)
}

pub(super) fn came_due(next: &mut Next, id: u64) -> Step {
    let Some(candidate) = candidate(next, id) else { return Err(Rejected::Stale) };
    if candidate.due {
        return Err(Rejected::Unchanged);
    }
    candidate.due = true;
    advance(next);
    Ok(())
}

/// There is room; `by_plan` where the last word of the plan was heard before.
pub(super) fn room_found(next: &mut Next, id: u64, by_plan: bool) -> Step {
    let Some(candidate) = candidate(next, id) else { return Err(Rejected::Stale) };
    let Stage::Sizing(binary) = &candidate.stage else { return Err(Rejected::Stale) };
    let is_prepared = binary.is_some();
    let is_due = candidate.due || !by_plan;
    // Where the daemon can't be stopped now, what was not prepared looks for room again then.
    candidate.stage = Stage::Ready(binary.clone());
    if is_prepared {
        copy_home(next);
        advance(next);
    } else if hooks::is_asked_anew(&next.state) {
        advance(next);
    } else if is_due && may_go_on(&next.state) {
        stop_daemon_for_upgrade(next);
    }
    Ok(())
}

/// Before a candidate is ready its home is copied, unless there will be no backup.
pub(super) fn copy_home(next: &mut Next) {
    if next.state.policy.skip_backup {
        return;
    }
    let Some(candidate) = next.state.candidate.as_mut() else { return };
    let Stage::Ready(Some(binary)) = &candidate.stage else { return };
    candidate.stage = Stage::Copying(binary.clone());
    let (attempt, upgrade) = (candidate.id, candidate.upgrade.clone());
    next.order(Effect::CopyHome { attempt, upgrade });
}

pub(super) fn home_copied(next: &mut Next, id: u64) -> Step {
    let Some(candidate) = candidate(next, id) else { return Err(Rejected::Stale) };
    let Stage::Copying(binary) = &candidate.stage else { return Err(Rejected::Stale) };
    candidate.stage = Stage::Ready(Some(binary.clone()));
    advance(next);
    Ok(())
}

pub(super) fn copy_refreshed(next: &mut Next, id: u64) -> Step {
    let waits = wishes::keep_back(&next.state) || hooks::is_asked_anew(&next.state);
    let Some(candidate) = candidate(next, id) else { return Err(Rejected::Stale) };
    let Stage::Refreshing(binary) = candidate.stage.clone() else { return Err(Rejected::Stale) };
    if candidate.due && !waits {
        let lock = take_lock(candidate, binary);
        next.order(lock);
    } else {
        candidate.stage = Stage::Ready(Some(binary));
        advance(next);
    }
    Ok(())
}

fn take_lock(candidate: &mut Candidate, binary: Binary) -> Effect {
    candidate.stage = Stage::Locking(binary);
    Effect::TakeLock { attempt: candidate.id, upgrade: candidate.upgrade.clone() }
}

/// Goes on with a candidate that is due and ready: the changes of the home and the lock first,
/// then the drain.
pub(super) fn advance(next: &mut Next) {
    if !may_go_on(&next.state) || is_due(&next.state) && hooks::come_first(next) {
        return;
    }
    let Some(candidate) = next.state.candidate.as_mut().filter(|candidate| candidate.due) else {
        return;
    };
    match candidate.stage.clone() {
        Stage::Ready(Some(binary)) => {
            let attempt = candidate.id;
            let effect = if next.state.policy.skip_backup {
                take_lock(candidate, binary)
            } else {
                candidate.stage = Stage::Refreshing(binary);
                Effect::RefreshCopy { attempt }
            };
            next.order(effect);
        }
        // Nothing was prepared, nor is the lock taken ahead: the guide's literal order. But the
        // daemon is not stopped for what can't succeed.
        Stage::Ready(None) => {
            candidate.stage = Stage::Sizing(None);
            let attempt = candidate.id;
            next.order(Effect::CheckRoom { attempt });
        }
        Stage::Locked(_) => stop_daemon_for_upgrade(next),
        Stage::Fetching
        | Stage::Checking
        | Stage::Sizing(_)
        | Stage::Copying(_)
        | Stage::Hooking(_)
        | Stage::Refreshing(_)
        | Stage::Locking(_) => {}
    }
}

fn stop_daemon_for_upgrade(next: &mut Next) {
    match next.state.phase.clone() {
        Phase::Running(Running { daemon, .. }) => {
            let Some(attempt) = begin_attempt(&mut next.state) else { return };
            health::end_startup(next);
            daemon::drain(next, daemon, AfterDrain::Upgrade(attempt));
        }
        // The daemon is down anyway: the upgrade takes the place of the restart.
        Phase::Restarting(Restarting { wait: Wait::Delay { swept: true, .. }, .. }) => {
            let Some(attempt) = begin_attempt(&mut next.state) else { return };
            next.order(Effect::StopTimer(Timer::RestartDelay));
            next.enter(Phase::Draining(Draining {
                daemon: None,
                step: DrainStep::Sweeping,
                then: AfterDrain::Upgrade(attempt),
            }));
            next.order(Effect::SweepGroup(None));
        }
        Phase::Restarting(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Failed(_) => {}
    }
}

/// The candidate's time has come, and neither a person nor the calendar keeps it back.
pub(super) fn is_due(state: &State) -> bool {
    let is_due = state.candidate.as_ref().is_some_and(|candidate| candidate.due);
    is_due && !wishes::keep_back(state)
}

/// The candidate's time has come, and an attempt will begin as soon as it is prepared.
pub(super) fn is_due_and_on_its_way(state: &State) -> bool {
    may_begin(state) && is_due(state)
}

/// No attempt begins unless it can be recorded, and what the plan asks for is known: one that has
/// not followed the last upgrade would ask for it again. Nor while it is kept back.
pub(super) fn may_begin(state: &State) -> bool {
    let is_known = state.recording && state.plan_reads && !state.is_ahead_of_plan();
    is_known && !wishes::keep_back(state)
}

fn may_go_on(state: &State) -> bool {
    is_up_or_coming(&state.phase) && may_begin(state)
}

/// The candidate's time has come, and nothing is left to prepare. Where nothing is prepared at all
/// the room isn't waited for: the daemon is down already.
pub(super) fn is_due_and_ready(state: &State) -> bool {
    let is_ready = |candidate: &Candidate| candidate.due && candidate.is_ready();
    let is_ready = state.candidate.as_ref().is_some_and(is_ready);
    may_begin(state) && is_ready && !hooks::is_asked_first(state)
}

/// Turns the candidate into an attempt.
pub(super) fn begin_attempt(state: &mut State) -> Option<Attempt> {
    let candidate = state.candidate.take()?;
    let binary = candidate.checked_binary().cloned();
    Some(Attempt {
        id: candidate.id,
        upgrade: candidate.upgrade,
        from: state.installed.clone(),
        plan_current: state.queue.current.as_ref().map(Upgrade::announcement),
        binary,
        backup: None,
        resumed: 0,
        back: None,
    })
}

/// What was ready stays ready if it is still the file that was checked; the rest is redone.
pub(super) fn keep_candidate(state: &mut State, observed: &Observed) {
    let Some(candidate) = state.candidate.take() else { return };
    let wanted = state.next_upgrade().filter(|upgrade| upgrade.is(&candidate.upgrade)).cloned();
    let ready = candidate.kept_binary();
    if let Some(wanted) = wanted
        && ready.is_some()
        && ready == observed.binary.as_ref()
    {
        let stage = Stage::Ready(observed.binary.clone());
        let was_due = candidate.due && candidate.upgrade.due_at == wanted.due_at;
        let is_retimed = candidate.upgrade.is_retimed(&wanted);
        let upgrade = if is_retimed { wanted } else { candidate.upgrade };
        let due = was_due || upgrade.due_at <= observed.at;
        state.candidate = Some(Candidate { id: candidate.id, upgrade, due, stage, hooked: false });
    }
}

/// The run is about to end: what is ready stays ready, the rest is dropped.
pub(super) fn suspend(next: &mut Next) {
    let Some(candidate) = next.state.candidate.take() else { return };
    next.order(Effect::CancelPreparation { attempt: candidate.id });
    if let Some(binary) = candidate.kept_binary().cloned() {
        let stage = Stage::Ready(Some(binary));
        next.state.candidate = Some(Candidate { stage, hooked: false, ..candidate });
    }
}

/// A step of the preparation failed: the daemon runs on, the upgrade is held back.
pub(super) fn failed(next: &mut Next, failure: &Failure) {
    let Some(candidate) = next.state.candidate.take() else { return };
    next.order(Effect::CancelPreparation { attempt: candidate.id });
    queue::hold(next, &candidate.upgrade, failure);
    if failure.code.remedy() != Remedy::Pause {
        hooks::tell_held(next, candidate.id, &candidate.upgrade, failure);
    }
    choose(next);
}
