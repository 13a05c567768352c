//! What can happen in a state, and what each thing costs of the bounds.

use nymvisor::machine::{Effect, Event, Hold, Timer};

use crate::model::engine::Engine;
use crate::model::hooks::is_only_told;
use crate::model::luck::Luck;
use crate::model::stimulus::{How, Stimulus, Tamper, catalogue};
use crate::model::values;

/// What is bounded. `Free` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    Free,
    /// Nymvisor is killed.
    Crash,
    /// The daemon ends with a failure.
    DaemonCrash,
    /// An order fails, or a file is lost or changed behind the engine's back.
    Fault,
    /// A stop request, the daemon's end in order, or a person's request to go back.
    Stop,
    /// The journal can't be written.
    Journal,
}

impl Cost {
    pub(super) const ALL: [Self; 6] =
        [Self::Free, Self::Crash, Self::DaemonCrash, Self::Fault, Self::Stop, Self::Journal];
}

/// One thing that happens.
#[expect(clippy::large_enum_variant, reason = "a few at a time")]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Move {
    /// What a run without faults does next.
    GoOn,
    /// The `usize`-th order that can be finished, so.
    Finish(usize, Luck),
    Fire(Timer),
    ComeDue,
    ReadPlan,
    DaemonEnds(How, u64),
    Tell(Event),
    /// A session begins, after one that ended in order.
    Start,
    RollBack(u8),
    Other(Stimulus),
}

impl Move {
    pub(super) fn make(&self, engine: &mut Engine) -> Result<(), String> {
        match self {
            Self::GoOn => match (engine.up, engine.world.exit) {
                (false, None) => engine.start(engine.state.policy.clone()),
                (false, Some(_)) => Ok(()),
                (true, _) => engine.go_on().map(drop),
            },
            Self::Finish(pick, luck) => engine.finish(*pick, *luck),
            Self::Fire(timer) => engine.fire(timer),
            Self::ComeDue => engine.come_due(),
            Self::ReadPlan => engine.read_plan(),
            Self::DaemonEnds(how, uptime_ms) => engine.daemon_ends(*how, *uptime_ms),
            Self::Tell(event) => engine.take(event.clone()),
            Self::Start => engine.start(engine.state.policy.clone()),
            Self::RollBack(pick) => engine.roll_back(*pick),
            Self::Other(stimulus) => engine.happen(stimulus),
        }
    }
}

/// All that can happen at this cost; first of what is free, what a run without faults does next.
pub(super) fn moves(engine: &Engine, cost: Cost, upgrades: u8) -> Vec<Move> {
    match cost {
        Cost::Free if engine.up => free(engine, upgrades),
        Cost::Free if engine.world.exit.is_some() => vec![Move::GoOn, Move::Start],
        Cost::Free => vec![Move::GoOn],
        Cost::Crash if engine.up => crashes(engine),
        Cost::DaemonCrash if is_alive(engine) => {
            vec![Move::DaemonEnds(How::Status, 50), Move::DaemonEnds(How::Signal, 600_000)]
        }
        Cost::Fault => faults(engine),
        Cost::Stop if engine.up => {
            let mut all = vec![Move::Tell(Event::StopRequested { signal: 15 })];
            all.extend(is_alive(engine).then_some(Move::DaemonEnds(How::Well, 600_000)));
            all.extend(roll_backs(engine));
            if engine.listens() {
                let wishes = [Stimulus::Hold(true), Stimulus::Release, Stimulus::Cancel(0)];
                all.extend(wishes.map(Move::Other));
            }
            all
        }
        Cost::Stop => roll_backs(engine),
        Cost::Journal if engine.up && engine.state.recording => {
            vec![Move::Tell(Event::JournalFailed { failure: values::failure(values::CODES[4]) })]
        }
        Cost::Crash | Cost::DaemonCrash | Cost::Journal => vec![],
    }
}

/// Requests to go back: with the data, and without. Nobody hears them before recovery is over.
fn roll_backs(engine: &Engine) -> Vec<Move> {
    let picks: &[u8] = match engine.state.last_performed() {
        _ if engine.state.recovering => &[],
        Some(_) => &[1, 2],
        None if engine.up => &[1],
        // What was never run has no journal to write to.
        None => &[],
    };
    picks.iter().map(|pick| Move::RollBack(*pick)).collect()
}

fn is_alive(engine: &Engine) -> bool {
    engine.world.process.as_ref().is_some_and(|process| process.leader_lives && !process.asked)
}

fn free(engine: &Engine, upgrades: u8) -> Vec<Move> {
    let world = &engine.world;
    let ready = ready(engine);
    if let Some(pick) = piled_up(&ready) {
        return vec![Move::GoOn, Move::Finish(pick, Luck::Good)];
    }
    let mut all = vec![Move::GoOn];
    all.extend((0..ready.len()).map(|pick| Move::Finish(pick, Luck::Good)));
    all.extend(world.timers.iter().cloned().map(Move::Fire));
    all.extend(world.due.map(|_| Move::ComeDue));
    all.extend(world.calendar.hold_end.map(|_| Move::Other(Stimulus::HoldEnds)));
    all.extend(world.calendar.window.map(|open| Move::Other(Stimulus::Window(!open))));
    if world.process.as_ref().is_some_and(|process| process.leader_lives && process.asked) {
        all.push(Move::DaemonEnds(How::Well, 600_000));
        all.push(Move::DaemonEnds(How::Status, 50));
    }
    let hears = world.process.as_ref().is_some_and(|process| process.leader_lives);
    all.extend(hears.then_some(Move::Other(Stimulus::Signal)));
    if engine.listens() {
        if world.files.queue.as_ref().is_some_and(|queue| *queue != engine.state.queue) {
            all.push(Move::ReadPlan);
        }
        // With several, upstream is asked again only once its last word is in the plan: else every
        // order of what waits to be written would count.
        let is_pending =
            |work: &Effect| matches!(work, Effect::QueueAnnouncement(_) | Effect::DropFromQueue(_));
        let is_asked = upgrades == 1 || !world.work.iter().any(is_pending);
        for pick in 0..upgrades {
            all.extend(is_asked.then_some(Move::Other(Stimulus::Announce(pick))));
            let name = catalogue(pick).name;
            let held = |trouble: &nymvisor::machine::Trouble| {
                trouble.name == name && trouble.hold != Hold::Free
            };
            if pick == 0 || engine.state.troubles.iter().any(held) {
                all.push(Move::Other(Stimulus::Retry(pick)));
            }
        }
    }
    if !engine.state.recording {
        all.push(Move::Tell(Event::JournalRestored));
    }
    all
}

