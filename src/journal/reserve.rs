//! Room that is held ready for records.
//!
//! A file beside the segments takes up a little room. Where the disk is full it is given up, so
//! that what an upgrade under way still has to say finds its place. No upgrade begins without it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Error, FILE_MODE};
use crate::disk::{self, Disk, Kind};

/// More than the records of an upgrade and of its failure take, and a segment's header.
pub const RESERVE_BYTES: usize = 64 * 1024;

fn path(folder: &Path) -> PathBuf {
    folder.join(".reserve")
}

/// Holds room ready, unless that is done already.
pub fn reserve(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    let path = path(folder);
    let reserved = disk.kind(&path).and_then(|kind| match kind {
        Some(Kind::File(bytes)) if bytes == RESERVE_BYTES as u64 => Ok(()),
        // No hole: a file system gives room to what is written, and to nothing else.
        _ => disk::replace(disk, &path, &vec![b'.'; RESERVE_BYTES], FILE_MODE),
    });
    reserved.map_err(|source| Error::Io { doing: "reserved", path, source })
}

/// Gives the room up; whether there was any.
pub(super) fn give_up(disk: &dyn Disk, folder: &Path) -> bool {
    disk.remove_file(&path(folder)).is_ok()
}

impl Error {
    /// Whether more room would have helped.
    #[must_use]
    pub fn is_for_want_of_room(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}
