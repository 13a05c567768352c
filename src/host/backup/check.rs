//! A backup held against what is known of it: the journal's record of it, and its manifest.

use std::fs::File;
use std::io;
use std::path::Path;

use super::examine::read_entries;
use super::manifest::{Foot, Item, Line, Manifest, manifest_of};
use super::read_back::Sum;
use super::{Error, path_text};
use crate::machine::Archive;

/// So many files that differ are named.
const NAMED_MAX: u64 = 20;

/// What a reading of an archive from its start to its end found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it is: size, digest, number of entries. `None` where it could not be read to its end.
    pub found: Option<Archive>,
    /// Its entries were compared with those of its manifest.
    pub manifest: bool,
    /// What is wrong, in words; empty where it is whole and as it was sealed.
    pub faults: Vec<String>,
}

/// Reads an archive whole, and compares it with how it was sealed, where that is known, and with
/// its manifest, where it has one. Nothing is changed.
///
/// An error is the system's refusal to open it; whatever else is wrong is a fault.
pub fn check(path: &Path, sealed: Option<&Archive>) -> Result<Checked, Error> {
    let file = File::open(path).map_err(|e| Error::of("opening", path, e))?;
    let mut faults = Vec::new();
    let manifest = Manifest::open(path).unwrap_or_else(|error| {
        faults.push(bad_manifest(path, &error));
        None
    });
    let has_manifest = manifest.is_some();
    let mut side = Side { manifest, entries: 0, differing: 0, faults };
    let read = read_entries(file, |line| {
        side.compare(path, &line);
        Ok(())
    });
    let found = match read {
        Ok((sum, entries)) => Some(side.end(path, sum, entries, sealed)),
        Err(error) => {
            let what = if error.raw_os_error().is_some() { "can't be read" } else { "is damaged" };
            side.faults.push(format!("it {what} behind entry {}: {error}", side.entries));
            None
        }
    };
    Ok(Checked { found, manifest: has_manifest, faults: side.faults })
}

/// The manifest's side of the comparison; what doesn't match is told once.
struct Side {
    manifest: Option<Manifest>,
    entries: u64,
    differing: u64,
    faults: Vec<String>,
}

impl Side {
    fn compare(&mut self, path: &Path, line: &Line) {
        self.entries += 1;
        let Some(manifest) = &mut self.manifest else { return };
        let gone = match manifest.next() {
            Ok(Item::Entry(known)) if known == *line => return,
            Ok(Item::Entry(known)) if known.path == line.path => {
                self.differing += 1;
                if self.differing <= NAMED_MAX {
                    let path = if line.path.is_empty() { "the home itself" } else { &line.path };
                    self.faults.push(format!("{path} is not as its manifest has it"));
                }
                return;
            }
            Ok(Item::Entry(known)) => format!(
                "it has {:?} where its manifest has {:?}; the rest is not compared",
                line.path, known.path
            ),
            Ok(Item::Foot(_)) => format!("it has {:?}, which its manifest ends before", line.path),
            Err(error) => bad_manifest(path, &error),
        };
        self.faults.push(gone);
        self.manifest = None;
    }

    fn end(&mut self, path: &Path, sum: Sum, entries: u64, sealed: Option<&Archive>) -> Archive {
        if let Some(more) = self.differing.checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            self.faults.push(format!("{more} more entries are not as its manifest has them"));
        }
        if let Some(mut manifest) = self.manifest.take() {
            match manifest.next() {
                Ok(Item::Foot(foot)) => self.faults.extend(differs("its manifest", &foot, &sum)),
                Ok(Item::Entry(line)) => {
                    self.faults.push(format!("its manifest has {:?}, and it has not", line.path));
                }
                Err(error) => self.faults.push(bad_manifest(path, &error)),
            }
        }
        if let Some(sealed) = sealed {
            let sha256 = sealed.sha256.clone().unwrap_or_else(|| sum.sha256.clone());
            let known = Foot { entries: sealed.entries, bytes: sealed.bytes, sha256 };
            self.faults.extend(differs("the journal", &known, &sum));
            if sealed.entries != entries {
                let text =
                    format!("it has {entries} entries, and {} by the journal", known.entries);
                self.faults.push(text);
            }
        }
        let skipped = sealed.map_or(0, |sealed| sealed.skipped);
        let Sum { bytes, sha256 } = sum;
        Archive { path: path_text(path), bytes, sha256: Some(sha256), entries, skipped }
    }
}

fn differs(by: &str, known: &Foot, found: &Sum) -> Option<String> {
    let same = (known.bytes, &known.sha256) == (found.bytes, &found.sha256);
    (!same).then(|| {
        format!(
            "it has {} bytes with sha256 {}, and by {by} {} bytes with {}",
            found.bytes, found.sha256, known.bytes, known.sha256
        )
    })
}

fn bad_manifest(archive: &Path, error: &io::Error) -> String {
    format!("its manifest {} can't be read: {error}", manifest_of(archive).display())
}
