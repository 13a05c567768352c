//! Which backups go.
//!
//! One goes if it is beyond the number to keep, or older than the age, and nothing holds it: it is
//! ours, by its name and by this instance's journal (a folder of backups may be shared); it is not
//! needed; and it is not the last one.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::partial::remove_if_empty;
use super::{Error, Records, Shelved, check, manifest_of};
use crate::config::{Outlived, Retention};
use crate::disk::{Disk, RealDisk, folder_of, remove_if_there};

/// A backup, as far as the decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// It is this instance's own.
    pub ours: bool,
    /// Something may still be put back from it.
    pub needed: bool,
    /// It is known not to be whole.
    pub damaged: bool,
}

/// Why a backup stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It goes: more than the number to keep are newer.
    BeyondCount,
    /// It goes: it is older than the age.
    TooOld,
    /// It stays: neither applies.
    Within,
    /// It stays: it is not ours to remove.
    Foreign,
    /// It stays: something may still be put back from it.
    Needed,
    /// It stays: it is the last one that may be put back.
    Last,
}

impl Fate {
    /// Whether it goes.
    #[must_use]
    pub fn goes(self) -> bool {
        matches!(self, Self::BeyondCount | Self::TooOld)
    }

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeyondCount => "beyond-count",
            Self::TooOld => "too-old",
            Self::Within => "within",
            Self::Foreign => "foreign",
            Self::Needed => "needed",
            Self::Last => "last",
        }
    }
}

/// What becomes of each, in the order given. A damaged one counts for nothing: neither as one of
/// those to keep, nor as the last.
#[must_use]
pub fn fates(all: &[Candidate], retention: Option<Retention>, now: DateTime<Utc>) -> Vec<Fate> {
    let newest = |sound: bool| {
        let ours = all.iter().enumerate().filter(move |(_, it)| it.ours && (!sound || !it.damaged));
        ours.max_by_key(|(at, it)| (it.at, *at)).map(|(at, _)| at)
    };
    let last = newest(true).or_else(|| newest(false));
    let newer = |at: usize, than: &Candidate| {
        let counted = all.iter().enumerate().filter(|(_, it)| it.ours && !it.damaged);
        counted.filter(|(other, it)| (it.at, *other) > (than.at, at)).count()
    };
    let fate = |(at, it): (usize, &Candidate)| {
        if !it.ours {
            return Fate::Foreign;
        }
        if it.needed {
            return Fate::Needed;
        }
        if last == Some(at) {
            return Fate::Last;
        }
        // One of the future is as young as can be.
        let age = now.signed_duration_since(it.at).to_std().unwrap_or_default();
        match retention.and_then(|retention| retention.outlived(newer(at, it), age)) {
            Some(Outlived::BeyondCount) => Fate::BeyondCount,
            Some(Outlived::TooOld) => Fate::TooOld,
            None => Fate::Within,
        }
    };
    all.iter().enumerate().map(fate).collect()
}

/// The decision on what lies on the shelf, by this instance's journal.
#[must_use]
pub fn decide<'a>(
    shelf: &'a [Shelved],
    records: &Records,
    retention: Option<Retention>,
    now: DateTime<Utc>,
) -> Vec<(&'a Shelved, Fate)> {
    let candidate = |it: &Shelved| {
        let known = records.of(&it.path);
        Candidate {
            at: it.at,
            ours: it.ours && known.is_some(),
            needed: records.needs(&it.path),
            damaged: known.is_some_and(|known| known.damage.is_some()),
        }
    };
    let all: Vec<Candidate> = shelf.iter().map(candidate).collect();
    shelf.iter().zip(fates(&all, retention, now)).collect()
}

/// What goes may be all that something can be put back from: where anything does, the newest that
/// stays is read whole first. That one, and what is wrong with it; `None` where nothing is.
#[must_use]
pub fn flaw_of_newest<'a>(
    decided: &[(&'a Shelved, Fate)],
    records: &Records,
) -> Option<(&'a Shelved, String)> {
    if !decided.iter().any(|(_, fate)| fate.goes()) {
        return None;
    }
    let newest = |sound: bool| {
        let is_it = |(it, fate): &&(&Shelved, Fate)| {
            let known = records.of(&it.path).filter(|known| !sound || known.damage.is_none());
            !fate.goes() && *fate != Fate::Foreign && known.is_some()
        };
        decided.iter().rev().find(is_it).map(|(it, _)| *it)
    };
    let newest = newest(true).or_else(|| newest(false))?;
    let sealed = records.of(&newest.path).map(|known| &known.archive);
    let flaw = match check(&newest.path, sealed) {
        Ok(checked) => checked.faults.into_iter().next(),
        Err(error) => Some(error.to_string()),
    };
    flaw.map(|flaw| (newest, flaw))
}

/// Removes an archive and its manifest, durably, and their folder if nothing else is in it. The
/// archive goes last, so that one that is still there after a crash is found and removed again;
/// that there is none is no error.
pub fn remove(archive: &Path) -> Result<(), Error> {
    for path in [manifest_of(archive).as_path(), archive] {
        remove_if_there(&RealDisk, path).map_err(|e| Error::of("removing", path, e))?;
    }
    let folder = folder_of(archive);
    RealDisk.sync_dir(folder).map_err(|e| Error::of("syncing", folder, e))?;
    remove_if_empty(folder);
    Ok(())
}
