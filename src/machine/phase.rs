//! The nine phases and what each knows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::hook::{Health, Notice};
use super::values::{Announcement, Archive, Binary, Daemon, Ending, Failure, Upgrade, Version};

/// Where the engine stands. Each variant carries what only it needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The daemon is up.
    Running(Running),
    /// The daemon has been asked to end, or has ended and its process group is being cleared.
    Draining(Draining),
    /// The home becomes a sealed archive.
    BackingUp(Attempt),
    /// The upgrade lock is confirmed, or taken.
    Locking(Attempt),
    /// The binary is confirmed to be there, or fetched.
    Downloading(Attempt),
    /// The binary is confirmed to be the one that was checked, or checked.
    Verifying(Attempt),
    /// The version file, then plan, history and link move to the new version.
    Swapping(Swapping),
    /// A start is due: at once, after a delay, or in the next session.
    Restarting(Restarting),
    /// An attempt that had stopped the daemon, or the daemon itself, cannot go on.
    Failed(Failed),
}

/// The daemon is up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub daemon: Daemon,
    /// It has lived through its startup period.
    pub settled: bool,
    /// The check of its health, where it is a new version and has to pass one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// The daemon is on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Draining {
    /// Its process; `None` where none was up to begin with.
    pub daemon: Option<Daemon>,
    /// How far the drain is.
    pub step: DrainStep,
    /// What follows it.
    pub then: AfterDrain,
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainStep {
    /// One SIGINT has been sent; the grace period runs.
    Asked,
    /// SIGKILL has been sent to the whole process group.
    Killing,
    /// The daemon has ended; what is left of its group is being removed.
    Sweeping,
}

/// What follows a drain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterDrain {
    /// The upgrade goes on.
    Upgrade(Attempt),
    /// It did not pass its health check: its start counts as failed.
    FailedStart(Failure),
    /// The run ends; an attempt that had begun is taken up by the next session.
    End(Option<Attempt>),
    /// The daemon was left over by an earlier session; that session's phase is recovered next.
    Recover {
        /// The phase of the session that left it.
        before: Box<Phase>,
        /// A stop was requested meanwhile: the run ends, and the next session recovers.
        stop: bool,
    },
}

/// One try to perform an upgrade, or to roll one back, from its drain on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of the try in this instance; answers that carry another one are stale.
    pub id: u64,
    /// What is performed.
    pub upgrade: Upgrade,
    /// What ran before.
    pub from: Version,
    /// What the plan of the data folder called current when the try began: the plan moves on only
    /// if it still does. `None` where nobody knows: the plan has been written anew since.
    pub plan_current: Option<Announcement>,
    /// The checked binary; `None` until it is (only with preparation switched off).
    pub binary: Option<Binary>,
    /// The sealed backup, once there is one.
    pub backup: Option<Archive>,
    /// How often a crash interrupted it and it was taken up again.
    pub resumed: u32,
    /// Set where `upgrade`, which runs, is not performed but rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
}

/// Where a roll-back leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Back {
    /// The version that runs afterwards.
    pub to: Version,
    /// The backup that the home is put back from; `None` where the data stays as it is.
    pub restore: Option<Archive>,
    /// Why.
    pub why: Failure,
}

impl Attempt {
    /// The version that is installed once it is committed.
    #[must_use]
    pub fn target(&self) -> Version {
        self.back.as_ref().map_or_else(|| self.upgrade.target(), |back| back.to.clone())
    }
}

/// The files move to the new version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Swapping {
    /// What is performed.
    pub attempt: Attempt,
    /// The version file is known to name the new version: there is no way back.
    pub committed: bool,
    /// A stop was requested meanwhile: the swap is finished, then the run ends.
    pub stop: bool,
}

/// A start is due.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Restarting {
    /// What makes it due.
    pub why: Why,
    /// What it waits for.
    pub wait: Wait,
}

/// What makes a start due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A session began.
    SessionStart,
    /// The daemon ended, and restarts are on.
    DaemonEnded,
    /// An upgrade is committed.
    Upgraded,
    /// An attempt failed; the old version comes back.
    AttemptFailed,
    /// A roll-back is committed.
    RolledBack,
    /// A person asked the run to end, or it ended in order.
    OrderlyEnd,
}

