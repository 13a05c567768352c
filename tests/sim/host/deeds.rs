//! Orders are carried out: processes by the model, files by the real code on the simulated medium.

use nymvisor::disk;
use nymvisor::host::Stimulus as Reported;
use nymvisor::host::backup;
use nymvisor::host::files::{self, Mended};
use nymvisor::machine::{
    Archive, Binary, Code, Effect, Event, Failure, Link, Observed, PhaseName, Upgrade, Version,
};
use nymvisor::release::{UpgradeInfo, UpgradeName};

use super::super::disk::{Fault, Reach};
use super::super::install::is_whole;
use super::Machine;
use crate::model::host::whose;
use crate::model::luck::Luck;

/// What is finished even where the run ends.
pub(super) fn is_chore(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::DiscardBackup(_)
            | Effect::QueueAnnouncement(_)
            | Effect::DropFromQueue(_)
            | Effect::MoveShared { .. }
            | Effect::MoveSharedBack { .. }
            | Effect::RestoreVersionFile(_)
            | Effect::RebuildPlan { .. }
            | Effect::MendLink(_)
            | Effect::CommitSwap { .. }
            | Effect::CommitRollBack { .. }
    )
}

impl Machine {
    /// Finishes the `pick`-th of what can be finished.
    pub(super) fn finish(&mut self, pick: usize, luck: Luck) -> Option<Reported> {
        let work = 0..self.world.work.len();
        let ready: Vec<usize> = work.filter(|index| self.world.can_finish(*index)).collect();
        self.finish_work(*ready.get(pick % ready.len().max(1))?, luck)
    }

    pub(super) fn finish_work(&mut self, index: usize, luck: Luck) -> Option<Reported> {
        let effect = self.world.work[index].clone();
        match &effect {
            // What fails without a reason on disk fails as in the model.
            Effect::FetchBinary { .. }
            | Effect::CheckBinary { .. }
            | Effect::CheckRoom { .. }
            | Effect::CopyHome { .. }
            | Effect::RefreshCopy { .. }
            | Effect::ExamineBackup { .. }
            | Effect::TakeLock { .. }
            | Effect::SealBackup { .. }
            | Effect::SpawnDaemon(_)
                if matches!(luck, Luck::Bad(_)) =>
            {
                self.mirror();
                return self.world.finish(index, luck);
            }
            Effect::SpawnDaemon(version) => {
                self.judge_start(version);
                return self.world.finish(index, luck);
            }
            Effect::SweepGroup(_)
            | Effect::SkipBackup { .. }
            | Effect::RefreshCopy { .. }
            | Effect::RunHook(_)
            | Effect::CheckHealth { .. } => {
                return self.world.finish(index, luck);
            }
            Effect::CommitSwap { attempt, upgrade, .. } => self.judge_commit(*attempt, upgrade),
            Effect::CommitRollBack { attempt, .. } => self.judge_roll_back(*attempt),
            _ => {}
        }
        self.world.work.remove(index);
        if let Luck::Bad(pick) = luck
            && (is_chore(&effect) || matches!(effect, Effect::RestoreHome { .. }))
        {
            let reach = Reach::Io { lasts: 1, cache_lies: false };
            self.medium.plan_if_none(Fault::new(u64::from(pick % 24) + 1, reach));
        }
        if let Effect::Observe { upgrade, binary, backup } = &effect {
            let binary = upgrade.as_ref().zip(binary.as_ref());
            return Some(Reported::Found(self.look(binary, backup.as_ref())));
        }
        let attempt = whose(&effect).unwrap_or_default();
        match self.outcome(effect) {
            Ok(event) => event.map(Reported::Fact),
            Err(failure) => Some(Reported::Fact(Event::WorkFailed { attempt, failure })),
        }
    }

