//! Whether a new version is healthy: asked within its startup period, and never again after it has
//! once lived through one.

use super::super::effect::Effect;
use super::super::hook::Health;
use super::super::phase::{AfterDrain, Phase, Running};
use super::super::timer::Timer;
use super::super::values::{Daemon, Failure};
use super::{Next, Rejected, Step, backups, daemon, hooks, rollback};

/// The daemon is up: where it is a new version, it has to pass.
pub(super) fn begin(next: &mut Next, daemon: Daemon) {
    let is_new = next.state.last_performed().is_some_and(|last| !last.lived);
    let within_ms = next.state.policy.startup_period_ms;
    let checks = next.state.policy.checks_health && is_new;
    if let (Phase::Running(running), true) = (&mut next.state.phase, checks) {
        running.health = Some(Health::Awaited);
        next.order(Effect::CheckHealth { daemon, within_ms });
    } else {
        hooks::run_post_upgrade(next);
    }
}

/// Whether what runs is still to show that it is healthy.
pub(super) fn is_open(running: &Running) -> bool {
    match running.health {
        Some(Health::Awaited | Health::Overdue) => true,
        Some(Health::Passed) | None => false,
    }
}

/// The daemon is about to end, or has ended: neither is waited for any more.
pub(super) fn end_startup(next: &mut Next) {
    next.order(Effect::StopTimer(Timer::Startup));
    let is_asked = matches!(&next.state.phase, Phase::Running(running) if is_open(running));
    next.effects.extend(is_asked.then_some(Effect::EndHealthCheck));
}

/// A version that has lived so long, and is healthy, has started: earlier failures no longer count.
pub(super) fn startup_passed(next: &mut Next) -> Step {
    let Phase::Running(running) = &mut next.state.phase else { return Err(Rejected::Unexpected) };
    match running.health {
        // The check's own time is over as well: its last word is on its way.
        Some(Health::Awaited) => running.health = Some(Health::Overdue),
        Some(Health::Overdue) => return Err(Rejected::Unchanged),
        Some(Health::Passed) | None => settle(next),
    }
    Ok(())
}

fn settle(next: &mut Next) {
    if let Phase::Running(running) = &mut next.state.phase {
        running.settled = true;
    }
    next.state.startup_failures = 0;
    rollback::note_lived(&mut next.state);
    backups::review(next);
}

pub(super) fn passed(next: &mut Next, daemon: Daemon) -> Step {
    let running = asked(next, daemon)?;
    let is_overdue = running.health == Some(Health::Overdue);
    running.health = Some(Health::Passed);
    hooks::run_post_upgrade(next);
    if is_overdue {
        settle(next);
    }
    Ok(())
}

/// The start has failed: the daemon is asked to end, and then it is as if it had crashed.
pub(super) fn failed(next: &mut Next, daemon: Daemon, failure: &Failure) -> Step {
    asked(next, daemon)?;
    daemon::count_startup_failure(next);
    next.order(Effect::StopTimer(Timer::Startup));
    daemon::drain(next, daemon, AfterDrain::FailedStart(failure.clone()));
    Ok(())
}

/// What runs, if it is this process and its health is still asked for.
fn asked(next: &mut Next, daemon: Daemon) -> Result<&mut Running, Rejected> {
    match &mut next.state.phase {
        Phase::Running(running) if running.daemon == daemon && is_open(running) => Ok(running),
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => Err(Rejected::Stale),
    }
}
