//! A control group of its own for each daemon: what a process starts is in the group that it is in
//! itself, however it forks, and whatever session, parent or environment it gives itself.
//!
//! Groups are made below the one that nymvisor itself is in, and only where that is ours to use: in
//! a service with `Delegate=yes`, as root, or in a container whose groups can be written. We enable
//! no controllers, so processes may be in that group and in those below it at the same time. Names
//! hold the instance's part of the session token: of two instances in one group each knows its own,
//! and touches no other.
//!
//! Nothing of this outlives a boot, so nothing of it is synced.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{AccessFlags, eaccess};

mod find;
mod group;

pub use find::{candidates, folders, path_of};
pub use group::{Group, Spared};

/// What every group of ours begins with.
const NAME: &str = "nymvisor-";
/// In each group: the processes that are in it themselves.
const PROCESSES: &str = "cgroup.procs";

/// Why no group can be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no cgroup2 hierarchy, or none in which we are.
    #[error("no cgroup2 file system shows the group that this process is in")]
    NotMounted,
    /// It can't be written to.
    #[error("{} can't be written: {}", path.display(), errno.desc())]
    ReadOnly {
        /// A folder, or a file in it.
        path: PathBuf,
        /// The system's answer.
        errno: nix::errno::Errno,
    },
    /// What is below a group of another kind can't hold whole processes.
    #[error("{} is a {kind} group; one of the kind 'domain' is needed", path.display())]
    Kind {
        /// The group.
        path: PathBuf,
        /// What the kernel calls it.
        kind: String,
    },
}

/// A group below which those of one instance lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    /// `nymvisor-<instance's part of the token>-`.
    prefix: String,
}

impl Place {
    /// The group that this process is in, if others can be made below it. Nothing is changed.
    pub fn find(token_prefix: &str) -> Result<Self, Refused> {
        let mut refused = Refused::NotMounted;
        for folder in candidates() {
            match examine(&folder) {
                Ok(()) => return Ok(Self::at(folder, token_prefix)),
                Err(why) => refused = why,
            }
        }
        Err(refused)
    }

    /// A group that is known from earlier.
    #[must_use]
    pub fn at(folder: PathBuf, token_prefix: &str) -> Self {
        Self { folder, prefix: format!("{NAME}{token_prefix}-") }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes an empty group: the `number`th of a session.
    pub fn make(&self, session: &str, number: u32) -> io::Result<Group> {
        Group::make(self.folder.join(format!("{}{session}-{number}", self.prefix)))
    }

    /// The groups of this instance that are there, whatever session made them; sorted by name.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let kind = statfs(&self.folder).map(|kind| kind.filesystem_type());
        if kind != Ok(CGROUP2_SUPER_MAGIC) {
            return Vec::new();
        }
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = |name: &OsStr| name.as_bytes().starts_with(self.prefix.as_bytes());
        let mut paths: Vec<PathBuf> = entries
            .filter(|entry| ours(&entry.file_name()))
            .map(|entry| entry.path())
            .filter(|path| path.join(PROCESSES).is_file())
            .collect();
        paths.sort();
        paths.into_iter().map(Group::at).collect()
    }

    /// Whether a process is in a group of this instance, or in one that was made below it.
    #[must_use]
    pub fn holds(&self, pid: u32) -> bool {
        let path = path_of(&pid.to_string()).unwrap_or_default();
        path.iter().any(|name| name.as_bytes().starts_with(self.prefix.as_bytes()))
    }
}

/// Whether groups can be made below this one, and processes moved from it into them.
fn examine(folder: &Path) -> Result<(), Refused> {
    let wanted = [
        (folder.to_owned(), AccessFlags::W_OK | AccessFlags::X_OK),
        // Whoever moves a process must be allowed to in the group that is above both.
        (folder.join(PROCESSES), AccessFlags::W_OK),
    ];
    for (path, access) in wanted {
        if let Err(errno) = eaccess(&path, access) {
            return Err(Refused::ReadOnly { path, errno });
        }
    }
    // The topmost group has no such file.
    let kind = std::fs::read_to_string(folder.join("cgroup.type")).unwrap_or_default();
    match kind.trim() {
        "" | "domain" => Ok(()),
        kind => Err(Refused::Kind { path: folder.to_owned(), kind: kind.to_owned() }),
    }
}

/// Where groups of an instance are made, or were, by the file in which that is kept: a line each.
#[must_use]
pub fn recorded(record: &Path, token_prefix: &str) -> Vec<Place> {
    let bytes = std::fs::read(record).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    let folders = lines.map(|line| PathBuf::from(OsString::from_vec(line.to_vec())));
    let folders = folders.filter(|folder| folder.is_absolute());
    folders.map(|folder| Place::at(folder, token_prefix)).collect()
}

/// Keeps them there.
pub fn record(record: &Path, folders: &[PathBuf]) -> io::Result<()> {
    let lines = folders.iter().flat_map(|folder| [folder.as_os_str().as_bytes(), b"\n"]);
    std::fs::write(record, lines.collect::<Vec<_>>().concat())
}

/// The groups of an instance in which anybody is: no `run` is up.
#[must_use]
pub fn left(record: &Path, token_prefix: &str) -> Vec<Group> {
    let places = recorded(record, token_prefix).into_iter();
    let groups = places.flat_map(|place| place.groups());
    let groups = groups.filter(|group| group.is_populated().unwrap_or(false));
    groups.filter(|group| group.spared_for().is_none()).collect()
}
