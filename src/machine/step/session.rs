//! How a session begins: look, compare, go on.

use super::super::effect::{Effect, Outcome};
use super::super::event::Event;
use super::super::phase::{
    AfterDrain, AfterFailure, Attempt, DrainStep, Draining, Failed, Phase, PhaseName, Restarting,
    Swapping, Wait, Why,
};
use super::super::recover::{Observed, Row, row};
use super::super::state::Hold;
use super::super::timer::Timer;
use super::super::values::{Code, Failure, Policy, Upgrade};
use super::{
    Next, Rejected, Step, attempt, backups, daemon, hooks, journal, prepare, queue, rollback,
    wishes,
};

/// A `run` began: nothing is decided before it is known what there is.
pub(super) fn started(next: &mut Next, policy: &Policy) -> Step {
    next.state.policy = policy.clone();
    next.state.recovering = true;
    next.state.recording = true;
    next.state.window = None;
    // A drain of what an earlier session left was that session's; it is looked for anew.
    if let Phase::Draining(Draining { then: AfterDrain::Recover { before, .. }, .. }) =
        &next.state.phase
    {
        next.state.phase = (**before).clone();
    }
    // A pause ends with the session in which it began.
    next.state.troubles.retain(|trouble| trouble.hold == Hold::Quarantine);
    observe(next);
    Ok(())
}

fn observe(next: &mut Next) {
    let state = &next.state;
    let effect = match (state.phase.attempt(), &state.candidate) {
        (Some(attempt), _) => Effect::Observe {
            upgrade: Some(attempt.upgrade.clone()),
            binary: attempt.binary.clone(),
            backup: attempt.backup.clone(),
        },
        (None, Some(candidate)) => Effect::Observe {
            upgrade: Some(candidate.upgrade.clone()),
            binary: candidate.checked_binary().cloned(),
            backup: None,
        },
        (None, None) => Effect::Observe { upgrade: None, binary: None, backup: None },
    };
    next.order(effect);
}

/// Between the start of a session and what its first look found, only these facts count.
pub(super) fn while_recovering(next: &mut Next, event: &Event) -> Step {
    if let Event::Recovered { row, observed } = event {
        return recovered(next, *row, observed);
    }
    if let Event::SessionStarted { policy, .. } = event {
        return started(next, policy);
    }
    if let Event::StopRequested { .. } = event {
        return stopped(next);
    }
    if let Event::JournalFailed { failure } = event {
        return journal::failed(next, failure);
    }
    if let Event::JournalRestored = event {
        return journal::restored(next);
    }
    let Phase::Draining(Draining { then: AfterDrain::Recover { stop, .. }, step, .. }) =
        &next.state.phase
    else {
        return Err(Rejected::Unexpected);
    };
    if let Event::DaemonEnded { .. } = event {
        return daemon::drained(next);
    }
    if let Event::GraceElapsed = event {
        return daemon::grace_elapsed(next);
    }
    if let (Event::GroupGone, DrainStep::Sweeping) = (event, step) {
        if *stop {
            next.order(Effect::Exit(Outcome::Done));
        } else {
            observe(next);
        }
        return Ok(());
    }
    Err(Rejected::Unexpected)
}

/// What is recovered stays what it was: the next session recovers it as this one would have. A
/// daemon that was left over has been asked to end; a second request skips its grace period.
fn stopped(next: &mut Next) -> Step {
    let Phase::Draining(Draining { daemon, step, then: AfterDrain::Recover { stop, .. } }) =
        &mut next.state.phase
    else {
        next.order(Effect::Exit(Outcome::Done));
        return Ok(());
    };
    let asked_before = std::mem::replace(stop, true);
    match (*daemon, *step) {
        (Some(daemon), DrainStep::Asked) if asked_before => {
            *step = DrainStep::Killing;
            next.order(Effect::StopTimer(Timer::Grace));
            next.order(Effect::KillGroup(daemon));
            Ok(())
        }
        (_, DrainStep::Asked | DrainStep::Killing | DrainStep::Sweeping) if asked_before => {
            Err(Rejected::Unchanged)
        }
        (_, DrainStep::Asked | DrainStep::Killing | DrainStep::Sweeping) => Ok(()),
    }
}

