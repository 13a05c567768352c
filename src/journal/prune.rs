//! Removing old segments: which, and how.
//!
//! Only the oldest go, whole and in order, so that what is left is one chain. No lock of `run` is
//! needed: a writer only ever touches the newest, and a start reads no other.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::segment::{self, read_segment};
use super::verify::{FaultKind, verify};
use super::{Error, Hash, Mishap, Owner, Pruned, pruned, read};
use crate::disk::{Disk, Kind, remove_if_there};
use crate::machine::{Archive, Event, Requester};
use crate::retention::{Outlived, Retention};

/// The one that is written, and the one before it, which a reader may just be at.
const NEWEST_KEPT: usize = 2;

/// Why a segment stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentFate {
    /// It goes, for it is outlived.
    Outlived(Outlived),
    /// It goes: an earlier prune was interrupted.
    LeftOver,
    /// It stays: it is within what is kept.
    Within,
    /// It stays: it is one of the newest.
    Newest,
    /// It stays: it tells of a backup that is still there, or missing.
    Backup,
    /// It stays: it alone tells what was set aside as damaged, and by which digest.
    Damage,
    /// It stays: an older one does.
    Behind,
}

impl SegmentFate {
    /// Whether it goes.
    #[must_use]
    pub fn goes(self) -> bool {
        matches!(self, Self::Outlived(_) | Self::LeftOver)
    }
}

/// A segment, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// Where it lies.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// What becomes of it.
    pub fate: SegmentFate,
    number: u64,
    begun: DateTime<Utc>,
    before: (u64, Hash),
    /// What was cut off the segment before it.
    torn: Option<PathBuf>,
    tells_of_backup: bool,
    tells_of_damage: bool,
}

/// All segments of a journal, oldest first.
#[derive(Debug, Default)]
pub struct Review {
    /// The segments.
    pub segments: Vec<Reviewed>,
    /// Why none of them goes: what is wrong with the journal, which is evidence.
    pub fault: Option<String>,
    noted: Vec<Pruned>,
}

/// Decides on each segment of the journal in `folder`. `is_there` tells whether a backup is.
///
/// `is_written` tells whether a `run` is at work on it.
pub fn review(
    disk: &dyn Disk,
    folder: &Path,
    owner: &Owner,
    retention: Option<Retention>,
    is_written: bool,
    is_there: &dyn Fn(&Archive) -> bool,
) -> Result<Review, Error> {
    let mut review = Review::default();
    for number in read::numbers(disk, folder)? {
        match look(disk, folder, owner, number, is_there)? {
            Ok(segment) => review.segments.push(segment),
            Err(why) => review.fault = Some(why),
        }
    }
    match pruned::read(disk, folder)? {
        Ok(noted) => review.noted = noted,
        Err(why) => review.fault = Some(format!("{}: {why}", pruned::FILE)),
    }
    review.decide(retention, Utc::now());
    if review.goes().next().is_none() {
        return Ok(review);
    }
    let verified = verify(disk, folder, owner, None, is_written)?;
    let is_evidence =
        |kind| matches!(kind, FaultKind::Chain | FaultKind::Sequence | FaultKind::Illegal);
    let fault = verified.faults.iter().find(|fault| is_evidence(fault.kind));
    review.fault = review.fault.or(fault.map(|fault| {
        fault.file.iter().map(|file| format!("{file}: ")).chain([fault.text.clone()]).collect()
    }));
    Ok(review)
}

fn look(
    disk: &dyn Disk,
    folder: &Path,
    owner: &Owner,
    number: u64,
    is_there: &dyn Fn(&Archive) -> bool,
) -> Result<Result<Reviewed, String>, Error> {
    let path = segment::path(folder, number);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let read = segment::read_bytes(disk, &path)?;
    let content = read.and_then(|bytes| Ok((bytes.len() as u64, read_segment(&bytes, owner)?)));
    let (bytes, content) = match content {
        Ok(content) => content,
        Err(why) => return Ok(Err(format!("{file}: {why}"))),
    };
    let torn = match &content.header.after {
        Some(Mishap::TornTail { kept_as, .. }) => Some(folder.join(kept_as)),
        Some(Mishap::WriteFailed { .. } | Mishap::Damaged { .. }) | None => None,
    };
    let tells_of_backup = content.records.iter().any(|line| {
        matches!(&line.record.event, Event::BackupSealed { archive, .. } if is_there(archive))
    });
    Ok(Ok(Reviewed {
        bytes,
        fate: SegmentFate::Within,
        number,
        begun: content.header.at,
        before: (content.header.seq, content.header_prev),
        // A name with a folder in it is none of ours.
        torn: torn.filter(|torn| torn.parent() == Some(folder)),
        tells_of_backup,
        tells_of_damage: matches!(content.header.after, Some(Mishap::Damaged { .. })),
        path,
    }))
}

impl Review {
    /// Those that go.
    pub fn goes(&self) -> impl Iterator<Item = &Reviewed> {
        let may = self.fault.is_none();
        self.segments.iter().filter(move |segment| may && segment.fate.goes())
    }

    fn decide(&mut self, retention: Option<Retention>, now: DateTime<Utc>) {
        let ends: Vec<DateTime<Utc>> = self.segments.iter().skip(1).map(|it| it.begun).collect();
        let left_over = self.noted.last().map_or(0, |pruned| pruned.segment);
        let (all, mut all_go) = (self.segments.len(), true);
        for (at, segment) in self.segments.iter_mut().enumerate() {
            let newer = all - at - 1;
            let end = ends.get(at).copied().unwrap_or(now);
            let age = now.signed_duration_since(end).to_std().unwrap_or_default();
            let outlived = retention.and_then(|kept| kept.outlived(newer, age));
            segment.fate = match outlived {
                _ if newer < NEWEST_KEPT => SegmentFate::Newest,
                _ if segment.number <= left_over => SegmentFate::LeftOver,
                None => SegmentFate::Within,
                Some(_) if segment.tells_of_backup => SegmentFate::Backup,
                Some(_) if segment.tells_of_damage => SegmentFate::Damage,
                Some(_) if !all_go => SegmentFate::Behind,
                Some(why) => SegmentFate::Outlived(why),
            };
            all_go &= segment.fate.goes();
        }
    }

    /// Removes those that go, after a line about it. A segment that is still there after a crash
    /// is found by it, and goes the next time.
    pub fn carry_out(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        requester: Requester,
    ) -> Result<(), Error> {
        let Some(last) = self.goes().last() else { return Ok(()) };
        let follows = self.segments.iter().find(|segment| segment.number > last.number);
        if let (SegmentFate::Outlived(_), Some(first)) = (last.fate, follows) {
            let (seq, hash) = first.before.clone();
            let noted = Pruned { at: Utc::now(), requester, segment: last.number, seq, hash };
            let all: Vec<Pruned> = self.noted.iter().cloned().chain([noted]).collect();
            pruned::add(disk, folder, &all)?;
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { doing: "removed", path, source }
        };
        for segment in self.goes() {
            if let Some(torn) = &segment.torn
                && matches!(disk.kind(torn), Ok(Some(Kind::File(_))))
            {
                remove_if_there(disk, torn).map_err(failed(torn))?;
            }
            remove_if_there(disk, &segment.path).map_err(failed(&segment.path))?;
        }
        disk.sync_dir(folder).map_err(failed(folder))
    }
}
