//! The steps of a roll-back on the tiny machine.

use nymvisor::machine::{Archive, Code, Effect, Event};

use super::host::World;
use super::luck::Luck;

impl World {
    /// How a step of a roll-back turns out.
    pub(super) fn back_outcome(
        &mut self,
        effect: &Effect,
        luck: Luck,
    ) -> Result<Option<Event>, Code> {
        Ok(Some(match effect {
            Effect::RestoreHome { attempt, archive, .. } => {
                let aside = format!("aside-{attempt}");
                self.restore(archive, luck)?;
                Event::HomeRestored { attempt: *attempt, aside, moved_aside: 3 }
            }
            Effect::SkipRestore { attempt, .. } => {
                luck.or(&[Code::NoBinary])?;
                self.files.half_restored = false;
                Event::RestoreSkipped { attempt: *attempt }
            }
            Effect::LockRollBack { attempt, .. } => {
                luck.or(&[Code::Io])?;
                self.lock = true;
                Event::LockTaken { attempt: *attempt }
            }
            Effect::CommitRollBack { attempt, upgrade, to } => {
                luck.or(&[Code::Io])?;
                let left = self.files.roll_back(upgrade, to, luck != Luck::Half);
                Event::SwapCommitted { attempt: *attempt, left }
            }
            Effect::MoveSharedBack { upgrade, to } => {
                self.files.roll_back(upgrade, to, luck == Luck::Good);
                return Ok(None);
            }
            _ => return Ok(None),
        }))
    }

    /// Puts the home back; with half the luck, it is interrupted on the way.
    fn restore(&mut self, archive: &Archive, luck: Luck) -> Result<(), Code> {
        let kept = self.files.backups.iter().find(|(kept, _)| kept.path == archive.path);
        let (_, home) = kept.ok_or(Code::Io)?;
        luck.or(&[Code::NoRoom, Code::Io])?;
        (self.files.home, self.files.half_restored) = (*home, luck == Luck::Half);
        if luck == Luck::Half { Err(Code::Io) } else { Ok(()) }
    }
}
