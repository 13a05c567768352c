//! Downloads one file into a part beside its final place, and knows its digest when it is there.
//!
//! What arrives is digested and written by a thread of its own, behind a short queue, so that a
//! slow disk slows the download down instead of the runtime. A download that broke off goes on
//! where it stopped if the server vouches, by `If-Range`, that the file is still the same one.
//! That vouching is not trusted further than it must be: without a checksum only bytes that this
//! very call has written are built upon, and with one a mismatch after a resumption means that
//! the part is thrown away and fetched once more in one go.
//!
//! A file may lie in several places. What one of them can't deliver the next is asked for at
//! once; a pause comes after all of them have failed. Another server's validator proves nothing,
//! but the checksum does: where there is one, what came from one place is completed from the
//! next if that has a file of the same length, and what is mixed wrongly is found out.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use reqwest::Url;
use tokio::sync::watch;

use self::download::{Download, off_runtime};
use self::mirrors::Mirrors;
use super::http::{self, Timeouts};
use crate::digest::{Algorithm, Hex};
use crate::machine::Code;

mod download;
mod mirrors;
mod part;
mod reach;
mod tell;

pub use self::reach::reach;
pub use self::tell::tell_progress;

/// A checksum that the file must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Which one.
    pub algorithm: Algorithm,
    /// Its digits, in either case.
    pub hex: String,
}

/// What to download.
#[derive(Debug, Clone)]
pub struct Order {
    /// From where; http or https.
    pub url: String,
    /// Where else the same file is, in the order in which to ask.
    pub mirrors: Vec<String>,
    /// To where: a name of its own on the file system of the final place.
    pub part: PathBuf,
    /// The checksum, where there is one.
    pub expect: Option<Expected>,
    /// Nothing larger is accepted.
    pub max_bytes: u64,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// So many tries at each place while the failures are transient; 0 acts as 1.
    pub tries: u32,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes of the whole, where the server says.
    pub total: Option<u64>,
}

/// A finished download: it lies, synced, at [`Order::part`].
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// SHA-256 (hex) of the file.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
    /// How long it took, pauses included.
    pub seconds: f64,
    /// The URL that brought the last of it, without credentials.
    pub source: String,
}

/// Why a download did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exchange with the server failed.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// Fetched in one go, and yet not what the checksum is for.
    #[error(
        "{url}: the file has the checksum {found} ({bytes} bytes), expected {expected}; \
         it was thrown away: either the file or the announcement is wrong"
    )]
    DigestMismatch {
        /// The URL without credentials.
        url: String,
        /// The digits that were announced.
        expected: String,
        /// The digits of what came.
        found: String,
        /// The size of what came.
        bytes: u64,
    },
    /// The file system is full, or will be.
    #[error("no room for {}: {why}; make room on this file system", path.display())]
    NoRoom {
        /// The file that was being written.
        path: PathBuf,
        /// The system's words, or the numbers.
        why: String,
    },
    /// Another process, or an earlier download that is just ending, is at this part.
    #[error("{} is locked by another download of the same file; it is tried again", path.display())]
    Busy {
        /// The part.
        path: PathBuf,
    },
    /// Reading or writing failed on this machine.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// No place had it, each for a reason of its own.
    #[error("{first}; nor was it to be had elsewhere: {others}")]
    Everywhere {
        /// The failure that decides what happens next.
        first: Box<Self>,
        /// The others, in words.
        others: String,
    },
    /// Broken off on request; what is there can be resumed.
    #[error("the download of {url} was interrupted; the next one goes on from there")]
    Cancelled {
        /// The URL without credentials.
        url: String,
    },
}

