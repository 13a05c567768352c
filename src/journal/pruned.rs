//! What was removed from the beginning of a journal by order.
//!
//! The file `pruned` in the journal's folder has a line for each time, the last of which counts: a
//! segment that is not there, and that it doesn't name, is missing. It is written before anything
//! goes. Like the journal it proves nothing against somebody who rewrites all of it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Error, FILE_MODE, Hash};
use crate::disk::{self, Disk, Kind};
use crate::machine::Requester;

/// Its name.
pub(super) const FILE: &str = "pruned";

/// One time that segments were removed, and what the first that stayed begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// Who had it done.
    pub requester: Requester,
    /// All segments up to this one were removed.
    pub segment: u64,
    /// The record before the first that stayed, as its segment's header names it.
    pub seq: u64,
    /// The hash of the line before that header.
    pub hash: Hash,
}

impl Pruned {
    /// In words, for a person who verifies the journal.
    #[must_use]
    pub fn in_words(&self) -> String {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let segments = match self.segment {
            1 => "segment 1 was pruned".to_owned(),
            last => format!("the segments up to {last} were pruned"),
        };
        format!("{segments} at {at}, up to record {}: what is left begins there", self.seq)
    }
}

/// The file as it is. The inner error tells what is wrong with it.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Result<Vec<Pruned>, String>, Error> {
    let path = path(folder);
    let failed = |source| Error::Io { doing: "read", path: path.clone(), source };
    match disk.kind(&path).map_err(failed)? {
        None => return Ok(Ok(Vec::new())),
        Some(Kind::File(_)) => {}
        Some(kind @ (Kind::Folder | Kind::Link | Kind::Other)) => {
            return Ok(Err(format!("{} here", disk::in_words(disk, &path, &kind))));
        }
    }
    let bytes = disk.read(&path).map_err(failed)?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let line = |(number, line): (u64, &[u8])| {
        serde_json::from_slice(line)
            .map_err(|error| format!("line {number} can't be read: {error}"))
    };
    Ok((1..).zip(lines).map(line).collect())
}

/// Adds a line, durably.
pub(super) fn add(disk: &dyn Disk, folder: &Path, all: &[Pruned]) -> Result<(), Error> {
    let mut bytes = Vec::new();
    for pruned in all {
        bytes.extend(serde_json::to_vec(pruned)?);
        bytes.push(b'\n');
    }
    let path = path(folder);
    let failed = |source| Error::Io { doing: "written", path: path.clone(), source };
    disk::replace(disk, &path, &bytes, FILE_MODE).map_err(failed)
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
