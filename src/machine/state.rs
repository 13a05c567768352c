//! The whole state: the phase, and what outlives phases.

use serde::{Deserialize, Serialize};

use super::order::{Order, compare};
use super::phase::{Phase, Restarting, Wait, Why};
use super::values::{Announcement, Archive, Binary, Failure, Policy, Upgrade, Version, is_off};
use super::wishes::{Holding, Window};

/// Everything that decisions rest on. Two engines with equal states decide alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// Where the engine stands.
    pub phase: Phase,
    /// A session began and what it found is not yet known: `phase` is the last one's.
    pub recovering: bool,
    /// The journal can be written. While it can't, no upgrade begins.
    pub recording: bool,
    /// The plan can be read. While it can't, nobody knows what it asks for, and no upgrade begins.
    pub plan_reads: bool,
    /// The settings of this session.
    pub policy: Policy,
    /// The version that this instance's version file names.
    pub installed: Version,
    /// The plan of the data folder as it was last read.
    pub queue: Queue,
    /// The upgrade that is being prepared, or that waits for its time.
    pub candidate: Option<Candidate>,
    /// Upgrades that failed, or that a person doesn't want, and are not tried at present; oldest
    /// first, about [`State::TROUBLES_MAX`] at most.
    pub troubles: Vec<Trouble>,
    /// Startup failures in a row.
    pub startup_failures: u32,
    /// Number of the last preparation or attempt.
    pub last_attempt: u64,
    /// Backups that nobody needs, found out while no record could order their removal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unneeded: Vec<Archive>,
    /// The upgrade that was performed last and not rolled back, where it was this instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performed: Option<Performed>,
    /// The last roll-back, until the plan is seen to have followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
    /// A person wants no upgrade to stop the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<Holding>,
    /// The maintenance windows, while an upgrade waits for one; `None` where nobody asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// An upgrade that was performed, with what a roll-back of it needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Performed {
    /// What was performed.
    pub upgrade: Upgrade,
    /// What ran before.
    pub from: Version,
    /// The backup of the home as that version left it; `None` where backups were switched off.
    pub backup: Option<Archive>,
    /// It has once lived through a startup period: it is never rolled back by itself any more.
    pub lived: bool,
    /// The post-upgrade command was run for it.
    #[serde(default, skip_serializing_if = "is_off")]
    pub told: bool,
}

/// An upgrade that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Undone {
    /// What was rolled back.
    pub upgrade: Upgrade,
    /// To what.
    pub to: Version,
}

/// The plan of the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Queue {
    /// What the plan calls current. Another instance may have moved it on.
    pub current: Option<Upgrade>,
    /// What is queued, by time and then by version.
    pub entries: Vec<Upgrade>,
    /// Names that were performed in this data folder at any time.
    pub performed: Vec<String>,
    /// Names of queued upgrades whose binary lies in its place, checked or not.
    pub in_place: Vec<String>,
}

/// The upgrade that comes next, and how far its preparation is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// Number of the preparation, and of the attempt that follows it.
    pub id: u64,
    /// What is prepared.
    pub upgrade: Upgrade,
    /// Its time has been seen to come; no clock takes that back, but a new time does.
    pub due: bool,
    /// How far it is.
    pub stage: Stage,
    /// The pre-upgrade command has said yes, in this session.
    #[serde(default, skip_serializing_if = "is_off")]
    pub hooked: bool,
}

/// How far a preparation is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The binary is being fetched, or the one in place digested.
    Fetching,
    /// Its build info is being asked and compared.
    Checking,
    /// Room for the backup is being looked for; `None` where nothing else is prepared.
    Sizing(Option<Binary>),
    /// The home is being copied into the backup.
    Copying(Binary),
    /// All that can be done ahead of the due time is done; `None` with preparation switched off.
    Ready(Option<Binary>),
    /// It is due, and the pre-upgrade command runs.
    Hooking(Option<Binary>),
    /// It is due, and what changed in the home since is being copied.
    Refreshing(Binary),
    /// It is due, and the upgrade lock is being taken.
    Locking(Binary),
    /// The lock is held: the drain is next.
    Locked(Binary),
}

/// An upgrade that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trouble {
    /// Name of the upgrade.
    pub name: String,
    /// Digest of its announcement.
    pub digest: String,
    /// Why it failed the last time.
    pub failure: Failure,
    /// How often in a row, in this session.
    pub times: u32,
    /// What it waits for.
    pub hold: Hold,
}

/// What a failed upgrade waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Nothing: it may be tried again.
    Free,
    /// The end of a pause, or a new session.
    Pause,
    /// Other content under its name, or `retry`.
    Quarantine,
    /// A binary in its place.
    AwaitBinary,
}

impl Queue {
    /// Whether the plan is to move on to `upgrade`, which one instance of the data folder has
    /// committed in an attempt that began when the plan called `before` current.
    ///
    /// Another instance may have moved the plan on meanwhile, and by more than one upgrade: it is
    /// never put back. Only what is still queued, and not superseded, is news to it then.
    #[must_use]
    pub fn is_moved_by(&self, upgrade: &Upgrade, before: Option<&Announcement>) -> bool {
        let Some(current) = &self.current else { return true };
        let is_as_before = before.is_none_or(|before| current.announcement() == *before);
        let is_news = |entry: &Upgrade| entry.is(upgrade) && !entry.is_superseded_by(current);
        current.name != upgrade.name && (is_as_before || self.entries.iter().any(is_news))
    }
}

impl State {
    /// How many troubles are remembered. Of failures the oldest are forgotten first; what a person
    /// has decided stays, and of cancellations no more are taken.
    pub const TROUBLES_MAX: usize = 64;

