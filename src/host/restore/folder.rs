//! Steps from an open folder to a name in it. None follows a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat, mkdirat};

use crate::host::restore::Error;

/// Read, write and enter, for the owner.
const OWN_BITS: u32 = 0o700;

/// What has a name; `None` where nothing has.
pub(super) fn look(folder: &File, name: &OsStr) -> Result<Option<FileStat>, Errno> {
    match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it is a folder.
pub(super) fn is_folder(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

/// Opens a folder in a folder.
pub(super) fn open(folder: &File, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map(File::from)
}

/// Opens the folder at a path below a folder; `None` where there is none. An empty path is the
/// folder itself.
pub(super) fn open_below(folder: &File, path: &Path) -> Result<Option<File>, Errno> {
    let mut at = open(folder, OsStr::new("."))?;
    for name in path {
        at = match open(&at, name) {
            Ok(next) => next,
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    Ok(Some(at))
}

/// The same, making the folders that are missing.
pub(super) fn make_below(folder: &File, path: &Path) -> Result<File, Errno> {
    let mut at = open(folder, OsStr::new("."))?;
    for name in path {
        match mkdirat(&at, name, Mode::from_bits_truncate(OWN_BITS)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
        at = open(&at, name)?;
    }
    Ok(at)
}

/// The names in a folder, sorted by their bytes.
pub(super) fn names(folder: &File) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(open(folder, OsStr::new("."))?.into())?.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &File, path: &Path) -> Result<(), Error> {
    folder.sync_all().map_err(|e| Error::of("syncing", path, e))
}

/// Moves a name from one folder to another, where it must be free (`EEXIST`).
///
/// A folder that its owner may not write to can't be moved by anybody but root: it is made
/// writable for that. Its mode before is returned then.
pub(super) fn rename(
    (from, name): (&File, &OsStr),
    (to, as_name): (&File, &OsStr),
) -> Result<Option<Mode>, Errno> {
    match rename_to_free((from, name), (to, as_name)) {
        Err(Errno::EACCES | Errno::EPERM) => {}
        moved => return moved.map(|()| None),
    }
    let stat = look(from, name)?.ok_or(Errno::ENOENT)?;
    if !is_folder(&stat) || stat.st_mode & OWN_BITS == OWN_BITS {
        return Err(Errno::EACCES);
    }
    let before = Mode::from_bits_truncate(stat.st_mode & 0o7777);
    let mode = before | Mode::from_bits_truncate(OWN_BITS);
    fchmodat(from, name, mode, FchmodatFlags::NoFollowSymlink)?;
    rename_to_free((from, name), (to, as_name))?;
    Ok(Some(before))
}

fn rename_to_free(
    (from, name): (&File, &OsStr),
    (to, as_name): (&File, &OsStr),
) -> Result<(), Errno> {
    match renameat2(from, name, to, as_name, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems have no such flag.
        Err(Errno::EINVAL | Errno::ENOSYS) => {}
        moved => return moved,
    }
    if look(to, as_name)?.is_some() {
        return Err(Errno::EEXIST);
    }
    renameat(from, name, to, as_name)
}