/// What a start waits for.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// The delay after a crash, and the end of what is left of the old process group.
    Delay {
        /// Nothing of the old process group is left.
        swept: bool,
        /// The delay is over.
        elapsed: bool,
    },
    /// The pre-start command; the daemon is started once it has said yes.
    PreStart,
    /// The start is ordered; its outcome is awaited.
    Spawning {
        /// A stop was requested meanwhile: the daemon is drained as soon as it is up.
        stop: bool,
    },
    /// Nothing in this session: a clean end rests here.
    Session {
        /// An attempt that the next session takes up.
        resume: Option<Attempt>,
    },
}

/// Something cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failed {
    /// The phase in which it happened.
    pub phase: PhaseName,
    /// Why.
    pub failure: Failure,
    /// How it is left.
    pub then: AfterFailure,
    /// The on-failure command that the end of the run waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// How a failure is left.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// The old version is started again.
    OldVersion {
        /// The attempt that failed.
        attempt: Attempt,
        /// A stop was requested meanwhile: the run ends instead.
        stop: bool,
    },
    /// The daemon failed for good: the run ends.
    GivenUp {
        /// How it ended the last time.
        ending: Ending,
    },
    /// The new version failed its start: it is rolled back once its process group is gone.
    RollBack(Attempt),
    /// A roll-back could not go on: the run ends, and the next session takes it up. What may be
    /// half restored is not started.
    RollBackFailed(Attempt),
}

/// A phase without its data, as records name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PhaseName {
    /// See [`Phase::Running`].
    Running,
    /// See [`Phase::Draining`].
    Draining,
    /// See [`Phase::BackingUp`].
    BackingUp,
    /// See [`Phase::Locking`].
    Locking,
    /// See [`Phase::Downloading`].
    Downloading,
    /// See [`Phase::Verifying`].
    Verifying,
    /// See [`Phase::Swapping`].
    Swapping,
    /// See [`Phase::Restarting`].
    Restarting,
    /// See [`Phase::Failed`].
    Failed,
}

impl PhaseName {
    /// All phases, in the order in which an upgrade goes through them.
    pub const ALL: [Self; 9] = [
        Self::Running,
        Self::Draining,
        Self::BackingUp,
        Self::Locking,
        Self::Downloading,
        Self::Verifying,
        Self::Swapping,
        Self::Restarting,
        Self::Failed,
    ];
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "Running",
            Self::Draining => "Draining",
            Self::BackingUp => "BackingUp",
            Self::Locking => "Locking",
            Self::Downloading => "Downloading",
            Self::Verifying => "Verifying",
            Self::Swapping => "Swapping",
            Self::Restarting => "Restarting",
            Self::Failed => "Failed",
        })
    }
}

impl Phase {
    /// The phase without its data.
    #[must_use]
    pub fn name(&self) -> PhaseName {
        match self {
            Self::Running(_) => PhaseName::Running,
            Self::Draining(_) => PhaseName::Draining,
            Self::BackingUp(_) => PhaseName::BackingUp,
            Self::Locking(_) => PhaseName::Locking,
            Self::Downloading(_) => PhaseName::Downloading,
            Self::Verifying(_) => PhaseName::Verifying,
            Self::Swapping(_) => PhaseName::Swapping,
            Self::Restarting(_) => PhaseName::Restarting,
            Self::Failed(_) => PhaseName::Failed,
        }
    }

    /// The attempt that is under way, or rests, where it is a roll-back.
    #[must_use]
    pub fn roll_back(&self) -> Option<&Attempt> {
        self.attempt().filter(|attempt| attempt.back.is_some())
    }

    /// The attempt that is under way, or that rests until the next session.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::BackingUp(attempt)
            | Self::Locking(attempt)
            | Self::Downloading(attempt)
            | Self::Verifying(attempt)
            | Self::Swapping(Swapping { attempt, .. }) => Some(attempt),
            Self::Draining(Draining { then, .. }) => match then {
                AfterDrain::Upgrade(attempt) => Some(attempt),
                AfterDrain::FailedStart(_) => None,
                AfterDrain::End(resume) => resume.as_ref(),
                AfterDrain::Recover { before, .. } => before.attempt(),
            },
            Self::Restarting(Restarting { wait, .. }) => match wait {
                Wait::Session { resume } => resume.as_ref(),
                Wait::Delay { .. } | Wait::PreStart | Wait::Spawning { .. } => None,
            },
            Self::Failed(Failed { then, .. }) => match then {
                AfterFailure::OldVersion { attempt, .. }
                | AfterFailure::RollBack(attempt)
                | AfterFailure::RollBackFailed(attempt) => Some(attempt),
                AfterFailure::GivenUp { .. } => None,
            },
            Self::Running(_) => None,
        }
    }
}
