//! Putting a binary in place.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Error;
use crate::digest;
use crate::disk::{self, Disk, RealDisk, folder_of};

const EXECUTABLE: u32 = 0o111;

/// Copies a binary to its place: beside, synced, renamed. The operator's own file isn't touched.
///
/// The copy has the file's mode and may be executed.
pub(super) fn binary(from: &Path, to: &Path) -> Result<(), Error> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = to.with_file_name(format!(".{name}.new"));
    let copied = copy(from, &beside).and_then(|()| fs::rename(&beside, to));
    if let Err(error) = copied {
        // The first error is the one to report; what is left beside is replaced next time.
        let _ = fs::remove_file(&beside);
        return Err(Error::io("write", to)(error));
    }
    RealDisk.sync_dir(folder_of(to)).map_err(Error::io("sync", to))
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
