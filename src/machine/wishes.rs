//! What persons wish of the queue, and the windows in which an upgrade may stop the daemon.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::{Hold, State, Trouble};
use super::values::{Code, Requester, Upgrade};

/// A person wants no upgrade to stop the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// Until when; `None` is until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Who wants it.
    pub requester: Requester,
}

/// What the calendar says of the maintenance windows, as it was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// It is asked for, and nothing is told yet.
    Asked,
    /// An upgrade may stop the daemon.
    Open {
        /// When it closes; `None` where windows follow each other without an end.
        closes_at: Option<DateTime<Utc>>,
    },
    /// No upgrade may stop the daemon.
    Closed {
        /// When the next one opens.
        opens_at: Option<DateTime<Utc>>,
    },
}

/// What keeps an upgrade that is ready and due from stopping the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBack {
    /// A person's hold.
    Hold,
    /// No maintenance window is open.
    Window,
    /// Its pre-upgrade command has put it off.
    Command,
}

/// What must outlive the journal: it is kept beside it as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Wishes {
    /// The hold, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<Holding>,
    /// What was cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<Trouble>,
}

impl Wishes {
    /// There are none.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.holding.is_none() && self.cancelled.is_empty()
    }
}

impl Requester {
    /// Who it is, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Command { user, .. } => format!("the user {user}"),
            Self::Upstream { url } => url.clone(),
            Self::Plan => "the plan".to_owned(),
        }
    }
}

impl State {
    /// What keeps `upgrade` from stopping the daemon, once it is ready and due.
    #[must_use]
    pub fn kept_back(&self, upgrade: &Upgrade) -> Option<KeptBack> {
        if self.holding.is_some() {
            return Some(KeptBack::Hold);
        }
        let ignores = upgrade.rescheduled.as_ref().is_some_and(|wish| wish.ignores_windows);
        let is_open = matches!(self.window, Some(Window::Open { .. }));
        let waits = self.policy.keeps_windows && !ignores && !is_open;
        if waits {
            return Some(KeptBack::Window);
        }
        self.is_put_off(upgrade).then_some(KeptBack::Command)
    }

    /// Whether the pre-upgrade command has put `upgrade` off, and the pause is not over.
    #[must_use]
    pub fn is_put_off(&self, upgrade: &Upgrade) -> bool {
        let said_so = |trouble: &Trouble| {
            let is_command = matches!(trouble.failure.code, Code::HookPostponed | Code::HookFailed);
            trouble.hold == Hold::Pause && is_command
        };
        self.policy.hooks.per_stop && self.trouble_with(upgrade).is_some_and(said_so)
    }

    /// What must outlive the journal.
    #[must_use]
    pub fn wishes(&self) -> Wishes {
        let cancelled = self.troubles.iter().filter(|trouble| trouble.is_cancelled());
        Wishes { holding: self.holding.clone(), cancelled: cancelled.cloned().collect() }
    }
}

impl Trouble {
    /// A person has cancelled it, and nothing has failed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.failure.code == Code::Cancelled
    }

    /// It is held back by a person's word: cancelled, or rolled back.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        matches!(self.failure.code, Code::Cancelled | Code::RolledBack)
    }
}
