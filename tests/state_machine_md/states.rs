//! A state of every kind, and every event that could meet it.

mod events;
mod hooks;
mod more;
mod wished;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use nymvisor::machine::{
    AfterDrain, AfterFailure, Candidate, Code, DrainStep, Event, Notice, Phase, PhaseName, Policy,
    Stage, State, Timer, Transition, Upgrade, Wait, step,
};

pub(super) use events::events;
use wished::{all_wished, is_of_wishes};

use crate::model::luck::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{by_command, failure, policy, upgrade};

/// What kind of state it is, in the words of the tables. No wildcard: a new variant has to be
/// given its word, and its representative below.
pub(super) fn kind(state: &State) -> &'static str {
    if state.recovering {
        return match &state.phase {
            Phase::Draining(draining) if matches!(draining.then, AfterDrain::Recover { .. }) => {
                match draining.step {
                    DrainStep::Asked => "recovering, left-over daemon asked",
                    DrainStep::Killing => "recovering, left-over daemon killed",
                    DrainStep::Sweeping => "recovering, left-over group swept",
                }
            }
            _ => "recovering, first look",
        };
    }
    if let Some(kind) = kind_beside_the_phase(state) {
        return kind;
    }
    match &state.phase {
        Phase::Running(running) => {
            hooks::health(running).unwrap_or_else(|| preparation(state.candidate.as_ref()))
        }
        Phase::Draining(draining) => match (draining.step, &draining.then) {
            (DrainStep::Asked, AfterDrain::Upgrade(_)) => "asked, then upgrade",
            (DrainStep::Killing, AfterDrain::Upgrade(_)) => "killed, then upgrade",
            (DrainStep::Sweeping, AfterDrain::Upgrade(_)) => "swept, then upgrade",
            (DrainStep::Asked, AfterDrain::FailedStart(_)) => "asked, then failed start",
            (DrainStep::Killing, AfterDrain::FailedStart(_)) => "killed, then failed start",
            (DrainStep::Sweeping, AfterDrain::FailedStart(_)) => "swept, then failed start",
            (DrainStep::Asked, AfterDrain::End(None)) => "asked, then end",
            (DrainStep::Killing, AfterDrain::End(None)) => "killed, then end",
            (DrainStep::Sweeping, AfterDrain::End(None)) => "swept, then end",
            (DrainStep::Asked, AfterDrain::End(Some(_))) => "asked, then end and resume",
            (DrainStep::Killing, AfterDrain::End(Some(_))) => "killed, then end and resume",
            (DrainStep::Sweeping, AfterDrain::End(Some(_))) => "swept, then end and resume",
            (_, AfterDrain::Recover { .. }) => "recovering only",
        },
        Phase::BackingUp(_) | Phase::Locking(_) => "under way",
        Phase::Downloading(of) | Phase::Verifying(of) if of.binary.is_some() => "prepared",
        Phase::Downloading(_) | Phase::Verifying(_) => "unprepared",
        Phase::Swapping(swapping) => match (swapping.committed, swapping.stop) {
            (false, false) => "under way",
            (false, true) => "under way, then stop",
            (true, false) => "committed",
            (true, true) => "committed, then stop",
        },
        Phase::Restarting(restarting) => match &restarting.wait {
            Wait::Delay { swept: false, elapsed: false } => "delay",
            Wait::Delay { swept: true, .. } => "delay, group gone",
            Wait::Delay { swept: false, elapsed: true } => "delay over, group not gone",
            Wait::PreStart => "pre-start command",
            Wait::Spawning { stop: false } => "spawning",
            Wait::Spawning { stop: true } => "spawning, then stop",
            Wait::Session { resume: None } => "at rest",
            Wait::Session { resume: Some(_) } => "at rest, attempt to resume",
        },
        Phase::Failed(failed) => match &failed.then {
            AfterFailure::OldVersion { stop: false, .. } => "old version next",
            AfterFailure::OldVersion { stop: true, .. } => "stop next",
            AfterFailure::GivenUp { .. } => match failed.notice {
                None => "given up",
                Some(Notice::Sweeping) => "given up, on-failure command",
                Some(Notice::Swept) => "given up and swept, on-failure command",
            },
            AfterFailure::RollBack(_) | AfterFailure::RollBackFailed(_) => "of a roll-back",
        },
    }
}

/// What tells more of a state than its phase.
fn kind_beside_the_phase(state: &State) -> Option<&'static str> {
    match (&state.holding, &state.window) {
        (Some(_), _) => Some("held"),
        (None, Some(_)) => Some("asks for a window"),
        (None, None) => is_back(state).then(|| kind_of_roll_back(state)),
    }
}

