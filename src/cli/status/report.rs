//! The status, put together from what was seen. The JSON has these members, in this order; README
//! describes them.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::failures::{self, Held, LastFailure};
use super::past::{Done, Past, Restart};
use super::queue::{self, Expected, Queued};
use super::seen::{Process, Room, Seen};
use super::verdict::{self, Point, Verdict};
use super::waits::{self, HoldNow, WindowsNow};
use crate::cli::check::site::go_by;
use crate::health;
use crate::journal::{Hash, Part};
use crate::machine::{
    AfterDrain, AfterFailure, Draining, Failed, Health, Hold, Phase, PhaseName, Restarting,
    Running, State, Version, Wait,
};

/// What comes to the grace period while a process waits to be the daemon.
const WAIT_SLACK_MS: u64 = 30_000;

/// How the instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Version of the shape: 1.
    pub version: u32,
    /// The one word.
    pub verdict: Verdict,
    /// The exit status of the command.
    pub exit_status: u8,
    /// Id of the instance.
    pub instance: String,
    /// When this was found.
    pub at: DateTime<Utc>,
    /// Our own process.
    pub run: RunNow,
    /// Where the engine stands; `None` where nothing was run yet, or it can't be told.
    pub phase: Option<PhaseNow>,
    /// The daemon.
    pub daemon: DaemonNow,
    /// What comes; `None` where the plan can't be used.
    pub queue: Option<Vec<Queued>>,
    /// Who wants no upgrade to stop the daemon, if anybody does.
    pub hold: Option<HoldNow>,
    /// The maintenance windows; `None` where there are none.
    pub windows: Option<WindowsNow>,
    /// How long the daemon will be down for it.
    pub expected_down: Expected,
    /// What was committed last.
    pub last_upgrade: Option<Done>,
    /// What failed last.
    pub last_failure: Option<LastFailure>,
    /// What is not tried at present.
    pub held: Vec<Held>,
    /// What needs a person.
    pub attention: Vec<Point>,
    /// What is free.
    pub room: Vec<Room>,
    /// The journal.
    pub journal: JournalNow,
}

/// The process of `nymvisor run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunNow {
    /// Whether it is up, by the instance's lock; `None` where the system doesn't tell.
    pub up: Option<bool>,
    /// Its session has begun: what the journal says last is its word.
    pub begun: bool,
    /// Who holds the lock.
    pub pid: Option<u32>,
    /// Version of nymvisor, of the last session.
    pub nymvisor: Option<String>,
    /// When the last session began.
    pub since: Option<DateTime<Utc>>,
}

/// Where the engine stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseNow {
    /// The phase.
    pub name: PhaseName,
    /// The same in words.
    pub text: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

/// The daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaemonNow {
    /// Name of its binary.
    pub name: String,
    /// What is installed.
    pub version: Option<Version>,
    /// Whether it is up.
    pub up: bool,
    /// Its process, where it is up.
    pub pid: Option<u32>,
    /// When it was started, where it is up.
    pub since: Option<DateTime<Utc>>,
    /// Milliseconds since then, by the clock that doesn't jump.
    pub uptime_ms: Option<u64>,
    /// It has lived through its startup period.
    pub settled: bool,
    /// Restarts in this session.
    pub restarts: u64,
    /// The last of them.
    pub last_restart: Option<Restart>,
    /// Startup failures in a row.
    pub startup_failures: u32,
    /// So many end the run.
    pub startup_failures_max: u32,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalNow {
    /// Number of the last record; 0 where there is none.
    pub seq: u64,
    /// Hash of its last line.
    pub hash: Option<String>,
    /// When the last record was made.
    pub at: Option<DateTime<Utc>>,
    /// What is wrong with its last part.
    pub damage: Option<String>,
    /// What of its older parts can't be read; what is told of the past may lack something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// What is odd in it.
    pub notes: Vec<String>,
}

