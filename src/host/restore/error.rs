//! What can go wrong with a restore.

use std::io;
use std::path::{Path, PathBuf};

use crate::machine::Code;

/// Why the home was not put back. Whatever it was, nothing is lost: what was in the home is there
/// still or has been moved aside, and the same restore goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system or a quota is full.
    #[error(
        "no room to restore the backup: {doing} {}: {cause}; free some space there and try again; \
         nothing was removed",
        path.display()
    )]
    Full {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
    /// Too little is free for a second copy of the home, which is unpacked before anything moves.
    #[error(
        "no room to restore the backup: unpacking it at {} takes {need_bytes} bytes and \
         {need_inodes} files, and {free_bytes} bytes and {free_inodes} files are free; free some \
         space there and try again; nothing was moved",
        path.display()
    )]
    NoRoom {
        /// Where it would be unpacked.
        path: PathBuf,
        /// Bytes it takes.
        need_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
        /// Files, folders and links it makes.
        need_inodes: u64,
        /// How many can still be made.
        free_inodes: u64,
    },
    /// Reading, writing or moving failed.
    #[error(
        "restoring the backup failed: {doing} {}: {cause}; see to it and try again, it goes on \
         where it stopped; by hand, into an empty folder: tar --xattrs --xattrs-include='*' \
         --numeric-owner -xpf <backup> -C <folder>",
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
    /// Unpacking elsewhere failed in the same way: that begins anew.
    #[error(
        "unpacking the backup failed: {doing} {}: {cause}; see to it and try again, or name \
         another folder",
        path.display()
    )]
    Unpacking {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
    /// What is to take the backup is something else than a folder.
    #[error(
        "{} is not a folder; name an empty folder, or one that isn't there yet",
        path.display()
    )]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// The archive is gone, or not what was sealed.
    #[error(
        "the backup {} can't be restored: {what}; nothing of it was put into the home; check the \
         disk, and put a good copy of the file there",
        path.display()
    )]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What was expected and what was found.
        what: String,
    },
    /// The backup has something else where a folder has to stay.
    #[error(
        "{} has to stay, for a file system is mounted there or a folder that is never moved lies \
         in it, but the backup has no folder of that name; unmount it, or move it out of the home",
        path.display()
    )]
    Occupied {
        /// The folder in the home.
        path: PathBuf,
    },
    /// A file system below the home that the restore began with is missing.
    #[error(
        "{} is missing, where this restore keeps what belongs to the file system mounted there; \
         mount it as it was, then try again",
        path.display()
    )]
    NotMounted {
        /// Where the restore's folder on that file system would be.
        path: PathBuf,
    },
    /// The record of how far a restore got can't be used.
    #[error(
        "{} does not say how far this restore got: {what}; nothing is moved until it does. Look \
         whether the home is whole; to restore from the start, with what is there now moved aside \
         too, move that file away and try again",
        path.display()
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// One of the folders that are never moved is the home itself.
    #[error(
        "the home {} is itself a folder that is never moved; set daemon.backup_data_directory to \
         a folder of its own",
        home.display()
    )]
    HomeLeftOut {
        /// The home.
        home: PathBuf,
    },
    /// A backup is unpacked into a folder that holds nothing else.
    #[error(
        "{} is not empty; name an empty folder, or one that isn't there yet, or take away what is \
         in it",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The caller asked to stop; the same restore goes on later.
    #[error("the restore was cancelled; it goes on where it stopped when it is run again")]
    Cancelled,
}

impl Error {
    /// The stable code of this failure. A cancelled restore counts as `Io`; see
    /// [`Error::is_cancelled`].
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Full { .. } | Self::NoRoom { .. } => Code::NoRoom,
            Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Occupied { .. }
            | Self::NotMounted { .. }
            | Self::State { .. }
            | Self::HomeLeftOut { .. }
            | Self::NotEmpty { .. }
            | Self::NotAFolder { .. }
            | Self::Unpacking { .. }
            | Self::Cancelled => Code::Io,
        }
    }

    /// Whether this is no failure but the answer to a request to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// The same, where no home is involved.
    pub(super) fn unpacking(self) -> Self {
        let Self::Io { doing, path, cause } = self else { return self };
        Self::Unpacking { doing, path, cause }
    }

    /// The system's refusal of an operation (in the progressive form: "writing") on a path.
    pub(super) fn of(doing: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        let (path, cause) = (path.to_owned(), cause.into());
        if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full { doing, path, cause }
        } else {
            Self::Io { doing, path, cause }
        }
    }
}