/// How far the preparation is.
fn preparation(candidate: Option<&Candidate>) -> &'static str {
    match candidate.map(|c| (&c.stage, c.due)) {
        None => "nothing to prepare",
        Some((Stage::Fetching, false)) => "fetching",
        Some((Stage::Checking, false)) => "checking",
        Some((Stage::Sizing(_), false)) => "sizing",
        Some((Stage::Copying(_), false)) => "copying",
        Some((Stage::Ready(Some(_)), false)) => "ready",
        Some((Stage::Ready(None), false)) => "ready unprepared",
        Some((Stage::Hooking(_), _)) => "due, pre-upgrade command",
        Some((Stage::Refreshing(_), _)) => "due, refreshing",
        Some((Stage::Locking(_), _)) => "due, locking",
        Some((Stage::Ready(_), true) | (Stage::Locked(_), _)) => "due and locked",
        Some((_, true)) => "due, not ready",
    }
}

fn kind_of_roll_back(state: &State) -> &'static str {
    match &state.phase {
        Phase::Draining(draining) => match (draining.step, &draining.then) {
            (DrainStep::Asked, AfterDrain::Upgrade(_)) => "asked, then roll back",
            (DrainStep::Killing, AfterDrain::Upgrade(_)) => "killed, then roll back",
            (DrainStep::Sweeping, AfterDrain::Upgrade(_)) => "swept, then roll back",
            _ => "then end and resume the roll-back",
        },
        Phase::Swapping(swapping) if swapping.stop => "rolling back, then stop",
        Phase::Restarting(_) => "at rest, roll-back to resume",
        Phase::Failed(failed) => match &failed.then {
            AfterFailure::RollBack(_) => "roll-back next",
            _ if failed.notice.is_some() => "roll-back stuck, on-failure command",
            _ => "roll-back stuck",
        },
        _ => "rolling back",
    }
}

fn is_back(state: &State) -> bool {
    state.phase.attempt().is_some_and(|attempt| attempt.back.is_some())
}

/// Every kind that a state can be of.
pub(super) const KINDS: [&str; 65] = [
    "held",
    "asks for a window",
    "nothing to prepare",
    "fetching",
    "checking",
    "sizing",
    "copying",
    "ready",
    "ready unprepared",
    "due, not ready",
    "health awaited",
    "health overdue",
    "due, pre-upgrade command",
    "due, refreshing",
    "due, locking",
    "due and locked",
    "asked, then upgrade",
    "killed, then upgrade",
    "swept, then upgrade",
    "asked, then failed start",
    "killed, then failed start",
    "swept, then failed start",
    "asked, then end",
    "killed, then end",
    "swept, then end",
    "asked, then end and resume",
    "killed, then end and resume",
    "swept, then end and resume",
    "recovering, first look",
    "recovering, left-over daemon asked",
    "recovering, left-over daemon killed",
    "recovering, left-over group swept",
    "under way",
    "BackingUp",
    "Locking",
    "Downloading",
    "Verifying",
    "prepared",
    "unprepared",
    "under way, then stop",
    "committed",
    "committed, then stop",
    "delay",
    "delay, group gone",
    "delay over, group not gone",
    "pre-start command",
    "spawning",
    "spawning, then stop",
    "at rest",
    "at rest, attempt to resume",
    "old version next",
    "stop next",
    "given up",
    "given up, on-failure command",
    "given up and swept, on-failure command",
    "asked, then roll back",
    "killed, then roll back",
    "swept, then roll back",
    "then end and resume the roll-back",
    "rolling back",
    "rolling back, then stop",
    "at rest, roll-back to resume",
    "roll-back next",
    "roll-back stuck",
    "roll-back stuck, on-failure command",
];

pub(super) fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

/// A state of every kind; each was reached by a story.
pub(super) fn representatives() -> Vec<State> {
    static ALL: LazyLock<Vec<State>> = LazyLock::new(told);
    ALL.clone()
}

fn told() -> Vec<State> {
    let mut all = Vec::new();
    let mut take = |tale: &Tale| all.push(tale.engine.state.clone());
    let unprepared = || Policy { prepare_ahead: false, ..policy() };

    let mut tale = Tale::new(policy());
    take(tale.start());
    take(tale.work(1));
    take(tale.stop());
    let mut tale = Tale::running(policy());
    take(&tale);
    let mut unrecorded = Tale::running(policy());
    take(unrecorded.event(Event::JournalFailed { failure: failure(Code::Io) }));
    take(tale.queue(&u1()));
    take(tale.work(1));
    take(tale.work(1));
    take(tale.work(1));
    take(tale.work(1));
    take(tale.due());
    take(tale.work(1));
    take(tale.work(1));
    take(tale.fire(&Timer::Grace));
    take(tale.stop());
    take(tale.daemon_ends(How::Well, 1));
    let mut tale = Tale::running(policy());
    take(tale.queue(&by_command(u1())).due());
    let mut tale = Tale::running(unprepared());
    take(tale.queue(&u1()));
    take(tale.due());
    take(tale.until(PhaseName::Downloading));
    take(tale.work(1));

    let mut tale = Tale::running(policy());
    take(tale.stop());
    take(tale.stop());
    take(tale.daemon_ends(How::Well, 1));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().work(2).stop());
    for phase in [
        PhaseName::BackingUp,
        PhaseName::Locking,
        PhaseName::Downloading,
        PhaseName::Verifying,
        PhaseName::Swapping,
    ] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        take(&tale);
        take(tale.stop());
        let mut tale = Tale::at(policy(), &u1(), phase);
        take(tale.fail(Code::Io));
        take(tale.stop());
    }
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().daemon_ends(How::Status, 1));
    after_crashes(&mut take);
    of_roll_backs(&mut take);
    more::take_all(&mut take);
    hooks::take_all(&mut take);
    all
}

