//! The steps of a roll-back. The files are moved by the real code; putting the home back has its
//! own tests on real file systems, and is a small model here that keeps its records as the real
//! one does.

use std::io;

use nymvisor::disk::{self, Kind};
use nymvisor::machine::{Archive, Code, Event, Failure, Upgrade, Version};
use nymvisor::release::UpgradeName;

use super::Machine;
use super::prepare::failed;

const STAGED: &[u8] = b"staged";
const PLACED: &[u8] = b"placed";
const DONE: &[u8] = b"done";

impl Machine {
    /// Nothing is moved for a version that could not be started afterwards.
    fn is_in_place(&self, to: &Version) -> Result<(), Failure> {
        let path = self.paths.binary(&UpgradeName::installed(&to.name).unwrap());
        if let Ok(Some(Kind::File(_))) = self.disk.kind(&path) {
            return Ok(());
        }
        Err(Failure { code: Code::NoBinary, text: format!("{} is missing", to.name) })
    }

    /// From the first move to the last record, the home is neither the one nor the other.
    pub(super) fn restore_home(
        &mut self,
        attempt: u64,
        upgrade: &Upgrade,
        to: &Version,
        archive: &Archive,
    ) -> Result<Event, Failure> {
        self.is_in_place(to)?;
        let work = self.paths.rollbacks().join(format!("{attempt}-{}", upgrade.name));
        let path = work.join("state.json");
        let note = |what| disk::replace(&*self.disk, &path, what, 0o600).map_err(failed);
        let noted = match self.disk.read(&path) {
            Ok(noted) => {
                self.disk.sync_dir(&work).map_err(failed)?;
                noted
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.is_confirmed(archive).map_err(failed)? {
                    let text = format!("{} is not what was sealed", archive.path);
                    return Err(Failure { code: Code::Io, text });
                }
                disk::create_dirs(&*self.disk, &work, 0o700).map_err(failed)?;
                note(STAGED)?;
                STAGED.to_vec()
            }
            Err(error) => return Err(failed(error)),
        };
        let files = &mut self.world.files;
        // Its examination has added the digest since.
        let mut backups = files.backups.iter();
        let of = backups.find(|(kept, _)| kept.path == archive.path).map(|(_, home)| *home);
        let Some(of) = of else {
            let text = format!("{} is nobody's backup", archive.path);
            return Err(Failure { code: Code::Io, text });
        };
        if noted == STAGED {
            files.half_restored = true;
            note(PLACED)?;
        }
        if noted != DONE {
            files.home = of;
            note(DONE)?;
        }
        files.half_restored = false;
        if files.home != of {
            self.broke(format!("the home is not what {} holds", archive.path));
        }
        let aside = work.join("aside").display().to_string();
        Ok(Event::HomeRestored { attempt, aside, moved_aside: 1 })
    }

    /// Somebody wants the data as it is, whatever that is.
    pub(super) fn skip_restore(&mut self, attempt: u64, to: &Version) -> Result<Event, Failure> {
        self.is_in_place(to)?;
        self.world.files.half_restored = false;
        Ok(Event::RestoreSkipped { attempt })
    }

    /// Never past the commit point on half a home, or before it is settled what becomes of it.
    pub(super) fn judge_roll_back(&mut self, attempt: u64) {
        if let Err(why) = self.witness.read(&self.medium, &self.paths) {
            return self.broke(why);
        }
        let half_restored = self.world.files.half_restored;
        if let Err(why) = self.witness.oracle().may_roll_back(attempt, half_restored) {
            self.broke(why);
        }
    }
}
