//! The one word for a monitoring script, and what needs a person.

use serde::Serialize;

use super::failures::Held;
use super::report::{DaemonNow, RunNow};
use super::seen::{Room, Seen};
use crate::exit::Exit;
use crate::health::Need;
use crate::machine::{AfterFailure, Failed, Phase, State};

/// With less than this a file system is as good as full.
const FULL_BYTES: u64 = 256 * 1024;

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
        say(format!("{}: {error}", Need::Plan.words("", "", 0)), None);
    }
    for path in &seen.missing_backups {
        let text = format!("the backup {path} is gone, and a roll-back would need it: put it back");
        say(text, Some("nymvisor backups verify".to_owned()));
    }
    for room in seen.room.iter().filter(|room| is_full(room)) {
        let text = format!("no room is left at {} ({})", room.path, room.of.join(", "));
        say(text, Some("nymvisor prune --dry-run".to_owned()));
    }
    if let Some(state) = state {
        of_state(state, &mut say);
    }
    for held in held.iter().filter(|held| held.queued) {
        if let Some(need) = Need::of(held.hold, held.code, held.times) {
            say(need.words(&held.name, &held.text, held.times), Some(held.command.clone()));
        }
    }
    points
}

/// Too little for a record, a log line and a request.
fn is_full(room: &Room) -> bool {
    room.free_bytes.is_some_and(|bytes| bytes < FULL_BYTES) || room.free_inodes == Some(0)
}

fn of_state(state: &State, say: &mut impl FnMut(String, Option<String>)) {
    if !state.recording {
        say(Need::Journal.words("", "", 0), None);
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