fn recovered(next: &mut Next, named: Row, observed: &Observed) -> Step {
    let row = row(&next.state, observed);
    if row != named {
        return Err(Rejected::Unexpected);
    }
    let (before, stop) = match next.state.phase.clone() {
        Phase::Draining(Draining { then: AfterDrain::Recover { before, stop }, .. }) => {
            (*before, stop)
        }
        phase @ (Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Restarting(_)
        | Phase::Failed(_)) => (phase, false),
    };
    if let Some(daemon) = observed.daemon {
        next.enter(Phase::Draining(Draining {
            daemon: Some(daemon),
            step: DrainStep::Asked,
            then: AfterDrain::Recover { before: Box::new(before), stop },
        }));
        daemon::ask_to_end(next, daemon);
        return Ok(());
    }
    if stop {
        // Requested while the last look was under way.
        next.order(Effect::Exit(Outcome::Done));
        return Ok(());
    }
    next.state.recovering = false;
    take_over(next, row, observed);
    backups::discard_unneeded(next);
    wishes::resume(next);
    if next.state.recording {
        mend_files(next, row, observed, before.attempt());
    }
    prepare::keep_candidate(&mut next.state, observed);
    let mut attempt = attempt_of(&before, observed);
    if observed.version.is_none() && may_have_swapped(&before) {
        // The swap may have moved the version file before that was lost: its backup stays.
        attempt = attempt.map(|attempt| Attempt { backup: None, ..attempt });
    }
    go_on(next, row, attempt, observed)
}

/// What follows from a row, once what was found is taken over.
fn go_on(next: &mut Next, row: Row, attempt: Option<Attempt>, observed: &Observed) -> Step {
    match row {
        Row::SwapInterrupted | Row::RollBackSwapInterrupted => return finish_swap(next, attempt),
        Row::AttemptTakenUp | Row::RollBackResumed => return take_up(next, attempt, observed, 0),
        Row::AttemptResumed => return take_up(next, attempt, observed, 1),
        Row::AttemptGivenUp => {
            backups::discard(next, attempt.as_ref().and_then(|attempt| attempt.backup.clone()));
            give_up(next, attempt);
        }
        Row::WasFailing | Row::AttemptWithdrawn | Row::AttemptUnprepared => {
            backups::discard(next, attempt.and_then(|attempt| attempt.backup));
        }
        Row::AtRest | Row::GaveUp => next.state.startup_failures = 0,
        Row::DaemonLost | Row::VersionMovedOutside => {}
        // A row of a living daemon with no daemon observed: not what `recover` makes.
        Row::DaemonLeftBehind => return Err(Rejected::Unexpected),
    }
    begin(next, observed);
    Ok(())
}

/// Whether an attempt failed in its swap, and it was not yet known what that had moved.
fn may_have_swapped(before: &Phase) -> bool {
    let Phase::Failed(Failed { phase, then, .. }) = before else { return false };
    *phase == PhaseName::Swapping && matches!(then, AfterFailure::OldVersion { .. })
}

/// What was under way. Nothing that is known of a plan holds for one that is written anew.
fn attempt_of(before: &Phase, observed: &Observed) -> Option<Attempt> {
    let mut attempt = before.attempt().cloned()?;
    attempt.plan_current = attempt.plan_current.filter(|_| observed.queue.is_some());
    Some(attempt)
}

/// Takes over what was found.
fn take_over(next: &mut Next, row: Row, observed: &Observed) {
    if let (Some(version), Row::VersionMovedOutside) = (&observed.version, row) {
        next.state.installed = version.clone();
        next.state.performed = None;
        next.state.undone = None;
    }
    next.state.plan_reads = observed.queue.is_some();
    if let Some(queue) = &observed.queue {
        next.state.queue = queue.clone();
        rollback::note_plan(&mut next.state);
    }
}

/// Orders anew what can be derived.
fn mend_files(next: &mut Next, row: Row, observed: &Observed, attempt: Option<&Attempt>) {
    if let (Row::RollBackResumed | Row::RollBackSwapInterrupted, Some(attempt)) = (row, attempt) {
        // Its commit writes the rest, and what is mended meanwhile must not come after it.
        let (current, queued) = (attempt.target(), next.state.queue.entries.clone());
        let lost = observed.queue.is_none();
        next.effects.extend(lost.then_some(Effect::RebuildPlan { current, queued }));
        return;
    }
    let installed = next.state.installed.clone();
    if observed.version.is_none() {
        next.order(Effect::RestoreVersionFile(installed.clone()));
    }
    let current = if let Some(queue) = &observed.queue {
        queue::drop_superseded(next);
        queue.current.as_ref().map(|upgrade| upgrade.name.clone())
    } else {
        // The plan that is written anew calls current what is installed.
        let queued = next.state.queue.entries.clone();
        next.order(Effect::RebuildPlan { current: installed.clone(), queued });
        None
    };
    if row != Row::SwapInterrupted && move_what_was_left(next) {
        return;
    }
    let leads_to = current.unwrap_or(installed.name);
    if observed.link.version() != Some(&leads_to) && row != Row::SwapInterrupted {
        next.order(Effect::MendLink(leads_to));
    }
}

/// The same while a session goes on. Not once a swap is ordered: what comes after it would undo
/// it. Nor before it is known what there is.
pub(super) fn catch_up(next: &mut Next) {
    let is_swapping = match &next.state.phase {
        Phase::Swapping(_) => true,
        Phase::Failed(failed) => failed.phase == PhaseName::Swapping,
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Restarting(_) => false,
    };
    if next.state.recording && !next.state.recovering && !is_swapping {
        move_what_was_left(next);
    }
}

