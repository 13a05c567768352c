//! Putting a binary in place.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::digest;
use crate::disk::{self, Disk, RealDisk, folder_of};

const EXECUTABLE: u32 = 0o111;

/// Copies a binary to its place: beside, synced, renamed. The operator's own file isn't touched.
///
/// The copy has the file's mode and may be executed.
pub(super) fn binary(from: &Path, to: &Path) -> Result<(), Error> {
    Staged::copy(from, to)?.place()
}

/// A copy beside its place. It goes if it is dropped without having got there.
#[derive(Debug)]
pub(super) struct Staged {
    beside: PathBuf,
    to: PathBuf,
}

impl Staged {
    /// Copies and syncs.
    pub(super) fn copy(from: &Path, to: &Path) -> Result<Self, Error> {
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let staged = Self { beside: to.with_file_name(format!(".{name}.new")), to: to.to_owned() };
        copy(from, &staged.beside).map_err(Error::io("write", to))?;
        Ok(staged)
    }

    /// Gives it its name.
    pub(super) fn place(self) -> Result<(), Error> {
        fs::rename(&self.beside, &self.to).map_err(Error::io("write", &self.to))?;
        RealDisk.sync_dir(folder_of(&self.to)).map_err(Error::io("sync", &self.to))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing has its name once it is placed; what can't be removed is replaced next time.
        let _ = fs::remove_file(&self.beside);
    }
}

fn copy(from: &Path, beside: &Path) -> io::Result<()> {
    disk::remove_if_there(&RealDisk, beside)?;
    let mode = fs::metadata(from)?.permissions().mode() & 0o777 | EXECUTABLE;
    fs::copy(from, beside)?;
    disk::inherit_owner(beside)?;
    fs::set_permissions(beside, Permissions::from_mode(mode))?;
    File::open(beside)?.sync_all()
}

/// Whether two files hold the same bytes; `false` where the second isn't there.
pub(super) fn same_bytes(one: &Path, other: &Path) -> Result<bool, Error> {
    let size = |path: &Path| match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    };
    if size(one)? != size(other)? {
        return Ok(false);
    }
    let digest = |path: &Path| digest::of_file(path).map_err(Error::io("read", path));
    Ok(digest(one)? == digest(other)?)
}
