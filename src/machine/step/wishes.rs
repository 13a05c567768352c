//! Persons hold and cancel upgrades, and windows open and close.

use chrono::{DateTime, Utc};

use super::super::effect::Effect;
use super::super::event::Event;
use super::super::phase::{AfterDrain, Draining, Phase, PhaseName};
use super::super::state::{Candidate, Hold, Stage, State, Trouble};
use super::super::values::{Announcement, Code, Failure, Requester};
use super::super::wishes::{Holding, Window};
use super::{Next, Rejected, Step, prepare, queue};

const UNRECORDED: &str = "the journal can't be written, and this must be on the record; no \
                          upgrade begins meanwhile";

/// One of the facts of this room.
pub(super) fn heard(next: &mut Next, event: &Event) -> Step {
    if let Event::HoldRequested { until, requester, request, run_is_up } = event {
        let answer = hold(next, *until, requester, *run_is_up);
        return answered(next, request, answer);
    }
    if let Event::ReleaseRequested { request, .. } = event {
        let answer = release(next);
        return answered(next, request, answer);
    }
    if let Event::CancelRequested { upgrade, requester, request } = event {
        let answer = cancel(next, upgrade, requester);
        return answered(next, request, answer);
    }
    if let Event::HoldElapsed { until, .. } = event {
        return elapsed(next, *until);
    }
    if let Event::WindowOpened { closes_at } = event {
        return window(next, Window::Open { closes_at: *closes_at });
    }
    if let Event::WindowClosed { opens_at } = event {
        return window(next, Window::Closed { opens_at: *opens_at });
    }
    Err(Rejected::Unexpected)
}

/// What was granted may let a candidate go on.
fn answered(next: &mut Next, request: &str, answer: Result<String, String>) -> Step {
    let (granted, text) = answer.map_or_else(|text| (false, text), |text| (true, text));
    next.order(Effect::Answer { request: request.to_owned(), granted, text });
    if granted {
        prepare::choose(next);
        prepare::advance(next);
    }
    Ok(())
}

/// What has begun goes on as long as its session does: it is of use to nobody half done.
fn hold(
    next: &mut Next,
    until: Option<DateTime<Utc>>,
    requester: &Requester,
    run_is_up: Option<bool>,
) -> Result<String, String> {
    if !next.state.recording {
        return Err(UNRECORDED.to_owned());
    }
    let begun = begun(&next.state, run_is_up == Some(true));
    if begun.is_some() && run_is_up.is_none() {
        return Err("what has begun is not held".to_owned());
    }
    let begun = begun.unwrap_or_default();
    let before = next.state.holding.replace(Holding { until, requester: requester.clone() });
    next.order(Effect::WatchHold { until });
    keep(next);
    let replaced = match before {
        Some(before) => format!("; that replaces the hold of {}", before.requester.in_words()),
        None => String::new(),
    };
    let text = match until {
        Some(until) => format!("upgrades are held until {}", until.format("%Y-%m-%d %H:%M:%SZ")),
        None => "upgrades are held until `nymvisor upgrades release`".to_owned(),
    };
    Ok(format!("{text}: they are prepared, and none stops the daemon{replaced}{begun}"))
}

/// What becomes of an upgrade that has begun, once upgrades are held; `None` where there is none.
fn begun(state: &State, run_is_up: bool) -> Option<String> {
    let attempt = state.phase.attempt().filter(|attempt| attempt.back.is_none())?;
    let fate = match state.phase.name() {
        PhaseName::Failed => "has failed, and waits as well",
        PhaseName::Swapping => "is finished, for its new version is in its place, or about to be",
        PhaseName::Running
        | PhaseName::Draining
        | PhaseName::BackingUp
        | PhaseName::Locking
        | PhaseName::Downloading
        | PhaseName::Verifying
        | PhaseName::Restarting => {
            if run_is_up && !is_ending(&state.phase) {
                "is under way and goes on; if it is interrupted before its new version is in its \
                 place, it waits as well"
            } else {
                "was interrupted, and waits as well: the next `nymvisor run` starts what ran before"
            }
        }
    };
    Some(format!("; the upgrade to {} {fate}", attempt.upgrade.name))
}

/// Whether a stop was requested, and what is under way rests until the next session.
fn is_ending(phase: &Phase) -> bool {
    let is_asked = |draining: &Draining| matches!(draining.then, AfterDrain::End(_));
    match phase {
        Phase::Draining(draining) => is_asked(draining),
        Phase::Restarting(_) => true,
        Phase::Running(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_)
        | Phase::Failed(_) => false,
    }
}

fn release(next: &mut Next) -> Result<String, String> {
    if next.state.holding.is_none() {
        return Err("upgrades are not held".to_owned());
    }
    if !next.state.recording {
        return Err(UNRECORDED.to_owned());
    }
    next.state.holding = None;
    next.order(Effect::WatchHold { until: None });
    keep(next);
    Ok("upgrades are no longer held".to_owned())
}

/// The time of a hold is over; one that was replaced meanwhile has another.
fn elapsed(next: &mut Next, until: DateTime<Utc>) -> Step {
    if next.state.holding.as_ref().is_none_or(|holding| holding.until != Some(until)) {
        return Err(Rejected::Stale);
    }
    next.state.holding = None;
    keep(next);
    prepare::advance(next);
    Ok(())
}

