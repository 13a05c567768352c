//! The bytes of a sealed archive, proven to be those that were sealed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Error;
use crate::host::backup;
use crate::machine::Archive;

/// An archive's content. What is read counts only once [`Source::finish`] has agreed.
pub(super) struct Source<'a> {
    path: PathBuf,
    sealed: &'a Archive,
    frames: zstd::Decoder<'static, BufReader<Digesting>>,
}

struct Digesting {
    file: File,
    digest: Sha256,
    bytes: u64,
}

impl Read for Digesting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.digest.update(into.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<'a> Source<'a> {
    /// Opens the archive; one of another size is refused at once.
    pub(super) fn open(sealed: &'a Archive) -> Result<Self, Error> {
        let path = backup::path_of(sealed);
        let of = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Error::Damaged { path: path.clone(), what: "it is not there".into() };
            }
            Error::of("opening the backup", &path, error)
        };
        let file = File::open(&path).map_err(of)?;
        let bytes = file.metadata().map_err(of)?.len();
        if bytes != sealed.bytes {
            let what = format!("it has {bytes} bytes and was sealed with {}", sealed.bytes);
            return Err(Error::Damaged { path, what });
        }
        let digesting = Digesting { file, digest: Sha256::new(), bytes: 0 };
        let frames = zstd::Decoder::new(digesting).map_err(of)?;
        Ok(Self { path, sealed, frames })
    }

    /// Some of the content; 0 at its end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.frames.read(into) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_some() => {
                    return Err(Error::of("reading the backup", &self.path, error));
                }
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
    }

    /// Fills `into`.
    pub(super) fn read_whole(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => return Err(self.damaged("it ends too early")),
                count => done += count,
            }
        }
        Ok(())
    }

    /// That what was read is wrong.
    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    /// Reads the rest, and compares size and digest with those the archive was sealed with.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        while self.read(&mut buffer)? > 0 {}
        let Self { path, sealed, frames } = self;
        let Digesting { digest, bytes, .. } = frames.finish().into_inner();
        let found = hex(&digest.finalize());
        // One that was made ahead and not examined yet has no digest: its frames have theirs.
        let expected = sealed.sha256.as_ref().unwrap_or(&found);
        if (bytes, &found) == (sealed.bytes, expected) {
            return Ok(());
        }
        let what = format!(
            "{bytes} bytes with SHA-256 {found} were read; it was sealed with {} bytes and \
             {expected}",
            sealed.bytes
        );
        Err(Error::Damaged { path, what })
    }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
