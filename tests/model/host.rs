//! A tiny machine: its disk, one process, timers, and work that is ordered but not yet done.

use std::collections::BTreeSet;

use nymvisor::host::Stimulus as Reported;
use nymvisor::machine::{
    Archive, Binary, Code, Daemon, Effect, Ending, Event, Hook, Link, Observed, Outcome, Timer,
    Upgrade, Version,
};

use super::files::Files;
use super::luck::Luck;
use super::wishes::Calendar;
use super::{hooks, values};

/// The daemon's process group.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Process {
    pub(crate) daemon: Daemon,
    pub(crate) leader_lives: bool,
    /// A child of this session: nobody else is told of its end unless it was asked to end.
    pub(crate) is_ours: bool,
    pub(crate) asked: bool,
    pub(crate) killed: bool,
}

/// Everything around the engine.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct World {
    pub(crate) minutes: i64,
    pub(crate) files: Files,
    pub(crate) process: Option<Process>,
    /// Orders that take time, oldest first.
    pub(crate) work: Vec<Effect>,
    pub(crate) timers: BTreeSet<Timer>,
    /// The preparation for which the home was copied.
    pub(crate) copied: Option<u64>,
    pub(crate) due: Option<(u64, i64)>,
    pub(crate) calendar: Calendar,
    /// The upgrade lock is ours.
    pub(crate) lock: bool,
    /// Another process holds the upgrade lock.
    pub(crate) lock_busy: bool,
    pub(crate) exit: Option<Outcome>,
    serial: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            minutes: 0,
            files: Files::new(),
            process: None,
            work: Vec::new(),
            timers: BTreeSet::new(),
            copied: None,
            due: None,
            calendar: Calendar::default(),
            lock: false,
            lock_busy: false,
            exit: None,
            serial: 0,
        }
    }

    /// The next number drawn is the one after `serial`.
    pub(crate) fn count_from(&mut self, serial: u32) {
        self.serial = serial;
    }

    pub(crate) fn serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Takes an order. An error is a broken promise.
    pub(crate) fn perform(&mut self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::SpawnDaemon(version) => self.may_spawn(version)?,
            Effect::SealBackup { .. }
            | Effect::CommitSwap { .. }
            | Effect::RestoreHome { .. }
            | Effect::CommitRollBack { .. }
                if self.process.is_some() =>
            {
                return Err(format!("{} while a daemon is there", effect.name()));
            }
            Effect::InterruptDaemon(daemon) => return self.interrupt(*daemon),
            Effect::KillGroup(daemon) => {
                let process = self.process.as_mut().filter(|process| process.daemon == *daemon);
                process.ok_or("a kill that hits nobody")?.killed = true;
                return Ok(());
            }
            Effect::StartTimer { timer, .. } => drop(self.timers.insert(timer.clone())),
            Effect::StopTimer(timer) => drop(self.timers.remove(timer)),
            Effect::WatchDue { attempt, at } => {
                self.due = Some((*attempt, (*at - values::at(0)).num_minutes()));
            }
            of if self.calendar.heeds(of) => return Ok(()),
            Effect::CancelPreparation { attempt } => self.cancel(*attempt),
            Effect::StandDown { attempt, .. } => {
                self.begin_to_stand_down(*attempt, effect);
                return Ok(());
            }
            Effect::EndHealthCheck => hooks::end_check(&mut self.work),
            Effect::ReleaseLock => self.lock = false,
            Effect::Exit(outcome) => self.exit = Some(*outcome),
            Effect::ForwardSignal { daemon, .. } => {
                let process = self.process.as_ref().filter(|process| process.daemon == *daemon);
                return process.map(|_| ()).ok_or("a signal to nobody".to_owned());
            }
            _ => {}
        }
        if takes_time(effect) {
            self.work.push(effect.clone());
        }
        Ok(())
    }

    fn may_spawn(&self, version: &Version) -> Result<(), String> {
        let spawning = self.work.iter().any(|work| matches!(work, Effect::SpawnDaemon(_)));
        if self.process.is_some() || spawning {
            return Err("a second daemon".to_owned());
        }
        if self.files.half_restored {
            return Err("a daemon is started on half a home".to_owned());
        }
        match &self.files.version {
            Some(named) if named != version => {
                Err(format!("{} is started, {} is installed", version.name, named.name))
            }
            _ => Ok(()),
        }
    }

    fn interrupt(&mut self, daemon: Daemon) -> Result<(), String> {
        let process = self.process.as_mut().filter(|process| process.daemon == daemon);
        let process = process.ok_or("a polite signal to nobody")?;
        if process.asked {
            return Err("the daemon is asked twice".to_owned());
        }
        process.asked = true;
        Ok(())
    }

    pub(super) fn cancel(&mut self, attempt: u64) {
        self.work.retain(|work| whose(work) != Some(attempt));
        self.due = None;
        self.copied = None;
        self.lock = false;
    }

    /// Ends one order's work. `None` where nobody is told.
    pub(crate) fn finish(&mut self, index: usize, luck: Luck) -> Option<Reported> {
        let effect = self.work.remove(index);
        if let Effect::Observe { binary, backup, .. } = &effect {
            return Some(Reported::Found(self.look(binary.as_ref(), backup.as_ref())));
        }
        match self.outcome(&effect, luck) {
            Ok(event) => event.map(Reported::Fact),
            Err(code) => {
                let failure = values::failure(code);
                let attempt = whose(&effect).unwrap_or_default();
                Some(Reported::Fact(match effect {
                    Effect::SpawnDaemon(_) => Event::SpawnFailed { failure },
                    _ => Event::WorkFailed { attempt, failure },
                }))
            }
        }
    }

    /// Whether the order may be finished now: chores on files go one after the other.
    pub(crate) fn can_finish(&self, index: usize) -> bool {
        let is_file_chore = |effect: &Effect| {
            matches!(
                effect,
                Effect::CommitSwap { .. }
                    | Effect::CommitRollBack { .. }
                    | Effect::MoveSharedBack { .. }
                    | Effect::QueueAnnouncement(_)
                    | Effect::DropFromQueue(_)
                    | Effect::MoveShared { .. }
                    | Effect::RestoreVersionFile(_)
                    | Effect::RebuildPlan { .. }
                    | Effect::MendLink(_)
            )
        };
        match &self.work[index] {
            Effect::SweepGroup(Some(_)) => {
                self.process.as_ref().is_none_or(|process| !process.leader_lives)
            }
            // The files agree before the daemon is started.
            effect => {
                let waits = is_file_chore(effect) || matches!(effect, Effect::SpawnDaemon(_));
                !waits || !self.work[..index].iter().any(is_file_chore)
            }
        }
    }

    fn outcome(&mut self, effect: &Effect, luck: Luck) -> Result<Option<Event>, Code> {
        Ok(Some(match effect {
            Effect::SpawnDaemon(_) => {
                luck.or(&[Code::Io])?;
                Event::DaemonSpawned { daemon: self.spawn() }
            }
            Effect::SweepGroup(_) => {
                self.process = None;
                Event::GroupGone
            }
            Effect::FetchBinary { attempt, upgrade } => {
                self.announced(upgrade)?;
                luck.or(&FETCH_CODES)?;
                let binary = values::binary(&upgrade.name);
                let source = "https://dl.example/binary".to_owned();
                let (sha256, bytes) = (binary.sha256, binary.bytes);
                Event::BinaryFetched { attempt: *attempt, sha256, bytes, source }
            }
            Effect::CheckBinary { attempt, upgrade } => {
                luck.or(&[Code::BuildInfo, Code::Io, Code::BinaryChanged])?;
                let identity = format!("file {}", self.serial());
                let binary = Binary { identity, ..values::binary(&upgrade.name) };
                self.files.binaries.insert(upgrade.name.clone(), binary.clone());
                Event::BinaryChecked { attempt: *attempt, binary }
            }
            Effect::CheckRoom { attempt } => {
                luck.or(&[Code::NoRoom])?;
                values::room_found(*attempt)
            }
            Effect::CopyHome { .. }
            | Effect::RefreshCopy { .. }
            | Effect::ExamineBackup { .. }
            | Effect::ReviewBackups => {
                return self.copy_outcome(effect, luck);
            }
            Effect::TakeLock { attempt, .. } => {
                luck.or(&[Code::LockBusy, Code::Io])?;
                if self.lock_busy {
                    return Err(Code::LockBusy);
                }
                self.lock = true;
                Event::LockTaken { attempt: *attempt }
            }
            Effect::SealBackup { attempt, sealed, .. } => {
                let archive = self.seal(sealed.as_ref(), luck)?;
                Event::BackupSealed { attempt: *attempt, archive }
            }
            Effect::SkipBackup { attempt } => Event::BackupSkipped { attempt: *attempt },
            Effect::ConfirmBinary { attempt, upgrade, binary } => {
                self.confirm(upgrade, binary)?;
                Event::BinaryPresent { attempt: *attempt }
            }
            Effect::ConfirmCheck { attempt, upgrade, binary } => {
                self.confirm(upgrade, binary)?;
                Event::BinaryChecked { attempt: *attempt, binary: binary.clone() }
            }
            Effect::CommitSwap { .. } | Effect::MoveShared { .. } | Effect::StandDown { .. } => {
                return self.swap_outcome(effect, luck);
            }
            Effect::RestoreHome { .. }
            | Effect::SkipRestore { .. }
            | Effect::LockRollBack { .. }
            | Effect::CommitRollBack { .. }
            | Effect::MoveSharedBack { .. } => return self.back_outcome(effect, luck),
            chore => {
                self.files.do_chore(chore);
                return Ok(hooks::outcome(chore, luck).or_else(|| mended(chore)));
            }
        }))
    }

    pub(super) fn announced(&self, upgrade: &Upgrade) -> Result<(), Code> {
        let queue = self.files.queue.as_ref().ok_or(Code::Io)?;
        let mut known = queue.entries.iter().chain(&queue.current);
        known.any(|entry| entry.is(upgrade)).then_some(()).ok_or(Code::AnnouncementChanged)
    }

    /// A daemon comes up; its work changes the home.
    pub(crate) fn spawn(&mut self) -> Daemon {
        let daemon = values::daemon(1000 + self.serial());
        self.files.touch_home();
        let (asked, killed) = (false, false);
        self.process = Some(Process { daemon, leader_lives: true, is_ours: true, asked, killed });
        daemon
    }

    fn confirm(&self, upgrade: &Upgrade, binary: &Binary) -> Result<(), Code> {
        let same = self.files.binaries.get(&upgrade.name) == Some(binary);
        if same { Ok(()) } else { Err(Code::BinaryChanged) }
    }

    fn look(&self, binary: Option<&Binary>, backup: Option<&Archive>) -> Observed {
        let home = self.files.home;
        Observed {
            at: values::at(self.minutes),
            daemon: self.process.as_ref().filter(|p| p.leader_lives).map(|process| process.daemon),
            version: self.files.version.clone(),
            queue: self.files.queue.clone(),
            link: match &self.files.link {
                Some(name) => Link::LeadsTo(name.clone()),
                None => Link::Absent,
            },
            binary: binary.filter(|was| self.files.binaries.values().any(|is| is == *was)).cloned(),
            backup_holds: backup.is_some_and(|archive| {
                self.files.backups.iter().any(|(kept, of)| kept.path == archive.path && *of == home)
            }),
        }
    }

    /// The leader ends; its group may outlive it.
    pub(crate) fn leader_ends(&mut self, ending: Ending, uptime_ms: u64) -> Option<Event> {
        let process = self.process.as_mut().filter(|process| process.leader_lives)?;
        process.leader_lives = false;
        if !process.is_ours && !process.asked {
            self.process = None;
            return None;
        }
        Some(Event::DaemonEnded { ending, uptime_ms })
    }
}

