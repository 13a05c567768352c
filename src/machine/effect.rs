//! Orders to the shell.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::hook::{Hook, HookCall};
use super::timer::Timer;
use super::values::{Announcement, Archive, Binary, Daemon, Ending, Upgrade, Version};
use super::wishes::Wishes;

/// Something to be done. It may be done only once the record that orders it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Look at the disk and the processes. Answer: what [`super::recover`] needs.
    Observe {
        /// The upgrade that was under way or being prepared.
        upgrade: Option<Upgrade>,
        /// Its binary, as it was checked.
        binary: Option<Binary>,
        /// Its backup, as it was sealed.
        backup: Option<Archive>,
    },
    /// Start this version of the daemon. Answer: `DaemonSpawned` or `SpawnFailed`.
    SpawnDaemon(Version),
    /// Send the daemon one SIGINT.
    InterruptDaemon(Daemon),
    /// Pass a signal on to the daemon.
    ForwardSignal {
        /// To whom.
        daemon: Daemon,
        /// Signal number.
        signal: i32,
    },
    /// SIGKILL the whole process group.
    KillGroup(Daemon),
    /// SIGKILL what is left of the group and wait until it is gone. Answer: `GroupGone`.
    SweepGroup(Option<Daemon>),
    /// Start a timer of monotonic time. Answer: its event.
    StartTimer {
        /// Which.
        timer: Timer,
        /// Milliseconds until it fires.
        after_ms: u64,
    },
    /// Stop a timer.
    StopTimer(Timer),
    /// Tell when the wall clock has reached a time, whatever jumps it makes. Answer: `CameDue`.
    WatchDue {
        /// Whose time.
        attempt: u64,
        /// The time.
        at: DateTime<Utc>,
    },
    /// Tell when the wall clock has reached the end of a hold, whatever jumps it makes; `None` ends
    /// the watch. Answer: `HoldElapsed`.
    WatchHold {
        /// The end.
        until: Option<DateTime<Utc>>,
    },
    /// Write beside the journal what must outlive it.
    KeepWishes(Wishes),
    /// Tell whether a maintenance window is open, and whenever that changes; `false` ends it.
    /// Answer: `WindowOpened`, `WindowClosed`.
    WatchWindows(bool),
    /// Put the binary's bytes beside its final place, digest right. Answer: `BinaryFetched`.
    FetchBinary {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
    },
    /// Compare its build info and put it in its final place. Answer: `BinaryChecked`.
    CheckBinary {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
    },
    /// Look for room for the backup. Answer: `RoomFound`.
    CheckRoom {
        /// For whom.
        attempt: u64,
    },
    /// Copy the home into the backup while the daemon runs. Answer: `HomeCopied`.
    CopyHome {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
    },
    /// Bring that copy up to date. Answer: `CopyRefreshed`.
    RefreshCopy {
        /// For whom.
        attempt: u64,
    },
    /// Take the upgrade lock, or confirm that it is held. Answer: `LockTaken`.
    TakeLock {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
    },
    /// Stop what is being prepared and give back the lock.
    CancelPreparation {
        /// Whose.
        attempt: u64,
    },
    /// Archive the home, or what of it changed since it was copied, or confirm the archive that
    /// there is. Answer: `BackupSealed`.
    SealBackup {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
        /// The archive that an interrupted try sealed, where nothing has changed since.
        sealed: Option<Archive>,
    },
    /// Read a sealed archive from its start to its end. Answer: `BackupExamined`, or
    /// `BackupDamaged`.
    ExamineBackup {
        /// Which.
        archive: Archive,
        /// The version that it is of.
        from: Version,
    },
    /// Remove an archive that will not be needed: nothing was changed after it, or the retention
    /// doesn't keep it.
    DiscardBackup(Archive),
    /// Look for backups that the retention doesn't keep. Answer: `BackupsOutlived`, where there
    /// are any.
    ReviewBackups,
    /// Upgrade without a backup. Answer: `BackupSkipped`.
    SkipBackup {
        /// For whom.
        attempt: u64,
    },
    /// Confirm that the checked binary is there. Answer: `BinaryPresent`.
    ConfirmBinary {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
        /// What was checked.
        binary: Binary,
    },
    /// Confirm that it is still the file that was checked. Answer: `BinaryChecked`.
    ConfirmCheck {
        /// For whom.
        attempt: u64,
        /// Of what.
        upgrade: Upgrade,
        /// What was checked.
        binary: Binary,
    },
    /// Move the version file, then history, plan and link. Answer: `SwapCommitted`.
    CommitSwap {
        /// For whom.
        attempt: u64,
        /// To what.
        upgrade: Upgrade,
        /// From what.
        from: Version,
        /// What the plan called current when the attempt began; see [`super::Attempt`].
        plan_current: Option<Announcement>,
    },
    /// Put the home back as the backup has it, or go on doing so; what is in it is moved aside.
    /// Answer: `HomeRestored`.
    RestoreHome {
        /// For whom.
        attempt: u64,
        /// What is rolled back.
        upgrade: Upgrade,
        /// The version to go back to, whose binary must be there.
        to: Version,
        /// The backup.
        archive: Archive,
    },
    /// Leave the data as it is. Answer: `RestoreSkipped`.
    SkipRestore {
        /// For whom.
        attempt: u64,
        /// The version to go back to, whose binary must be there.
        to: Version,
    },
    /// Take the upgrade lock for a roll-back, and wait for it. Answer: `LockTaken`.
    LockRollBack {
        /// For whom.
        attempt: u64,
        /// What is rolled back.
        upgrade: Upgrade,
    },
    /// Move the version file back, then history, plan and link. Answer: `SwapCommitted`.
    CommitRollBack {
        /// For whom.
        attempt: u64,
        /// What is rolled back.
        upgrade: Upgrade,
        /// To what.
        to: Version,
    },
    /// Give back the upgrade lock.
    ReleaseLock,
    /// Remove what a failed attempt left half-done, and give back the lock. Answer: `StoodDown`.
    StandDown {
        /// Whose.
        attempt: u64,
        /// What its swap may have committed all the same: look first. Answer: `SwapCommitted`
        /// where the version file names it, `WorkFailed` where that can't be told.
        in_doubt: Option<Upgrade>,
    },
    /// Put an announcement into the plan.
    QueueAnnouncement(Upgrade),
    /// Take superseded upgrades out of the plan.
    DropFromQueue(Vec<String>),
    /// Move history, plan and link to an upgrade that is committed already.
    MoveShared {
        /// To what.
        upgrade: Upgrade,
        /// What the plan calls current.
        plan_current: Option<Announcement>,
    },
    /// Move history, plan and link back behind this upgrade, which is rolled back already.
    MoveSharedBack {
        /// What was rolled back.
        upgrade: Upgrade,
        /// To what.
        to: Version,
    },
    /// Write the version file anew, from what the journal knows. Answer: `FileMended`.
    RestoreVersionFile(Version),
    /// Write the plan anew, and set aside what is damaged of plan and history; a plan that can be
    /// read is kept. Answer: `FileMended`, once for each file.
    RebuildPlan {
        /// What the plan then calls current.
        current: Version,
        /// What the last plan that could be read had queued: what is still known of it, to the
        /// letter, stays queued.
        queued: Vec<Upgrade>,
    },
    /// Make `current` point at what the plan calls current.
    MendLink(String),
    /// Run a command of the operator's. Answer: `HookEnded`.
    RunHook(HookCall),
    /// Ask the new version for its health again and again. Answer: `HealthPassed`, or
    /// `HealthFailed` once the time is over.
    CheckHealth {
        /// Which process.
        daemon: Daemon,
        /// Milliseconds within which it has to pass.
        within_ms: u64,
    },
    /// Ask no more.
    EndHealthCheck,
    /// Answer a command's request.
    Answer {
        /// Which.
        request: String,
        /// Whether it was granted.
        granted: bool,
        /// In words.
        text: String,
    },
    /// End the run.
    Exit(Outcome),
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// In order.
    Done,
    /// The daemon failed for good.
    DaemonFailed(Ending),
    /// A roll-back could not go on; the daemon is down.
    RollBackFailed,
}

