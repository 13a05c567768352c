//! Facts that the shell reports.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::hook::{Aftermath, Hook, HookEnding};
use super::recover::{Observed, Row};
use super::state::Queue;
use super::values::{
    Announcement, Archive, Binary, Daemon, Ending, Failure, Policy, Requester, Upgrade, Version,
    is_off,
};

/// Something that happened. Times, codes and digests arrive in here and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A `run` began; it holds the locks.
    SessionStarted {
        /// Version of this program.
        nymvisor: String,
        /// Its process id.
        pid: u32,
        /// The settings of this session.
        policy: Policy,
    },
    /// What was found was compared with what the journal says.
    Recovered {
        /// The row of the recovery table that applies.
        row: Row,
        /// What was found.
        observed: Observed,
    },
    /// A signal asked the run to end.
    StopRequested {
        /// Signal number.
        signal: i32,
    },
    /// A signal for the daemon came.
    SignalReceived {
        /// Signal number.
        signal: i32,
    },
    /// The daemon is up.
    DaemonSpawned {
        /// Its process.
        daemon: Daemon,
    },
    /// The daemon could not be started.
    SpawnFailed {
        /// Why.
        failure: Failure,
    },
    /// The daemon has lived through its startup period.
    StartupPassed,
    /// The daemon ended.
    DaemonEnded {
        /// How.
        ending: Ending,
        /// Milliseconds since its start.
        uptime_ms: u64,
    },
    /// Nothing of the daemon's process group is left.
    GroupGone,
    /// The grace period of a drain is over.
    GraceElapsed,
    /// The delay before a restart is over.
    DelayElapsed,
    /// The plan was read and is not as it was.
    QueueRead {
        /// What it says now.
        queue: Queue,
    },
    /// The plan is gone, or can't be read.
    PlanLost {
        /// Why.
        failure: Failure,
    },
    /// A file that was lost or damaged was put right.
    FileMended {
        /// The file.
        file: String,
        /// Where what was damaged has been put, whole; `None` where there was nothing.
        set_aside: Option<String>,
    },
    /// Upstream announces this upgrade.
    AnnouncementReceived {
        /// The upgrade.
        upgrade: Upgrade,
    },
    /// The wall clock has reached an upgrade's time.
    CameDue {
        /// Whose.
        attempt: u64,
        /// What the clock said.
        at: DateTime<Utc>,
    },
    /// The pause after a failure is over.
    PauseElapsed {
        /// Name of the upgrade.
        name: String,
        /// Digest of its announcement.
        digest: String,
    },
    /// The operator wants a failed upgrade to be tried again.
    RetryRequested {
        /// Name of the upgrade.
        name: String,
        /// Who asked.
        requester: Requester,
        /// Which request to answer.
        request: String,
    },
    /// The operator wants no upgrade to stop the daemon.
    HoldRequested {
        /// Until when; `None` is until it is released.
        until: Option<DateTime<Utc>>,
        /// Who asked.
        requester: Requester,
        /// Which request to answer.
        request: String,
        /// Whether a `run` is up. `None` in records of sessions that refused it while an upgrade
        /// was under way, or rested.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_is_up: Option<bool>,
    },
    /// The operator lets upgrades stop the daemon again.
    ReleaseRequested {
        /// Who asked.
        requester: Requester,
        /// Which request to answer.
        request: String,
    },
    /// The wall clock has reached the end of a hold.
    HoldElapsed {
        /// Its end.
        until: DateTime<Utc>,
        /// What the clock said.
        at: DateTime<Utc>,
    },
    /// The operator doesn't want this announcement to be performed.
    CancelRequested {
        /// Which.
        upgrade: Announcement,
        /// Who asked.
        requester: Requester,
        /// Which request to answer.
        request: String,
    },
    /// A maintenance window is open.
    WindowOpened {
        /// When it closes; `None` where windows follow each other without an end.
        closes_at: Option<DateTime<Utc>>,
    },
    /// No maintenance window is open.
    WindowClosed {
        /// When the next one opens.
        opens_at: Option<DateTime<Utc>>,
    },
    /// The operator wants the last upgrade to be rolled back.
    RollBackRequested {
        /// To what.
        to: Version,
        /// The data stays as it is.
        keep_data: bool,
        /// Who asked.
        requester: Requester,
        /// Which request to answer.
        request: String,
    },
    /// The home is as the backup has it.
    HomeRestored {
        /// For whom.
        attempt: u64,
        /// Where everything lies that was in the home before.
        aside: String,
        /// How many files and folders were moved there.
        moved_aside: u64,
    },
    /// The data stays as it is; the version to go back to is in its place.
    RestoreSkipped {
        /// For whom.
        attempt: u64,
    },
    /// The binary's bytes are there, and their digest is right.
    BinaryFetched {
        /// For whom.
        attempt: u64,
        /// SHA-256 (hex).
        sha256: String,
        /// Size in bytes.
        bytes: u64,
        /// From where: a URL without credentials, or `in place`.
        source: String,
    },
    /// The binary is in its place; build info and, where there is one, digest are right.
    BinaryChecked {
        /// For whom.
        attempt: u64,
        /// What was checked.
        binary: Binary,
    },
    /// There is room for the backup.
    RoomFound {
        /// For whom.
        attempt: u64,
        /// Bytes that the backup may need.
        needed_bytes: u64,
        /// Bytes that are free where it goes.
        free_bytes: u64,
        /// The plan was read after that, and what it says told before: the daemon is stopped next.
        #[serde(default, skip_serializing_if = "is_off")]
        by_plan: bool,
    },
    /// The home is copied into the backup, as it was while the daemon ran.
    HomeCopied {
        /// For whom.
        attempt: u64,
        /// Number of files and folders.
        entries: u64,
        /// Bytes that were read.
        bytes: u64,
    },
    /// What changed in the home since is copied as well.
    CopyRefreshed {
        /// For whom.
        attempt: u64,
        /// Number of files that were written anew, or had gone.
        changed: u64,
        /// Bytes that were read for them.
        bytes: u64,
        /// Less changes now than the configured bound; else the daemon changes more than can be
        /// copied, and its stop takes longer.
        keeps_up: bool,
    },
    /// The upgrade lock is held.
    LockTaken {
        /// For whom.
        attempt: u64,
    },
    /// A sealed backup was read from its start to its end, and is whole.
    BackupExamined {
        /// The archive, with its digest.
        archive: Archive,
    },
    /// A sealed backup is not whole, or can't be read.
    BackupDamaged {
        /// The archive.
        archive: Archive,
        /// What is wrong with it.
        failure: Failure,
    },
    /// The retention doesn't keep these backups, and nothing may be put back from them.
    BackupsOutlived {
        /// As they were sealed, each where it lies now.
        archives: Vec<Archive>,
    },
    /// The backup is finished, durable and read back.
    BackupSealed {
        /// For whom.
        attempt: u64,
        /// The archive.
        archive: Archive,
    },
    /// Backups are switched off.
    BackupSkipped {
        /// For whom.
        attempt: u64,
    },
    /// The checked binary is still there.
    BinaryPresent {
        /// For whom.
        attempt: u64,
    },
    /// The version file names the new version.
    SwapCommitted {
        /// For whom.
        attempt: u64,
        /// What of plan, history and link could not be moved yet, in words; "" = nothing.
        left: String,
    },
    /// What a failed attempt left is tidied away.
    StoodDown {
        /// Whose.
        attempt: u64,
    },
    /// The journal can't be written: from here on records are held in memory.
    JournalFailed {
        /// Why.
        failure: Failure,
    },
    /// The journal can be written again, and what was held has been.
    JournalRestored,
    /// A command of the operator's has ended.
    HookEnded {
        /// At which point it ran.
        hook: Hook,
        /// The preparation or attempt that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u64>,
        /// What followed the failure that it was told of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Aftermath>,
        /// How.
        ending: HookEnding,
        /// Milliseconds since its start.
        took_ms: u64,
        /// The last line that it wrote, or why it could not be started; "" = nothing.
        said: String,
    },
    /// The new version has passed its health check.
    HealthPassed {
        /// Which process.
        daemon: Daemon,
        /// How often it was asked.
        tries: u32,
    },
    /// The new version has not passed its health check in time.
    HealthFailed {
        /// Which process.
        daemon: Daemon,
        /// What the last try found.
        failure: Failure,
    },
    /// A step of a preparation or an attempt failed.
    WorkFailed {
        /// Whose.
        attempt: u64,
        /// Why.
        failure: Failure,
    },
}

