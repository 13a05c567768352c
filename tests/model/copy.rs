//! Backups on the tiny machine: copied ahead, sealed, read whole.

use nymvisor::machine::{Archive, Code, Effect, Event};

use super::host::World;
use super::luck::Luck;
use super::values;

impl World {
    /// How what is done ahead of the stop, or after it, turns out.
    pub(super) fn copy_outcome(
        &mut self,
        effect: &Effect,
        luck: Luck,
    ) -> Result<Option<Event>, Code> {
        Ok(Some(match effect {
            Effect::CopyHome { attempt, .. } => {
                luck.or(&[Code::NoRoom, Code::Io])?;
                self.copied = Some(*attempt);
                Event::HomeCopied { attempt: *attempt, entries: 3, bytes: 100 }
            }
            Effect::RefreshCopy { attempt } => {
                luck.or(&[Code::NoRoom, Code::Io])?;
                let keeps_up = luck == Luck::Good;
                Event::CopyRefreshed { attempt: *attempt, changed: 1, bytes: 1, keeps_up }
            }
            Effect::ExamineBackup { archive, .. } => self.examine(archive, luck),
            Effect::ReviewBackups => return Ok(self.outlived(|_| true)),
            _ => return Ok(None),
        }))
    }

    pub(crate) fn seal(&mut self, sealed: Option<&Archive>, luck: Luck) -> Result<Archive, Code> {
        luck.or(&[Code::NoRoom, Code::Io])?;
        let home = self.files.home;
        let holds = |archive: &&Archive| self.files.backups.contains(&((*archive).clone(), home));
        if let Some(archive) = sealed.filter(holds) {
            return Ok(archive.clone());
        }
        let archive = values::archive(u64::from(self.serial()));
        // What was copied ahead is read whole only once the daemon is up again.
        let archive = match self.copied.take() {
            Some(_) => Archive { sha256: None, ..archive },
            None => archive,
        };
        self.files.backups.push((archive.clone(), home));
        Ok(archive)
    }

    /// All but the newest, and even one that is alone, whether or not a roll-back may need them:
    /// the machine knows better.
    pub(crate) fn outlived(&self, is_there: impl Fn(&Archive) -> bool) -> Option<Event> {
        let backups = &self.files.backups;
        let older = backups.len().saturating_sub(1).max(1);
        let archives = backups.iter().take(older).map(|(archive, _)| archive);
        let archives: Vec<_> = archives.filter(|it| is_there(it)).cloned().collect();
        (!archives.is_empty()).then_some(Event::BackupsOutlived { archives })
    }

    fn examine(&self, archive: &Archive, luck: Luck) -> Event {
        if luck != Luck::Good || !self.files.has(archive) {
            let failure = values::failure(Code::Io);
            return Event::BackupDamaged { archive: archive.clone(), failure };
        }
        let sha256 = Some("sha".to_owned());
        Event::BackupExamined { archive: Archive { sha256, ..archive.clone() } }
    }
}
