//! How a command can fail, and with which exit status.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::{config, host, journal, release, session};

/// How a command can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line can't be used.
    #[error("{0}")]
    Usage(String),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file that describes releases.
    #[error(transparent)]
    Release(#[from] release::Error),
    /// A binary that was given to the command.
    #[error(transparent)]
    Binary(#[from] host::probe::Error),
    /// The binary of the installed version.
    #[error("the installed binary can't be used")]
    Installed(#[source] host::probe::Error),
    /// The installation is not as it should be.
    #[error("{0}")]
    Unusable(String),
    /// What was asked for is not done.
    #[error("{0}")]
    Refused(String),
    /// The journal could not be opened or written.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A backup could not be looked at or removed.
    #[error(transparent)]
    Backup(#[from] host::backup::Error),
    /// A backup could not be put back or unpacked.
    #[error(transparent)]
    Restore(#[from] host::restore::Error),
    /// The daemon failed for good.
    #[error("{0}")]
    DaemonFailed(String),
    /// Another `run`, or the daemon itself, is running.
    #[error("{0}")]
    RunsAlready(String),
    /// A mistake of ours.
    #[error("{0}")]
    Bug(String),
    /// Nothing can be printed.
    #[error("can't write to stdout")]
    Stdout(#[source] io::Error),
    /// A file or folder of the installation can't be read or written.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// What was being done: `read`, `write`.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// What is wrong with a name or with the journal is told as everywhere.
impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        match error {
            session::Error::Release(error) => Self::Release(error),
            session::Error::Journal(error) => Self::Journal(error),
            error @ (session::Error::NoVersion { .. } | session::Error::NoBinary { .. }) => {
                Self::Unusable(error.to_string())
            }
        }
    }
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// What is wrong with a binary is wrong with the installation where that is its own.
    pub(super) fn of_installed(self) -> Self {
        if let Self::Binary(error) = self { Self::Installed(error) } else { self }
    }

    /// The exit status that tells it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(config::Error::Flag { .. }) => Exit::Usage,
            Self::DaemonFailed(_) => Exit::DaemonFailed,
            Self::RunsAlready(_) => Exit::RunsAlready,
            Self::Config(_)
            | Self::Journal(_)
            | Self::Installed(_)
            | Self::Unusable(_)
            | Self::Io { .. }
            | Self::Release(
                release::Error::Absent { .. }
                | release::Error::Unreadable { .. }
                | release::Error::NoFile { .. }
                | release::Error::Damaged { .. }
                | release::Error::Unwritable { .. },
            ) => Exit::Unusable,
            Self::Release(
                release::Error::Malformed { .. }
                | release::Error::TooLarge { .. }
                | release::Error::Name { .. }
                | release::Error::Version { .. }
                | release::Error::Checksum { .. }
                | release::Error::Locked { .. },
            )
            | Self::Binary(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Refused(_)
            | Self::Bug(_)
            | Self::Stdout(_) => Exit::Other,
        }
    }
}
