//! Files under a hidden name until they are whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::disk::{Disk, Kind, RealDisk, create_dirs, folder_of, try_lock};

const PARTIAL_SUFFIX: &str = ".zst.partial";

/// A file under its temporary name; removed when dropped.
#[derive(Debug)]
pub(super) struct Partial(PathBuf);

impl Partial {
    /// Creates the file that is to become `path`, with mode 0600, for reading and writing.
    pub(super) fn create(path: &Path) -> Result<(Self, File), Error> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".partial");
        let path = path.with_file_name(name);
        let created = match RealDisk.create(&path, 0o600) {
            // Whoever empties the folder removes it, at this very moment too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_dirs(&RealDisk, folder_of(&path), 0o700)
                    .and_then(|()| RealDisk.create(&path, 0o600))
            }
            created => created,
        };
        created.map_err(|e| Error::of("creating", &path, e))?;
        let partial = Self(path);
        let opened = OpenOptions::new().read(true).write(true).open(&partial.0).and_then(|file| {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            // Held while it is written, so that nobody takes it for a left-over; where the file
            // system has no locks, nobody can be told.
            let _ = try_lock(&file);
            Ok(file)
        });
        let file = opened.map_err(|e| Error::of("opening", &partial.0, e))?;
        Ok((partial, file))
    }

    /// The temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the file its final name, durably.
    pub(super) fn keep_as(self, path: &Path) -> Result<(), Error> {
        RealDisk.rename(&self.0, path).map_err(|e| Error::of("renaming", &self.0, e))?;
        let folder = folder_of(path);
        RealDisk.sync_dir(folder).map_err(|error| {
            // Not sealed: left there, it would be a second one once the attempt is made again.
            let _ = RealDisk.remove_file(path);
            Error::of("syncing", folder, error)
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing under this name; otherwise the first error is told.
        if fs::remove_file(&self.0).is_ok() {
            remove_if_empty(folder_of(&self.0));
        }
    }
}

/// Removes an upgrade's folder once nothing is in it; one in which something is stays.
pub(super) fn remove_if_empty(folder: &Path) {
    let _ = fs::remove_dir(folder);
}

/// A backup is never overwritten.
pub(super) fn refuse_if_there(path: &Path) -> Result<(), Error> {
    match RealDisk.kind(path) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Error::Exists { path: path.to_owned() }),
        Err(error) => Err(Error::of("looking at", path, error)),
    }
}

/// Removes what interrupted backups left in a folder, and tells how many. One that is still being
/// written, by another process, is left alone; a folder that doesn't exist holds none.
pub fn discard_partials(folder: &Path) -> Result<u64, Error> {
    let names = match RealDisk.list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::of("listing", folder, error)),
    };
    let mut count = 0;
    for name in names {
        let bytes = name.as_bytes();
        if !bytes.starts_with(b".") || !bytes.ends_with(PARTIAL_SUFFIX.as_bytes()) {
            continue;
        }
        let path = folder.join(&name);
        let held = File::open(&path).is_ok_and(|file| !matches!(try_lock(&file), Ok(true)));
        if !held {
            RealDisk.remove_file(&path).map_err(|e| Error::of("removing", &path, e))?;
            count += 1;
        }
    }
    Ok(count)
}

/// The same in every folder below `backups`: of an upgrade that is not tried again, or of a backup
/// that is not read again. What can't be removed is told, and left.
pub fn discard_all_partials(backups: &Path) {
    for name in RealDisk.list(backups).unwrap_or_default() {
        let folder = backups.join(name);
        if !matches!(RealDisk.kind(&folder), Ok(Some(Kind::Folder))) {
            continue;
        }
        match discard_partials(&folder) {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!("{count} unfinished in {} removed", folder.display());
                remove_if_empty(&folder);
            }
            Err(error) => tracing::warn!("what an interrupted backup left stays: {error}"),
        }
    }
}
