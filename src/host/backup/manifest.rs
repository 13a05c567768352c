//! What lies in an archive, in a file beside it: `backup-….manifest.jsonl.zst`.
//!
//! A line of JSON for where it comes from, one for each entry in the archive's order, and one for
//! the archive as a whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::{escaped, hex};
use crate::machine::Version;

/// Zeros in holes are digested too. Of a longer file with holes no digest is taken.
const DIGESTED_BYTES_MAX: u64 = 16 << 30;
/// Two paths of the greatest length, with every byte escaped, take half of this.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Where a backup comes from, for its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The version that had run on the home.
    pub version: Version,
    /// Number of the journal's record that ordered the backup.
    pub record: u64,
}

/// The first line of a manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) archive: String,
    #[serde(flatten)]
    pub(super) origin: Origin,
}

/// A line of a manifest. Paths are from the home on, in the form of
/// [`crate::machine::Archive::path`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) path: String,
    kind: String,
    /// Octal, as `chmod` takes it.
    mode: String,
    uid: u64,
    gid: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Of a symbolic link, and of one more name of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// The last line of a manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Foot {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A line after the first.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Item {
    Entry(Line),
    Foot(Foot),
}

/// Where the manifest of an archive is: `backup-….tar.zst` has `backup-….manifest.jsonl.zst`.
#[must_use]
pub fn manifest_of(archive: &Path) -> PathBuf {
    archive.with_extension("").with_extension("manifest.jsonl.zst")
}

/// Where a backup comes from, as its manifest has it; `None` where there is none that can be read.
#[must_use]
pub fn origin_of(archive: &Path) -> Option<Origin> {
    Some(Manifest::open(archive).ok()??.head.origin)
}

/// A manifest being read.
pub(super) struct Manifest {
    pub(super) head: Head,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
}

impl Manifest {
    /// Opens the manifest of an archive; `None` where there is none.
    pub(super) fn open(archive: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(manifest_of(archive)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut lines = BufReader::new(zstd::Decoder::new(file)?);
        let head = parsed(&next_line(&mut lines)?)?;
        Ok(Some(Self { head, lines }))
    }

    /// The next line; an error where there is none any more.
    pub(super) fn next(&mut self) -> io::Result<Item> {
        parsed(&next_line(&mut self.lines)?)
    }
}

fn next_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let _ = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        _ => Err(io::Error::other("a line of it is cut short")),
    }
}

fn parsed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(line).map_err(io::Error::other)
}

/// The line of an entry, whose content is read for it.
pub(super) fn line_of(
    entry: &mut tar::Entry<'_, impl Read>,
    buffer: &mut [u8],
) -> io::Result<Line> {
    let below_home = |bytes: &[u8]| {
        let below = bytes.strip_prefix(b"./").unwrap_or(bytes);
        let below = below.strip_suffix(b"/").unwrap_or(below);
        escaped(Path::new(OsStr::from_bytes(below)))
    };
    let text = |bytes: &[u8]| escaped(Path::new(OsStr::from_bytes(bytes)));
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
    let (kind, mode) = (kind.to_owned(), format!("{mode:04o}"));
    Ok(Line { path, kind, mode, uid, gid, size, sha256, target })
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
