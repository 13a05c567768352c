//! Locks that are held for as long as a process lives, and end with it however it ends.
//!
//! A lock is `flock` on a file that others find by its name. What the file says is for people; the
//! lock itself is what counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str;

use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

use crate::disk::{self, Disk, RealDisk};

/// So often in a row the file may be replaced under us before that is taken for a fault.
const TRIES_MAX: u32 = 100;
/// Longer content is no lock file of ours.
const CONTENT_BYTES_MAX: u64 = 4096;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else holds it.
    #[error("{} is locked by {}", path.display(), holder(*pid))]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, where that can be told.
        pid: Option<u32>,
        /// What the holder wrote into it.
        content: String,
    },
    /// The file can't be used as a lock.
    #[error(
        "can't lock {}: {doing}: {source}; it must be a plain file that this user may write",
        path.display()
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "a process that can't be told".to_owned(), |pid| format!("process {pid}"))
}

/// A lock that is held until this value is dropped. Children don't inherit it.
#[derive(Debug)]
pub struct HeldLock {
    file: File,
    path: PathBuf,
}

impl HeldLock {
    /// Takes the lock at once, or tells who has it.
    ///
    /// The file is made with `mode` where it is missing; a link in its place is refused. `content`
    /// is written into it; its first number should be our process id.
    pub fn acquire(path: &Path, mode: u32, content: &str) -> Result<Self, Error> {
        let failed = |doing| move |source| Error::Io { path: path.to_owned(), doing, source };
        for _ in 0..TRIES_MAX {
            let file = open(path, mode).map_err(failed("opening it"))?;
            match disk::try_lock(&file) {
                Ok(true) => {}
                Ok(false) => return Err(busy(path, file)),
                Err(source) => return Err(failed("locking it")(source)),
            }
            let mut lock = Self { file, path: path.to_owned() };
            // Its last holder may have removed the file between our opening and our locking it.
            if lock.still_ours() {
                // For people alone: on a full disk the lock is held without it.
                let _ = lock.write(content);
                return Ok(lock);
            }
        }
        Err(failed("opening it")(io::Error::other("others keep replacing it")))
    }

    /// Whether the file that is locked still has the name that others look for.
    #[must_use]
    pub fn still_ours(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// Removes the file, then lets go. A file of that name that isn't the locked one stays.
    pub fn release_and_remove(self) -> Result<(), Error> {
        if self.still_ours() {
            fs::remove_file(&self.path).map_err(|source| Error::Io {
                path: self.path.clone(),
                doing: "removing it",
                source,
            })?;
        }
        Ok(())
    }

    fn write(&mut self, content: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(content.as_bytes())
    }
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    let there = |path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path)
    };
    match there(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    // Made by the disk, which gives it the right owner; another process may be faster.
    match RealDisk.create(path, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => there(path),
    }
}

fn busy(path: &Path, file: File) -> Error {
    let recorded = file.metadata().ok().and_then(|meta| locker(&meta));
    let mut bytes = Vec::new();
    // What can't be read is left out: the lock is held all the same.
    let _ = file.take(CONTENT_BYTES_MAX).read_to_end(&mut bytes);
    let content = String::from_utf8_lossy(&bytes).into_owned();
    let pid = recorded.or_else(|| first_number(&content));
    Error::Busy { path: path.to_owned(), pid, content }
}

/// Who holds a lock, as far as it can be told without touching it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; `None` where the kernel hides it (another container's process).
    pub pid: Option<u32>,
    /// What it has written into the file.
    pub content: String,
}

/// Who holds the lock on this file, if anybody does.
///
/// Trying the lock would disturb whoever takes it at that moment, so the kernel's list is read.
/// A lock that another machine holds, on a shared file system, is not in it. The inode must do:
/// some file systems show another device there than `stat` does.
#[must_use]
pub fn held_by(path: &Path) -> Option<Holder> {
    let inode = format!(":{}", fs::symlink_metadata(path).ok()?.ino());
    let pid = taker(|file| file.ends_with(&inode))?;
    let mut bytes = Vec::new();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path);
    if let Ok(file) = opened {
        // For people alone.
        let _ = file.take(CONTENT_BYTES_MAX).read_to_end(&mut bytes);
    }
    let content = String::from_utf8_lossy(&bytes).into_owned();
    Some(Holder { pid: pid.parse().ok().filter(|pid| *pid > 0), content })
}

/// The process that took the lock. Some file systems show another device there than `stat` does.
fn locker(meta: &fs::Metadata) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{}", major(meta.dev()), minor(meta.dev()), meta.ino());
    taker(|it| it == file)?.parse().ok()
}

/// Who took the lock on the file that `is_it` knows, from the kernel's list: `1: FLOCK ADVISORY
/// WRITE <pid> <major>:<minor>:<inode> 0 EOF`. One that is hidden has no number above 0.
fn taker(is_it: impl Fn(&str) -> bool) -> Option<String> {
    let list = listed().ok()?;
    str::from_utf8(&list).ok()?.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, pid, file, ..] if is_it(file) => Some((*pid).to_owned()),
            _ => None,
        }
    })
}

/// The kernel's list of locks.
///
/// One call shows as much of it as a page holds, as it is at that moment. Between two calls other
/// locks are taken and given back, the rest moves up, and one that stands all the time is passed
/// over: a list of several pages is read twice.
fn listed() -> io::Result<Vec<u8>> {
    const PAGE: usize = 4096;
    const LOOKS: usize = 2;
    let mut list = Vec::new();
    for _ in 0..LOOKS {
        let mut file = File::open("/proc/locks")?;
        let (mut page, mut pages) = ([0; PAGE], 0);
        loop {
            let bytes = file.read(&mut page)?;
            if bytes == 0 {
                break;
            }
            list.extend(page.iter().take(bytes));
            pages += 1;
        }
        if pages == 1 {
            break;
        }
    }
    Ok(list)
}

fn first_number(content: &str) -> Option<u32> {
    content.split(|char: char| !char.is_ascii_digit()).find_map(|digits| digits.parse().ok())
}
