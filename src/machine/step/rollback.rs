//! Back to the version before: by itself after a failed start, or because a person says so.

use super::super::effect::{Effect, Outcome};
use super::super::hook::{Aftermath, Notice};
use super::super::phase::{
    AfterDrain, AfterFailure, Attempt, Back, DrainStep, Draining, Failed, Phase, PhaseName,
    Restarting, Running, Swapping, Wait, Why,
};
use super::super::state::{State, Undone};
use super::super::timer::Timer;
use super::super::values::{Code, Failure, Requester, Upgrade, Version};
use super::{Next, Rejected, Step, attempt, daemon, health, hooks, prepare, queue, session};

/// Rolls the installed version back instead of giving it up, where that is switched on and it has
/// never lived through a startup period. Whoever calls orders the sweep of its process group.
pub(super) fn begin_by_itself(next: &mut Next, phase: PhaseName, text: &str) -> bool {
    let state = &next.state;
    let policy = &state.policy;
    if !policy.rollback_on_failed_upgrade || !state.recording {
        return false;
    }
    let Some(last) = state.last_performed().filter(|last| !last.lived).cloned() else {
        return false;
    };
    let restore = last.backup.filter(|_| policy.rollback_restores_data);
    let failure = Failure {
        code: Code::FailedStart,
        text: format!(
            "{} failed before it had once lived through its startup period, and is rolled back \
             to {}: {text}",
            last.upgrade.name, last.from.name
        ),
    };
    let back = Back { to: last.from, restore, why: failure.clone() };
    let Some(attempt) = new_attempt(next, back) else { return false };
    prepare::drop_candidate(next);
    let call = hooks::of_attempt(&attempt, phase, &failure, Aftermath::RollBack);
    hooks::tell(next, call);
    let then = AfterFailure::RollBack(attempt);
    next.enter(Phase::Failed(Failed { phase, failure, then, notice: None }));
    true
}

/// An attempt that undoes what is installed.
fn new_attempt(next: &mut Next, back: Back) -> Option<Attempt> {
    let upgrade = next.state.last_performed()?.upgrade.clone();
    next.state.last_attempt += 1;
    Some(Attempt {
        id: next.state.last_attempt,
        from: upgrade.target(),
        upgrade,
        binary: None,
        backup: None,
        resumed: 0,
        plan_current: next.state.queue.current.as_ref().map(Upgrade::announcement),
        back: Some(back),
    })
}

/// The operator says: back.
pub(super) fn requested(
    next: &mut Next,
    to: &Version,
    keep_data: bool,
    requester: &Requester,
    request: &str,
) -> Step {
    let only_waits = hooks::is_waited_for(&next.state);
    let answer = match wished(&next.state, to, keep_data, requester) {
        Ok(back) => begin_by_hand(next, back),
        Err(text) => Err(text),
    };
    let (granted, text) = answer.map_or_else(|text| (false, text), |text| (true, text));
    next.order(Effect::Answer { request: request.to_owned(), granted, text });
    // What is told of the failure would have ended the run.
    next.effects.extend((granted && only_waits).then_some(Effect::Exit(Outcome::Done)));
    Ok(())
}

/// What is to be done, or why that can't be.
fn wished(
    state: &State,
    to: &Version,
    keep_data: bool,
    requester: &Requester,
) -> Result<Back, String> {
    let installed = &state.installed.name;
    if !state.recording {
        return Err("the journal can't be written, and a roll-back must be on the record".into());
    }
    let Some(last) = state.last_performed() else {
        return Err(format!(
            "only the last upgrade can be rolled back, and none to {installed} is on record; for \
             another version there is `nymvisor add-upgrade --allow-downgrade`"
        ));
    };
    if *to == state.installed {
        return Err(format!("{installed} is what runs already"));
    }
    let keeps = keep_data || !state.policy.rollback_restores_data;
    let restore = match &last.backup {
        _ if keeps => None,
        _ if *to != last.from => {
            return Err(format!(
                "the backup holds the data of {}, not of {}; with --keep-data the data stays as \
                 it is",
                last.from.name, to.name
            ));
        }
        None => {
            return Err(format!(
                "there is no backup of before {installed}; with --keep-data the data stays as it \
                 is"
            ));
        }
        backup => backup.clone(),
    };
    let by = requester.in_words();
    let text = format!("rolled back from {installed} to {} by {by}", to.name);
    Ok(Back { to: to.clone(), restore, why: Failure { code: Code::RolledBack, text } })
}

