//! Everything below the home, in a fixed order, without ever leaving it through a link.
//!
//! Each step goes from an open folder to a name in it, so that a link put in the way, or a folder
//! renamed meanwhile, can't lead elsewhere. Other file systems mounted below the home belong to it,
//! but not what a restore moved aside there: each backup would hold all that went before it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::{Cancel, Error};
use crate::config::ASIDE_PREFIX;

/// Device and inode: what a file is, whatever its name.
pub(super) type Id = (u64, u64);

/// The folders and files that are not archived, told by what they are and not by their text.
#[derive(Debug)]
pub(super) struct LeftOut(Vec<Id>);

impl LeftOut {
    /// Looks the folders up; one that isn't there can't be archived either.
    pub(super) fn find(folders: &[PathBuf]) -> Result<Self, Error> {
        let mut ids = Vec::new();
        for folder in folders {
            match fs::metadata(folder) {
                Ok(meta) => ids.push((meta.dev(), meta.ino())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::of("looking at", folder, error)),
            }
        }
        Ok(Self(ids))
    }

    /// Leaves out one more file.
    pub(super) fn add(&mut self, id: Id) {
        self.0.push(id);
    }
}

/// A name in an open folder.
#[derive(Debug)]
pub(super) struct At {
    /// The folder.
    pub(super) parent: Arc<File>,
    /// The name in it.
    pub(super) name: OsString,
}

/// What was found under a name.
#[derive(Debug)]
pub(super) enum Node {
    /// A folder, open.
    Folder(Arc<File>),
    /// A plain file.
    File(At),
    /// A symbolic link.
    Link(At),
    /// Something that lives only as long as its process or machine: this is its kind.
    Special(&'static str),
}

/// One thing below the home.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path from the home on; empty for the home.
    pub(super) path: PathBuf,
    /// What the system says about it.
    pub(super) stat: FileStat,
    /// What it is.
    pub(super) node: Node,
}

/// An iterator over a home: a folder first, then what is in it, sorted by the bytes of the names.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    home: &'a Path,
    left_out: &'a LeftOut,
    cancel: &'a Cancel,
    at_rest: bool,
    begun: bool,
    levels: Vec<Level>,
    vanished: u64,
}

#[derive(Debug)]
struct Level {
    folder: Arc<File>,
    path: PathBuf,
    names: vec::IntoIter<OsString>,
}

impl<'a> Walk<'a> {
    /// A walk that has not begun. What vanishes under it is worth a word where nothing should.
    pub(super) fn new(
        home: &'a Path,
        left_out: &'a LeftOut,
        cancel: &'a Cancel,
        at_rest: bool,
    ) -> Self {
        Self { home, left_out, cancel, at_rest, begun: false, levels: Vec::new(), vanished: 0 }
    }

    /// How many names were gone when their turn came.
    pub(super) fn vanished(&self) -> u64 {
        self.vanished
    }

    fn advance(&mut self) -> Result<Option<Found>, Error> {
        if !self.begun {
            self.begun = true;
            return self.begin().map(Some);
        }
        loop {
            self.cancel.check()?;
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            if name.as_bytes().starts_with(ASIDE_PREFIX.as_bytes()) {
                continue;
            }
            let path = level.path.join(&name);
            let at = At { parent: Arc::clone(&level.folder), name };
            if let Some(found) = self.look(path, at)? {
                return Ok(Some(found));
            }
        }
    }

    /// The home itself, which may be given by a link.
    fn begin(&mut self) -> Result<Found, Error> {
        let folder = File::open(self.home).map_err(|e| Error::of("opening", self.home, e))?;
        let stat = fstat(&folder).map_err(|e| Error::of("looking at", self.home, e))?;
        if self.left_out.0.contains(&id_of(&stat)) {
            return Err(Error::HomeLeftOut { home: self.home.to_owned() });
        }
        self.enter(PathBuf::new(), folder, stat)
    }

    fn look(&mut self, path: PathBuf, at: At) -> Result<Option<Found>, Error> {
        let whole = self.home.join(&path);
        let stat = match fstatat(&*at.parent, at.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(self.gone(&whole)),
            Err(error) => return Err(Error::of("looking at", &whole, error)),
        };
        if self.left_out.0.contains(&id_of(&stat)) {
            return Ok(None);
        }
        let node = match kind_of(&stat) {
            SFlag::S_IFDIR => return self.look_into(path, &whole, &at),
            SFlag::S_IFREG => Node::File(at),
            SFlag::S_IFLNK => Node::Link(at),
            SFlag::S_IFSOCK => Node::Special("socket"),
            SFlag::S_IFIFO => Node::Special("FIFO"),
            _ => Node::Special("device"),
        };
        Ok(Some(Found { path, stat, node }))
    }

    fn look_into(&mut self, path: PathBuf, whole: &Path, at: &At) -> Result<Option<Found>, Error> {
        let folder = match open_at(at, OFlag::O_DIRECTORY) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => return Ok(self.gone(whole)),
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                return Err(Error::Unsteady { path: whole.to_owned() });
            }
            Err(error) => return Err(Error::of("opening", whole, error)),
        };
        let stat = fstat(&folder).map_err(|e| Error::of("looking at", whole, e))?;
        if self.left_out.0.contains(&id_of(&stat)) {
            return Ok(None);
        }
        self.enter(path, folder, stat).map(Some)
    }

    fn enter(&mut self, path: PathBuf, folder: File, stat: FileStat) -> Result<Found, Error> {
        let names = names_in(&folder)
            .map_err(|e| Error::of("listing", &self.home.join(&path), e))?
            .into_iter();
        let folder = Arc::new(folder);
        let node = Node::Folder(Arc::clone(&folder));
        self.levels.push(Level { folder, path: path.clone(), names });
        Ok(Found { path, stat, node })
    }

    fn gone(&mut self, whole: &Path) -> Option<Found> {
        if self.at_rest {
            warn_gone(whole);
        }
        self.vanished += 1;
        None
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Found, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Opens a plain file for reading, with what the system says about *it*: between the look at a
/// name and its opening another file may have taken the name. `None`: the name is gone.
pub(super) fn open_file(at: &At, whole: &Path) -> Result<Option<(File, FileStat)>, Error> {
    // Without O_NONBLOCK a FIFO that took the name would hold us for ever.
    let file = match open_at(at, OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP | Errno::ENXIO) => {
            return Err(Error::Unsteady { path: whole.to_owned() });
        }
        Err(error) => return Err(Error::of("opening", whole, error)),
    };
    let stat = fstat(&file).map_err(|e| Error::of("looking at", whole, e))?;
    if kind_of(&stat) != SFlag::S_IFREG {
        return Err(Error::Unsteady { path: whole.to_owned() });
    }
    Ok(Some((file, stat)))
}

/// Tells that something went away before its turn.
pub(super) fn warn_gone(whole: &Path) {
    tracing::warn!("{} vanished before the backup came to it", whole.display());
}

/// Device and inode.
pub(super) fn id_of(stat: &FileStat) -> Id {
    (stat.st_dev, stat.st_ino)
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn open_at(at: &At, flags: OFlag) -> Result<File, Errno> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(&*at.parent, at.name.as_os_str(), flags, Mode::empty()).map(File::from)
}

fn names_in(folder: &File) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(folder.try_clone()?.into())?.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}
