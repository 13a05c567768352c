//! What can go wrong with a backup.

use std::io;
use std::path::{Path, PathBuf};

use crate::machine::Code;

/// Why a backup was not made, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system or a quota is full.
    #[error(
        "no room for the backup: {doing} {}: {cause}; free some space there, or set \
         daemon.backup_data_directory to a folder on a larger file system",
        path.display()
    )]
    NoRoom {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
    /// Something in the home, or the backup folder, is closed to the user we run as.
    #[error(
        "the backup needs all of the home and a folder to write to: {doing} {}: {cause}; give \
         the user that runs nymvisor access to it",
        path.display()
    )]
    Denied {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's own words.
        cause: io::Error,
    },
    /// Reading or writing failed.
    #[error(
        "the backup failed: {doing} {}: {cause}; check the disk and its mounts",
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
    /// A name stood for one thing when it was looked at and for another when it was opened.
    #[error(
        "{} turned into something else while the backup read it; find out what still writes \
         to the home",
        path.display()
    )]
    Unsteady {
        /// The path.
        path: PathBuf,
    },
    /// There is a backup of that name already; it is never overwritten.
    #[error("{} is there already and is not overwritten; move it away", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// One of the folders to leave out is the home itself, so that nothing would be archived.
    #[error(
        "the home {} is itself a folder that backups leave out; set \
         daemon.backup_data_directory to a folder of its own",
        home.display()
    )]
    HomeLeftOut {
        /// The home.
        home: PathBuf,
    },
    /// What is on the disk is not what was written there.
    #[error(
        "the backup {} does not read back as it was written: {what}; check the disk",
        path.display()
    )]
    NotReadBack {
        /// The archive, under its temporary name.
        path: PathBuf,
        /// What was expected and what was found.
        what: String,
    },
    /// The caller asked to stop; nothing is left behind.
    #[error("the backup was cancelled")]
    Cancelled,
}

impl Error {
    /// The stable code of this failure. A cancelled backup counts as `Io`; see
    /// [`Error::is_cancelled`].
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoRoom { .. } => Code::NoRoom,
            Self::Denied { .. }
            | Self::Io { .. }
            | Self::Unsteady { .. }
            | Self::Exists { .. }
            | Self::HomeLeftOut { .. }
            | Self::NotReadBack { .. }
            | Self::Cancelled => Code::Io,
        }
    }

    /// Whether this is no failure but the answer to a request to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Whether an archive is not what was sealed, or gone. Anything else says nothing about it.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NotReadBack { .. } => true,
            Self::Io { cause, .. } => cause.kind() == io::ErrorKind::NotFound,
            Self::NoRoom { .. }
            | Self::Denied { .. }
            | Self::Unsteady { .. }
            | Self::Exists { .. }
            | Self::HomeLeftOut { .. }
            | Self::Cancelled => false,
        }
    }

    /// The system's refusal of an operation (in the progressive form: "writing") on a path.
    pub(super) fn of(doing: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        let (path, cause) = (path.to_owned(), cause.into());
        if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::NoRoom { doing, path, cause }
        } else if cause.kind() == io::ErrorKind::PermissionDenied {
            Self::Denied { doing, path, cause }
        } else {
            Self::Io { doing, path, cause }
        }
    }
}