    /// Between sessions: what was recorded as installed is what the version file names, if any.
    pub(crate) fn judge_version(&self) -> Result<(), String> {
        let Some(state) = self.witness.state() else { return Ok(()) };
        // In a swap, or after a failed one, the file may be ahead of the journal.
        if matches!(state.phase.name(), PhaseName::Swapping | PhaseName::Failed) {
            return Ok(());
        }
        match self.medium.quietly(|| self.files.version()) {
            Ok(version) if version != state.installed => Err(format!(
                "{} is committed, and {} is installed",
                state.installed.name, version.name
            )),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What is started must be whole.
    fn judge_start(&mut self, version: &Version) {
        let name = UpgradeName::installed(&version.name).unwrap();
        let bytes = self.medium.peek(&self.paths.binary(&name));
        if !bytes.is_some_and(|bytes| is_whole(&bytes)) {
            self.broke(format!("{} is started, and its binary is not whole", version.name));
        }
    }

    /// Never past the commit point without a checked binary and a sealed backup of this home.
    fn judge_commit(&mut self, attempt: u64, upgrade: &Upgrade) {
        let version = self.medium.quietly(|| self.files.version().ok());
        let is_done = version.as_ref() == Some(&upgrade.target());
        if let Err(why) = self.witness.read(&self.medium, &self.paths) {
            return self.broke(why);
        }
        let backups: Vec<_> = self.world.files.backups.clone();
        let whole: Vec<_> = backups.into_iter().filter(|(kept, _)| self.is_sealed(kept)).collect();
        let home = self.world.files.home;
        if let Err(why) = self.witness.oracle().may_commit(attempt, is_done, &whole, home) {
            self.broke(why);
        }
    }

    /// Whether the archive lies there as it was sealed.
    pub(crate) fn is_sealed(&self, archive: &Archive) -> bool {
        let bytes = self.medium.peek(&backup::path_of(archive));
        bytes.is_some_and(|bytes| Self::is_as_sealed(archive, &bytes))
    }

    fn outcome(&mut self, effect: Effect) -> Result<Option<Event>, Failure> {
        let at = self.now();
        match effect {
            Effect::FetchBinary { attempt, upgrade } => self.fetch(attempt, &upgrade).map(Some),
            Effect::CheckBinary { attempt, upgrade } => self.check(attempt, &upgrade).map(Some),
            Effect::CheckRoom { attempt } => self.check_room(attempt).map(Some),
            Effect::TakeLock { attempt, upgrade } => self.take_lock(attempt, &upgrade).map(Some),
            Effect::CopyHome { attempt, upgrade } => self.copy(attempt, &upgrade).map(Some),
            Effect::ExamineBackup { archive, .. } => Ok(Some(self.examine(archive))),
            Effect::ReviewBackups => {
                let lies = |it: &Archive| self.medium.peek(&backup::path_of(it)).is_some();
                Ok(self.world.outlived(lies))
            }
            Effect::SealBackup { attempt, upgrade, sealed } => {
                let archive = self.seal(&upgrade, sealed)?;
                Ok(Some(Event::BackupSealed { attempt, archive }))
            }
            Effect::ConfirmBinary { attempt, upgrade, binary } => {
                self.confirm(&upgrade, &binary)?;
                Ok(Some(Event::BinaryPresent { attempt }))
            }
            Effect::ConfirmCheck { attempt, upgrade, binary } => {
                self.confirm(&upgrade, &binary)?;
                Ok(Some(Event::BinaryChecked { attempt, binary }))
            }
            Effect::CommitSwap { attempt, upgrade, plan_current, .. } => {
                let left = self.files.commit(&upgrade, plan_current.as_ref(), at)?;
                Ok(Some(Event::SwapCommitted { attempt, left }))
            }
            Effect::RestoreHome { attempt, upgrade, to, archive } => {
                self.restore_home(attempt, &upgrade, &to, &archive).map(Some)
            }
            Effect::SkipRestore { attempt, to } => self.skip_restore(attempt, &to).map(Some),
            Effect::LockRollBack { attempt, .. } => self.lock_roll_back(attempt).map(Some),
            Effect::CommitRollBack { attempt, upgrade, to } => {
                let left = self.files.roll_back(&upgrade, &to, at)?;
                Ok(Some(Event::SwapCommitted { attempt, left }))
            }
            Effect::StandDown { attempt, in_doubt } => {
                self.stand_down(attempt, in_doubt.as_ref()).map(Some)
            }
            chore => {
                self.do_chore(chore);
                Ok(None)
            }
        }
    }

    /// A failed swap may have moved the version file all the same.
    fn stand_down(&self, attempt: u64, in_doubt: Option<&Upgrade>) -> Result<Event, Failure> {
        let Some(upgrade) = in_doubt else { return Ok(Event::StoodDown { attempt }) };
        Ok(if self.read_version()? == upgrade.target() {
            Event::SwapCommitted { attempt, left: "all but the version file".to_owned() }
        } else {
            Event::StoodDown { attempt }
        })
    }

    /// What fails here is logged, and left to a later look.
    fn do_chore(&mut self, effect: Effect) {
        let at = self.now();
        match effect {
            Effect::QueueAnnouncement(upgrade) => {
                let info = self.upstream.clone().filter(|info| info.digest() == upgrade.digest);
                if let Some(info) = info {
                    self.session.is_unqueued = self.files.enqueue(&info).is_err();
                }
            }
            Effect::DropFromQueue(names) => drop(self.files.drop_queued(&names)),
            Effect::MoveShared { upgrade, plan_current } => {
                drop(self.files.commit(&upgrade, plan_current.as_ref(), at));
            }
            Effect::MoveSharedBack { upgrade, to } => {
                drop(self.files.roll_back(&upgrade, &to, at));
            }
            Effect::RestoreVersionFile(version) => {
                let mended = self.files.restore_version(&version, at);
                self.tell(mended.ok().flatten());
            }
            Effect::RebuildPlan { current, queued } => {
                let mended = self.files.rebuild_plan(&current, &queued, at);
                self.tell(mended.unwrap_or_default());
            }
            Effect::MendLink(name) => {
                let name = UpgradeName::installed(&name).unwrap();
                drop(self.files.mend_link(&name));
            }
            Effect::DiscardBackup(archive) => {
                drop(disk::remove_if_there(&*self.disk, &backup::path_of(&archive)));
            }
            other => panic!("{} is nobody's business", other.name()),
        }
    }

    fn tell(&mut self, mended: impl IntoIterator<Item = Mended>) {
        let shown = |path: std::path::PathBuf| path.display().to_string();
        self.session.inbox.extend(mended.into_iter().map(|Mended { file, set_aside }| {
            let (file, set_aside) = (shown(file), set_aside.map(shown));
            Reported::Fact(Event::FileMended { file, set_aside })
        }));
    }

    fn look(&mut self, binary: Option<(&Upgrade, &Binary)>, backup: Option<&Archive>) -> Observed {
        let at = self.now();
        let home = self.world.files.home;
        let process = self.world.process.as_ref();
        let is_same = |(of, was): &(&Upgrade, &Binary)| {
            self.confirm(of, was).is_ok()
                && self
                    .read_binary(of)
                    .is_ok_and(|bytes| nymvisor::digest::sha256(&bytes) == was.sha256)
        };
        Observed {
            at,
            daemon: process.filter(|p| p.leader_lives).map(|process| process.daemon),
            version: self.read_version().ok(),
            queue: self.files.durable_queue().ok(),
            link: self.files.link().unwrap_or(Link::Absent),
            binary: binary.filter(is_same).map(|(_, was)| was.clone()),
            backup_holds: backup.is_some_and(|archive| {
                let mut backups = self.world.files.backups.iter();
                backups.any(|(kept, of)| kept.path == archive.path && *of == home)
                    && self.is_confirmed(archive).unwrap_or(false)
            }),
        }
    }

    /// As often as the real look tries.
    fn read_version(&self) -> Result<Version, files::Error> {
        let mut reads = (0..20).map(|_| self.files.version());
        reads.find(files::is_told).unwrap_or_else(|| self.files.version())
    }

    /// Whether the file that was checked is still the one.
    fn confirm(&self, upgrade: &Upgrade, binary: &Binary) -> Result<(), Failure> {
        let name = UpgradeName::installed(&upgrade.name).unwrap();
        let is = self.medium.identity(&self.paths.binary(&name));
        if is.as_ref() == Some(&binary.identity) {
            return Ok(());
        }
        Err(Failure { code: Code::BinaryChanged, text: format!("{} is another", upgrade.name) })
    }

    pub(super) fn read_binary(&self, upgrade: &Upgrade) -> std::io::Result<Vec<u8>> {
        let name = UpgradeName::installed(&upgrade.name).unwrap();
        self.disk.read(&self.paths.binary(&name))
    }

    /// The announcement as the plan has it, to the letter.
    pub(super) fn announced(&self, upgrade: &Upgrade) -> Result<UpgradeInfo, Failure> {
        Ok(self.files.announcement(upgrade)?)
    }
}
