//! What failed, what happens next, and the command that settles it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::past::{Failing, Past};
use crate::cli::check::estimate::human_ms;
use crate::cli::check::version::shown;
use crate::health;
use crate::machine::{
    AfterFailure, Code, Event, Failed, Failure, Hold, Hook, Phase, Restarting, State, Trouble, Wait,
};
use crate::narrate;

/// The last thing that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// Number of its record.
    pub record: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The record's event.
    pub event: &'static str,
    /// What kind; `None` where the daemon ended by itself.
    pub code: Option<Code>,
    /// What, in words.
    pub text: String,
    /// Name of the upgrade, where it was one.
    pub upgrade: Option<String>,
    /// It is over.
    pub settled: bool,
    /// What happened since, or will.
    pub next: String,
    /// What settles it.
    pub command: Option<String>,
}

/// An announcement that failed and is not tried at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Name of the upgrade.
    pub name: String,
    /// SHA-256 (hex) of the announcement.
    pub digest: String,
    /// The plan still has it.
    pub queued: bool,
    /// What it waits for: `pause`, `quarantine`, `await-binary`.
    pub hold: Hold,
    /// Why.
    pub code: Code,
    /// Why, in words.
    pub text: String,
    /// How often it failed in a row.
    pub times: u32,
    /// When a pause is over.
    pub until: Option<DateTime<Utc>>,
    /// What happens next.
    pub next: String,
    /// What settles it.
    pub command: String,
}

impl Held {
    /// A person has cancelled it, and nothing has failed.
    pub(super) fn is_cancelled(&self) -> bool {
        self.code == Code::Cancelled
    }
}

/// What follows a failure.
struct Next {
    settled: bool,
    text: String,
    command: Option<String>,
}

impl Next {
    fn settled(text: impl Into<String>) -> Self {
        Self { settled: true, text: text.into(), command: None }
    }

    fn open(text: impl Into<String>, command: Option<&str>) -> Self {
        Self { settled: false, text: text.into(), command: command.map(str::to_owned) }
    }
}

/// What is held back, oldest first.
pub(super) fn held(state: &State, past: &Past<'_>, runs: bool) -> Vec<Held> {
    let held = state.troubles.iter().filter(|trouble| trouble.hold != Hold::Free);
    held.map(|trouble| {
        let until = until(trouble, past).filter(|_| runs);
        let (next, command) = after_trouble(trouble, until, runs);
        Held {
            name: trouble.name.clone(),
            digest: trouble.digest.clone(),
            queued: health::is_queued(state, trouble),
            hold: trouble.hold,
            code: trouble.failure.code,
            text: trouble.failure.text.clone(),
            times: trouble.times,
            until,
            next,
            command,
        }
    })
    .collect()
}

fn until(trouble: &Trouble, past: &Past<'_>) -> Option<DateTime<Utc>> {
    let key = (trouble.name.clone(), trouble.digest.clone());
    past.pauses.get(&key).copied().filter(|_| trouble.hold == Hold::Pause)
}

/// What happens next, and what settles it.
fn after_trouble(trouble: &Trouble, until: Option<DateTime<Utc>>, runs: bool) -> (String, String) {
    let retry = format!("nymvisor retry {}", trouble.name);
    match trouble.hold {
        Hold::Quarantine if trouble.is_cancelled() => {
            ("not performed by this instance, unless it is retried".to_owned(), retry)
        }
        Hold::Quarantine => {
            ("held back until other content is announced, or it is retried".to_owned(), retry)
        }
        // A session begins without them.
        Hold::Pause | Hold::AwaitBinary | Hold::Free if !runs => {
            ("the next `nymvisor run` tries it at once".to_owned(), "nymvisor run".to_owned())
        }
        Hold::AwaitBinary => (
            "it waits for its binary".to_owned(),
            format!("nymvisor add-upgrade --add-binary --upgrade-name {} <BINARY>", trouble.name),
        ),
        Hold::Pause => {
            let when = until.map_or_else(String::new, |until| format!(" at {}", shown(until)));
            (format!("tried again{when}, after a pause; a retry tries it at once"), retry)
        }
        Hold::Free => ("it is tried again".to_owned(), retry),
    }
}

