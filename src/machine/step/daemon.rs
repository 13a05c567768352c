//! The daemon comes and goes.

use super::super::effect::{Effect, Outcome};
use super::super::hook::Notice;
use super::super::phase::{
    AfterDrain, AfterFailure, DrainStep, Draining, Failed, Phase, PhaseName, Restarting, Running,
    Wait, Why,
};
use super::super::state::State;
use super::super::timer::Timer;
use super::super::values::{Code, Daemon, Ending, Failure, Version};
use super::{Next, Rejected, Step, attempt, backups, health, hooks, prepare, rollback, session};

pub(super) fn signal_received(next: &mut Next, signal: i32) -> Step {
    let daemon = match &next.state.phase {
        Phase::Running(running) => running.daemon,
        Phase::Draining(Draining { daemon: Some(daemon), step: DrainStep::Asked, .. }) => *daemon,
        Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => return Err(Rejected::Unexpected),
    };
    next.order(Effect::ForwardSignal { daemon, signal });
    Ok(())
}

pub(super) fn spawned(next: &mut Next, daemon: Daemon) -> Step {
    let Phase::Restarting(Restarting { wait: Wait::Spawning { stop }, .. }) = next.state.phase
    else {
        return Err(Rejected::Unexpected);
    };
    next.enter(Phase::Running(Running { daemon, settled: false, health: None }));
    if stop {
        drain(next, daemon, AfterDrain::End(None));
        return Ok(());
    }
    let after_ms = next.state.policy.startup_period_ms;
    next.order(Effect::StartTimer { timer: Timer::Startup, after_ms });
    health::begin(next, daemon);
    backups::examine(next);
    prepare::choose(next);
    prepare::advance(next);
    Ok(())
}

pub(super) fn spawn_failed(next: &mut Next, failure: &Failure) -> Step {
    let Phase::Restarting(Restarting { wait: Wait::Spawning { stop }, .. }) = next.state.phase
    else {
        return Err(Rejected::Unexpected);
    };
    if stop {
        session::end(next, None);
        return Ok(());
    }
    start_failed(next, PhaseName::Restarting, failure);
    Ok(())
}

/// The daemon could not be started.
pub(super) fn start_failed(next: &mut Next, phase: PhaseName, failure: &Failure) {
    count_startup_failure(next);
    after_failed_start(next, phase, Ending::NeverStarted, failure);
}

/// A start has failed, and nothing is left of it.
fn after_failed_start(next: &mut Next, phase: PhaseName, ending: Ending, failure: &Failure) {
    let may_restart = may_restart(next);
    if !may_restart && rollback::begin_by_itself(next, phase, &failure.text) {
        next.order(Effect::SweepGroup(None));
    } else if may_restart || is_help_near(&next.state) {
        start_later(next);
    } else {
        give_up(next, phase, ending, failure.clone(), true);
    }
}

/// The daemon is started after the delay; nothing is left of the last one.
pub(super) fn start_later(next: &mut Next) {
    delay_restart(next, true);
    prepare::choose(next);
    prepare::advance(next);
}

pub(super) fn ended(next: &mut Next, ending: Ending, uptime_ms: u64) -> Step {
    match &next.state.phase {
        Phase::Running(running) => {
            let running = running.clone();
            ended_by_itself(next, &running, ending, uptime_ms)
        }
        Phase::Draining(Draining { step: DrainStep::Asked | DrainStep::Killing, .. }) => {
            drained(next)
        }
        Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => Err(Rejected::Unexpected),
    }
}

