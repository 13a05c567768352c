//! The operator's commands: before an upgrade, before a start, after an upgrade, after a failure.

use super::super::effect::{Effect, Outcome};
use super::super::hook::{Aftermath, Hook, HookCall, HookEnding, Notice, Verdict};
use super::super::phase::{AfterFailure, Attempt, Failed, Phase, PhaseName, Restarting, Wait, Why};
use super::super::state::{Stage, State};
use super::super::values::{Binary, Failure, Remedy, Upgrade};
use super::{Next, Rejected, Step, daemon, prepare, queue, wishes};

/// A command has ended. `about` is the preparation or attempt that it belonged to.
pub(super) fn ended(
    next: &mut Next,
    hook: Hook,
    about: Option<u64>,
    aftermath: Option<Aftermath>,
    ending: HookEnding,
    said: &str,
) -> Step {
    match hook {
        Hook::PreUpgrade => pre_upgrade_ended(next, about, ending, said),
        Hook::PreStart => pre_start_ended(next, ending, said),
        // For the record: what it was told of has happened.
        Hook::PostUpgrade => Ok(()),
        Hook::OnFailure => told(next, aftermath),
    }
}

fn call(hook: Hook, state: &State) -> HookCall {
    HookCall {
        hook,
        attempt: None,
        phase: state.phase.name(),
        upgrade: None,
        from: None,
        to: state.installed.clone(),
        backup: None,
        failure: None,
        next: None,
    }
}

/// Whether the pre-upgrade command has yet to say yes to the candidate.
pub(super) fn is_asked_first(state: &State) -> bool {
    let is_passed = state.candidate.as_ref().is_none_or(|candidate| candidate.hooked);
    state.policy.hooks.pre_upgrade && !is_passed
}

/// Whether it has, also once the last steps have begun: what it said was of an earlier moment.
pub(super) fn is_asked_anew(state: &State) -> bool {
    state.policy.hooks.per_stop && is_asked_first(state)
}

/// Before the last steps with a candidate that is due: the pre-upgrade command, where there is one.
/// It runs beside the daemon; while that is down, it waits for it. Whether the candidate waits.
pub(super) fn come_first(next: &mut Next) -> bool {
    if !is_asked_first(&next.state) {
        return false;
    }
    if is_asked_anew(&next.state) {
        wishes::give_back_lock(next);
    }
    let is_up = matches!(next.state.phase, Phase::Running(_));
    let call = call(Hook::PreUpgrade, &next.state);
    let installed = next.state.installed.clone();
    let Some(candidate) = next.state.candidate.as_mut() else { return false };
    let Stage::Ready(binary) = &candidate.stage else { return false };
    if is_up {
        candidate.stage = Stage::Hooking(binary.clone());
        let call = HookCall {
            attempt: Some(candidate.id),
            upgrade: Some(candidate.upgrade.clone()),
            from: Some(installed),
            to: candidate.upgrade.target(),
            ..call
        };
        next.order(Effect::RunHook(call));
    }
    true
}

fn pre_upgrade_ended(next: &mut Next, about: Option<u64>, ending: HookEnding, said: &str) -> Step {
    let id = about.ok_or(Rejected::Stale)?;
    let Some(candidate) = prepare::candidate(next, id) else { return Err(Rejected::Stale) };
    let Stage::Hooking(binary) = candidate.stage.clone() else { return Err(Rejected::Stale) };
    let Some(code) = ending.code() else {
        candidate.hooked = true;
        candidate.stage = Stage::Ready(binary);
        prepare::advance(next);
        return Ok(());
    };
    let then = match code.remedy() {
        Remedy::Quarantine => {
            let name = &candidate.upgrade.name;
            format!("say `nymvisor retry {name}` to have it tried again")
        }
        Remedy::Pause | Remedy::AwaitBinary => "it is tried again later".to_owned(),
    };
    let text = format!("{}; {then}", describe(Hook::PreUpgrade, ending, said));
    let failure = Failure { code, text };
    if next.state.policy.hooks.per_stop && code.remedy() == Remedy::Pause {
        put_off(next, binary, &failure);
    } else {
        prepare::failed(next, &failure);
    }
    Ok(())
}

/// Not now: it is asked again after a pause, and until then nothing of what is prepared is undone.
fn put_off(next: &mut Next, binary: Option<Binary>, failure: &Failure) {
    let Some(candidate) = next.state.candidate.as_mut() else { return };
    candidate.stage = Stage::Ready(binary);
    let upgrade = candidate.upgrade.clone();
    queue::hold(next, &upgrade, failure);
}

/// What a command did, with its last words.
fn describe(hook: Hook, ending: HookEnding, said: &str) -> String {
    let what = format!("the {} command {ending}", hook.name());
    if said.is_empty() { what } else { format!("{what} ({said})") }
}

/// Before a start: the pre-start command, where there is one. Whether the start waits for it.
pub(super) fn run_pre_start(next: &mut Next, why: Why) -> bool {
    if !next.state.policy.hooks.pre_start {
        return false;
    }
    next.enter(Phase::Restarting(Restarting { why, wait: Wait::PreStart }));
    let call = call(Hook::PreStart, &next.state);
    next.order(Effect::RunHook(call));
    true
}

