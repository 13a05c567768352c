//! The daemon's home as one sealed `.tar.zst`, made while the daemon is down, or ahead of that.
//!
//! A backup counts only when it is sealed: written under a hidden name, finished, synced, read
//! back from the medium, renamed, its folder synced. Anything less is removed. All of it blocks.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::machine::Archive;

mod check;
pub mod courtesy;
mod error;
mod examine;
mod frames;
mod index;
mod live;
mod manifest;
mod mapped;
mod medium;
mod pack;
mod partial;
mod push;
mod read_back;
mod records;
mod removed;
pub mod retention;
mod run;
mod shelf;
mod store;
mod tarball;
mod tempo;
mod text;
mod walk;

pub use check::{Checked, check};
pub use error::Error;
pub use examine::examine;
pub use live::{LiveCopy, Pass, Sealed};
pub use manifest::{Origin, manifest_of, origin_of};
pub use partial::{discard_all_partials, discard_partials};
pub use records::{Known, Records};
pub use removed::{Removed, name_of};
pub use shelf::{Shelved, shelf};
pub use tempo::Tempo;

use walk::{LeftOut, Walk};

/// How coarse the stamps of a file system may be: its clock ticks at 100 Hz or faster.
const TICK: Duration = Duration::from_millis(10);

/// One backup to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The folder whose content is archived.
    pub home: PathBuf,
    /// Folders that are never archived, wherever they lie. They are told by what they are, so
    /// links and `..` in their paths don't matter; one that doesn't exist is no error.
    pub leave_out: Vec<PathBuf>,
    /// The final path, which must be free: `…/backup-<UTC time>-preupgrade.tar.zst`.
    pub archive: PathBuf,
    /// Threads that compress.
    pub workers: u32,
    /// zstd's level.
    pub level: i32,
}

/// A request to stop, shared between who may make it and who honours it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end; there is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Makes a backup and seals it, with nothing done ahead. After an error, or when cancelled, nothing
/// of it is left.
///
/// The archive has mode 0600; folders that are missing are made with 0700. Sockets, FIFOs and
/// devices, and what vanishes before its turn, are left out with a warning and counted.
pub fn seal(job: &Job, cancel: &Cancel) -> Result<Archive, Error> {
    Ok(LiveCopy::begin(job, Tempo::default(), None)?.seal(cancel)?.archive())
}

/// Whether a sealed archive is still there, with the size and the digest it was sealed with.
pub fn confirm(archive: &Archive) -> Result<bool, Error> {
    let path = path_of(archive);
    let of = |error| Error::of("reading", &path, error);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(of(error)),
    };
    let meta = file.metadata().map_err(of)?;
    if !meta.is_file() || meta.len() != archive.bytes {
        return Ok(false);
    }
    match &archive.sha256 {
        Some(sha256) => Ok(read_back::sum_of(&mut file).map_err(of)?.sha256 == *sha256),
        // Made ahead, and not read whole yet.
        None => is_whole(&path),
    }
}

/// Reads an archive from its start to its end, whether or not its digest is known: whether every
/// frame decompresses to what its checksum says, and the last one is whole.
pub fn is_whole(path: &Path) -> Result<bool, Error> {
    let file = File::open(path).map_err(|e| Error::of("reading", path, e))?;
    match read_back::read_back(file) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error().is_none() => Ok(false),
        Err(error) => Err(Error::of("reading", path, error)),
    }
}

/// Whether anything in the home was written, made, renamed or removed since `time`.
///
/// A change within one tick of the file system's clock before `time` counts as one since: it
/// can't be told from one just after. In doubt the answer is yes.
pub fn home_changed_since(
    home: &Path,
    leave_out: &[PathBuf],
    time: SystemTime,
) -> Result<bool, Error> {
    let since = time
        .checked_sub(TICK)
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or((0, 0), |time| (time.as_secs(), i64::from(time.subsec_nanos())));
    let since = (i64::try_from(since.0).unwrap_or(i64::MAX), since.1);
    let (left_out, cancel) = (LeftOut::find(leave_out)?, Cancel::default());
    let mut walk = Walk::new(home, &left_out, &cancel, false);
    for found in &mut walk {
        let stat = found?.stat;
        let written = (stat.st_mtime, stat.st_mtime_nsec);
        if written.max((stat.st_ctime, stat.st_ctime_nsec)) >= since {
            return Ok(true);
        }
    }
    Ok(walk.vanished() > 0)
}

/// The text that stands for a path in an [`Archive`]; see [`path_of`].
#[must_use]
pub fn path_text(path: &Path) -> String {
    text::escaped(path)
}

/// Where a backup that was sealed at `sealed` lies in the folder that backups have now, which may
/// have moved: in a folder of the same name.
#[must_use]
pub fn place_now(backups: &Path, sealed: &Path) -> PathBuf {
    let folder = sealed.parent().and_then(Path::file_name).unwrap_or_default();
    backups.join(folder).join(sealed.file_name().unwrap_or_default())
}

/// The path in an [`Archive`]. A path of any bytes is held as text: one that is no UTF-8, or holds
/// a backslash, is written with `\xNN` for each such byte.
#[must_use]
pub fn path_of(archive: &Archive) -> PathBuf {
    text::unescaped(&archive.path)
}