/// Nobody asked it to end.
fn ended_by_itself(next: &mut Next, running: &Running, ending: Ending, uptime_ms: u64) -> Step {
    health::end_startup(next);
    let daemon = running.daemon;
    let crashed = ending.is_crash();
    let has_lived = uptime_ms >= next.state.policy.startup_period_ms && !health::is_open(running);
    if has_lived {
        rollback::note_lived(&mut next.state);
    }
    if crashed && !running.settled && !has_lived {
        count_startup_failure(next);
    } else {
        next.state.startup_failures = 0;
    }
    if prepare::is_due_and_ready(&next.state) {
        let Some(attempt) = prepare::begin_attempt(&mut next.state) else {
            return Err(Rejected::Unexpected);
        };
        sweep(next, daemon, AfterDrain::Upgrade(attempt));
    } else if crashed && may_restart(next) || !crashed && prepare::is_due(&next.state) {
        delay_restart(next, false);
        next.order(Effect::SweepGroup(Some(daemon)));
    } else if crashed {
        crashed_for_good(next, ending);
        next.order(Effect::SweepGroup(Some(daemon)));
    } else {
        session::rest(next, None);
        next.order(Effect::SweepGroup(Some(daemon)));
    }
    Ok(())
}

/// What crashed is not restarted any more, unless an upgrade may help.
fn crashed_for_good(next: &mut Next, ending: Ending) {
    let text = format!("{}; {}", describe(ending), why_no_restart(next));
    if rollback::begin_by_itself(next, PhaseName::Running, &text) {
        return;
    }
    if is_help_near(&next.state) {
        delay_restart(next, false);
    } else {
        let failure = Failure { code: Code::DaemonCrashed, text };
        give_up(next, PhaseName::Running, ending, failure, false);
    }
}

pub(super) fn count_startup_failure(next: &mut Next) {
    next.state.startup_failures = next.state.startup_failures.saturating_add(1);
}

fn may_restart(next: &Next) -> bool {
    let policy = &next.state.policy;
    policy.restart_on_failure && next.state.startup_failures < policy.max_startup_failures.max(1)
}

/// What is due and only being prepared may be the very thing that helps: nothing is given up before
/// it has had its turn. If its preparation fails, it is held back, and not waited for.
fn is_help_near(state: &State) -> bool {
    state.policy.restart_on_failure && prepare::is_due_and_on_its_way(state)
}

fn why_no_restart(next: &Next) -> String {
    if next.state.policy.restart_on_failure {
        format!("that makes {} startup failures in a row", next.state.startup_failures)
    } else {
        "restarts after a failure are switched off".to_owned()
    }
}

fn describe(ending: Ending) -> String {
    match ending {
        Ending::Exited(status) => format!("the daemon exited with status {status}"),
        Ending::Killed(signal) => format!("the daemon was ended by signal {signal}"),
        Ending::NeverStarted => "the daemon could not be started".to_owned(),
        Ending::Unseen => "the daemon ended, its status unseen".to_owned(),
        Ending::Unhealthy => "the daemon did not pass its health check".to_owned(),
    }
}

fn delay_restart(next: &mut Next, swept: bool) {
    next.enter(Phase::Restarting(Restarting {
        why: Why::DaemonEnded,
        wait: Wait::Delay { swept, elapsed: false },
    }));
    let after_ms = next.state.policy.failure_restart_delay_ms;
    next.order(Effect::StartTimer { timer: Timer::RestartDelay, after_ms });
}

/// The run ends once nothing is left of the daemon, and whoever is told of it has been.
fn give_up(next: &mut Next, phase: PhaseName, ending: Ending, failure: Failure, is_swept: bool) {
    prepare::suspend(next);
    let call = hooks::of_daemon(&next.state, phase, &failure);
    let waits = hooks::tell(next, call);
    if is_swept && !waits {
        next.order(Effect::Exit(Outcome::DaemonFailed(ending)));
    }
    let then = AfterFailure::GivenUp { ending };
    let notice = waits.then_some(if is_swept { Notice::Swept } else { Notice::Sweeping });
    next.enter(Phase::Failed(Failed { phase, failure, then, notice }));
}

/// Asks the daemon to end and lets the grace period run.
pub(super) fn drain(next: &mut Next, daemon: Daemon, then: AfterDrain) {
    let (daemon, step) = (Some(daemon), DrainStep::Asked);
    next.enter(Phase::Draining(Draining { daemon, step, then }));
    if let Some(daemon) = daemon {
        ask_to_end(next, daemon);
    }
}

