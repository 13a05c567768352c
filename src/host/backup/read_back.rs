//! Proving that what lies on the disk is what was written.
//!
//! What is written with the daemon down is read while it still grows: a second thread follows the
//! writer at a distance, makes each stretch durable, drops it from the page cache, reads it from
//! the medium, digests it and decompresses it. When the writer is done, little is left to read.
//! The checksum of each frame covers the content before compression, so that a fault of the
//! compressor shows as well.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::Receiver;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::Cancel;
use super::tempo::Pace;
use super::text::hex;

const BUFFER_BYTES: usize = 256 * 1024;

/// What was read, or written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Their SHA-256 in hex.
    pub(super) sha256: String,
}

/// The reader's side: a file that ends where, and when, the writer says so.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    file: &'a File,
    writer: Receiver<u64>,
    cancel: &'a Cancel,
    pace: Pace,
    at: u64,
    ready: u64,
}

impl<'a> Tail<'a> {
    /// Reads `file` from `at` on.
    pub(super) fn new(
        file: &'a File,
        at: u64,
        writer: Receiver<u64>,
        pace: Pace,
        cancel: &'a Cancel,
    ) -> Self {
        Self { file, writer, cancel, pace, at, ready: at }
    }

    /// Waits for the next stretch; false at the end.
    fn wait(&mut self) -> io::Result<bool> {
        let Ok(ready) = self.writer.recv() else { return Ok(false) };
        self.ready = self.writer.try_iter().last().unwrap_or(ready);
        self.file.sync_data()?;
        forget(self.file, self.at, self.ready - self.at);
        Ok(self.ready > self.at)
    }
}

impl Read for Tail<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.pace.take(0, self.cancel).is_err() {
            return Err(io::Error::other("cancelled"));
        }
        if self.at == self.ready && !self.wait()? {
            return Ok(0);
        }
        let wanted = usize::try_from(self.ready - self.at).unwrap_or(usize::MAX).min(into.len());
        let count = self.file.read_at(into.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Reads whole frames to their end. An error with the system's code is the medium's; any other
/// says that they are not whole. Gives their sum and the number of bytes that were compressed.
pub(super) fn read_back(frames: impl Read) -> io::Result<(Sum, u64)> {
    let mut frames = zstd::Decoder::new(Digesting::new(frames))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut content = 0;
    loop {
        match frames.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => content += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((frames.finish().into_inner().sum(), content))
}

/// Digests a file as it is, from its start.
pub(super) fn sum_of(file: &mut File) -> io::Result<Sum> {
    let mut digesting = Digesting::new(file);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match digesting.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(digesting.sum())
}

/// A reader that digests what passes through it.
#[derive(Debug)]
pub(super) struct Digesting<R> {
    from: R,
    digest: Sha256,
    bytes: u64,
}

impl<R> Digesting<R> {
    /// Nothing was read yet.
    pub(super) fn new(from: R) -> Self {
        Self { from, digest: Sha256::new(), bytes: 0 }
    }

    /// What was read.
    pub(super) fn sum(self) -> Sum {
        Sum { bytes: self.bytes, sha256: hex(&self.digest.finalize()) }
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.digest.update(into.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Drops clean pages from the cache, so that the next read comes from the medium. Some file
/// systems have nothing else than the cache; they are free to ignore it.
pub(super) fn forget(file: &File, offset: u64, bytes: u64) {
    if let (Ok(offset), Ok(bytes)) = (i64::try_from(offset), i64::try_from(bytes)) {
        let _ = posix_fadvise(file, offset, bytes, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

/// That the medium gave something else than it was given: no error of the system.
pub(super) fn not_as_written(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
