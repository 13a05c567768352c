//! The values that states, events and effects are made of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::hook::Hooks;

/// A version that is, or could be, installed: its folder's name and its binary's build version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Name of the upgrade, `genesis` for the first.
    pub name: String,
    /// `build_version` of the binary, such as `1.1.0`.
    pub version: String,
}

/// Who asked for an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Requester {
    /// Announced at this URL (without credentials).
    Upstream {
        /// The polled URL.
        url: String,
    },
    /// A command of ours, run by this user.
    Command {
        /// Numeric user id.
        uid: u32,
        /// The user's name, or the id in digits where it has none.
        user: String,
    },
    /// Found in the plan with no word of who put it there: edited by hand, or by 0.1.x.
    Plan,
}

/// An announced upgrade, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upgrade {
    /// Name, which is also its folder's.
    pub name: String,
    /// Version that its binary must report.
    pub version: String,
    /// SHA-256 (hex) of the announcement: the same name with other content is another upgrade.
    pub digest: String,
    /// When it is to be performed.
    pub due_at: DateTime<Utc>,
    /// After a manual upgrade the run ends instead of starting the daemon.
    pub manual: bool,
    /// The operator allowed it to be older than what runs.
    pub allow_downgrade: bool,
    /// Who asked for it.
    pub requester: Requester,
    /// When it was announced for, where that is not `due_at`: spread, or as a person wishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_for: Option<DateTime<Utc>>,
    /// Whose wish `due_at` is, where a person has set it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescheduled: Option<Rescheduled>,
}

/// A person has set an upgrade's time anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rescheduled {
    /// Who.
    pub requester: Requester,
    /// It doesn't wait for a maintenance window.
    #[serde(default, skip_serializing_if = "is_off")]
    pub ignores_windows: bool,
}

/// One announcement, told apart from a later one with the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announcement {
    /// Name of the upgrade.
    pub name: String,
    /// SHA-256 (hex) of the announcement.
    pub digest: String,
}

impl Upgrade {
    /// The version that is installed once this upgrade is committed.
    #[must_use]
    pub fn target(&self) -> Version {
        Version { name: self.name.clone(), version: self.version.clone() }
    }

    /// What tells this announcement from every other.
    #[must_use]
    pub fn announcement(&self) -> Announcement {
        Announcement { name: self.name.clone(), digest: self.digest.clone() }
    }

    /// Whether a person, or the spread, has given the same announcement another time.
    #[must_use]
    pub fn is_retimed(&self, other: &Self) -> bool {
        self.due_at != other.due_at || self.rescheduled != other.rescheduled
    }

    /// Whether `other` is the same announcement, to the letter.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.digest == other.digest
    }
}

/// One process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Daemon {
    /// Process id, and id of its process group.
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub started_ticks: u64,
}

/// How the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It could not be started at all.
    NeverStarted,
    /// It was no child of this session, so nobody could see its status.
    Unseen,
    /// It was asked to end, for it did not pass its health check.
    Unhealthy,
}

impl Ending {
    /// A crash is any end but a status of 0.
    #[must_use]
    pub fn is_crash(self) -> bool {
        self != Self::Exited(0)
    }
}

/// A new binary, as it was when its digest was known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binary {
    /// SHA-256 (hex) of the file.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Device, inode, change time: as long as they hold, it is the file that was digested.
    pub identity: String,
}

/// A finished backup of the daemon's home.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Archive {
    /// Where it lies.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 (hex) of the archive; `None` until it was read from its start to its end, which
    /// waits until the daemon is up again where most of it was written ahead of the stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Number of entries in it.
    pub entries: u64,
    /// Number of sockets and FIFOs, and of files that vanished meanwhile, which are not in it.
    pub skipped: u64,
}

impl Archive {
    /// It was not yet read from its start to its end.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.sha256.is_none()
    }
}

