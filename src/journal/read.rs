//! Reading a whole journal, while somebody may be writing it.

use std::path::Path;

use serde::Deserialize;

use super::segment::{self, Content, Rest, read_segment, segments};
use super::{BadLine, Error, Hash, Mishap, Owner};
use crate::disk::{self, Disk, Kind};
use crate::machine::{Attempt, Record, State};

/// A piece of a journal.
#[derive(Debug)]
pub enum Part {
    /// Something about the journal itself, in words.
    Note(String),
    /// A record, and its line as it is written.
    Record {
        /// The record.
        record: Box<Record>,
        /// The roll-back that was under way when it was made.
        back: Option<Box<Attempt>>,
        /// Its line, without the newline.
        line: String,
    },
}

/// A whole journal, read in one go.
#[derive(Debug, Default)]
pub struct Reading {
    /// All records, oldest first, with notes where something is odd.
    pub parts: Vec<Part>,
    /// Where it ends; `None` where there is no journal, or its last segment can't be read.
    pub end: Option<End>,
    /// What is wrong with its last segment, which is the one that tells the present.
    pub damage: Option<String>,
    /// What can't be read of the segments before that.
    pub unread: Vec<String>,
}

/// The end of what can be read.
#[derive(Debug, Clone)]
pub struct End {
    /// Number of the last record; 0 where there is none.
    pub seq: u64,
    /// Hash of the last good line.
    pub head: Hash,
    /// The state after it.
    pub state: State,
}

/// A segment as it was read.
#[derive(Debug)]
pub struct Segment {
    /// Its number, from 1.
    pub number: u64,
    /// Its file's name.
    pub file: String,
    /// What it holds; the error is why nothing of it can be read.
    pub content: Result<Content, BadLine>,
    /// Its lines behind the header, without their newlines: one for each record, and what follows.
    pub lines: Vec<String>,
}

/// The segments of the journal in `folder` from number `first` on, in order. Each is read when it
/// is asked for: of a long journal one is in memory at a time.
pub fn read_from<'a>(
    disk: &'a dyn Disk,
    folder: &'a Path,
    owner: &'a Owner,
    first: u64,
) -> Result<impl Iterator<Item = Result<Segment, Error>> + use<'a>, Error> {
    let numbers = numbers(disk, folder)?.into_iter().filter(move |number| *number >= first);
    Ok(numbers.map(move |number| one(disk, folder, owner, number)))
}

fn one(disk: &dyn Disk, folder: &Path, owner: &Owner, number: u64) -> Result<Segment, Error> {
    let path = segment::path(folder, number);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (content, lines) = match segment::read_bytes(disk, &path)? {
        Ok(bytes) => {
            let lines = bytes.split(|byte| *byte == b'\n').skip(1);
            let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            (read_segment(&bytes, owner), lines)
        }
        Err(why) => (Err(why), Vec::new()),
    };
    Ok(Segment { number, file, content, lines })
}

impl Segment {
    /// What its first line, or that there is none, tells in words.
    #[must_use]
    pub fn beginning(&self) -> Option<String> {
        match &self.content {
            Ok(content) => content.header.after.as_ref().map(describe),
            Err(why @ BadLine::NoFile(_)) => Some(format!("{}: {why}; unread", self.file)),
            Err(why) => Some(format!("{}, line 1: {why}; unread", self.file)),
        }
    }

    /// What is wrong behind its last good line, in words. The line that is just being written, or
    /// that a crash cut short, is no fault.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        match &self.content.as_ref().ok()?.rest {
            Rest::Nothing | Rest::Torn => None,
            Rest::Bad { line, why } => {
                Some(format!("{}, line {line}: {why}; unread from here", self.file))
            }
        }
    }
}

/// All records of the journal in `folder`, oldest first, with notes where something is odd.
pub fn read(disk: &dyn Disk, folder: &Path, owner: &Owner) -> Result<Vec<Part>, Error> {
    Ok(read_to_end(disk, folder, owner)?.parts)
}

/// The same, with where it ends.
pub fn read_to_end(disk: &dyn Disk, folder: &Path, owner: &Owner) -> Result<Reading, Error> {
    let mut reading = Reading::default();
    for segment in read_from(disk, folder, owner, 0)? {
        reading.take(segment?);
    }
    Ok(reading)
}