impl Status {
    /// What follows from what was seen.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let past = Past::of(&seen.parts);
        let run = run(seen, &past);
        let runs = run.up == Some(true);
        let state = present(seen, runs);
        let known = seen.state.is_some().then_some(&state).and_then(Option::as_ref);
        let daemon = daemon(seen, &past, &run, known);
        let told = state.as_ref().filter(|_| seen.state.is_some() || seen.kept.is_some());
        let held = told.map(|state| failures::held(state, &past, runs)).unwrap_or_default();
        let attention = verdict::points(seen, known, &held);
        let verdict = Verdict::of(seen, &run, &daemon, &attention);
        let queued = seen.queue.is_ok().then_some(state.as_ref()).flatten();
        Self {
            version: 1,
            verdict,
            exit_status: verdict.exit() as u8,
            instance: seen.instance.clone(),
            at: seen.now,
            phase: known.map(|state| PhaseNow {
                name: state.phase.name(),
                text: words(state, runs, run.begun),
                since: past.since,
            }),
            daemon,
            queue: queued.map(|state| queue::of(state, &held, runs, seen)),
            hold: told.and_then(|state| waits::hold(state, seen.now)),
            windows: waits::windows(seen),
            expected_down: queue::expected(seen),
            last_failure: known.and_then(|state| failures::last(&past, state, runs)),
            held,
            attention,
            room: seen.room.clone(),
            journal: journal(seen, &past),
            last_upgrade: past.done,
            run,
        }
    }

    /// One line for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{}\n", serde_json::json!(self))
    }

    /// What is quarantined.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.hold == Hold::Quarantine)
    }
}

/// The state with the plan as it is now: the journal has it as `run` read it last.
fn present(seen: &Seen, runs: bool) -> Option<State> {
    let installed = || seen.installed.clone().ok();
    let initial = || Some(State::initial(installed()?, seen.policy.clone()));
    let mut state = seen.state.clone().or_else(initial)?;
    if let Some(kept) = &seen.kept {
        go_by(&mut state, kept);
    }
    if let Ok(queue) = &seen.queue {
        state.queue.current.clone_from(&queue.current);
        state.queue.entries.clone_from(&queue.entries);
    }
    if !runs {
        // Nothing of this outlives a session, but what is quarantined.
        state.recording = true;
        state.plan_reads = true;
    }
    Some(state)
}

/// The lock may be a command's, or that of a `run` that is just beginning. A `run` in another
/// container has two numbers: ours for it, and its own in the lock file.
fn run(seen: &Seen, past: &Past<'_>) -> RunNow {
    let session = past.session.as_ref();
    let holder = seen.runner.as_ref();
    let is_session = |pid: Option<u32>| pid.is_some() && pid == session.map(|of| of.pid);
    let begun = holder.is_some_and(|holder| {
        is_session(holder.pid) || is_session(holder.content.trim().parse().ok())
    });
    RunNow {
        up: holder.map(|_| true).or(seen.locks_are_told.then_some(false)),
        begun,
        pid: holder.and_then(|holder| holder.pid),
        nymvisor: session.map(|session| session.nymvisor.clone()),
        since: session.map(|session| session.at),
    }
}

/// For how long a process of this age is the daemon: it may have waited for that while the old one
/// ended. Where the record says something else than that, the clock was set, and the age counts.
fn as_daemon(age_ms: u64, spawned_at: Option<DateTime<Utc>>, seen: &Seen) -> u64 {
    let recorded = spawned_at.and_then(|at| (seen.now - at).num_milliseconds().try_into().ok());
    let waited = recorded.and_then(|recorded: u64| age_ms.checked_sub(recorded));
    let at_most = seen.policy.shutdown_grace_ms.saturating_add(WAIT_SLACK_MS);
    let waited = waited.filter(|waited| *waited <= at_most);
    age_ms.saturating_sub(waited.unwrap_or_default())
}

fn daemon(seen: &Seen, past: &Past<'_>, run: &RunNow, state: Option<&State>) -> DaemonNow {
    let in_phase = state.and_then(|state| health::serving(&state.phase)).map(|of| of.pid);
    // Where our number for `run` is not its own, that for the daemon is not either.
    let elsewhere = run.begun && run.pid != past.session.as_ref().map(|session| session.pid);
    let running = matches!(state.map(|state| &state.phase), Some(Phase::Running(_)));
    let lives = matches!(seen.process, Process::Lives { .. });
    let up = in_phase.is_some() && (lives || (elsewhere && running));
    let uptime_ms = match seen.process {
        Process::Lives { uptime_ms } if up => {
            uptime_ms.map(|ms| as_daemon(ms, past.spawned_at, seen))
        }
        Process::Lives { .. } | Process::Gone | Process::Unknown => None,
    };
    let policy = state.map_or(&seen.policy, |state| &state.policy);
    DaemonNow {
        name: seen.daemon.clone(),
        version: state
            .map(|state| state.installed.clone())
            .filter(|_| run.up == Some(true))
            .or_else(|| seen.installed.clone().ok())
            .or_else(|| state.map(|state| state.installed.clone())),
        up,
        pid: in_phase.filter(|_| up),
        since: past.spawned_at.filter(|_| up),
        uptime_ms,
        settled: up
            && matches!(
                state.map(|state| &state.phase),
                Some(Phase::Running(Running { settled: true, .. }))
            ),
        restarts: past.restarts,
        last_restart: past.last_restart.clone(),
        startup_failures: state.map_or(0, |state| state.startup_failures),
        startup_failures_max: policy.max_startup_failures.max(1),
    }
}