/// One polite signal, and a limit to the wait.
pub(super) fn ask_to_end(next: &mut Next, daemon: Daemon) {
    next.order(Effect::InterruptDaemon(daemon));
    let after_ms = next.state.policy.shutdown_grace_ms;
    next.order(Effect::StartTimer { timer: Timer::Grace, after_ms });
}

/// The daemon has ended by itself; what is left of its group goes.
fn sweep(next: &mut Next, daemon: Daemon, then: AfterDrain) {
    let daemon = Some(daemon);
    next.enter(Phase::Draining(Draining { daemon, step: DrainStep::Sweeping, then }));
    next.order(Effect::SweepGroup(daemon));
}

/// The daemon has ended as it was asked to; that is no failure.
pub(super) fn drained(next: &mut Next) -> Step {
    let Phase::Draining(draining) = &mut next.state.phase else {
        return Err(Rejected::Unexpected);
    };
    draining.step = DrainStep::Sweeping;
    let daemon = draining.daemon;
    next.order(Effect::StopTimer(Timer::Grace));
    next.order(Effect::SweepGroup(daemon));
    Ok(())
}

pub(super) fn grace_elapsed(next: &mut Next) -> Step {
    let Phase::Draining(draining) = &mut next.state.phase else {
        return Err(Rejected::Unexpected);
    };
    let (Some(daemon), DrainStep::Asked) = (draining.daemon, draining.step) else {
        return Err(Rejected::Unexpected);
    };
    draining.step = DrainStep::Killing;
    next.order(Effect::KillGroup(daemon));
    Ok(())
}

pub(super) fn group_gone(next: &mut Next) -> Step {
    match next.state.phase.clone() {
        Phase::Draining(Draining { step: DrainStep::Sweeping, then, .. }) => match then {
            AfterDrain::Upgrade(attempt) => {
                attempt::back_up(next, attempt);
                Ok(())
            }
            AfterDrain::FailedStart(failure) => {
                after_failed_start(next, PhaseName::Running, Ending::Unhealthy, &failure);
                Ok(())
            }
            AfterDrain::End(resume) => {
                session::end(next, resume);
                Ok(())
            }
            AfterDrain::Recover { .. } => Err(Rejected::Unexpected),
        },
        Phase::Restarting(Restarting { why, wait: Wait::Delay { swept: false, elapsed } }) => {
            delay_passes(next, why, true, elapsed);
            prepare::advance(next);
            Ok(())
        }
        Phase::Restarting(Restarting { wait: Wait::Session { .. }, .. }) => {
            next.order(Effect::Exit(Outcome::Done));
            Ok(())
        }
        Phase::Failed(Failed { then: AfterFailure::GivenUp { ending }, .. }) => {
            if !hooks::swept(next) {
                next.order(Effect::Exit(Outcome::DaemonFailed(ending)));
            }
            Ok(())
        }
        Phase::Failed(Failed { then: AfterFailure::RollBack(attempt), .. }) => {
            attempt::back_up(next, attempt);
            Ok(())
        }
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => Err(Rejected::Unexpected),
    }
}

pub(super) fn delay_elapsed(next: &mut Next) -> Step {
    let Phase::Restarting(Restarting { why, wait: Wait::Delay { swept, elapsed: false } }) =
        next.state.phase
    else {
        return Err(Rejected::Unexpected);
    };
    delay_passes(next, why, swept, true);
    Ok(())
}

fn delay_passes(next: &mut Next, why: Why, swept: bool, elapsed: bool) {
    if swept && elapsed {
        start(next, why, next.state.installed.clone());
    } else {
        let wait = Wait::Delay { swept, elapsed };
        next.enter(Phase::Restarting(Restarting { why, wait }));
    }
}

/// Orders a start at once, of what is installed.
pub(super) fn start(next: &mut Next, why: Why, version: Version) {
    if hooks::run_pre_start(next, why) {
        return;
    }
    next.enter(Phase::Restarting(Restarting { why, wait: Wait::Spawning { stop: false } }));
    next.order(Effect::SpawnDaemon(version));
}
