//! A sealed backup, read whole once the daemon is up again.
//!
//! What was left out of the window is done here, in one reading: the archive's digest, the proof
//! that every byte of it decompresses to entries in the right number, and its manifest. Nothing of
//! the archive changes, so that it can be done over again after a crash.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;

use super::courtesy::Courtesy;
use super::manifest::{Foot, Head, Line, Origin, line_of, manifest_of};
use super::partial::{Partial, discard_partials};
use super::read_back::{Digesting, Sum};
use super::tempo::{Pace, Tempo};
use super::text::escaped;
use super::{Cancel, Error, path_of};
use crate::disk::folder_of;
use crate::machine::Archive;

const BUFFER_BYTES: usize = 256 * 1024;
const LEVEL: i32 = 3;

/// Reads a sealed archive from its start to its end, and writes its manifest beside it.
///
/// Returns the archive with its digest. It is an error if size or number of entries are not those
/// it was sealed with, nor the digest, where that was known. It stands back for what the process
/// group `daemon` writes.
pub fn examine(
    sealed: &Archive,
    origin: &Origin,
    tempo: Tempo,
    daemon: Option<u32>,
    cancel: &Cancel,
) -> Result<Archive, Error> {
    let path = path_of(sealed);
    tempo.run(&path, || {
        let manifest = manifest_of(&path);
        discard_partials(folder_of(&manifest))?;
        let (partial, file) = Partial::create(&manifest)?;
        let of = |error| Error::of("writing", partial.path(), error);
        let mut lines = Lines(zstd::Encoder::new(file, LEVEL).map_err(of)?);
        lines.0.include_checksum(true).map_err(of)?;
        let name = path.file_name().map(|name| escaped(Path::new(name))).unwrap_or_default();
        lines.put(&Head { archive: name, origin: origin.clone() }).map_err(of)?;
        let file = File::open(&path).map_err(|e| Error::of("opening", &path, e))?;
        let pace = Pace::new(tempo.bytes_per_second, Courtesy::towards(daemon));
        let paced = Paced { file, pace, cancel };
        let read = read_entries(paced, |line| lines.put(&line));
        cancel.check()?;
        let (sum, entries) = read.map_err(|error| unreadable(&path, &error))?;
        let found = Archive {
            bytes: sum.bytes,
            sha256: Some(sum.sha256.clone()),
            entries,
            ..sealed.clone()
        };
        let same_digest = sealed.sha256.is_none() || sealed.sha256 == found.sha256;
        if (found.bytes, found.entries) != (sealed.bytes, sealed.entries) || !same_digest {
            let what = format!("it was sealed as {sealed:?}, and is {found:?}");
            return Err(Error::NotReadBack { path: path.clone(), what });
        }
        let foot = Foot { entries, bytes: found.bytes, sha256: sum.sha256 };
        let written = lines.put(&foot).and_then(|()| lines.0.finish());
        written.and_then(|file| file.sync_all()).map_err(of)?;
        partial.keep_as(&manifest)?;
        Ok(found)
    })
}

/// An error with the system's code is the medium's; any other says that the archive is not whole.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(code) => Error::of("reading", path, io::Error::from_raw_os_error(code)),
        None => Error::NotReadBack { path: path.to_owned(), what: error.to_string() },
    }
}

/// Reads an archive from its start to its end, and shows each entry. An error with the system's
/// code is the medium's; any other says that the archive is not whole.
pub(super) fn read_entries(
    from: impl Read,
    mut show: impl FnMut(Line) -> io::Result<()>,
) -> io::Result<(Sum, u64)> {
    let frames = zstd::Decoder::new(Digesting::new(from))?;
    let (mut archive, mut count) = (tar::Archive::new(frames), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    for entry in archive.entries()? {
        let mut entry = entry?;
        show(line_of(&mut entry, &mut buffer)?)?;
        count += 1;
    }
    // Behind the end of the last entry nothing but the end may follow.
    let mut frames = archive.into_inner();
    loop {
        match frames.read(&mut buffer)? {
            0 => break,
            count if buffer.iter().take(count).all(|byte| *byte == 0) => {}
            _ => return Err(io::Error::other("something follows its last entry")),
        }
    }
    Ok((frames.finish().into_inner().sum(), count))
}

/// A manifest being written.
struct Lines<'a>(zstd::Encoder<'a, File>);

impl Lines<'_> {
    fn put(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }
}

struct Paced<'a> {
    file: File,
    pace: Pace,
    cancel: &'a Cancel,
}

impl Read for Paced<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        let paid = self.pace.take(count as u64, self.cancel);
        paid.map(|()| count).map_err(|error| io::Error::other(error.to_string()))
    }
}
