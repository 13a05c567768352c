//! Whether there is room, asked before the daemon is stopped.
//!
//! What is free is what a user without privileges may take. Quotas can't be seen from here; where
//! one ends, the write itself says so.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use walkdir::WalkDir;

use crate::config::ASIDE_PREFIX;
use crate::disk::folder_of;
use crate::machine::Code;
pub use crate::units::human;

const BLOCK_BYTES: u64 = 512;
/// What an archive of little or incompressible content may have over its content.
const OVERHEAD_BYTES: u64 = 64 * 1024;

/// What is free on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files and folders that can still be made; `u64::MAX` where the file system has no limit.
    pub inodes: u64,
}

/// What a backup takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Bytes: what the home has allocated, holes not counted, as if nothing could be compressed.
    pub bytes: u64,
    /// Files, folders, links and the rest.
    pub entries: u64,
}

/// Why there is no room, or why nobody can tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too few bytes are free.
    #[error(
        "no room: {wanted} must fit on one file system with {} free; free {} there, or move one \
         of them to another file system",
        human(*free),
        human(need.saturating_sub(*free))
    )]
    Bytes {
        /// Each path with its need, for a person.
        wanted: String,
        /// Bytes that all of them need.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Too few files can be made.
    #[error(
        "no room: {wanted} must fit on one file system on which only {free} more files can be \
         made; remove some there"
    )]
    Inodes {
        /// Each path with its need, for a person.
        wanted: String,
        /// Inodes that are free.
        free: u64,
    },
    /// The system refused to tell.
    #[error(
        "can't tell the room: {doing} {}: {cause}; check the path and its mounts",
        path.display()
    )]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
}

impl Error {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Bytes { .. } | Self::Inodes { .. } => Code::NoRoom,
            Self::Io { .. } => Code::Io,
        }
    }

    fn of(doing: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::Io { doing, path: path.to_owned(), cause: cause.into() }
    }
}

/// What is free where `path` is, or would be made.
pub fn free(path: &Path) -> Result<Room, Error> {
    let (there, _) = nearest(path)?;
    let stat = statvfs(&there).map_err(|e| Error::of("asking the file system of", &there, e))?;
    let bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
    // Some file systems make inodes as they go, and report none at all.
    let inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() };
    Ok(Room { bytes, inodes })
}

/// The device where `path` is, or would be made.
pub fn device(path: &Path) -> Result<u64, Error> {
    Ok(nearest(path)?.1.dev())
}

/// What a backup of `home` takes at most, without the folders in `leave_out`.
///
/// The home may be in use: what vanishes under way isn't counted.
pub fn needed_for_backup(home: &Path, leave_out: &[PathBuf]) -> Result<Need, Error> {
    let mut left_out = HashSet::new();
    for folder in leave_out {
        match fs::metadata(folder) {
            Ok(meta) => left_out.insert((meta.dev(), meta.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::of("looking at", folder, error)),
        };
    }
    let (mut bytes, mut entries, mut linked) = (0, 0, HashSet::new());
    let mut walk = WalkDir::new(home).into_iter();
    while let Some(entry) = walk.next() {
        let aside = entry.as_ref().is_ok_and(|it| is_aside(it.file_name()));
        let Some((depth, is_folder, meta)) = found(home, entry)? else { continue };
        let id = (meta.dev(), meta.ino());
        if depth > 0 && (aside || left_out.contains(&id)) {
            if is_folder {
                walk.skip_current_dir();
            }
            continue;
        }
        entries += 1;
        if is_folder || meta.nlink() < 2 || linked.insert(id) {
            bytes += meta.blocks() * BLOCK_BYTES;
        }
    }
    Ok(Need { bytes: bytes + bytes / 1024 + OVERHEAD_BYTES, entries })
}

/// Whether each of these paths can take so many bytes more, all of them at once: what lies on one
/// file system adds up. Each needs at least one inode too.
pub fn check(needs: &[(PathBuf, u64)]) -> Result<(), Error> {
    let mut by_device: BTreeMap<u64, Vec<&(PathBuf, u64)>> = BTreeMap::new();
    for need in needs {
        by_device.entry(device(&need.0)?).or_default().push(need);
    }
    for group in by_device.values() {
        let Some((first, _)) = group.first() else { continue };
        let room = free(first)?;
        let need = group.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if need > room.bytes {
            return Err(Error::Bytes { wanted: wanted(group), need, free: room.bytes });
        }
        if group.len() as u64 > room.inodes {
            return Err(Error::Inodes { wanted: wanted(group), free: room.inodes });
        }
    }
    Ok(())
}

/// Whether it is what a restore moved aside.
fn is_aside(name: &OsStr) -> bool {
    name.as_bytes().starts_with(ASIDE_PREFIX.as_bytes())
}

fn found(
    home: &Path,
    entry: walkdir::Result<walkdir::DirEntry>,
) -> Result<Option<(usize, bool, Metadata)>, Error> {
    let got = entry.and_then(|entry| {
        let meta = entry.metadata()?;
        Ok((entry.depth(), meta.is_dir(), meta))
    });
    match got {
        Ok((depth, is_folder, meta)) => Ok(Some((depth, is_folder, meta))),
        Err(error) => {
            let path = error.path().unwrap_or(home).to_owned();
            let cause = io::Error::from(error);
            if cause.kind() == io::ErrorKind::NotFound && path != home {
                return Ok(None);
            }
            Err(Error::of("looking at", &path, cause))
        }
    }
}

/// `path` or the nearest folder above it that is there.
fn nearest(path: &Path) -> Result<(PathBuf, Metadata), Error> {
    let mut at = path;
    loop {
        match fs::metadata(at) {
            Ok(meta) => return Ok((at.to_owned(), meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && at != folder_of(at) => {
                at = folder_of(at);
            }
            Err(error) => return Err(Error::of("looking at", at, error)),
        }
    }
}

fn wanted(group: &[&(PathBuf, u64)]) -> String {
    let mut text = String::new();
    for (path, bytes) in group {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{} for {}", human(*bytes), path.display());
    }
    text
}