impl Luck {
    pub(super) fn or(self, codes: &[Code]) -> Result<(), Code> {
        match self {
            Self::Good | Self::Half => Ok(()),
            Self::Bad(pick) => Err(codes[usize::from(pick) % codes.len()]),
        }
    }
}

const FETCH_CODES: [Code; 9] = [
    Code::Network,
    Code::HttpStatus,
    Code::DigestMismatch,
    Code::NoPlatform,
    Code::NoBinary,
    Code::NoChecksum,
    Code::BadUrl,
    Code::TooLarge,
    Code::Io,
];

fn takes_time(effect: &Effect) -> bool {
    !matches!(
        effect,
        Effect::InterruptDaemon(_)
            | Effect::ForwardSignal { .. }
            | Effect::KillGroup(_)
            | Effect::StartTimer { .. }
            | Effect::StopTimer(_)
            | Effect::WatchDue { .. }
            | Effect::CancelPreparation { .. }
            | Effect::EndHealthCheck
            | Effect::ReleaseLock
            | Effect::Answer { .. }
            | Effect::Exit(_)
    )
}

/// The number of the preparation or attempt that an order belongs to.
pub(crate) fn whose(effect: &Effect) -> Option<u64> {
    match effect {
        Effect::FetchBinary { attempt, .. }
        | Effect::CheckBinary { attempt, .. }
        | Effect::CheckRoom { attempt }
        | Effect::CopyHome { attempt, .. }
        | Effect::RefreshCopy { attempt }
        | Effect::TakeLock { attempt, .. }
        | Effect::SealBackup { attempt, .. }
        | Effect::SkipBackup { attempt }
        | Effect::ConfirmBinary { attempt, .. }
        | Effect::ConfirmCheck { attempt, .. }
        | Effect::RestoreHome { attempt, .. }
        | Effect::SkipRestore { attempt, .. }
        | Effect::LockRollBack { attempt, .. }
        | Effect::CommitRollBack { attempt, .. }
        | Effect::CommitSwap { attempt, .. }
        | Effect::StandDown { attempt, .. } => Some(*attempt),
        Effect::RunHook(call) if call.hook == Hook::PreUpgrade => call.attempt,
        _ => None,
    }
}

/// What is told of a file that was written anew.
fn mended(chore: &Effect) -> Option<Event> {
    let file = match chore {
        Effect::RestoreVersionFile(_) => "version file",
        Effect::RebuildPlan { .. } => "plan",
        _ => return None,
    };
    Some(Event::FileMended { file: file.to_owned(), set_aside: None })
}