impl Effect {
    /// Whether it may be ordered by a record that is only held in memory, while the journal can't
    /// be written: what keeps the daemon up (start, signals, waits, the end of the run, the look
    /// at what there is), the end of work that no record would cover, and words to a person.
    #[must_use]
    pub fn is_for_supervision(&self) -> bool {
        match self {
            Self::Observe { .. }
            | Self::SpawnDaemon(_)
            | Self::InterruptDaemon(_)
            | Self::ForwardSignal { .. }
            | Self::KillGroup(_)
            | Self::SweepGroup(_)
            | Self::StartTimer { .. }
            | Self::StopTimer(_)
            | Self::WatchDue { .. }
            | Self::WatchHold { .. }
            | Self::WatchWindows(_)
            | Self::CancelPreparation { .. }
            | Self::ReleaseLock
            | Self::StandDown { .. }
            | Self::CheckHealth { .. }
            | Self::EndHealthCheck
            | Self::Answer { .. }
            | Self::Exit(_) => true,
            Self::RunHook(call) => call.hook != Hook::PreUpgrade,
            Self::KeepWishes(_)
            | Self::FetchBinary { .. }
            | Self::CheckBinary { .. }
            | Self::CheckRoom { .. }
            | Self::TakeLock { .. }
            | Self::SealBackup { .. }
            | Self::CopyHome { .. }
            | Self::RefreshCopy { .. }
            | Self::ExamineBackup { .. }
            | Self::DiscardBackup(_)
            | Self::ReviewBackups
            | Self::SkipBackup { .. }
            | Self::ConfirmBinary { .. }
            | Self::ConfirmCheck { .. }
            | Self::CommitSwap { .. }
            | Self::QueueAnnouncement(_)
            | Self::DropFromQueue(_)
            | Self::RestoreHome { .. }
            | Self::SkipRestore { .. }
            | Self::LockRollBack { .. }
            | Self::CommitRollBack { .. }
            | Self::MoveShared { .. }
            | Self::MoveSharedBack { .. }
            | Self::RestoreVersionFile(_)
            | Self::RebuildPlan { .. }
            | Self::MendLink(_) => false,
        }
    }

