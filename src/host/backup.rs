//! The daemon's home as one sealed `.tar.zst`, while the daemon is down.
//!
//! A backup counts only when it is sealed: written under a hidden name, finished, synced, read
//! back from the medium, renamed, its folder synced. Anything less is removed. All of it blocks.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::{Disk, RealDisk, create_dirs, folder_of, try_lock};
use crate::machine::Archive;

mod error;
mod pack;
mod read_back;
mod tarball;
mod walk;

pub use error::Error;

use pack::{Packed, Packer};
use read_back::{Sink, Sum, Tail};
use walk::{LeftOut, Walk};

/// How coarse the stamps of a file system may be: its clock ticks at 100 Hz or faster.
const TICK: Duration = Duration::from_millis(10);
const PARTIAL_SUFFIX: &str = ".tar.zst.partial";

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

/// Makes a backup and seals it. After an error, or when cancelled, nothing of it is left.
///
/// The archive has mode 0600; folders that are missing are made with 0700. Sockets, FIFOs and
/// devices, and what vanishes before its turn, are left out with a warning and counted.
pub fn seal(job: &Job, cancel: &Cancel) -> Result<Archive, Error> {
    let folder = folder_of(&job.archive);
    create_dirs(&RealDisk, folder, 0o700).map_err(|e| Error::of("creating", folder, e))?;
    discard_partials(folder)?;
    refuse_if_there(&job.archive)?;
    let (partial, file) = Partial::create(&job.archive)?;
    let mut left_out = LeftOut::find(&job.leave_out)?;
    let meta = file.metadata().map_err(|e| Error::of("looking at", &partial.0, e))?;
    left_out.add((meta.dev(), meta.ino()));
    let (packed, read) = write_and_read(job, file, &partial.0, &left_out, cancel)?;
    cancel.check()?;
    compare(&partial.0, &packed, &read)?;
    refuse_if_there(&job.archive)?;
    partial.keep_as(&job.archive)?;
    Ok(Archive {
        path: path_text(&job.archive),
        bytes: packed.out.bytes,
        sha256: packed.out.sha256,
        entries: packed.entries,
        skipped: packed.skipped,
    })
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
    Ok(read_back::sum_of(&mut file).map_err(of)?.sha256 == archive.sha256)
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
    let mut walk = Walk::new(home, &left_out, &cancel);
    for found in &mut walk {
        let stat = found?.stat;
        let written = (stat.st_mtime, stat.st_mtime_nsec);
        if written.max((stat.st_ctime, stat.st_ctime_nsec)) >= since {
            return Ok(true);
        }
    }
    Ok(walk.vanished() > 0)
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

/// The path in an [`Archive`]. A path of any bytes is held as text: one that is no UTF-8, or holds
/// a backslash, is written with `\xNN` for each such byte.
#[must_use]
pub fn path_of(archive: &Archive) -> PathBuf {
    let mut bytes = Vec::with_capacity(archive.path.len());
    let mut rest = archive.path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .strip_prefix(b"x")
            .and_then(|digits| digits.split_at_checked(2))
            .and_then(|(digits, after)| Some((std::str::from_utf8(digits).ok()?, after)))
            .and_then(|(digits, after)| Some((u8::from_str_radix(digits, 16).ok()?, after)));
        match escaped {
            Some((byte, after)) if *first == b'\\' => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn path_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\x5c"));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A file under its temporary name; removed when dropped.
#[derive(Debug)]
struct Partial(PathBuf);

impl Partial {
    fn create(archive: &Path) -> Result<(Self, File), Error> {
        let mut name = std::ffi::OsString::from(".");
        name.push(archive.file_name().unwrap_or_default());
        name.push(".partial");
        let path = archive.with_file_name(name);
        RealDisk.create(&path, 0o600).map_err(|e| Error::of("creating", &path, e))?;
        let partial = Self(path);
        let opened = OpenOptions::new().write(true).open(&partial.0).and_then(|file| {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            // Held while it is written, so that nobody takes it for a left-over; where the file
            // system has no locks, nobody can be told.
            let _ = try_lock(&file);
            Ok(file)
        });
        let file = opened.map_err(|e| Error::of("opening", &partial.0, e))?;
        Ok((partial, file))
    }

    fn keep_as(self, archive: &Path) -> Result<(), Error> {
        RealDisk.rename(&self.0, archive).map_err(|e| Error::of("renaming", &self.0, e))?;
        let folder = folder_of(archive);
        RealDisk.sync_dir(folder).map_err(|error| {
            // Not sealed: left there, it would be a second one once the attempt is made again.
            let _ = RealDisk.remove_file(archive);
            Error::of("syncing", folder, error)
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing under this name; otherwise the first error is told.
        let _ = fs::remove_file(&self.0);
    }
}

fn refuse_if_there(archive: &Path) -> Result<(), Error> {
    match RealDisk.kind(archive) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Error::Exists { path: archive.to_owned() }),
        Err(error) => Err(Error::of("looking at", archive, error)),
    }
}

/// Writes the archive with one thread and, close behind, reads it back with another.
fn write_and_read(
    job: &Job,
    file: File,
    partial: &Path,
    left_out: &LeftOut,
    cancel: &Cancel,
) -> Result<(Packed<Sum>, (Sum, u64)), Error> {
    let again = File::open(partial).map_err(|e| Error::of("opening", partial, e))?;
    let (written, ready) = mpsc::channel();
    let tail = Tail::new(again, ready, cancel);
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("backup-read".into())
            .spawn_scoped(scope, || read_back::read_back(tail))
            .map_err(|e| Error::of("starting a thread to read", partial, e))?;
        let packed = pack(job, Sink::new(file, written), partial, left_out, cancel);
        let read = reader.join();
        let packed = packed?;
        cancel.check()?;
        let read = read.map_err(|_| not_read_back(partial, "the reading thread broke off"))?;
        match read {
            Ok(read) => Ok((packed, read)),
            Err(error) if error.raw_os_error().is_some() => {
                Err(Error::of("reading back", partial, error))
            }
            Err(error) => Err(not_read_back(partial, &error.to_string())),
        }
    })
}

fn pack(
    job: &Job,
    sink: Sink,
    partial: &Path,
    left_out: &LeftOut,
    cancel: &Cancel,
) -> Result<Packed<Sum>, Error> {
    let of = |error| Error::of("writing", partial, error);
    let mut frames = zstd::Encoder::new(sink, job.level).map_err(of)?;
    frames.include_checksum(true).map_err(of)?;
    frames.multithread(job.workers).map_err(of)?;
    let mut packer = Packer::new(&job.home, partial, cancel, frames);
    let mut walk = Walk::new(&job.home, left_out, cancel);
    for found in &mut walk {
        packer.add(&found?)?;
    }
    let Packed { out, bytes, entries, skipped } = packer.finish(walk.vanished())?;
    let out = out.finish().and_then(Sink::finish).map_err(of)?;
    Ok(Packed { out, bytes, entries, skipped })
}

fn compare(partial: &Path, packed: &Packed<Sum>, read: &(Sum, u64)) -> Result<(), Error> {
    if packed.out == read.0 && packed.bytes == read.1 {
        return Ok(());
    }
    let what = format!(
        "written {} bytes with SHA-256 {}, of {} bytes of content; read {} bytes with SHA-256 {}, \
         of {} bytes of content",
        packed.out.bytes, packed.out.sha256, packed.bytes, read.0.bytes, read.0.sha256, read.1
    );
    Err(not_read_back(partial, &what))
}

fn not_read_back(partial: &Path, what: &str) -> Error {
    Error::NotReadBack { path: partial.to_owned(), what: what.to_owned() }
}
