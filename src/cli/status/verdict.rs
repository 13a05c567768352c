//! The one word for a monitoring script, and what needs a person.

use serde::Serialize;

use super::failures::Held;
use super::report::{DaemonNow, RunNow};
use super::seen::Seen;
use crate::exit::Exit;
use crate::machine::{AfterFailure, Code, Failed, Hold, Phase, State};

/// So many failures in a row of what is only paused are more than a hiccup.
const TIMES_MAX: u32 = 3;

/// How the instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// `run` is up, the daemon runs, and nothing needs a person.
    Ok,
    /// `run` is up, and the daemon is down.
    Down,
    /// `run` is not up.
    NotRunning,
    /// The daemon runs, and something needs a person.
    Attention,
    /// It can't be told.
    Unknown,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// What.
    pub text: String,
    /// What settles it.
    pub command: Option<String>,
}

impl Verdict {
    /// The exit status that tells it.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Done,
            Self::Down => Exit::StatusDown,
            Self::NotRunning => Exit::StatusNotUp,
            Self::Attention => Exit::StatusAttention,
            Self::Unknown => Exit::StatusUnknown,
        }
    }

    /// The gravest first.
    pub(super) fn of(seen: &Seen, run: &RunNow, daemon: &DaemonNow, points: &[Point]) -> Self {
        let is_told = seen.damage.is_none() && (seen.state.is_some() || !run.begun);
        match (run.up, daemon.up) {
            (None, _) => Self::Unknown,
            (Some(false), _) => Self::NotRunning,
            (Some(true), _) if !is_told => Self::Unknown,
            (Some(true), false) => Self::Down,
            (Some(true), true) if points.is_empty() => Self::Ok,
            (Some(true), true) => Self::Attention,
        }
    }
}

/// Everything that waits for a person.
pub(super) fn points(seen: &Seen, state: Option<&State>, held: &[Held]) -> Vec<Point> {
    let mut points = Vec::new();
    let mut say = |text: String, command: Option<String>| points.push(Point { text, command });
    if let Some(damage) = &seen.damage {
        let text = format!("the journal is damaged: {damage}; the next `nymvisor run` mends it");
        say(text, Some("nymvisor journal verify".to_owned()));
    }
    if let Some(text) = &seen.half_restored {
        say(text.clone(), None);
    }
    if let Err(error) = &seen.installed {
        say(format!("the installed version can't be told: {error}"), None);
    }
    if let Err(error) = &seen.queue {
        say(format!("the plan can't be used, and no upgrade begins: {error}"), None);
    }
    if let Some(state) = state {
        of_state(state, &mut say);
    }
    for held in held.iter().filter(|held| held.queued && needs_a_person(held)) {
        let text = match held.hold {
            Hold::Quarantine => format!("{} is quarantined: {}", held.name, held.text),
            Hold::AwaitBinary => format!("{} waits for its binary", held.name),
            Hold::Pause | Hold::Free => {
                format!("{} failed {} times: {}", held.name, held.times, held.text)
            }
        };
        say(text, Some(held.command.clone()));
    }
    points
}

fn of_state(state: &State, say: &mut impl FnMut(String, Option<String>)) {
    if !state.recording {
        let text = "the journal can't be written, and upgrades wait: see its disk";
        say(text.to_owned(), None);
    }
    let Phase::Failed(Failed { then, failure, .. }) = &state.phase else { return };
    let text = match then {
        AfterFailure::GivenUp { .. } => {
            format!("the daemon failed for good, and the run ended: {}", failure.text)
        }
        AfterFailure::RollBackFailed(_) => format!(
            "a roll-back is not finished, and the data may be half restored: {}; don't start the \
             daemon by hand",
            failure.text
        ),
        AfterFailure::OldVersion { .. } | AfterFailure::RollBack(_) => return,
    };
    say(text, Some("nymvisor run".to_owned()));
}

/// What a person has rolled back or cancelled is held back at that person's word.
fn needs_a_person(held: &Held) -> bool {
    match held.hold {
        Hold::Quarantine => held.code != Code::RolledBack && !held.is_cancelled(),
        Hold::AwaitBinary => true,
        Hold::Pause => held.times >= TIMES_MAX,
        Hold::Free => false,
    }
}