fn after_crashes(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
    take(tale.crash().start().work(1));
    take(tale.stop());
    let mut tale = Tale::running(policy());
    take(tale.crash_with(0, true).start().work(1));
    take(tale.fire(&Timer::Grace));
    take(tale.daemon_ends(How::Well, 1));
    let mut tale = Tale::running(policy());
    take(tale.daemon_ends(How::Status, 1));
    take(tale.work(1));
    let mut tale = Tale::running(policy());
    take(tale.daemon_ends(How::Status, 1).fire(&Timer::RestartDelay));
    let mut tale = Tale::running(Policy { restart_on_failure: false, ..policy() });
    take(tale.daemon_ends(How::Status, 1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.daemon_ends(How::Status, 1).due().work(2));
}

fn of_roll_backs(take: &mut impl FnMut(&Tale)) {
    let automatic =
        Policy { rollback_on_failed_upgrade: true, max_startup_failures: 1, ..policy() };
    let upgraded = || {
        let mut tale = Tale::ready(automatic.clone(), &u1());
        tale.due().until(PhaseName::Restarting).work(1);
        tale
    };
    take(&upgraded());
    let mut tale = Tale::ready(automatic.clone(), &u1());
    take(tale.due().until(PhaseName::Restarting));
    let mut tale = upgraded();
    take(tale.daemon_ends(How::Status, 1));
    for (count, fails) in (1..5).flat_map(|count| [(count, false), (count, true)]) {
        let mut tale = upgraded();
        tale.daemon_ends(How::Status, 1).work(count);
        take(&tale);
        take(if fails { tale.fail(Code::Io) } else { tale.stop() });
    }
    let mut tale = upgraded();
    take(tale.roll_back());
    take(tale.fire(&Timer::Grace));
    take(tale.stop());
    take(tale.daemon_ends(How::Well, 1));
    let mut tale = upgraded();
    take(tale.roll_back().daemon_ends(How::Well, 1));
    let mut tale = upgraded();
    take(tale.stop().daemon_ends(How::Well, 1).work(1));
    take(tale.roll_back());
    take(tale.start().work(1));
}

/// What the tables call an event: its name, and how a daemon ended.
pub(crate) fn word(event: &Event) -> &'static str {
    match event {
        Event::DaemonEnded { ending, .. } if ending.is_crash() => "daemon-ended (crash)",
        Event::DaemonEnded { .. } => "daemon-ended (0)",
        event => event.name(),
    }
}

/// All that follows from every event in every state: state, event, transition.
pub(crate) fn transitions() -> Vec<(State, Event, Transition)> {
    let mut all = Vec::new();
    for state in representatives() {
        for event in events(&state) {
            if let Ok(transition) = step(&state, &event) {
                all.push((state.clone(), event, transition));
            }
        }
    }
    for state in all_wished() {
        for event in events(&state).into_iter().filter(is_of_wishes) {
            if let Ok(transition) = step(&state, &event) {
                all.push((state.clone(), event, transition));
            }
        }
    }
    all
}

#[test]
fn every_kind_of_state_is_represented() {
    let all = representatives();
    let mut kinds: BTreeSet<&str> = all.iter().map(kind).collect();
    let wished = all_wished();
    kinds.extend(wished.iter().map(kind));
    // The phases that are of one kind.
    for state in representatives() {
        if let Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_) = state.phase
        {
            kinds.insert(match state.phase.name() {
                PhaseName::BackingUp => "BackingUp",
                PhaseName::Locking => "Locking",
                PhaseName::Downloading => "Downloading",
                _ => "Verifying",
            });
        }
    }
    let missing: Vec<&&str> = KINDS.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "no state of the kind {missing:?}");
    let unknown: Vec<&&str> = kinds.iter().filter(|kind| !KINDS.contains(kind)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Whatever happens in Running, it is told; each event leads somewhere in some state.
#[test]
fn every_event_leads_somewhere() {
    let taken: BTreeSet<&str> = transitions().iter().map(|(_, event, _)| word(event)).collect();
    let all: BTreeSet<&str> =
        representatives().iter().flat_map(events).map(|event| word(&event)).collect();
    let odd: Vec<_> = all.difference(&taken).collect();
    assert!(odd.is_empty(), "{odd:?} lead nowhere");
}
