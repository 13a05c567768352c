//! What is queued, announced and held back.

use super::super::effect::Effect;
use super::super::order::{Order, compare};
use super::super::phase::{AfterFailure, Failed, Phase, PhaseName};
use super::super::state::{Hold, Queue, State, Trouble};
use super::super::timer::Timer;
use super::super::values::{Failure, Remedy, Requester, Upgrade};
use super::{Next, Rejected, Step, prepare, rollback, session, wishes};

/// The first pause after a transient failure; it doubles with each further one.
const PAUSE_FIRST_MS: u64 = 60_000;
/// The longest pause: an hour.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// The plan is another one.
pub(super) fn read(next: &mut Next, queue: &Queue) -> Step {
    if next.state.queue == *queue && next.state.plan_reads {
        return Err(Rejected::Unchanged);
    }
    next.state.queue = queue.clone();
    next.state.plan_reads = true;
    rollback::note_plan(&mut next.state);
    drop_superseded(next);
    session::catch_up(next);
    release_where_binary_is_in_place(&mut next.state);
    prepare::choose(next);
    prepare::advance(next);
    Ok(())
}

/// What is at or below what the plan calls current will never be performed.
pub(super) fn drop_superseded(next: &mut Next) {
    let superseded = next.state.superseded();
    if !superseded.is_empty() && next.state.recording {
        next.order(Effect::DropFromQueue(superseded));
    }
}

/// The plan is damaged or gone: nobody knows whether what it asked for is still wanted.
pub(super) fn plan_lost(next: &mut Next) -> Step {
    if !next.state.plan_reads {
        return Err(Rejected::Unchanged);
    }
    next.state.plan_reads = false;
    Ok(())
}

fn release_where_binary_is_in_place(state: &mut State) {
    let in_place = &state.queue.in_place;
    state
        .troubles
        .retain(|trouble| trouble.hold != Hold::AwaitBinary || !in_place.contains(&trouble.name));
}

/// Upstream announces something: it is queued if it is news, and nobody's wish stands against it.
/// An older version than the same upstream has queued takes that one back.
pub(super) fn announced(next: &mut Next, upgrade: &Upgrade) -> Step {
    let withdrawn = withdrawn_by(&next.state, upgrade);
    if !withdrawn.is_empty() {
        next.order(Effect::DropFromQueue(withdrawn));
    }
    if is_news(&next.state, upgrade) {
        next.order(Effect::QueueAnnouncement(upgrade.clone()));
    }
    if next.effects.is_empty() { Err(Rejected::Unchanged) } else { Ok(()) }
}