/// The settings that decisions depend on, as they hold for one session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the configuration file")]
pub struct Policy {
    /// Start the daemon again after a crash.
    pub restart_on_failure: bool,
    /// Start the daemon after an upgrade; otherwise the run ends.
    pub restart_after_upgrade: bool,
    /// Fetch and verify while the old daemon runs.
    pub prepare_ahead: bool,
    /// Upgrade without a backup.
    pub skip_backup: bool,
    /// Roll back a new version that fails before it has once lived through its startup period.
    #[serde(default)]
    pub rollback_on_failed_upgrade: bool,
    /// A roll-back puts the data back as well, as the upgrade's backup has it.
    #[serde(default = "switched_on")]
    pub rollback_restores_data: bool,
    /// Remove the backups that the retention doesn't keep.
    #[serde(default, skip_serializing_if = "is_off")]
    pub prunes_backups: bool,
    /// An upgrade stops the daemon only while a maintenance window is open.
    #[serde(default, skip_serializing_if = "is_off")]
    pub keeps_windows: bool,
    /// Where commands of the operator's run.
    #[serde(default, skip_serializing_if = "Hooks::is_none")]
    pub hooks: Hooks,
    /// A new version has to pass the health check within its startup period.
    #[serde(default, skip_serializing_if = "is_off")]
    pub checks_health: bool,
    /// So many startup failures in a row end the run; 0 acts as 1.
    pub max_startup_failures: u32,
    /// Milliseconds from a crash to the next start.
    pub failure_restart_delay_ms: u64,
    /// Milliseconds during which a crash counts as a startup failure.
    pub startup_period_ms: u64,
    /// Milliseconds from the polite signal to SIGKILL.
    pub shutdown_grace_ms: u64,
}

fn switched_on() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde takes")]
pub(super) fn is_off(switch: &bool) -> bool {
    !switch
}

/// Why something could not be done. The code is stable: scripts and documents refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub code: Code,
    /// What, where and what to do, for a person.
    pub text: String,
}

/// The kinds of failure, each with one rule of what happens next ([`Code::remedy`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No connection, no answer, or an answer that stalled or broke off.
    Network,
    /// An HTTP status other than success.
    HttpStatus,
    /// No room for the backup, the binary or the records.
    NoRoom,
    /// Another process holds the upgrade lock.
    LockBusy,
    /// Reading or writing failed on this machine.
    Io,
    /// The announcement changed under way.
    AnnouncementChanged,
    /// The binary that had been prepared is no longer the one that was checked.
    BinaryChanged,
    /// Fewer or more bytes than the checksum is for, or other ones.
    DigestMismatch,
    /// No checksum where one is demanded, or one that can't be used.
    NoChecksum,
    /// Nothing for this platform.
    NoPlatform,
    /// A URL that is not http(s), or a redirect from https to http.
    BadUrl,
    /// Larger than the configured limit.
    TooLarge,
    /// The binary can't be executed, or its build info is not what was announced.
    BuildInfo,
    /// Not newer than what runs.
    Downgrade,
    /// No binary in place, and downloads are switched off.
    NoBinary,
    /// Interrupted too often before the commit point.
    ResumedTooOften,
    /// The daemon crashed, or could not be started.
    DaemonCrashed,
    /// The new version failed before it had once lived through its startup period.
    FailedStart,
    /// A person had it rolled back.
    RolledBack,
    /// A person has cancelled it.
    Cancelled,
    /// A command of the operator's said no.
    HookAborted,
    /// A command of the operator's said: not now.
    HookPostponed,
    /// A command of the operator's failed, was ended or took too long.
    HookFailed,
    /// The new version did not pass its health check within the startup period.
    Unhealthy,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Tried again after a pause that grows.
    Pause,
    /// Not tried again until other content is announced, or the operator says so.
    Quarantine,
    /// Waits until a binary is put in place.
    AwaitBinary,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Network,
        Self::HttpStatus,
        Self::NoRoom,
        Self::LockBusy,
        Self::Io,
        Self::AnnouncementChanged,
        Self::BinaryChanged,
        Self::DigestMismatch,
        Self::NoChecksum,
        Self::NoPlatform,
        Self::BadUrl,
        Self::TooLarge,
        Self::BuildInfo,
        Self::Downgrade,
        Self::NoBinary,
        Self::ResumedTooOften,
        Self::DaemonCrashed,
        Self::FailedStart,
        Self::RolledBack,
        Self::Cancelled,
        Self::HookAborted,
        Self::HookPostponed,
        Self::HookFailed,
        Self::Unhealthy,
    ];

    /// What happens to an upgrade that failed so.
    #[must_use]
    pub fn remedy(self) -> Remedy {
        match self {
            Self::Network
            | Self::HttpStatus
            | Self::NoRoom
            | Self::LockBusy
            | Self::Io
            | Self::AnnouncementChanged
            | Self::BinaryChanged
            | Self::DaemonCrashed
            | Self::HookPostponed
            | Self::HookFailed
            | Self::Unhealthy => Remedy::Pause,
            Self::DigestMismatch
            | Self::NoChecksum
            | Self::NoPlatform
            | Self::BadUrl
            | Self::TooLarge
            | Self::BuildInfo
            | Self::Downgrade
            | Self::ResumedTooOften
            | Self::FailedStart
            | Self::RolledBack
            | Self::Cancelled
            | Self::HookAborted => Remedy::Quarantine,
            Self::NoBinary => Remedy::AwaitBinary,
        }
    }
}
