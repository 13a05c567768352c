//! The operator's commands that run at certain points, and the check of a new version's health.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::phase::PhaseName;
use super::values::{Archive, Code, Failure, Upgrade, Version, is_off};

/// A point at which a command of the operator's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// An upgrade is due and prepared, and the old daemon is still up.
    PreUpgrade,
    /// The daemon is about to be started.
    PreStart,
    /// A new version is up, and healthy where that is checked.
    PostUpgrade,
    /// An upgrade, a start or a roll-back has failed.
    OnFailure,
}

/// The points at which there is a command, and by which rules it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration file")]
pub struct Hooks {
    /// See [`Hook::PreUpgrade`].
    #[serde(default, skip_serializing_if = "is_off")]
    pub pre_upgrade: bool,
    /// What that command says is of one stop: where it puts that off, what is prepared stays so;
    /// and a yes is for no stop that comes after a wait. Sessions on record may be without it.
    #[serde(default, skip_serializing_if = "is_off")]
    pub per_stop: bool,
    /// See [`Hook::PreStart`].
    #[serde(default, skip_serializing_if = "is_off")]
    pub pre_start: bool,
    /// See [`Hook::PostUpgrade`].
    #[serde(default, skip_serializing_if = "is_off")]
    pub post_upgrade: bool,
    /// See [`Hook::OnFailure`].
    #[serde(default, skip_serializing_if = "is_off")]
    pub on_failure: bool,
}

/// What one run of a command is about; it becomes its environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HookCall {
    /// At which point.
    pub hook: Hook,
    /// The preparation or attempt that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The phase; for [`Hook::OnFailure`] the one in which it failed.
    pub phase: PhaseName,
    /// The upgrade that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// What ran before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// What is to run, or runs.
    pub to: Version,
    /// The backup of the home as `from` left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Archive>,
    /// What failed, for [`Hook::OnFailure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Aftermath>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aftermath {
    /// The daemon runs on; the upgrade is not tried again by itself.
    Held,
    /// The old version is started again.
    OldVersion,
    /// The new version is rolled back.
    RollBack,
    /// The daemon stays down, and the run ends.
    GivenUp,
    /// The roll-back can't go on: the daemon stays down, and the run ends.
    RollBackFailed,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEnding {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It was ended, for it took too long.
    TimedOut,
    /// It could not be started at all.
    NeverStarted,
}

/// What a command says by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on: status 0, or 1 for "not supported".
    GoOn,
    /// Don't: status 30.
    Abort,
    /// Not now: status 31.
    Postpone,
    /// Anything else.
    Fail,
}

/// How far the check of a new version's health is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It has not passed yet.
    Awaited,
    /// The startup period is over, and the last word of the check is still to come.
    Overdue,
    /// It has passed.
    Passed,
}

/// The command for [`Hook::OnFailure`] runs, and the end of the run waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// And for the end of what is left of the daemon's process group.
    Sweeping,
    /// And for nothing else.
    Swept,
}

impl Hook {
    /// Whether something waits for what the command says; else it is only told.
    #[must_use]
    pub fn decides(self) -> bool {
        match self {
            Self::PreUpgrade | Self::PreStart => true,
            Self::PostUpgrade | Self::OnFailure => false,
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::PreUpgrade, Self::PreStart, Self::PostUpgrade, Self::OnFailure];

    /// `pre-upgrade`, as the journal and the environment name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreUpgrade => "pre-upgrade",
            Self::PreStart => "pre-start",
            Self::PostUpgrade => "post-upgrade",
            Self::OnFailure => "on-failure",
        }
    }
}

impl Hooks {
    /// There is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Aftermath {
    /// `old-version`, as the journal and the environment name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::OldVersion => "old-version",
            Self::RollBack => "roll-back",
            Self::GivenUp => "given-up",
            Self::RollBackFailed => "roll-back-failed",
        }
    }

    /// Whether the run ends then.
    #[must_use]
    pub fn ends_the_run(self) -> bool {
        match self {
            Self::GivenUp | Self::RollBackFailed => true,
            Self::Held | Self::OldVersion | Self::RollBack => false,
        }
    }
}

impl HookEnding {
    /// What that says.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Exited(0 | 1) => Verdict::GoOn,
            Self::Exited(30) => Verdict::Abort,
            Self::Exited(31) => Verdict::Postpone,
            Self::Exited(_) | Self::Killed(_) | Self::TimedOut | Self::NeverStarted => {
                Verdict::Fail
            }
        }
    }

    /// What kind of failure that is; `None` where all may go on.
    #[must_use]
    pub fn code(self) -> Option<Code> {
        match self.verdict() {
            Verdict::GoOn => None,
            Verdict::Abort => Some(Code::HookAborted),
            Verdict::Postpone => Some(Code::HookPostponed),
            Verdict::Fail => Some(Code::HookFailed),
        }
    }
}

impl fmt::Display for HookEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("took too long and was ended"),
            Self::NeverStarted => f.write_str("could not be started"),
        }
    }
}