/// The upgrade that is committed, or may be by now, while its record is still to come.
fn committing(state: &State) -> Option<&String> {
    match &state.phase {
        Phase::Swapping(swapping) => Some(&swapping.attempt.upgrade.name),
        Phase::Failed(Failed { phase: PhaseName::Swapping, then, .. }) => match then {
            AfterFailure::OldVersion { attempt, .. } => Some(&attempt.upgrade.name),
            AfterFailure::RollBack(_)
            | AfterFailure::RollBackFailed(_)
            | AfterFailure::GivenUp { .. } => None,
        },
        Phase::Running(_)
        | Phase::Draining(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Restarting(_)
        | Phase::Failed(_) => None,
    }
}

/// What is committed, or may be by now, is not taken back: the plan has yet to follow it.
fn withdrawn_by(state: &State, upgrade: &Upgrade) -> Vec<String> {
    let committing = committing(state);
    let taken_back = |entry: &&Upgrade| {
        entry.name != state.installed.name
            && Some(&entry.name) != committing
            && entry.requester == upgrade.requester
            && matches!(entry.requester, Requester::Upstream { .. })
            && compare(&upgrade.version, &entry.version) == Order::Older
    };
    state.queue.entries.iter().filter(taken_back).map(|entry| entry.name.clone()).collect()
}

fn is_news(state: &State, upgrade: &Upgrade) -> bool {
    let queued = &state.queue;
    let known = queued.performed.contains(&upgrade.name)
        || upgrade.name == state.installed.name
        || Some(&upgrade.name) == committing(state)
        || queued.current.as_ref().is_some_and(|current| current.name == upgrade.name)
        || queued.entries.iter().any(|entry| entry.is(upgrade));
    !known && is_newer_than_all_that_run(state, upgrade) && !is_wished_otherwise(queued, upgrade)
}

fn is_newer_than_all_that_run(state: &State, upgrade: &Upgrade) -> bool {
    let newer_than = |version: &str| compare(&upgrade.version, version) == Order::Newer;
    newer_than(&state.installed.version)
        && state.queue.current.as_ref().is_none_or(|current| newer_than(&current.version))
}

/// What a person queued under the same name or version is not replaced by an announcement.
fn is_wished_otherwise(queue: &Queue, upgrade: &Upgrade) -> bool {
    queue.entries.iter().any(|entry| {
        matches!(entry.requester, Requester::Command { .. })
            && (entry.name == upgrade.name || entry.version == upgrade.version)
    })
}

pub(super) fn pause_elapsed(next: &mut Next, name: &str, digest: &str) -> Step {
    let paused = next.state.troubles.iter_mut().find(|trouble| {
        trouble.hold == Hold::Pause && trouble.name == name && trouble.digest == digest
    });
    let Some(trouble) = paused else { return Err(Rejected::Stale) };
    trouble.hold = Hold::Free;
    prepare::choose(next);
    prepare::advance(next);
    Ok(())
}

/// The operator says: try again.
pub(super) fn retry(next: &mut Next, name: &str, request: &str) -> Step {
    let before = next.state.troubles.len();
    let was_wished = |trouble: &Trouble| trouble.name == name && trouble.is_cancelled();
    let was_cancelled = next.state.troubles.iter().any(was_wished);
    next.state.troubles.retain(|trouble| trouble.name != name);
    let granted = next.state.troubles.len() != before;
    let queued = next.state.queue.entries.iter().chain(&next.state.queue.current);
    let text = match (granted, queued.into_iter().any(|entry| entry.name == name)) {
        (true, true) => format!("{name} is tried again"),
        (true, false) => format!("{name} is free to be announced again"),
        (false, _) => format!("nothing holds {name} back"),
    };
    next.order(Effect::Answer { request: request.to_owned(), granted, text });
    if was_cancelled {
        wishes::keep(next);
    }
    prepare::choose(next);
    prepare::advance(next);
    Ok(())
}

/// Remembers that `upgrade` failed, and orders what ends the wait.
pub(super) fn hold(next: &mut Next, upgrade: &Upgrade, failure: &Failure) {
    let times = next.state.trouble_with(upgrade).map_or(1, |trouble| trouble.times + 1);
    let hold = match failure.code.remedy() {
        Remedy::Pause => Hold::Pause,
        Remedy::Quarantine => Hold::Quarantine,
        Remedy::AwaitBinary => Hold::AwaitBinary,
    };
    let trouble = Trouble {
        name: upgrade.name.clone(),
        digest: upgrade.digest.clone(),
        failure: failure.clone(),
        times,
        hold,
    };
    remember(&mut next.state, trouble);
    if hold == Hold::Pause {
        let timer = Timer::Pause { name: upgrade.name.clone(), digest: upgrade.digest.clone() };
        next.order(Effect::StartTimer { timer, after_ms: pause_ms(times) });
    }
}

/// The last word on an announcement counts; the oldest failures are forgotten first. What a person
/// has decided is not forgotten: an upgrade that nobody wants would be performed.
pub(super) fn remember(state: &mut State, trouble: Trouble) {
    let troubles = &mut state.troubles;
    troubles.retain(|known| known.name != trouble.name || known.digest != trouble.digest);
    troubles.push(trouble);
    let decisions = troubles.iter().filter(|known| known.is_decision()).count();
    let room = State::TROUBLES_MAX.saturating_sub(decisions).max(State::FAILURES_MIN);
    let mut excess = (troubles.len() - decisions).saturating_sub(room);
    troubles.retain(|known| {
        let goes = excess > 0 && !known.is_decision();
        excess -= usize::from(goes);
        !goes
    });
}

/// 1, 2, 4 … minutes, an hour at most.
fn pause_ms(times: u32) -> u64 {
    let doubled = 1_u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX);
    PAUSE_FIRST_MS.saturating_mul(doubled).min(PAUSE_MAX_MS)
}
