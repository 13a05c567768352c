//! A sealed backup, read whole once the daemon is up again.
//!
//! What was left out of the window is done here, in one reading: the archive's digest, the proof
//! that every byte of it decompresses to entries in the right number, and its manifest. Nothing of
//! the archive changes, so that it can be done over again after a crash.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::partial::{Partial, discard_partials};
use super::read_back::{Digesting, Sum};
use super::tempo::{Pace, Tempo};
use super::text::{escaped, hex};
use super::{Cancel, Error, path_of};
use crate::disk::folder_of;
use crate::machine::{Archive, Version};

const BUFFER_BYTES: usize = 256 * 1024;
const LEVEL: i32 = 3;
/// Zeros in holes are digested too. Of a longer file with holes no digest is taken.
const DIGESTED_BYTES_MAX: u64 = 16 << 30;

/// Where a backup comes from, for its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The version that had run on the home.
    pub version: Version,
    /// Number of the journal's record that ordered the backup.
    pub record: u64,
}

/// The first line of a manifest.
#[derive(Debug, Serialize)]
struct Head<'a> {
    archive: String,
    #[serde(flatten)]
    origin: &'a Origin,
}

/// A line of a manifest. Paths are from the home on, in the form of [`Archive::path`].
#[derive(Debug, Serialize)]
struct Line {
    path: String,
    kind: &'static str,
    /// Octal, as `chmod` takes it.
    mode: String,
    uid: u64,
    gid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Of a symbolic link, and of one more name of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// The last line of a manifest.
#[derive(Debug, Serialize)]
struct Foot<'a> {
    entries: u64,
    bytes: u64,
    sha256: &'a str,
}

/// Where the manifest of an archive is: `backup-….tar.zst` has `backup-….manifest.jsonl.zst`.
#[must_use]
pub fn manifest_of(archive: &Path) -> PathBuf {
    archive.with_extension("").with_extension("manifest.jsonl.zst")
}

/// Reads a sealed archive from its start to its end, and writes its manifest beside it.
///
/// Returns the archive with its digest. It is an error if size or number of entries are not those
/// it was sealed with, nor the digest, where that was known.
pub fn examine(
    sealed: &Archive,
    origin: &Origin,
    tempo: Tempo,
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
        lines.put(&Head { archive: name, origin }).map_err(of)?;
        let file = File::open(&path).map_err(|e| Error::of("opening", &path, e))?;
        let paced = Paced { file, pace: Pace::new(tempo.bytes_per_second), cancel };
        let read = read_entries(paced, &mut lines);
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
        let foot = Foot { entries, bytes: found.bytes, sha256: &sum.sha256 };
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

fn read_entries(from: Paced<'_>, lines: &mut Lines<'_>) -> io::Result<(Sum, u64)> {
    let frames = zstd::Decoder::new(Digesting::new(from))?;
    let (mut archive, mut count) = (tar::Archive::new(frames), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    for entry in archive.entries()? {
        let mut entry = entry?;
        lines.put(&line_of(&mut entry, &mut buffer)?)?;
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

fn line_of(entry: &mut tar::Entry<'_, impl Read>, buffer: &mut [u8]) -> io::Result<Line> {
    use std::os::unix::ffi::OsStrExt;
    let below_home = |bytes: &[u8]| {
        let below = bytes.strip_prefix(b"./").unwrap_or(bytes);
        let below = below.strip_suffix(b"/").unwrap_or(below);
        escaped(Path::new(std::ffi::OsStr::from_bytes(below)))
    };
    let text = |bytes: &[u8]| escaped(Path::new(std::ffi::OsStr::from_bytes(bytes)));
    let header = entry.header();
    let (kind, mode) = (header.entry_type(), header.mode()? & 0o7777);
    let (uid, gid) = (header.uid()?, header.gid()?);
    let path = below_home(&entry.path_bytes());
    let target = entry.link_name_bytes().unwrap_or_default();
    let (kind, target) = if kind.is_dir() {
        ("folder", None)
    } else if kind.is_symlink() {
        ("link", Some(text(&target)))
    } else if kind.is_hard_link() {
        ("same-as", Some(below_home(&target)))
    } else {
        ("file", None)
    };
    let size = (kind == "file").then(|| entry.size());
    let digested = size.filter(|size| *size <= DIGESTED_BYTES_MAX);
    let sha256 = digested.map(|_| digest(entry, buffer)).transpose()?;
    Ok(Line { path, kind, mode: format!("{mode:04o}"), uid, gid, size, sha256, target })
}

fn digest(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<String> {
    let mut digest = Sha256::new();
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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
