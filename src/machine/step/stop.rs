//! A stop request wins, whatever is under way.

use super::super::effect::Effect;
use super::super::phase::{
    AfterDrain, AfterFailure, DrainStep, Draining, Failed, Phase, Restarting, Running, Swapping,
    Wait,
};
use super::super::timer::Timer;
use super::{Next, Rejected, Step, daemon, health, hooks, prepare, session};

/// The daemon is asked once; what is half-done stays resumable; a second request skips the grace
/// period.
pub(super) fn requested(next: &mut Next) -> Step {
    prepare::suspend(next);
    match next.state.phase.clone() {
        Phase::Running(Running { daemon, .. }) => {
            health::end_startup(next);
            daemon::drain(next, daemon, AfterDrain::End(None));
            Ok(())
        }
        Phase::Draining(draining) => while_draining(next, draining),
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt) => {
            session::end(next, Some(attempt));
            Ok(())
        }
        // A matter of milliseconds, and half of it would be worse than all of it.
        Phase::Swapping(Swapping { attempt, committed, stop: false }) => {
            next.enter(Phase::Swapping(Swapping { attempt, committed, stop: true }));
            Ok(())
        }
        Phase::Restarting(restarting) => while_restarting(next, &restarting),
        Phase::Failed(Failed { phase, failure, then, notice }) => match then {
            AfterFailure::OldVersion { attempt, stop: false } => {
                let then = AfterFailure::OldVersion { attempt, stop: true };
                next.enter(Phase::Failed(Failed { phase, failure, then, notice }));
                Ok(())
            }
            AfterFailure::RollBack(attempt) => {
                // The end of the group's last processes ends the run.
                session::rest(next, Some(attempt));
                Ok(())
            }
            AfterFailure::OldVersion { stop: true, .. } => Err(Rejected::Unchanged),
            AfterFailure::GivenUp { .. } | AfterFailure::RollBackFailed(_) => {
                hooks::wait_no_more(next)
            }
        },
        Phase::Swapping(_) => Err(Rejected::Unchanged),
    }
}

fn while_draining(next: &mut Next, draining: Draining) -> Step {
    let Draining { daemon, step, then } = draining;
    match then {
        // The daemon has been asked already, by the upgrade: not a second time.
        AfterDrain::Upgrade(attempt) => {
            let then = AfterDrain::End(Some(attempt));
            next.enter(Phase::Draining(Draining { daemon, step, then }));
            Ok(())
        }
        AfterDrain::FailedStart(_) => {
            let then = AfterDrain::End(None);
            next.enter(Phase::Draining(Draining { daemon, step, then }));
            Ok(())
        }
        AfterDrain::End(resume) => match (daemon, step) {
            (Some(leader), DrainStep::Asked) => {
                let (step, then) = (DrainStep::Killing, AfterDrain::End(resume));
                next.enter(Phase::Draining(Draining { daemon, step, then }));
                next.order(Effect::StopTimer(Timer::Grace));
                next.order(Effect::KillGroup(leader));
                Ok(())
            }
            (_, DrainStep::Asked | DrainStep::Killing | DrainStep::Sweeping) => {
                Err(Rejected::Unchanged)
            }
        },
        AfterDrain::Recover { .. } => Err(Rejected::Unexpected),
    }
}

fn while_restarting(next: &mut Next, restarting: &Restarting) -> Step {
    match restarting.wait {
        Wait::Delay { swept, .. } => {
            next.order(Effect::StopTimer(Timer::RestartDelay));
            if swept {
                session::end(next, None);
            } else {
                // The end of the group's last processes ends the run.
                session::rest(next, None);
            }
            Ok(())
        }
        Wait::PreStart => {
            session::end(next, None);
            Ok(())
        }
        Wait::Spawning { stop: false } => {
            let wait = Wait::Spawning { stop: true };
            next.enter(Phase::Restarting(Restarting { why: restarting.why, wait }));
            Ok(())
        }
        Wait::Spawning { stop: true } | Wait::Session { .. } => Err(Rejected::Unchanged),
    }
}