fn pre_start_ended(next: &mut Next, ending: HookEnding, said: &str) -> Step {
    let Phase::Restarting(Restarting { why, wait: Wait::PreStart }) = next.state.phase else {
        return Err(Rejected::Stale);
    };
    let Some(code) = ending.code() else {
        let wait = Wait::Spawning { stop: false };
        next.enter(Phase::Restarting(Restarting { why, wait }));
        next.order(Effect::SpawnDaemon(next.state.installed.clone()));
        return Ok(());
    };
    if ending.verdict() == Verdict::Postpone {
        // What it waits for is known to whoever wrote it: no failure, and no end of the tries.
        daemon::start_later(next);
        return Ok(());
    }
    let text = describe(Hook::PreStart, ending, said);
    daemon::start_failed(next, PhaseName::Restarting, &Failure { code, text });
    Ok(())
}

/// The new version is up, and healthy where that is checked: once for each upgrade.
pub(super) fn run_post_upgrade(next: &mut Next) {
    let has_hook = next.state.policy.hooks.post_upgrade;
    let last = next.state.last_performed().filter(|last| has_hook && !last.told && !last.lived);
    let Some(last) = last.cloned() else { return };
    if let Some(performed) = &mut next.state.performed {
        performed.told = true;
    }
    let call = call(Hook::PostUpgrade, &next.state);
    next.order(Effect::RunHook(HookCall {
        upgrade: Some(last.upgrade),
        from: Some(last.from),
        backup: last.backup,
        ..call
    }));
}

/// Something has failed for good: the on-failure command is told, where there is one. Whether it
/// was.
pub(super) fn tell(next: &mut Next, call: HookCall) -> bool {
    let has_hook = next.state.policy.hooks.on_failure;
    if has_hook {
        next.order(Effect::RunHook(call));
    }
    has_hook
}

/// The preparation of an upgrade has failed, or was interrupted too often, and it is held.
pub(super) fn tell_held(next: &mut Next, id: u64, upgrade: &Upgrade, failure: &Failure) {
    let call = HookCall {
        attempt: Some(id),
        upgrade: Some(upgrade.clone()),
        from: Some(next.state.installed.clone()),
        to: upgrade.target(),
        failure: Some(failure.clone()),
        next: Some(Aftermath::Held),
        ..call(Hook::OnFailure, &next.state)
    };
    tell(next, call);
}

/// An attempt has failed.
pub(super) fn of_attempt(
    attempt: &Attempt,
    phase: PhaseName,
    failure: &Failure,
    aftermath: Aftermath,
) -> HookCall {
    HookCall {
        hook: Hook::OnFailure,
        attempt: Some(attempt.id),
        phase,
        upgrade: Some(attempt.upgrade.clone()),
        from: Some(attempt.from.clone()),
        to: attempt.target(),
        // That of an attempt that failed goes with it.
        backup: attempt.back.as_ref().and_then(|back| back.restore.clone()),
        failure: Some(failure.clone()),
        next: Some(aftermath),
    }
}

/// The daemon is given up.
pub(super) fn of_daemon(state: &State, phase: PhaseName, failure: &Failure) -> HookCall {
    HookCall {
        phase,
        failure: Some(failure.clone()),
        next: Some(Aftermath::GivenUp),
        ..call(Hook::OnFailure, state)
    }
}

/// The on-failure command has ended; the end of the run may have waited for it.
fn told(next: &mut Next, aftermath: Option<Aftermath>) -> Step {
    if aftermath.is_some_and(Aftermath::ends_the_run) {
        let _ = wait_no_more(next);
    }
    Ok(())
}

/// The end of the run waits for the on-failure command no longer; `Unchanged` if it didn't.
pub(super) fn wait_no_more(next: &mut Next) -> Step {
    let Phase::Failed(Failed { then, notice, .. }) = &mut next.state.phase else {
        return Err(Rejected::Unexpected);
    };
    let outcome = match then {
        AfterFailure::GivenUp { ending } => Outcome::DaemonFailed(*ending),
        AfterFailure::RollBackFailed(_) => Outcome::RollBackFailed,
        AfterFailure::OldVersion { .. } | AfterFailure::RollBack(_) => {
            return Err(Rejected::Unchanged);
        }
    };
    match notice.take() {
        None => return Err(Rejected::Unchanged),
        // The end of the daemon's process group ends the run.
        Some(Notice::Sweeping) => {}
        Some(Notice::Swept) => next.order(Effect::Exit(outcome)),
    }
    Ok(())
}

/// Nothing is left of the daemon's group; whether the end of the run still waits for the command.
pub(super) fn swept(next: &mut Next) -> bool {
    let Phase::Failed(Failed { notice: Some(notice), .. }) = &mut next.state.phase else {
        return false;
    };
    *notice = Notice::Swept;
    true
}

/// Whether the end of the run waits for the command alone.
pub(super) fn is_waited_for(state: &State) -> bool {
    matches!(&state.phase, Phase::Failed(Failed { notice: Some(Notice::Swept), .. }))
}