impl Event {
    /// The event's name, as the journal and its readers know it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session-started",
            Self::Recovered { .. } => "recovered",
            Self::StopRequested { .. } => "stop-requested",
            Self::SignalReceived { .. } => "signal-received",
            Self::DaemonSpawned { .. } => "daemon-spawned",
            Self::SpawnFailed { .. } => "spawn-failed",
            Self::StartupPassed => "startup-passed",
            Self::DaemonEnded { .. } => "daemon-ended",
            Self::GroupGone => "group-gone",
            Self::GraceElapsed => "grace-elapsed",
            Self::DelayElapsed => "delay-elapsed",
            Self::QueueRead { .. } => "queue-read",
            Self::PlanLost { .. } => "plan-lost",
            Self::FileMended { .. } => "file-mended",
            Self::AnnouncementReceived { .. } => "announcement-received",
            Self::CameDue { .. } => "came-due",
            Self::PauseElapsed { .. } => "pause-elapsed",
            Self::RetryRequested { .. } => "retry-requested",
            Self::HoldRequested { .. } => "hold-requested",
            Self::ReleaseRequested { .. } => "release-requested",
            Self::HoldElapsed { .. } => "hold-elapsed",
            Self::CancelRequested { .. } => "cancel-requested",
            Self::WindowOpened { .. } => "window-opened",
            Self::WindowClosed { .. } => "window-closed",
            Self::RollBackRequested { .. } => "roll-back-requested",
            Self::HomeRestored { .. } => "home-restored",
            Self::RestoreSkipped { .. } => "restore-skipped",
            Self::BinaryFetched { .. } => "binary-fetched",
            Self::BinaryChecked { .. } => "binary-checked",
            Self::RoomFound { .. } => "room-found",
            Self::HomeCopied { .. } => "home-copied",
            Self::CopyRefreshed { .. } => "copy-refreshed",
            Self::LockTaken { .. } => "lock-taken",
            Self::BackupSealed { .. } => "backup-sealed",
            Self::BackupSkipped { .. } => "backup-skipped",
            Self::BackupExamined { .. } => "backup-examined",
            Self::BackupDamaged { .. } => "backup-damaged",
            Self::BackupsOutlived { .. } => "backups-outlived",
            Self::BinaryPresent { .. } => "binary-present",
            Self::SwapCommitted { .. } => "swap-committed",
            Self::StoodDown { .. } => "stood-down",
            Self::JournalFailed { .. } => "journal-failed",
            Self::JournalRestored => "journal-restored",
            Self::HookEnded { .. } => "hook-ended",
            Self::HealthPassed { .. } => "health-passed",
            Self::HealthFailed { .. } => "health-failed",
            Self::WorkFailed { .. } => "work-failed",
        }
    }
}
