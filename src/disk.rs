//! The file operations on which durable state rests.
//!
//! Everything that must survive a power cut goes through [`Disk`], so that a simulated medium can
//! stand in for the real one and lose what was never synced. Two rules make a change durable:
//! a file's bytes by [`DiskFile::sync`], its *name* by [`Disk::sync_dir`] of the folder it is in.
//! [`replace`] and [`replace_link`] follow both.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

mod flock;
mod instead;
mod real;

pub use flock::try_lock;
pub use instead::{expect_file, in_words, mv_aside};
pub use real::RealDisk;
pub(crate) use real::inherit_owner;

/// A file open for writing.
pub trait DiskFile: Debug + Send {
    /// Appends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable (`fdatasync`).
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `len` bytes; the next write goes to its new end.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// What a name stands for; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A plain file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, FIFO or device.
    Other,
}

/// A medium with folders, files and links.
///
/// Errors are the system's own; the caller adds what it was doing and to which path.
pub trait Disk: Debug + Send + Sync {
    /// What `path` is, or `None` where nothing has that name.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;
    /// The whole content of a file, read through the page cache.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Where a symbolic link points, as it is stored.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<std::ffi::OsString>>;
    /// Creates a file that must not exist, with these mode bits, for writing.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file to write at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates one folder with these mode bits; its parent must exist.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Creates a symbolic link at `path`, which must not exist.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// Renames, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or a link.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;
}

/// Replaces `path` by a file with these bytes: written beside, synced, renamed, folder synced.
///
/// A reader sees the old content or the new, whatever happens in between. What a crash leaves
/// beside is overwritten by the next replacement of the same file.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(disk, path, bytes, mode)?;
    disk.sync_dir(folder_of(path))
}

/// The same for one of several files in a folder, which the caller syncs once behind the last. A
/// power cut before that leaves of each the old or the new, whichever of them comes first.
pub fn put(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = beside(path);
    remove_if_there(disk, &beside)?;
    let written =
        write_beside(disk, &beside, bytes, mode).and_then(|()| disk.rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to report; what is left beside is harmless.
        let _ = remove_if_there(disk, &beside);
        return Err(error);
    }
    Ok(())
}

fn write_beside(disk: &dyn Disk, beside: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = disk.create(beside, mode)?;
    file.write_all(bytes)?;
    file.sync()
}

/// Replaces `path` by a symbolic link to `target`, with no instant in which there is none.
pub fn replace_link(disk: &dyn Disk, target: &Path, path: &Path) -> io::Result<()> {
    put_link(disk, target, path)?;
    disk.sync_dir(folder_of(path))
}

/// The same where the caller syncs the folder; see [`put`].
pub fn put_link(disk: &dyn Disk, target: &Path, path: &Path) -> io::Result<()> {
    let beside = beside(path);
    remove_if_there(disk, &beside)?;
    disk.symlink(target, &beside)?;
    disk.rename(&beside, path)
}

/// Creates a folder and those above it that are missing, each synced into its parent.
///
/// One that is there may have been made by a process that was killed before it could sync it, so
/// that is done again.
pub fn create_dirs(disk: &dyn Disk, path: &Path, mode: u32) -> io::Result<()> {
    let parent = folder_of(path);
    if let Some(Kind::Folder | Kind::Link) = disk.kind(path)? {
        return match disk.sync_dir(parent) {
            // Whoever may not even look into it has not made anything in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    create_dirs(disk, parent, mode)?;
    match disk.create_dir(path, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| disk.sync_dir(parent)),
    }
}

/// Removes a file or link; that there is none is no error.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes a file in a folder, which is made where it is missing, and removes it: whether `who` can
/// write there is known before it has to.
pub fn try_writing_into(disk: &dyn Disk, folder: &Path, mode: u32, who: &str) -> io::Result<()> {
    // The same name each time: a crash may have left one.
    let path = folder.join(format!(".nymvisor-tries-{who}"));
    create_dirs(disk, folder, mode)?;
    remove_if_there(disk, &path)?;
    disk.create(&path, 0o600)?;
    disk.remove_file(&path)
}

/// The folder that holds `path`'s name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// A fixed name beside `path`, hidden, so that what a crash left is found and replaced.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}