impl Error {
    /// The stable code of this failure. An interrupted download counts as one that broke off.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Http(error) => error.code(),
            Self::DigestMismatch { .. } => Code::DigestMismatch,
            Self::NoRoom { .. } => Code::NoRoom,
            Self::Busy { .. } => Code::LockBusy,
            Self::Io { .. } => Code::Io,
            Self::Cancelled { .. } => Code::Network,
            Self::Everywhere { first, .. } => first.code(),
        }
    }

    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&source.kind()) {
            return Self::NoRoom { path, why: source.to_string() };
        }
        Self::Io { action, path, source }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Busy { .. } => true,
            Self::DigestMismatch { .. }
            | Self::NoRoom { .. }
            | Self::Io { .. }
            | Self::Everywhere { .. }
            | Self::Cancelled { .. } => false,
        }
    }

    /// Whether another server may do better.
    fn is_of_server(&self) -> bool {
        match self {
            Self::Http(error) => !matches!(error, http::Error::Client { .. }),
            Self::DigestMismatch { .. } => true,
            Self::NoRoom { .. }
            | Self::Busy { .. }
            | Self::Io { .. }
            | Self::Everywhere { .. }
            | Self::Cancelled { .. } => false,
        }
    }
}

/// Fetches a file as `order` says.
///
/// `cancel` turning true ends it with [`Error::Cancelled`], once nothing writes to the part any
/// more. `progress` is kept up to date with every piece. Dropping the future breaks the download
/// off too, but a piece may then still be on its way to the disk.
pub async fn fetch(
    order: &Order,
    cancel: watch::Receiver<bool>,
    progress: &watch::Sender<Progress>,
) -> Result<Fetched, Error> {
    let started = Instant::now();
    let mut mirrors = Mirrors::of(order)?;
    let mut download = Download { url: mirrors.first(), order, cancel, progress };
    let mut got = download.persist(&mut mirrors, order.expect.is_some(), true).await?;
    if got.was_resumed && !order.is_expected(&got.hex) {
        off_runtime(&order.part, move || got.part.discard()).await?;
        got = download.persist(&mut mirrors, false, false).await?;
    }
    let part = got.part;
    let bytes = off_runtime(&order.part, move || part.seal()).await?;
    let seconds = started.elapsed().as_secs_f64();
    let source = http::redact(download.url.as_str());
    Ok(Fetched { sha256: got.hex.sha256, bytes, seconds, source })
}

/// Where a binary lies while it is fetched.
#[must_use]
pub fn part_of(binary: &Path) -> PathBuf {
    let mut part = OsString::from(".");
    part.push(binary.file_name().unwrap_or_default());
    part.push(".part");
    binary.with_file_name(part)
}

/// Where it is noted what a part is a beginning of.
#[must_use]
pub fn note_of(part: &Path) -> PathBuf {
    part::note_path(part)
}

/// Removes what an unfinished download to `part` has left, if anything. Nobody may be at it.
pub fn remove_left(part: &Path) -> Result<(), Error> {
    part::remove_left(part)
}

impl Order {
    fn algorithm(&self) -> Algorithm {
        self.expect.as_ref().map_or(Algorithm::Sha256, |expect| expect.algorithm)
    }

    /// The digits of the checksum, as they were announced.
    fn expected(&self) -> Option<&str> {
        self.expect.as_ref().map(|expect| expect.hex.as_str())
    }

    fn is_expected(&self, hex: &Hex) -> bool {
        self.expect
            .as_ref()
            .is_none_or(|expect| expect.hex.eq_ignore_ascii_case(digits(hex, expect.algorithm)))
    }

    fn mismatch(&self, url: &Url, hex: &Hex, bytes: u64) -> Error {
        let expected = self.expect.as_ref().map(|expect| expect.hex.clone()).unwrap_or_default();
        let found = digits(hex, self.algorithm()).to_owned();
        Error::DigestMismatch { url: http::redact(url.as_str()), expected, found, bytes }
    }
}

fn digits(hex: &Hex, algorithm: Algorithm) -> &str {
    match algorithm {
        Algorithm::Sha256 => &hex.sha256,
        Algorithm::Sha512 => hex.sha512.as_deref().unwrap_or_default(),
    }
}