/// The first of several archives that are to go, or of several commands that are only told of
/// something. Nobody waits for that: whole attempts could pass
/// meanwhile, and leave more and more of them.
fn piled_up(ready: &[&Effect]) -> Option<usize> {
    let is_told = |effect: &Effect| matches!(effect, Effect::RunHook(call) if is_only_told(call));
    let mut told = (0..ready.len()).filter(|at| is_told(ready[*at]));
    let mut discards = (0..ready.len()).filter(|at| matches!(ready[*at], Effect::DiscardBackup(_)));
    let first = |many: &mut dyn Iterator<Item = usize>| {
        let first = many.next()?;
        many.next().map(|_| first)
    };
    first(&mut discards).or_else(|| first(&mut told))
}

/// The orders that can be finished now.
fn ready(engine: &Engine) -> Vec<&Effect> {
    let world = &engine.world;
    (0..world.work.len()).filter(|at| world.can_finish(*at)).map(|at| &world.work[at]).collect()
}

fn faults(engine: &Engine) -> Vec<Move> {
    let files = &engine.world.files;
    if !engine.up {
        return [Tamper::LosePlan, Tamper::LoseVersion, Tamper::LoseLink, Tamper::MoveVersion]
            .map(|tamper| Move::Other(Stimulus::Tamper(tamper)))
            .to_vec();
    }
    let mut all = Vec::new();
    for (pick, effect) in ready(engine).into_iter().enumerate() {
        let lucks: &[Luck] = match effect {
            // A pause, a quarantine, a wait for a binary.
            Effect::FetchBinary { .. } => &[Luck::Bad(0), Luck::Bad(2), Luck::Bad(4)],
            Effect::CheckBinary { .. } => &[Luck::Bad(0), Luck::Bad(1)],
            Effect::CommitSwap { .. } => &[Luck::Bad(0), Luck::Bad(1), Luck::Half],
            Effect::RestoreHome { .. } | Effect::CommitRollBack { .. } => {
                &[Luck::Bad(0), Luck::Half]
            }
            // Abort, not now, failed.
            Effect::RunHook(call) if !is_only_told(call) => {
                &[Luck::Half, Luck::Bad(0), Luck::Bad(1), Luck::Bad(2)]
            }
            Effect::StandDown { in_doubt: Some(_), .. }
            | Effect::SpawnDaemon(_)
            | Effect::SkipRestore { .. }
            | Effect::LockRollBack { .. }
            | Effect::CheckRoom { .. }
            | Effect::CopyHome { .. }
            | Effect::RefreshCopy { .. }
            | Effect::ExamineBackup { .. }
            | Effect::TakeLock { .. }
            | Effect::CheckHealth { .. }
            | Effect::SealBackup { .. } => &[Luck::Bad(0)],
            _ => &[],
        };
        all.extend(lucks.iter().map(|luck| Move::Finish(pick, *luck)));
    }
    if files.binaries.contains_key("u1") {
        all.push(Move::Other(Stimulus::Tamper(Tamper::ChangeBinary(0))));
    }
    if engine.listens() && engine.state.plan_reads {
        let failure = values::failure(values::CODES[4]);
        all.push(Move::Tell(Event::PlanLost { failure }));
        all.push(Move::Other(Stimulus::Tamper(Tamper::Unqueue(0))));
    }
    all
}

/// A kill with each of the pending orders done, half done or not; the daemon dies with it or not.
fn crashes(engine: &Engine) -> Vec<Move> {
    let mut dones = vec![0_u8];
    for (bit, effect) in engine.world.work.iter().take(4).enumerate() {
        let stages: &[u8] = match effect {
            Effect::Observe { .. } | Effect::SweepGroup(_) => &[],
            Effect::CommitSwap { .. }
            | Effect::MoveShared { .. }
            | Effect::RestoreHome { .. }
            | Effect::CommitRollBack { .. }
            | Effect::MoveSharedBack { .. } => &[1, 2],
            _ => &[2],
        };
        let before = dones.clone();
        for stage in stages {
            dones.extend(before.iter().map(|done| done | stage << (bit * 2)));
        }
    }
    let lives = engine.world.process.as_ref().is_some_and(|process| process.leader_lives);
    let fates: &[bool] = if lives { &[false, true] } else { &[false] };
    let crash = |(done, daemon_survives)| Move::Other(Stimulus::Crash { done, daemon_survives });
    dones.iter().flat_map(|done| fates.iter().map(|fate| (*done, *fate))).map(crash).collect()
}
