//! Whether all is well, as far as a state tells, and what failed: what `status`, the metrics and
//! the journal's readers have in common. Pure.

use crate::machine::{
    AfterDrain, Code, Daemon, DrainStep, Draining, Event, Failed, Failure, Hold, Phase, PhaseName,
    Record, Running, State, Trouble,
};

/// So many failures in a row of what is only paused are more than a hiccup.
const TIMES_MAX: u32 = 3;

/// What needs a person while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// No record can be written.
    Journal,
    /// The plan can't be used.
    Plan,
    /// A queued upgrade is quarantined, and not because a person rolled it back.
    Quarantined,
    /// A queued upgrade waits for its binary.
    AwaitsBinary,
    /// A queued upgrade failed several times in a row.
    FailsAgain,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What it is.
    pub need: Need,
    /// The same in words.
    pub text: String,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Journal, Self::Plan, Self::Quarantined, Self::AwaitsBinary, Self::FailsAgain];

    /// What is needed for an upgrade that failed so often, and is held back so.
    #[must_use]
    pub fn of(hold: Hold, code: Code, times: u32) -> Option<Self> {
        match hold {
            // What a person has rolled back or cancelled is held back at that person's word.
            Hold::Quarantine => {
                let is_wished = matches!(code, Code::RolledBack | Code::Cancelled);
                (!is_wished).then_some(Self::Quarantined)
            }
            Hold::AwaitBinary => Some(Self::AwaitsBinary),
            // A command of the operator's that says "not now" does what it is there for.
            Hold::Pause => {
                let fails = times >= TIMES_MAX && code != Code::HookPostponed;
                fails.then_some(Self::FailsAgain)
            }
            Hold::Free => None,
        }
    }

    /// Its name, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Plan => "plan",
            Self::Quarantined => "quarantined",
            Self::AwaitsBinary => "awaits-binary",
            Self::FailsAgain => "fails-again",
        }
    }

    /// What is wrong, of an upgrade of this name that failed for this reason where it is one.
    #[must_use]
    pub fn words(self, upgrade: &str, why: &str, times: u32) -> String {
        match self {
            Self::Journal => "the journal can't be written, and upgrades wait: see its disk".into(),
            Self::Plan => "the plan can't be used, and no upgrade begins".to_owned(),
            Self::Quarantined => format!("{upgrade} is quarantined: {why}"),
            Self::AwaitsBinary => format!("{upgrade} waits for its binary"),
            Self::FailsAgain => format!("{upgrade} failed {times} times: {why}"),
        }
    }
}

/// Whether the plan still has what this trouble is with.
#[must_use]
pub fn is_queued(state: &State, trouble: &Trouble) -> bool {
    let all = state.queue.entries.iter().chain(&state.queue.current);
    all.into_iter().any(|entry| entry.name == trouble.name && entry.digest == trouble.digest)
}

/// What needs a person.
#[must_use]
pub fn points(state: &State) -> Vec<Point> {
    let plain = |need: Need| Point { need, text: need.words("", "", 0) };
    let mut points = Vec::new();
    if !state.recording {
        points.push(plain(Need::Journal));
    }
    if !state.plan_reads {
        points.push(plain(Need::Plan));
    }
    for trouble in state.troubles.iter().filter(|trouble| is_queued(state, trouble)) {
        let failure = &trouble.failure;
        if let Some(need) = Need::of(trouble.hold, failure.code, trouble.times) {
            let text = need.words(&trouble.name, &failure.text, trouble.times);
            points.push(Point { need, text });
        }
    }
    points
}

/// The failure that an event tells of.
#[must_use]
pub fn failure(event: &Event) -> Option<&Failure> {
    if let Event::WorkFailed { failure, .. }
    | Event::SpawnFailed { failure }
    | Event::HealthFailed { failure, .. }
    | Event::JournalFailed { failure }
    | Event::PlanLost { failure }
    | Event::BackupDamaged { failure, .. } = event
    {
        return Some(failure);
    }
    None
}

/// Whether the daemon has ended so that it counts as a crash, and nobody had asked it to end.
#[must_use]
pub fn is_crash(record: &Record) -> bool {
    let Event::DaemonEnded { ending, .. } = &record.event else { return false };
    ending.is_crash() && record.from == PhaseName::Running
}

/// What failed, where a record that led to this state tells of a failure.
#[must_use]
pub fn failed(record: &Record, after: &State) -> Option<Code> {
    if let Some(failure) = failure(&record.event) {
        return Some(failure.code);
    }
    // It says more than the event: that a new version failed its start, for example.
    if let Phase::Failed(Failed { failure, .. }) = &after.phase
        && record.from != PhaseName::Failed
    {
        return Some(failure.code);
    }
    if let Event::HookEnded { hook, ending, .. } = &record.event {
        return ending.code().filter(|_| hook.decides());
    }
    is_crash(record).then_some(Code::DaemonCrashed)
}

/// The process of the daemon that serves in this phase. What an earlier session left may be any
/// process of its daemon: no node that serves.
#[must_use]
pub fn serving(phase: &Phase) -> Option<Daemon> {
    if let Phase::Running(Running { daemon, .. }) = phase {
        return Some(*daemon);
    }
    if let Phase::Draining(Draining { daemon, then, .. }) = phase
        && !matches!(then, AfterDrain::Recover { .. })
    {
        return *daemon;
    }
    None
}

/// Whether a daemon that serves is up, as far as the engine has seen.
#[must_use]
pub fn is_up(state: &State) -> bool {
    if let Phase::Draining(Draining { step: DrainStep::Sweeping, .. }) = &state.phase {
        return false;
    }
    !state.recovering && serving(&state.phase).is_some()
}