fn journal(seen: &Seen, past: &Past<'_>) -> JournalNow {
    let notes = seen.parts.iter().filter_map(|part| match part {
        Part::Note(note) => Some(note.clone()),
        Part::Record { .. } => None,
    });
    JournalNow {
        seq: seen.head.as_ref().map_or(0, |(seq, _)| *seq),
        hash: seen.head.as_ref().map(|(_, hash): &(u64, Hash)| hash.to_string()),
        at: past.last_at,
        damage: seen.damage.clone(),
        unread: seen.unread.clone(),
        notes: notes.collect(),
    }
}

/// What a phase means.
fn words(state: &State, runs: bool, begun: bool) -> String {
    if !runs {
        return left(&state.phase).to_owned();
    }
    if state.recovering || !begun {
        return "a session begins; this is where the last one ended".to_owned();
    }
    let text = match &state.phase {
        Phase::Running(Running { settled: true, .. }) => "the daemon is up",
        Phase::Running(Running { health: Some(Health::Awaited | Health::Overdue), .. }) => {
            "the daemon is up, and has yet to pass its health check"
        }
        Phase::Running(_) => "the daemon is up, within its startup period",
        Phase::Draining(Draining { then: AfterDrain::Upgrade(_), .. }) => {
            "the daemon is asked to end, for an upgrade"
        }
        Phase::Draining(Draining { then: AfterDrain::Recover { .. }, .. }) => {
            "what an earlier session left is ended first"
        }
        Phase::Draining(Draining { then: AfterDrain::FailedStart(_), .. }) => {
            "the daemon is asked to end, for it did not pass its health check"
        }
        Phase::Draining(_) => "the daemon is asked to end",
        Phase::BackingUp(_) => "the backup is sealed",
        Phase::Locking(_) => "the upgrade lock is confirmed, or taken",
        Phase::Downloading(_) => "the binary is confirmed, or fetched",
        Phase::Verifying(_) => "the binary is checked",
        Phase::Swapping(_) => "version file, plan, history and link are moved",
        Phase::Restarting(Restarting { wait, .. }) => match wait {
            Wait::Delay { .. } => "the daemon is started after a delay",
            Wait::PreStart => "the pre-start command runs, then the daemon is started",
            Wait::Spawning { .. } => "the daemon is being started",
            Wait::Session { .. } => "the run is ending",
        },
        Phase::Failed(Failed { notice: Some(_), .. }) => {
            "the daemon is down for good; the run ends after the on-failure command"
        }
        Phase::Failed(Failed { then, .. }) => match then {
            AfterFailure::OldVersion { .. } => "the upgrade failed; the old version comes back",
            AfterFailure::RollBack(_) => "the new version failed; it is rolled back",
            AfterFailure::GivenUp { .. } => "the daemon failed for good; the run is ending",
            AfterFailure::RollBackFailed(_) => "a roll-back could not go on; the run is ending",
        },
    };
    text.to_owned()
}

/// How the last run left it.
fn left(phase: &Phase) -> &'static str {
    if let Phase::Restarting(Restarting { wait: Wait::Session { resume }, .. }) = phase {
        return match resume {
            None => "the last run ended in order",
            Some(_) => "the last run ended in order, amid an upgrade; the next one goes on with it",
        };
    }
    if let Phase::Failed(Failed { then, .. }) = phase {
        if let AfterFailure::GivenUp { .. } = then {
            return "the daemon failed for good, and the run ended";
        }
        if let AfterFailure::RollBackFailed(_) = then {
            return "a roll-back could not go on, and the run ended";
        }
    }
    if let Phase::Running(_) = phase {
        return "the last run was killed with its daemon up";
    }
    "the last run was killed amid this; the next one goes on, or undoes it"
}
