//! Where the engine stands, in a line that a person reads in `systemctl status`.

use crate::machine::{
    AfterDrain, AfterFailure, Attempt, Candidate, Code, DrainStep, Health, KeptBack, Phase,
    Restarting, Stage, State, Version, Wait,
};

/// What a service manager wants to know of a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The daemon is up.
    pub is_up: bool,
    /// The run is about to end.
    pub is_ending: bool,
    /// What is left takes moments, or hangs: the daemon has been sent SIGKILL, or has ended.
    pub is_last: bool,
    /// All of that in one line.
    pub status: String,
}

impl Standing {
    /// What there is to tell of this state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        if state.recovering {
            let status = "Starting: looking at what the last session left".to_owned();
            return Self { status, ..Self::default() };
        }
        let phase = &state.phase;
        Self {
            is_up: matches!(phase, Phase::Running(_)),
            is_ending: is_ending(phase),
            is_last: is_last(phase),
            // One line, whatever a hand-edited plan has for a name.
            status: words(state).replace(char::is_control, " "),
        }
    }

    /// Whether the manager's time-out for the start, or for the stop, is running, and we go on.
    #[must_use]
    pub fn needs_time(&self, is_ready: bool, is_stopping: bool) -> bool {
        if is_stopping { !self.is_last } else { !is_ready }
    }
}

