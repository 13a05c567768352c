//! The backup: copied ahead of the stop, sealed, read whole afterwards.

use std::io;

use nymvisor::disk;
use nymvisor::host::backup;
use nymvisor::machine::{Archive, Code, Event, Failure, Upgrade};

use super::Machine;
use super::prepare::{beside, failed};

impl Machine {
    /// The first copy, and each refreshed one, lies under a hidden name.
    pub(super) fn copy(&mut self, attempt: u64, upgrade: &Upgrade) -> Result<Event, Failure> {
        let home = self.world.files.home;
        let path = self.copy_path(upgrade);
        self.write_durably(&path, format!("a copy of {home}").as_bytes()).map_err(failed)?;
        self.world.copied = Some(attempt);
        Ok(Event::HomeCopied { attempt, entries: 1, bytes: 40 })
    }

    fn copy_path(&self, upgrade: &Upgrade) -> std::path::PathBuf {
        self.paths.backups().join(&upgrade.name).join(".backup-copy.tar.zst.partial")
    }

    /// Whether these are the bytes that were sealed. Before it is examined an archive has no
    /// digest: its size, and what each frame of it says of itself.
    pub(super) fn is_as_sealed(archive: &Archive, bytes: &[u8]) -> bool {
        match &archive.sha256 {
            Some(sha256) => nymvisor::digest::sha256(bytes) == *sha256,
            None => bytes.len() as u64 == archive.bytes && bytes.ends_with(b"data \n"),
        }
    }

    pub(super) fn is_confirmed(&self, archive: &Archive) -> io::Result<bool> {
        match self.disk.read(&backup::path_of(archive)) {
            Ok(bytes) => Ok(Self::is_as_sealed(archive, &bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn examine(&self, archive: Archive) -> Event {
        let failure = |text: String| Failure { code: Code::Io, text };
        match self.disk.read(&backup::path_of(&archive)) {
            Ok(bytes) if Self::is_as_sealed(&archive, &bytes) => {
                let sha256 = Some(nymvisor::digest::sha256(&bytes));
                Event::BackupExamined { archive: Archive { sha256, ..archive } }
            }
            Ok(_) => Event::BackupDamaged { archive, failure: failure("not whole".to_owned()) },
            Err(error) => Event::BackupDamaged { archive, failure: failure(error.to_string()) },
        }
    }

    /// The home becomes an archive: written beside, synced, renamed, its folder synced.
    pub(super) fn seal(
        &mut self,
        upgrade: &Upgrade,
        sealed: Option<Archive>,
    ) -> Result<Archive, Failure> {
        if let Some(archive) = sealed
            && self.is_confirmed(&archive).map_err(failed)?
        {
            return Ok(archive);
        }
        let home = self.world.files.home;
        let serial = self.world.serial();
        let folder = self.paths.backups().join(&upgrade.name);
        let path = folder.join(format!("backup-{serial}-preupgrade.tar.zst"));
        let bytes = format!("the home in its state {home}, {}\n", "data ".repeat(8)).into_bytes();
        let partial = beside(&path, ".partial");
        disk::remove_if_there(&*self.disk, &self.copy_path(upgrade)).map_err(failed)?;
        self.write_durably(&partial, &bytes)
            .and_then(|()| self.disk.rename(&partial, &path))
            .and_then(|()| self.disk.sync_dir(&folder))
            .map_err(failed)?;
        let sha256 = Some(nymvisor::digest::sha256(&bytes));
        let archive = Archive {
            path: path.to_string_lossy().into_owned(),
            bytes: bytes.len() as u64,
            sha256: sha256.filter(|_| self.world.copied.take().is_none()),
            entries: 1,
            skipped: 0,
        };
        self.world.files.backups.push((archive.clone(), home));
        Ok(archive)
    }
}
