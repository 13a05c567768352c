//! What an upgrade waits for besides its preparation: its time, a person, a maintenance window.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::failures::Held;
use super::seen::Seen;
use crate::cli::check::version::shown;
use crate::config::{Moment, Windows};
use crate::machine::{Hold, Requester, State, Upgrade};

/// A person wants no upgrade to stop the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldNow {
    /// Who.
    pub requester: Requester,
    /// Until when; `None` is until it is released.
    pub until: Option<DateTime<Utc>>,
}

/// The maintenance windows, where there are any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowsNow {
    /// As the configuration has them.
    pub windows: String,
    /// One is open.
    pub open: bool,
    /// When it closes, or the next one opens.
    pub changes_at: Option<DateTime<Utc>>,
}

/// One thing that an upgrade waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// What, for programs: `time`, `cancelled`, `quarantine`, `pause`, `await-binary`, `hold`,
    /// `window`.
    pub what: &'static str,
    /// In words.
    pub text: String,
    /// When it is over; `None` where nobody knows.
    pub until: Option<DateTime<Utc>>,
    /// The command that changes it.
    pub command: String,
}

/// When an upgrade may stop the daemon, and what it waits for until then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outlook {
    pub(super) waits: Vec<Waits>,
    /// Not before this; `None` where something is to be settled by a person first.
    pub(super) earliest_at: Option<DateTime<Utc>>,
}

/// A hold whose time is over by now is none, also where no `run` has seen that.
pub(super) fn hold(state: &State, now: DateTime<Utc>) -> Option<HoldNow> {
    let holding = state.holding.as_ref()?;
    let is_over = holding.until.is_some_and(|until| until <= now);
    let (requester, until) = (holding.requester.clone(), holding.until);
    (!is_over).then_some(HoldNow { requester, until })
}

pub(super) fn windows(seen: &Seen) -> Option<WindowsNow> {
    let windows = seen.windows.as_ref()?;
    let (open, changes_at) = match windows.at(seen.now) {
        Moment::Open { closes_at } => (true, closes_at),
        Moment::Closed { opens_at } => (false, opens_at),
    };
    Some(WindowsNow { windows: windows.to_string(), open, changes_at })
}

/// Whose hold, and until when.
pub(super) fn hold_in_words(hold: &HoldNow) -> String {
    let end = hold.until.map_or_else(|| " until it is released".to_owned(), until);
    format!("held by {}{end}", hold.requester.in_words())
}

fn until(at: DateTime<Utc>) -> String {
    format!(" until {}", shown(at))
}

/// What `upgrade` waits for, one after the other.
pub(super) fn outlook(
    upgrade: &Upgrade,
    state: &State,
    held: Option<&Held>,
    seen: &Seen,
) -> Outlook {
    let name = &upgrade.name;
    let mut found = Outlook { waits: Vec::new(), earliest_at: Some(upgrade.due_at.max(seen.now)) };
    if upgrade.due_at > seen.now {
        found.add(Waits {
            what: "time",
            text: format!("due at {}", shown(upgrade.due_at)),
            until: Some(upgrade.due_at),
            command: format!("nymvisor upgrades reschedule {name} --now"),
        });
    }
    if let Some(held) = held.filter(|held| held.hold != Hold::Free) {
        found.add(Waits {
            what: what(held),
            text: held.text.clone(),
            until: held.until,
            command: held.command.clone(),
        });
    }
    if let Some(hold) = hold(state, seen.now) {
        found.add(Waits {
            what: "hold",
            text: hold_in_words(&hold),
            until: hold.until,
            command: "nymvisor upgrades release".to_owned(),
        });
    }
    let ignores = upgrade.rescheduled.as_ref().is_some_and(|wish| wish.ignores_windows);
    if let Some(windows) = seen.windows.as_ref().filter(|_| !ignores) {
        found.wait_for_window(windows, name, seen.now);
    }
    found
}

/// What kind of failure, or whose word, holds it back.
fn what(held: &Held) -> &'static str {
    match held.hold {
        Hold::Quarantine if held.is_cancelled() => "cancelled",
        Hold::Quarantine => "quarantine",
        Hold::Pause => "pause",
        Hold::AwaitBinary => "await-binary",
        Hold::Free => "",
    }
}

impl Outlook {
    fn add(&mut self, waits: Waits) {
        let until = waits.until;
        self.earliest_at = self.earliest_at.and_then(|earliest| Some(until?.max(earliest)));
        self.waits.push(waits);
    }

    /// The window in which everything else is over, or that is to come now.
    fn wait_for_window(&mut self, windows: &Windows, name: &str, now: DateTime<Utc>) {
        // Where a person has to settle something first: not before all else is over.
        let ends = self.waits.iter().filter_map(|waits| waits.until);
        let from = self.earliest_at.unwrap_or_else(|| ends.fold(now, DateTime::max));
        let Moment::Closed { opens_at } = windows.at(from) else { return };
        let text = match opens_at {
            Some(opens_at) => format!("the maintenance window opens at {}", shown(opens_at)),
            None => "no maintenance window opens".to_owned(),
        };
        let command = format!("nymvisor upgrades reschedule {name} --now --ignore-windows");
        let waits = Waits { what: "window", text, until: opens_at, command };
        self.earliest_at = self.earliest_at.and(opens_at);
        self.waits.push(waits);
    }
}