/// Whether what is left of a run that ends takes moments, or hangs.
fn is_last(phase: &Phase) -> bool {
    match phase {
        Phase::Draining(draining) => draining.step != DrainStep::Asked,
        Phase::Restarting(restarting) => matches!(restarting.wait, Wait::Session { .. }),
        Phase::Failed(failed) => {
            let then = &failed.then;
            failed.notice.is_none()
                && matches!(then, AfterFailure::GivenUp { .. } | AfterFailure::RollBackFailed(_))
        }
        Phase::Running(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Swapping(_) => false,
    }
}

/// Whether nothing but the end of the run can follow.
fn is_ending(phase: &Phase) -> bool {
    match phase {
        Phase::Running(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_) => false,
        Phase::Draining(draining) => match &draining.then {
            AfterDrain::End(_) => true,
            AfterDrain::Recover { stop, .. } => *stop,
            AfterDrain::Upgrade(_) | AfterDrain::FailedStart(_) => false,
        },
        Phase::Swapping(swapping) => swapping.stop,
        Phase::Restarting(Restarting { wait, .. }) => match wait {
            Wait::Session { .. } => true,
            Wait::Spawning { stop } => *stop,
            Wait::Delay { .. } | Wait::PreStart => false,
        },
        Phase::Failed(failed) => match &failed.then {
            AfterFailure::OldVersion { stop, .. } => *stop,
            AfterFailure::GivenUp { .. } | AfterFailure::RollBackFailed(_) => true,
            AfterFailure::RollBack(_) => false,
        },
    }
}

fn words(state: &State) -> String {
    let installed = version(&state.installed);
    match &state.phase {
        Phase::Running(running) => {
            let health = match running.health {
                Some(Health::Awaited | Health::Overdue) => ", health check awaited",
                Some(Health::Passed) | None => "",
            };
            format!("Running {installed}, pid {}{health}{}", running.daemon.pid, ahead(state))
        }
        Phase::Draining(draining) => {
            let pid = draining.daemon.map(|daemon| format!(", pid {}", daemon.pid));
            let daemon = format!("the daemon{}", pid.unwrap_or_default());
            let what = match draining.step {
                DrainStep::Asked => format!("{daemon}, is asked to end"),
                DrainStep::Killing => format!("{daemon}, is killed"),
                DrainStep::Sweeping => format!("{daemon}, has ended"),
            };
            match &draining.then {
                AfterDrain::Upgrade(attempt) => format!("{}: {what}", doing(attempt)),
                AfterDrain::FailedStart(_) => {
                    format!("{installed} did not pass its health check: {what}")
                }
                AfterDrain::End(_) => format!("Stopping: {what}"),
                AfterDrain::Recover { stop: true, .. } => {
                    format!("Stopping: {what} (of an earlier session)")
                }
                AfterDrain::Recover { stop: false, .. } => {
                    format!("Starting: {what} (of an earlier session)")
                }
            }
        }
        Phase::BackingUp(attempt) if attempt.back.is_some() => {
            format!("{}: putting the data back", doing(attempt))
        }
        Phase::BackingUp(attempt) => format!("{}: backing up", doing(attempt)),
        Phase::Locking(attempt) => format!("{}: taking the upgrade lock", doing(attempt)),
        Phase::Downloading(attempt) => format!("{}: getting the binary", doing(attempt)),
        Phase::Verifying(attempt) => format!("{}: checking the binary", doing(attempt)),
        Phase::Swapping(swapping) => format!("{}: moving the files", doing(&swapping.attempt)),
        Phase::Restarting(restarting) => match restarting.wait {
            Wait::Delay { .. } => format!("{installed} has ended, and is started again"),
            Wait::PreStart => format!("Starting {installed}: the pre-start command runs"),
            Wait::Spawning { .. } => format!("Starting {installed}"),
            Wait::Session { .. } => "Stopped".to_owned(),
        },
        Phase::Failed(failed) => {
            let (phase, code) = (failed.phase, word(failed.failure.code));
            match &failed.then {
                AfterFailure::OldVersion { attempt, .. } => {
                    format!("{} failed in {phase} [{code}], {installed} comes back", doing(attempt))
                }
                AfterFailure::RollBack(attempt) => {
                    format!("{} [{code}]: {installed} failed its start", doing(attempt))
                }
                AfterFailure::RollBackFailed(attempt) => {
                    format!("{} could not go on [{code}]; the log says what to do", doing(attempt))
                }
                AfterFailure::GivenUp { .. } => format!("{installed} failed for good [{code}]"),
            }
        }
    }
}

/// What comes next, or what keeps it from coming.
fn ahead(state: &State) -> String {
    let mut text = match &state.candidate {
        Some(candidate) => format!("; {}", coming(candidate)),
        None => match state.next_upgrade() {
            Some(next) => format!("; {} due {}", next.name, at(next.due_at)),
            None => held(state),
        },
    };
    let candidate = state.candidate.as_ref();
    text.push_str(match candidate.and_then(|candidate| state.kept_back(&candidate.upgrade)) {
        Some(KeptBack::Hold) => ", held by a person",
        Some(KeptBack::Window) => ", waits for a maintenance window",
        Some(KeptBack::Command) => ", put off by the pre-upgrade command",
        None => "",
    });
    if !state.recording {
        text.push_str("; the journal can't be written, upgrades wait");
    }
    if !state.plan_reads {
        text.push_str("; the plan can't be read, upgrades wait");
    }
    text
}

fn coming(candidate: &Candidate) -> String {
    let stage = match candidate.stage {
        Stage::Fetching => "fetching it",
        Stage::Checking => "checking it",
        Stage::Sizing(_) => "looking for room",
        Stage::Copying(_) => "copying the home",
        Stage::Ready(_) => "ready",
        Stage::Hooking(_) => "the pre-upgrade command runs",
        Stage::Refreshing(_) => "copying what changed",
        Stage::Locking(_) => "taking the upgrade lock",
        Stage::Locked(_) => "about to begin",
    };
    format!("{} due {}, {stage}", candidate.upgrade.name, at(candidate.upgrade.due_at))
}

/// The first queued upgrade that an earlier failure holds back.
fn held(state: &State) -> String {
    let mut entries = state.queue.entries.iter().filter(|entry| state.is_held(entry));
    let held = entries.find_map(|entry| state.trouble_with(entry));
    let held = held
        .map(|trouble| format!("; {} is held back [{}]", trouble.name, word(trouble.failure.code)));
    held.unwrap_or_default()
}

fn doing(attempt: &Attempt) -> String {
    let what = if attempt.back.is_some() { "Roll-back to" } else { "Upgrade to" };
    format!("{what} {}", version(&attempt.target()))
}

fn version(version: &Version) -> String {
    format!("{} ({})", version.name, version.version)
}

fn at(time: chrono::DateTime<chrono::Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A failure's code as the journal has it.
fn word(code: Code) -> String {
    let code = serde_json::to_value(code).unwrap_or_default();
    code.as_str().unwrap_or_default().to_owned()
}
