//! Small models of what has real code of its own: fetch, check, room, lock and backup. What they
//! leave on the medium, and what of it they sync, is as the real ones do it.

use std::io;
use std::path::{Path, PathBuf};

use nymvisor::disk::{self, Kind};
use nymvisor::journal;
use nymvisor::machine::{Binary, Code, Event, Failure, Upgrade};

use super::super::install::{binary_of, details, is_whole};
use super::Machine;
use crate::model::values;

/// Bytes whose digest is right.
#[derive(Debug)]
pub(super) struct Fetched {
    attempt: u64,
    path: PathBuf,
    bytes: Vec<u8>,
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
pub(super) fn failed(error: io::Error) -> Failure {
    let full = error.kind() == io::ErrorKind::StorageFull;
    Failure { code: if full { Code::NoRoom } else { Code::Io }, text: error.to_string() }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap());
    name.push(suffix);
    path.with_file_name(name)
}

impl Machine {
    /// What lies in place is digested; what is torn or another's gives way to what is announced.
    pub(super) fn fetch(&mut self, attempt: u64, upgrade: &Upgrade) -> Result<Event, Failure> {
        let info = self.announced(upgrade)?;
        let path = self.paths.binary(&info.name);
        let fetched = match self.disk.kind(&path).map_err(failed)? {
            Some(Kind::File(_)) => {
                let bytes = self.disk.read(&path).map_err(failed)?;
                if is_whole(&bytes) {
                    Some(Fetched { attempt, path: path.clone(), bytes })
                } else {
                    let aside = beside(&path, ".set-aside");
                    self.disk.rename(&path, &aside).map_err(failed)?;
                    None
                }
            }
            _ => None,
        };
        let source = if fetched.is_some() { "in place" } else { "https://dl.example/binary" };
        let fetched = if let Some(fetched) = fetched {
            fetched
        } else {
            let (path, bytes) = (beside(&path, ".part"), binary_of(&upgrade.target()));
            self.write_durably(&path, &bytes).map_err(failed)?;
            Fetched { attempt, path, bytes }
        };
        let sha256 = nymvisor::digest::sha256(&fetched.bytes);
        let bytes = fetched.bytes.len() as u64;
        self.session.fetched = Some(fetched);
        Ok(Event::BinaryFetched { attempt, sha256, bytes, source: source.to_owned() })
    }

    pub(super) fn write_durably(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = disk::folder_of(path);
        disk::create_dirs(&*self.disk, folder, 0o755)?;
        disk::remove_if_there(&*self.disk, path)?;
        let mut file = self.disk.create(path, 0o600)?;
        file.write_all(bytes)?;
        file.sync()?;
        self.disk.sync_dir(folder)
    }

    /// Build info is compared, the binary gets its name, and what it said is kept beside it.
    pub(super) fn check(&mut self, attempt: u64, upgrade: &Upgrade) -> Result<Event, Failure> {
        let changed = |what: &str| Failure {
            code: Code::BinaryChanged,
            text: format!("{} {what}", upgrade.name),
        };
        let fetched = self.session.fetched.take().filter(|fetched| fetched.attempt == attempt);
        let fetched = fetched.ok_or_else(|| changed("is gone"))?;
        let info = self.announced(upgrade)?;
        let path = self.paths.binary(&info.name);
        if self.disk.read(&fetched.path).map_err(failed)? != fetched.bytes {
            return Err(changed("is not what was fetched"));
        }
        if fetched.path != path {
            self.disk.rename(&fetched.path, &path).map_err(failed)?;
        }
        self.disk.sync_dir(disk::folder_of(&path)).map_err(failed)?;
        self.files.keep_details(&info, &details(&upgrade.version))?;
        let identity = self.medium.identity(&path).ok_or_else(|| changed("is gone"))?;
        let sha256 = nymvisor::digest::sha256(&fetched.bytes);
        let binary = Binary { sha256, bytes: fetched.bytes.len() as u64, identity };
        Ok(Event::BinaryChecked { attempt, binary })
    }

    pub(super) fn check_room(&mut self, attempt: u64) -> Result<Event, Failure> {
        self.files.check_link()?;
        let mut folders = vec![self.paths.home_nymvisor()];
        folders.extend((!self.settings.skip_backup).then(|| self.paths.backups().to_owned()));
        for folder in folders {
            let path = folder.join(".nymvisor-tries");
            let _ = self.disk.remove_file(&path);
            disk::create_dirs(&*self.disk, &folder, 0o700).map_err(failed)?;
            drop(self.disk.create(&path, 0o600).map_err(failed)?);
            self.disk.remove_file(&path).map_err(failed)?;
        }
        journal::reserve(&*self.disk, &self.paths.journal()).map_err(|error| Failure {
            code: if error.is_for_want_of_room() { Code::NoRoom } else { Code::Io },
            text: error.to_string(),
        })?;
        Ok(values::room_found(attempt))
    }

    pub(super) fn take_lock(&mut self, attempt: u64, upgrade: &Upgrade) -> Result<Event, Failure> {
        self.announced(upgrade)?;
        if !self.world.lock && self.world.lock_busy {
            return Err(Failure { code: Code::LockBusy, text: "locked".to_owned() });
        }
        self.hold_lock().map_err(failed)?;
        Ok(Event::LockTaken { attempt })
    }

    /// Whoever holds it is waited for.
    pub(super) fn lock_roll_back(&mut self, attempt: u64) -> Result<Event, Failure> {
        self.world.lock_busy = false;
        self.hold_lock().map_err(failed)?;
        Ok(Event::LockTaken { attempt })
    }

    /// What a crash left is taken over: the lock went with its process.
    fn hold_lock(&mut self) -> io::Result<()> {
        let path = self.paths.upgrade_lock();
        if !self.world.lock && self.disk.kind(&path)?.is_none() {
            drop(self.disk.create(&path, 0o644)?);
        }
        self.world.lock = true;
        Ok(())
    }
}