    /// The order's name, as the journal and its readers know it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observe { .. } => "observe",
            Self::SpawnDaemon(_) => "spawn-daemon",
            Self::InterruptDaemon(_) => "interrupt-daemon",
            Self::ForwardSignal { .. } => "forward-signal",
            Self::KillGroup(_) => "kill-group",
            Self::SweepGroup(_) => "sweep-group",
            Self::StartTimer { .. } => "start-timer",
            Self::StopTimer(_) => "stop-timer",
            Self::WatchDue { .. } => "watch-due",
            Self::WatchHold { .. } => "watch-hold",
            Self::KeepWishes(_) => "keep-wishes",
            Self::WatchWindows(_) => "watch-windows",
            Self::FetchBinary { .. } => "fetch-binary",
            Self::CheckBinary { .. } => "check-binary",
            Self::CheckRoom { .. } => "check-room",
            Self::TakeLock { .. } => "take-lock",
            Self::CancelPreparation { .. } => "cancel-preparation",
            Self::SealBackup { .. } => "seal-backup",
            Self::CopyHome { .. } => "copy-home",
            Self::RefreshCopy { .. } => "refresh-copy",
            Self::ExamineBackup { .. } => "examine-backup",
            Self::DiscardBackup(_) => "discard-backup",
            Self::ReviewBackups => "review-backups",
            Self::SkipBackup { .. } => "skip-backup",
            Self::ConfirmBinary { .. } => "confirm-binary",
            Self::ConfirmCheck { .. } => "confirm-check",
            Self::CommitSwap { .. } => "commit-swap",
            Self::ReleaseLock => "release-lock",
            Self::StandDown { .. } => "stand-down",
            Self::QueueAnnouncement(_) => "queue-announcement",
            Self::DropFromQueue(_) => "drop-from-queue",
            Self::RestoreHome { .. } => "restore-home",
            Self::SkipRestore { .. } => "skip-restore",
            Self::LockRollBack { .. } => "lock-roll-back",
            Self::CommitRollBack { .. } => "commit-roll-back",
            Self::MoveShared { .. } => "move-shared",
            Self::MoveSharedBack { .. } => "move-shared-back",
            Self::RestoreVersionFile(_) => "restore-version-file",
            Self::RebuildPlan { .. } => "rebuild-plan",
            Self::MendLink(_) => "mend-link",
            Self::RunHook(_) => "run-hook",
            Self::CheckHealth { .. } => "check-health",
            Self::EndHealthCheck => "end-health-check",
            Self::Answer { .. } => "answer",
            Self::Exit(_) => "exit",
        }
    }
}