/// The last failure, with what follows.
pub(super) fn last(past: &Past<'_>, state: &State, runs: bool) -> Option<LastFailure> {
    let failing = past.failing.as_ref()?;
    let next = next(failing, past, state, runs);
    let record = failing.record;
    Some(LastFailure {
        record: record.seq,
        at: record.at,
        event: record.event.name(),
        code: code_in(&record.event),
        text: narrate::event(&record.event, failing.back),
        upgrade: failing.upgrade.clone(),
        settled: next.settled,
        next: next.text,
        command: next.command,
    })
}

fn code_in(event: &Event) -> Option<Code> {
    if let Event::HookEnded { ending, .. } = event {
        return ending.code();
    }
    health::failure(event).map(|failure| failure.code)
}

fn next(failing: &Failing<'_>, past: &Past<'_>, state: &State, runs: bool) -> Next {
    if let Phase::Failed(Failed { then: AfterFailure::RollBackFailed(_), .. }) = &state.phase {
        let text = "the roll-back is not finished, and the daemon stays down; put right what is \
                    named, the next `nymvisor run` goes on";
        return Next::open(text, Some("nymvisor run"));
    }
    let event = &failing.record.event;
    if let Event::JournalFailed { .. } = event {
        return if state.recording {
            Next::settled("it can be written again")
        } else {
            Next::open("upgrades wait until it can be written; see the disk", None)
        };
    }
    if let Event::PlanLost { .. } = event {
        return if state.plan_reads {
            Next::settled("it can be read again")
        } else {
            Next::open("upgrades wait until it can be read; repair upgrade-plan.json", None)
        };
    }
    if let Event::BackupDamaged { .. } = event {
        let text = "no data is put back from it";
        return Next::open(text, Some("nymvisor backups verify"));
    }
    if let Event::WorkFailed { failure, .. } = event {
        return after_work(failing, Some(failure), past, state, runs);
    }
    if let Event::HookEnded { hook: Hook::PreUpgrade, .. } = event {
        return after_work(failing, None, past, state, runs);
    }
    after_end(failing, past, state, runs)
}

/// A preparation or an attempt had failed.
fn after_work(
    failing: &Failing<'_>,
    failure: Option<&Failure>,
    past: &Past<'_>,
    state: &State,
    runs: bool,
) -> Next {
    let name = failing.upgrade.as_deref();
    let is_it = |trouble: &&Trouble| {
        name.map_or(Some(&trouble.failure) == failure, |name| trouble.name == name)
    };
    match state.troubles.iter().rev().find(is_it) {
        Some(trouble) => {
            let until = until(trouble, past).filter(|_| runs);
            let (text, command) = after_trouble(trouble, until, runs);
            Next { settled: false, text, command: Some(command) }
        }
        None if name == Some(state.installed.name.as_str()) => {
            Next::settled("it was performed since")
        }
        None => Next::settled("nothing holds it back any more"),
    }
}

/// The daemon had ended, or could not be started.
fn after_end(failing: &Failing<'_>, past: &Past<'_>, state: &State, runs: bool) -> Next {
    if let Phase::Failed(Failed { then, .. }) = &state.phase {
        if let AfterFailure::GivenUp { .. } = then {
            let text = "it failed for good, and the run ended; the next `nymvisor run` starts it, \
                        and counts its failures anew";
            return Next::open(text, Some("nymvisor run"));
        }
        if let AfterFailure::RollBack(_) = then {
            return Next::open("the version before comes back", None);
        }
    }
    if let Some(at) = past.spawned_at.filter(|at| *at >= failing.record.at) {
        return Next::settled(format!("it was started again at {}", shown(at)));
    }
    if !runs {
        return Next::open("the next `nymvisor run` starts it", Some("nymvisor run"));
    }
    if let Phase::Restarting(Restarting { wait: Wait::Delay { .. }, .. }) = &state.phase {
        let delay = human_ms(state.policy.failure_restart_delay_ms);
        return Next::open(format!("it is started again {delay} after its end"), None);
    }
    Next::open("it is started again", None)
}