/// Begins, or leaves it to the next session. In words: what happens, or why nothing does.
fn begin_by_hand(next: &mut Next, back: Back) -> Result<String, String> {
    let (to, from) = (back.to.name.clone(), next.state.installed.name.clone());
    let data = match &back.restore {
        Some(archive) => format!("the data comes from {}", archive.path),
        None => "the data stays as it is".to_owned(),
    };
    let refused = || "something is under way; try again when the daemon runs".to_owned();
    let phase = next.state.phase.clone();
    let resting = match &phase {
        Phase::Restarting(Restarting { wait: Wait::Session { resume }, .. }) => resume
            .clone()
            .map_or(Some(None), |attempt| attempt.back.is_some().then_some(Some(attempt))),
        Phase::Failed(Failed { then, .. }) => match then {
            AfterFailure::GivenUp { .. } => Some(None),
            AfterFailure::RollBackFailed(attempt) => Some(Some(attempt.clone())),
            AfterFailure::OldVersion { .. } | AfterFailure::RollBack(_) => None,
        },
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_) => None,
    };
    if let Some(resting) = resting {
        // One that rests keeps its number: what it has moved aside lies in a folder of that name.
        let attempt = match resting {
            Some(resting) => Some(Attempt { back: Some(back), ..resting }),
            None => new_attempt(next, back),
        };
        // The run may still be up, and clear what is left of the daemon's group: it ends in order.
        session::rest(next, attempt);
        return Ok(format!(
            "the next `nymvisor run` rolls {from} back to {to} before it starts the daemon; {data}"
        ));
    }
    let (daemon, swept) = match phase {
        Phase::Running(Running { daemon, .. }) => (Some(daemon), false),
        Phase::Restarting(Restarting { wait: Wait::Delay { swept, .. }, .. }) => (None, swept),
        Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => return Err(refused()),
    };
    let Some(attempt) = new_attempt(next, back) else { return Err(refused()) };
    prepare::drop_candidate(next);
    let then = AfterDrain::Upgrade(attempt);
    if let Some(daemon) = daemon {
        health::end_startup(next);
        daemon::drain(next, daemon, then);
    } else {
        next.order(Effect::StopTimer(Timer::RestartDelay));
        next.enter(Phase::Draining(Draining { daemon: None, step: DrainStep::Sweeping, then }));
        // A sweep that is under way already answers for this one.
        next.effects.extend(swept.then_some(Effect::SweepGroup(None)));
    }
    Ok(format!("{from} is rolled back to {to}; {data}"))
}

/// Nothing is left of the daemon's group: the data first.
pub(super) fn settle_data(next: &mut Next, attempt: Attempt, back: Back) {
    let (id, to) = (attempt.id, back.to);
    next.order(match back.restore {
        Some(archive) => {
            Effect::RestoreHome { attempt: id, upgrade: attempt.upgrade.clone(), to, archive }
        }
        None => Effect::SkipRestore { attempt: id, to },
    });
    next.enter(Phase::BackingUp(attempt));
}

/// The data is what the version before needs, or stays as it is.
pub(super) fn data_settled(next: &mut Next, id: u64) -> Step {
    let Phase::BackingUp(attempt) = &next.state.phase else { return Err(Rejected::Stale) };
    let attempt = attempt::answered(attempt, id)?;
    if attempt.back.is_none() {
        return Err(Rejected::Stale);
    }
    next.order(Effect::LockRollBack { attempt: id, upgrade: attempt.upgrade.clone() });
    next.enter(Phase::Locking(attempt));
    Ok(())
}

/// Nothing is to be downloaded or verified: that version has run before.
pub(super) fn commit(next: &mut Next, attempt: Attempt, back: Back, committed: bool) {
    next.order(Effect::CommitRollBack {
        attempt: attempt.id,
        upgrade: attempt.upgrade.clone(),
        to: back.to,
    });
    next.enter(Phase::Swapping(Swapping { attempt, committed, stop: false }));
}

/// The commit point is passed: the version before holds again.
pub(super) fn committed(next: &mut Next, attempt: Attempt, back: Back, stop: bool) {
    note_undone(next, &attempt, &back);
    next.state.startup_failures = 0;
    let state = &mut next.state.queue;
    let name = attempt.upgrade.name;
    state.performed.retain(|performed| *performed != name);
    // What the plan calls current now is read from it; until then there is none.
    if let Some(failed) = state.current.take_if(|current| current.name == name)
        && !state.entries.iter().any(|entry| entry.name == name)
    {
        state.entries.push(failed);
    }
    if stop {
        next.order(Effect::ReleaseLock);
        session::end(next, None);
    } else {
        daemon::start(next, Why::RolledBack, back.to);
        next.order(Effect::ReleaseLock);
    }
}

/// What is installed from here on; the announcement goes into quarantine.
pub(super) fn note_undone(next: &mut Next, attempt: &Attempt, back: &Back) {
    next.state.installed = back.to.clone();
    next.state.performed = None;
    next.state.undone = Some(Undone { upgrade: attempt.upgrade.clone(), to: back.to.clone() });
    queue::hold(next, &attempt.upgrade, &back.why);
}

/// Neither version may be started: the one on what may be half restored, nor the other before the
/// version file names it. The next session goes on.
pub(super) fn fail(next: &mut Next, attempt: Attempt, failure: &Failure, stop: bool) {
    let phase = next.state.phase.name();
    next.order(Effect::CancelPreparation { attempt: attempt.id });
    let outcome = if stop { Outcome::Done } else { Outcome::RollBackFailed };
    if stop {
        next.state.startup_failures = 0;
    }
    let call = hooks::of_attempt(&attempt, phase, failure, Aftermath::RollBackFailed);
    let notice = (!stop && hooks::tell(next, call)).then_some(Notice::Swept);
    next.effects.extend(notice.is_none().then_some(Effect::Exit(outcome)));
    let then = AfterFailure::RollBackFailed(attempt);
    next.enter(Phase::Failed(Failed { phase, failure: failure.clone(), then, notice }));
}

/// What has once lived through a startup period is not rolled back by itself any more: by then old
/// data would replace new.
pub(super) fn note_lived(state: &mut State) {
    let installed = &state.installed;
    if let Some(last) = state.performed.as_mut().filter(|last| last.upgrade.target() == *installed)
    {
        last.lived = true;
    }
}

/// A plan that no longer calls the undone upgrade current has followed the roll-back.
pub(super) fn note_plan(state: &mut State) {
    if state.left_to_move_back().is_none() {
        state.undone = None;
    }
}
