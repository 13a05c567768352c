//! Proving that what lies on the disk is what was written.
//!
//! The archive is read while it still grows: a second thread follows the writer at a distance,
//! makes each stretch durable, drops it from the page cache, reads it from the medium, digests it
//! and decompresses it. When the writer is done, little is left to read. The checksum of each
//! frame covers the content before compression, so that a fault of the compressor shows as well.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};

use super::Cancel;

/// How far the writer gets before the reader is told.
const STRETCH_BYTES: u64 = 8 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

/// What was read, or written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Their SHA-256 in hex.
    pub(super) sha256: String,
}

/// The writer's side: a file whose bytes are digested on their way, and whose reader is told.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    digest: Sha256,
    bytes: u64,
    told: u64,
    reader: Sender<u64>,
}

impl Sink {
    /// Writes to `file` from its start.
    pub(super) fn new(file: File, reader: Sender<u64>) -> Self {
        Self { file, digest: Sha256::new(), bytes: 0, told: 0, reader }
    }

    /// Lets the reader have the rest, and makes the whole file durable.
    pub(super) fn finish(mut self) -> io::Result<Sum> {
        self.tell();
        let Self { file, digest, bytes, reader, .. } = self;
        drop(reader);
        file.sync_all()?;
        Ok(Sum { bytes, sha256: hex(&digest.finalize()) })
    }

    fn tell(&mut self) {
        self.told = self.bytes;
        // A reader that has ended says why when it is joined.
        let _ = self.reader.send(self.bytes);
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digest.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        if self.bytes - self.told >= STRETCH_BYTES {
            self.tell();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reader's side: a file that ends where, and when, the writer says so.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    file: File,
    writer: Receiver<u64>,
    cancel: &'a Cancel,
    at: u64,
    ready: u64,
}

impl<'a> Tail<'a> {
    /// Reads `file`, opened anew, from its start.
    pub(super) fn new(file: File, writer: Receiver<u64>, cancel: &'a Cancel) -> Self {
        Self { file, writer, cancel, at: 0, ready: 0 }
    }

    /// Waits for the next stretch; false at the end.
    fn wait(&mut self) -> io::Result<bool> {
        let Ok(ready) = self.writer.recv() else { return Ok(false) };
        self.ready = self.writer.try_iter().last().unwrap_or(ready);
        self.file.sync_data()?;
        forget(&self.file, self.at, self.ready - self.at);
        Ok(self.ready > self.at)
    }
}

impl Read for Tail<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        if self.at == self.ready && !self.wait()? {
            return Ok(0);
        }
        let wanted = usize::try_from(self.ready - self.at).unwrap_or(usize::MAX).min(into.len());
        let count = self.file.read(into.get_mut(..wanted).unwrap_or_default())?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Reads an archive to its end. An error with the system's code is the medium's; any other says
/// that the archive is not whole. Gives its sum and the number of bytes that were compressed.
pub(super) fn read_back(archive: impl Read) -> io::Result<(Sum, u64)> {
    let digesting = Digesting { from: archive, digest: Sha256::new(), bytes: 0 };
    let mut frames = zstd::Decoder::new(digesting)?;
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
    let Digesting { digest, bytes, .. } = frames.finish().into_inner();
    Ok((Sum { bytes, sha256: hex(&digest.finalize()) }, content))
}

/// Digests a file as it is, from its start.
pub(super) fn sum_of(file: &mut File) -> io::Result<Sum> {
    let mut digesting = Digesting { from: file, digest: Sha256::new(), bytes: 0 };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match digesting.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Sum { bytes: digesting.bytes, sha256: hex(&digesting.digest.finalize()) })
}

#[derive(Debug)]
struct Digesting<R> {
    from: R,
    digest: Sha256,
    bytes: u64,
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
fn forget(file: &File, offset: u64, bytes: u64) {
    if let (Ok(offset), Ok(bytes)) = (i64::try_from(offset), i64::try_from(bytes)) {
        let _ = posix_fadvise(file, offset, bytes, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