/// This announcement is performed no more by this instance; the shared queue stays as it is.
fn cancel(
    next: &mut Next,
    upgrade: &Announcement,
    requester: &Requester,
) -> Result<String, String> {
    let Announcement { name, digest } = upgrade;
    let is_it = |trouble: &&Trouble| trouble.name == *name && trouble.digest == *digest;
    if !next.state.recording {
        return Err(UNRECORDED.to_owned());
    }
    if next.state.installed.name == *name {
        return Err(format!("{name} is what is installed; `nymvisor rollback` goes back"));
    }
    if next.state.phase.attempt().is_some_and(|attempt| attempt.upgrade.name == *name) {
        return Err(format!("{name} is past its preparation"));
    }
    if next.state.troubles.iter().find(is_it).is_some_and(Trouble::is_cancelled) {
        return Err(format!("{name} is cancelled already"));
    }
    let decisions = next.state.troubles.iter().filter(|it| it.is_decision() && !is_it(it));
    if decisions.count() >= State::TROUBLES_MAX {
        return Err(full(&next.state));
    }
    let text = format!("cancelled by {}", requester.in_words());
    let failure = Failure { code: Code::Cancelled, text };
    let (name, digest) = (name.clone(), digest.clone());
    let hold = Hold::Quarantine;
    queue::remember(
        &mut next.state,
        Trouble { name: name.clone(), digest, failure, times: 1, hold },
    );
    // Also where nothing is chosen at present: a failure would take the person's word back.
    if next.state.candidate.as_ref().is_some_and(|it| it.upgrade.announcement() == *upgrade) {
        prepare::drop_candidate(next);
    }
    keep(next);
    Ok(format!(
        "{name} is cancelled for this instance; `nymvisor retry {name}` takes that back, and other \
         content announced under this name is another upgrade"
    ))
}

/// No more can be remembered: what to take back, the oldest that nobody has queued any more first.
fn full(state: &State) -> String {
    let queued = |it: &&Trouble| state.queue.entries.iter().any(|entry| entry.name == it.name);
    let mut decisions = state.troubles.iter().filter(|it| it.is_decision());
    let oldest = decisions.clone().find(|it| !queued(it)).or_else(|| decisions.next());
    let name = oldest.map_or("<NAME>", |it| &it.name);
    format!(
        "{} upgrades were cancelled or rolled back here, and no more can be remembered; say \
         `nymvisor retry {name}`, or the name of another that is not needed any more, first",
        State::TROUBLES_MAX
    )
}

/// What outlives the journal is written beside it.
pub(super) fn keep(next: &mut Next) {
    next.order(Effect::KeepWishes(next.state.wishes()));
}

/// A session begins: what is wished is watched, and kept, again.
pub(super) fn resume(next: &mut Next) {
    let wishes = next.state.wishes();
    if let Some(until) = wishes.holding.as_ref().and_then(|holding| holding.until) {
        next.order(Effect::WatchHold { until: Some(until) });
    }
    if !wishes.are_none() && next.state.recording {
        keep(next);
    }
}

/// The calendar's word counts while it is asked for.
fn window(next: &mut Next, now: Window) -> Step {
    match next.state.window {
        None => return Err(Rejected::Stale),
        Some(before) if before == now => return Err(Rejected::Unchanged),
        Some(_) => next.state.window = Some(now),
    }
    prepare::advance(next);
    Ok(())
}

/// A person, or the calendar, keeps the candidate from stopping the daemon.
pub(super) fn keep_back(state: &State) -> bool {
    state.candidate.as_ref().is_some_and(|candidate| state.kept_back(&candidate.upgrade).is_some())
}

/// Whatever happened: who may not stop the daemon any more gives back the lock, and the calendar
/// is asked for as long as there is a candidate.
pub(super) fn settle(next: &mut Next) {
    if next.effects.iter().any(|effect| matches!(effect, Effect::Exit(_))) {
        return;
    }
    stand_back(next);
    if !next.state.policy.keeps_windows {
        return;
    }
    match (&next.state.candidate, next.state.window) {
        (Some(_), None) => {
            next.state.window = Some(Window::Asked);
            next.order(Effect::WatchWindows(true));
        }
        (None, Some(_)) => {
            next.state.window = None;
            next.order(Effect::WatchWindows(false));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// Others need the lock while this one waits, for days perhaps. What is copied stays copied, but
/// what the pre-upgrade command said is of the moment in which it was asked.
fn stand_back(next: &mut Next) {
    let may_begin = prepare::may_begin(&next.state) || !next.state.policy.hooks.per_stop;
    let waits = keep_back(&next.state) || !may_begin;
    let Some(Candidate { due, hooked, .. }) = &mut next.state.candidate else { return };
    if waits || !*due {
        *hooked = false;
        give_back_lock(next);
    }
}

/// The lock of a candidate that has it; what is copied is not copied again.
pub(super) fn give_back_lock(next: &mut Next) {
    let Some(Candidate { stage, .. }) = &mut next.state.candidate else { return };
    if let Stage::Locked(binary) = stage {
        *stage = Stage::Ready(Some(binary.clone()));
        next.order(Effect::ReleaseLock);
    }
}