/// History, plan and link are moved to what is committed, where they could not be moved then.
fn move_what_was_left(next: &mut Next) -> bool {
    if let Some(undone) = next.state.left_to_move_back().cloned() {
        next.order(Effect::MoveSharedBack { upgrade: undone.upgrade, to: undone.to });
        return true;
    }
    // A roll-back that is being committed moves them back itself, before its record tells.
    if next.state.phase.attempt().is_some_and(|attempt| attempt.back.is_some()) {
        return false;
    }
    let Some(upgrade) = next.state.unmoved().cloned() else { return false };
    let plan_current = next.state.queue.current.as_ref().map(Upgrade::announcement);
    next.order(Effect::MoveShared { upgrade, plan_current });
    true
}

/// Starts the daemon, or performs first what is both due and ready. A copy of the home goes with
/// its session: it is made anew while the daemon runs.
fn begin(next: &mut Next, observed: &Observed) {
    let ready = next.state.candidate.as_ref().filter(|candidate| {
        next.state.recording
            && next.state.plan_reads
            && candidate.due
            && next.state.policy.skip_backup
            && !wishes::keep_back(&next.state)
            && !next.state.policy.hooks.pre_upgrade
            && candidate.kept_binary().is_some()
            && candidate.kept_binary() == observed.binary.as_ref()
    });
    if ready.is_some() {
        let attempt = prepare::begin_attempt(&mut next.state);
        drain_nobody(next, attempt);
        return;
    }
    daemon::start(next, Why::SessionStart, next.state.installed.clone());
    if let Some(candidate) = &next.state.candidate {
        next.effects.push(prepare::watch_due(candidate));
    }
    if next.state.recording {
        prepare::copy_home(next);
    }
}

fn drain_nobody(next: &mut Next, attempt: Option<Attempt>) {
    let Some(attempt) = attempt else { return };
    next.enter(Phase::Draining(Draining {
        daemon: None,
        step: DrainStep::Sweeping,
        then: AfterDrain::Upgrade(attempt),
    }));
    next.order(Effect::SweepGroup(None));
}

fn take_up(next: &mut Next, attempt: Option<Attempt>, observed: &Observed, more: u32) -> Step {
    let Some(mut attempt) = attempt else { return Err(Rejected::Unexpected) };
    attempt.resumed = attempt.resumed.saturating_add(more);
    if !observed.backup_holds {
        backups::discard(next, attempt.backup.take());
    }
    next.state.candidate = None;
    drain_nobody(next, Some(attempt));
    Ok(())
}

fn finish_swap(next: &mut Next, attempt: Option<Attempt>) -> Step {
    let Some(attempt) = attempt else { return Err(Rejected::Unexpected) };
    next.state.candidate = None;
    let back = attempt.back.clone();
    if !next.state.recording {
        // That version holds; what is left to be moved is moved once that can be recorded.
        match back {
            Some(back) => rollback::note_undone(next, &attempt, &back),
            None => attempt::note_performed(next, &attempt),
        }
        daemon::start(next, Why::SessionStart, attempt.target());
        return Ok(());
    }
    if let Some(back) = back {
        rollback::commit(next, attempt, back, true);
        return Ok(());
    }
    next.order(Effect::CommitSwap {
        attempt: attempt.id,
        upgrade: attempt.upgrade.clone(),
        from: attempt.from.clone(),
        plan_current: attempt.plan_current.clone(),
    });
    next.enter(Phase::Swapping(Swapping { attempt, committed: true, stop: false }));
    Ok(())
}

fn give_up(next: &mut Next, attempt: Option<Attempt>) {
    let Some(attempt) = attempt else { return };
    let failure = Failure {
        code: Code::ResumedTooOften,
        text: format!(
            "the upgrade to {} was interrupted by a crash {} times before it could be committed; \
             look for what kills nymvisor, then say `nymvisor retry {}`",
            attempt.upgrade.name,
            attempt.resumed.saturating_add(1),
            attempt.upgrade.name,
        ),
    };
    queue::hold(next, &attempt.upgrade, &failure);
    hooks::tell_held(next, attempt.id, &attempt.upgrade, &failure);
}

/// Where the run rests after an orderly end.
pub(super) fn rest(next: &mut Next, resume: Option<Attempt>) {
    next.state.startup_failures = 0;
    next.enter(Phase::Restarting(Restarting {
        why: Why::OrderlyEnd,
        wait: Wait::Session { resume },
    }));
}

/// Rests, and ends the run.
pub(super) fn end(next: &mut Next, resume: Option<Attempt>) {
    rest(next, resume);
    next.order(Effect::Exit(Outcome::Done));
}