    /// How many failures are remembered however many decisions there are: what is forgotten is
    /// tried again without a pause.
    pub const FAILURES_MIN: usize = 16;

    /// The state of an instance that has never run.
    #[must_use]
    pub fn initial(installed: Version, policy: Policy) -> Self {
        Self {
            phase: Phase::Restarting(Restarting {
                why: Why::SessionStart,
                wait: Wait::Session { resume: None },
            }),
            recovering: false,
            recording: true,
            plan_reads: true,
            policy,
            installed,
            queue: Queue::default(),
            candidate: None,
            troubles: Vec::new(),
            startup_failures: 0,
            last_attempt: 0,
            unneeded: Vec::new(),
            performed: None,
            undone: None,
            holding: None,
            window: None,
        }
    }

    /// The upgrade that this instance should prepare now, if any: the first that is newer than
    /// what it runs (or allowed not to be) and that nothing holds back. Where another instance of
    /// the data folder is ahead, what that one runs comes first. What its pre-upgrade command has
    /// put off keeps its turn, and what is prepared.
    #[must_use]
    pub fn next_upgrade(&self) -> Option<&Upgrade> {
        let current = self.queue.current.iter().filter(|_| !self.is_ahead_of_plan());
        current
            .chain(&self.queue.entries)
            .find(|it| self.wants(it) && (!self.is_held(it) || self.is_put_off(it)))
    }

    /// Whether history, plan and link have not followed what this instance has committed: they
    /// could not be moved then, and what the plan calls current may be of the past.
    #[must_use]
    pub fn is_ahead_of_plan(&self) -> bool {
        self.unmoved().is_some()
    }

    /// What this instance has committed and the plan still queues, or the history doesn't name.
    /// What another instance has superseded since is of the past, queued or not.
    #[must_use]
    pub fn unmoved(&self) -> Option<&Upgrade> {
        let current = self.queue.current.as_ref();
        let superseded =
            |entry: &Upgrade| current.is_some_and(|current| entry.is_superseded_by(current));
        let mut entries = self.queue.entries.iter();
        let queued = entries.find(|entry| entry.name == self.installed.name && !superseded(entry));
        queued.or_else(|| self.unnamed())
    }

    /// What this instance has performed and the plan, which no longer queues it, does not follow:
    /// one that was lost meanwhile, and written anew, or that a person took it out of. The history
    /// does not name it, or names it last.
    fn unnamed(&self) -> Option<&Upgrade> {
        let upgrade = &self.last_performed()?.upgrade;
        let current = self.queue.current.as_ref()?;
        let is_current = current.name == upgrade.name;
        let leads_on = is_current || compare(&upgrade.version, &current.version) == Order::Newer;
        let performed = &self.queue.performed;
        let unnamed = leads_on && !performed.contains(&upgrade.name);
        let unfollowed = !is_current && performed.last() == Some(&upgrade.name);
        (unnamed || unfollowed).then_some(upgrade)
    }

    /// Whether `upgrade` would move this instance on.
    fn wants(&self, upgrade: &Upgrade) -> bool {
        if upgrade.name == self.installed.name {
            return false;
        }
        match compare(&upgrade.version, &self.installed.version) {
            Order::Newer => true,
            Order::Same | Order::Older | Order::Unknown => upgrade.allow_downgrade,
        }
    }

    /// Whether an earlier failure of the same announcement holds `upgrade` back.
    #[must_use]
    pub fn is_held(&self, upgrade: &Upgrade) -> bool {
        self.trouble_with(upgrade).is_some_and(|trouble| trouble.hold != Hold::Free)
    }

    /// What is remembered of earlier failures of the same announcement.
    #[must_use]
    pub fn trouble_with(&self, upgrade: &Upgrade) -> Option<&Trouble> {
        self.troubles
            .iter()
            .find(|trouble| trouble.name == upgrade.name && trouble.digest == upgrade.digest)
    }

    /// The upgrade that brought what is installed, if this instance performed it.
    #[must_use]
    pub fn last_performed(&self) -> Option<&Performed> {
        self.performed.as_ref().filter(|last| last.upgrade.target() == self.installed)
    }

    /// The backups that a roll-back could ask for: that of the last upgrade, whether or not it may
    /// still be rolled back by itself, and those of an attempt under way.
    pub fn needed_backups(&self) -> impl Iterator<Item = &Archive> {
        let performed = self.performed.iter().filter_map(|last| last.backup.as_ref());
        let under_way = self.phase.attempt();
        let made = under_way.and_then(|attempt| attempt.backup.as_ref());
        let restored = under_way.and_then(|attempt| attempt.back.as_ref()?.restore.as_ref());
        performed.chain(made).chain(restored)
    }

    /// The roll-back that history, plan and link have not followed yet, if there is one.
    #[must_use]
    pub fn left_to_move_back(&self) -> Option<&Undone> {
        let current = self.queue.current.as_ref();
        self.undone.as_ref().filter(|undone| {
            undone.to == self.installed
                && current.is_some_and(|current| current.name == undone.upgrade.name)
        })
    }

    /// Names of queued upgrades at or below what the data folder's plan calls current.
    #[must_use]
    pub fn superseded(&self) -> Vec<String> {
        let Some(current) = &self.queue.current else { return Vec::new() };
        self.queue
            .entries
            .iter()
            .filter(|entry| entry.name == current.name || entry.is_superseded_by(current))
            .map(|entry| entry.name.clone())
            .collect()
    }
}

impl Upgrade {
    fn is_superseded_by(&self, current: &Self) -> bool {
        !self.allow_downgrade
            && matches!(compare(&self.version, &current.version), Order::Same | Order::Older)
    }
}