impl Reading {
    fn take(&mut self, segment: Segment) {
        let (beginning, end) = (segment.beginning(), segment.end());
        self.unread.extend(self.damage.take());
        self.parts.extend(beginning.clone().map(Part::Note));
        self.end = None;
        let Ok(content) = segment.content else {
            self.damage = beginning;
            return;
        };
        if let Some(Mishap::WriteFailed { seq, .. }) = content.header.after {
            self.withdraw(seq);
        }
        let seq = content.records.last().map_or(content.header.seq, |line| line.record.seq);
        self.end = Some(End { seq, head: content.head, state: content.state });
        self.damage.clone_from(&end);
        let records = content.records.into_iter().zip(segment.lines);
        self.parts.extend(records.map(|(read, line)| Part::Record {
            record: Box::new(read.record),
            back: read.back,
            line,
        }));
        self.parts.extend(end.map(Part::Note));
    }
}

impl Reading {
    /// What could not be synced counts no more, and stands in the next segment again. The note that
    /// says so is the last part.
    fn withdraw(&mut self, after: u64) {
        let note = self.parts.pop();
        let is_void = |part: &mut Part| match part {
            Part::Note(_) => false,
            Part::Record { record, .. } => record.seq > after,
        };
        while self.parts.pop_if(is_void).is_some() {}
        self.parts.extend(note);
    }
}

pub(super) fn numbers(disk: &dyn Disk, folder: &Path) -> Result<Vec<u64>, Error> {
    let failed = |source| Error::Io { doing: "read", path: folder.to_owned(), source };
    match disk.kind(folder).map_err(failed)? {
        Some(Kind::Folder) => segments(disk, folder),
        Some(Kind::File(_) | Kind::Link | Kind::Other) | None => Ok(Vec::new()),
    }
}

/// The state after the last record; `None` where there is no journal that can be read.
pub fn last_state(disk: &dyn Disk, folder: &Path, owner: &Owner) -> Result<Option<State>, Error> {
    let Some(last) = numbers(disk, folder)?.last().copied() else { return Ok(None) };
    let path = segment::path(folder, last);
    let Ok(bytes) = segment::read_bytes(disk, &path)? else { return Ok(None) };
    Ok(read_segment(&bytes, owner).ok().map(|content| content.state))
}

/// The same of a journal whose owner is not known; the inner error is why it can't be told.
pub fn state_of_any(
    disk: &dyn Disk,
    folder: &Path,
) -> Result<Result<Option<State>, String>, Error> {
    #[derive(Deserialize)]
    struct Owned {
        instance: String,
        daemon: String,
    }
    let failed = |source| Error::Io { doing: "read", path: folder.to_owned(), source };
    match disk.kind(folder).map_err(failed)? {
        None | Some(Kind::Folder) => {}
        Some(kind @ (Kind::File(_) | Kind::Link | Kind::Other)) => {
            let what = disk::in_words(disk, folder, &kind);
            return Ok(Err(format!("{what} in the place of {}", folder.display())));
        }
    }
    let Some(last) = numbers(disk, folder)?.last().copied() else { return Ok(Ok(None)) };
    let path = segment::path(folder, last);
    let in_words = |why: BadLine| format!("{}: {why}", path.display());
    let bytes = match segment::read_bytes(disk, &path)? {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Err(in_words(why))),
    };
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let content = serde_json::from_slice(first)
        .map_err(|error| BadLine::Unreadable(error.to_string()))
        .and_then(|Owned { instance, daemon }| read_segment(&bytes, &Owner { instance, daemon }));
    Ok(match content {
        Ok(Content { rest: Rest::Bad { why, .. }, .. }) | Err(why) => Err(in_words(why)),
        Ok(content) => Ok(Some(content.state)),
    })
}

/// What happened to a journal, in words.
#[must_use]
pub fn describe(mishap: &Mishap) -> String {
    match mishap {
        Mishap::TornTail { file, bytes, kept_as } => format!(
            "the last line of {file} was cut short by a crash; its {bytes} bytes are kept as \
             {kept_as}"
        ),
        Mishap::WriteFailed { file, seq, records } => format!(
            "{file} could not be written after record {seq}; the {records} records from then on \
             were held in memory and follow here"
        ),
        Mishap::Damaged { kept_as, line: 0, reason, .. } => format!(
            "the journal was damaged: its last part was no file: {reason}; what lay there is kept \
             as {kept_as}, and a new chain begins here, from what the disk said"
        ),
        Mishap::Damaged { kept_as, sha256, line, reason } => format!(
            "the journal was damaged: line {line} {reason}; the file is kept as {kept_as} (sha256 \
             {sha256}), and a new chain begins here, from what the disk said"
        ),
    }
}
