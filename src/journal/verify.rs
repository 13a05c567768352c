//! Verifying a whole journal: is it what was written, in order, and what the machine would do?
//!
//! Segments are read one after the other; a segment is judged once the header of the next one is
//! known, because that may say that its last lines are superseded. Nothing is changed, and a
//! writer may be at work meanwhile: its line under way looks like one that a crash cut short.

use std::collections::BTreeMap;
use std::path::Path;

use super::segment::{self, Content, Rest, read_segment};
use super::{BadLine, Error, Hash, Header, Mishap, Owner, Pruned, pruned};
use crate::disk::{Disk, Kind};
use crate::machine::{Attempt, Effect, Event, Phase, Upgrade};

mod header;
mod result;

pub use result::{Fault, FaultKind, Found, Last, Verified};

/// Verifies the journal in `folder`, and looks for the line with the hash `sought`.
///
/// `is_written` tells whether a `run` is at work on it. An error means that a file could not be
/// read at all.
pub fn verify(
    disk: &dyn Disk,
    folder: &Path,
    owner: &Owner,
    sought: Option<&Hash>,
    is_written: bool,
) -> Result<Verified, Error> {
    let mut walk = Walk {
        disk,
        folder,
        owner,
        sought,
        is_written,
        set_aside: BTreeMap::new(),
        number: 0,
        before: None,
        committing: None,
        result: Verified::default(),
    };
    let mut numbers = super::read::numbers(disk, folder)?;
    walk.heed_pruned(&mut numbers)?;
    if disk.kind(folder).map_err(failed(folder))? == Some(Kind::Folder) {
        walk.find_set_aside()?;
    }
    let mut waiting: Option<Part> = None;
    for number in numbers {
        let part = walk.load(number)?;
        if let Some(part_before) = waiting.take() {
            walk.judge(part_before, Some(&part))?;
        }
        waiting = Some(part);
    }
    if let Some(part) = waiting {
        walk.judge(part, None)?;
    }
    walk.report_unnamed();
    walk.result.last = walk.before;
    Ok(walk.result)
}

/// A segment that has been read.
struct Part {
    number: u64,
    file: String,
    bytes: Vec<u8>,
    content: Result<Content, BadLine>,
}

impl Part {
    fn header(&self) -> Option<&Header> {
        self.content.as_ref().ok().map(|content| &content.header)
    }

    /// The number of the last record of `self` that holds, where the segment after it says so.
    fn superseded_after(&self, next: Option<&Self>) -> Option<u64> {
        match next?.header()?.after.as_ref()? {
            Mishap::WriteFailed { file, seq, .. } if *file == self.file => Some(*seq),
            Mishap::WriteFailed { .. } | Mishap::TornTail { .. } | Mishap::Damaged { .. } => None,
        }
    }
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    owner: &'a Owner,
    sought: Option<&'a Hash>,
    is_written: bool,
    /// Files that were set aside and the segment that each was; a header that is read takes its.
    set_aside: BTreeMap<String, u64>,
    /// Number of the segment before.
    number: u64,
    /// Its end, if it could be read to its end.
    before: Option<Last>,
    /// The swap that was ordered last.
    committing: Option<(u64, Upgrade, bool)>,
    result: Verified,
}

impl Walk<'_> {
    fn fault(&mut self, kind: FaultKind, file: &str, at: Option<(u64, u64)>, text: String) {
        let (line, seq) = at.unzip();
        let file = Some(file.to_owned());
        self.result.faults.push(Fault { kind, file, line, seq, text });
    }

    /// What is wrong with a segment's first line.
    fn header_fault(&mut self, kind: FaultKind, file: &str, text: String) {
        let file = Some(file.to_owned());
        self.result.faults.push(Fault { kind, file, line: Some(1), seq: None, text });
    }

    fn find_set_aside(&mut self) -> Result<(), Error> {
        let names = self.disk.list(self.folder).map_err(failed(self.folder))?;
        for name in names {
            let name = name.to_string_lossy();
            if let Some(number) = number_set_aside(&name) {
                self.set_aside.insert(name.into_owned(), number);
            }
        }
        Ok(())
    }

    /// What was pruned by order is not missing, and what of it is still there no part of the
    /// journal.
    fn heed_pruned(&mut self, numbers: &mut Vec<u64>) -> Result<(), Error> {
        let noted = match pruned::read(self.disk, self.folder)? {
            Ok(noted) => noted,
            Err(why) => {
                let text = format!("{why}; it tells what was pruned: put a copy of it back");
                self.fault(FaultKind::Chain, pruned::FILE, None, text);
                return Ok(());
            }
        };
        let Some(pruned) = noted.into_iter().next_back() else { return Ok(()) };
        if numbers.last().is_none_or(|last| *last <= pruned.segment) {
            let text = format!(
                "segment {} is missing, which follows what was pruned; if the journal was removed \
                 on purpose, move this file away as well",
                pruned.segment + 1
            );
            self.fault(FaultKind::Sequence, pruned::FILE, None, text);
            return Ok(());
        }
        let all = numbers.len();
        numbers.retain(|number| *number > pruned.segment);
        self.result.notes.push(pruned.in_words());
        if numbers.len() < all {
            let text = format!(
                "{} of them are still there, for that was interrupted: `nymvisor prune` removes \
                 them, and they are not looked at",
                all - numbers.len()
            );
            self.result.notes.push(text);
        }
        self.number = pruned.segment;
        self.result.pruned = Some(pruned);
        Ok(())
    }

    /// What was pruned before the segment of this number.
    fn pruned_before(&self, number: u64) -> Option<&Pruned> {
        self.result.pruned.as_ref().filter(|pruned| pruned.segment + 1 == number)
    }

    fn load(&self, number: u64) -> Result<Part, Error> {
        let path = segment::path(self.folder, number);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (bytes, content) = match segment::read_bytes(self.disk, &path)? {
            Ok(bytes) => {
                let content = read_segment(&bytes, self.owner);
                (bytes, content)
            }
            Err(why) => (Vec::new(), Err(why)),
        };
        Ok(Part { number, file, bytes, content })
    }

    fn judge(&mut self, part: Part, next: Option<&Part>) -> Result<(), Error> {
        self.result.segments += 1;
        self.judge_number(&part);
        let content = match part.superseded_after(next) {
            Some(seq) => part.content.and_then(|content| {
                // The header counts as a line.
                let lines = seq.checked_sub(content.header.seq).map(|records| records + 1);
                read_segment(first_lines(&part.bytes, lines), self.owner)
            }),
            None => part.content,
        };
        let before = self.before.take();
        match content {
            Ok(content) => {
                self.judge_header(&part.file, part.number, &content, before)?;
                self.take_records(&part.file, &content);
                self.before = self.judge_rest(&part.file, content, next.is_none());
            }
            Err(why @ BadLine::NoFile(_)) => {
                let next_run = match next {
                    Some(_) => "",
                    None => ", or the next `nymvisor run` sets it aside and goes by the files",
                };
                let text = format!("{why}; put the file itself back in its place{next_run}");
                self.fault(FaultKind::Chain, &part.file, None, text);
            }
            Err(why) => self.header_fault(FaultKind::Chain, &part.file, why.to_string()),
        }
        Ok(())
    }

    /// Whether all segments between the one before and this one are accounted for.
    fn judge_number(&mut self, part: &Part) {
        let named = part.header().and_then(|header| match header.after.as_ref()? {
            Mishap::Damaged { kept_as, .. } => number_set_aside(kept_as),
            Mishap::TornTail { .. } | Mishap::WriteFailed { .. } => None,
        });
        let mut known: Vec<u64> = self.set_aside.values().copied().chain(named).collect();
        known.push(part.number);
        known.sort_unstable();
        let mut expected = self.number + 1;
        for number in known.into_iter().filter(|number| *number <= part.number) {
            if number > expected {
                let text = if number == expected + 1 {
                    format!("segment {expected} is missing before it")
                } else {
                    format!("segments {expected} to {} are missing before it", number - 1)
                };
                self.fault(FaultKind::Sequence, &part.file, None, text);
                self.before = None;
            }
            expected = expected.max(number + 1);
        }
        self.number = part.number;
    }

    fn take_records(&mut self, file: &str, content: &Content) {
        let header = &content.header;
        if let Phase::Swapping(swapping) = &header.state.phase {
            let Attempt { id, upgrade, back, .. } = &swapping.attempt;
            self.committing = Some((*id, upgrade.clone(), back.is_some()));
        }
        let records = content.records.len() as u64;
        self.result.records += records;
        if let Some(found) = &mut self.result.found {
            found.after += records;
        } else if let Some(line) = self.line_of_sought(content) {
            let seq = header.seq + line - 1;
            let after = records + 1 - line;
            self.result.found = Some(Found { file: file.to_owned(), line, seq, after });
        }
        for line in &content.records {
            for effect in &line.record.effects {
                if let Effect::CommitSwap { attempt, upgrade, .. } = effect {
                    self.committing = Some((*attempt, upgrade.clone(), false));
                }
                if let Effect::CommitRollBack { attempt, upgrade, .. } = effect {
                    self.committing = Some((*attempt, upgrade.clone(), true));
                }
            }
            if let Event::BackupSealed { archive, .. } | Event::BackupExamined { archive } =
                &line.record.event
            {
                self.result.archives.insert(archive.path.clone(), archive.clone());
            }
            if let Event::SwapCommitted { attempt, .. } = &line.record.event {
                match self.committing.take().filter(|(id, ..)| id == attempt) {
                    // It may have been performed before: the last time is undone.
                    Some((_, upgrade, true)) => {
                        let committed = &mut self.result.committed;
                        let last = committed.iter().rposition(|of| of.name == upgrade.name);
                        last.map(|last| committed.remove(last));
                    }
                    committed => {
                        self.result.committed.extend(committed.map(|(_, upgrade, _)| upgrade));
                    }
                }
            }
        }
    }

    /// The line, from 1, that has the hash that is looked for.
    fn line_of_sought(&self, content: &Content) -> Option<u64> {
        let sought = self.sought?;
        let hashes = [&content.header_hash].into_iter();
        let hashes = hashes.chain(content.records.iter().map(|line| &line.hash));
        (1..).zip(hashes).find(|(_, hash)| *hash == sought).map(|(line, _)| line)
    }

    /// What follows the good lines; the end of the segment, where that is one.
    fn judge_rest(&mut self, file: &str, content: Content, is_last: bool) -> Option<Last> {
        let good = content.records.len() as u64;
        let seq = content.header.seq + good;
        match content.rest {
            Rest::Torn if is_last && self.is_written => {
                self.result.notes.push(format!("{file}: its last line is just being written"));
            }
            Rest::Torn if is_last => self
                .result
                .notes
                .push(format!("{file}: its last line is not whole; the next run puts it in order")),
            Rest::Nothing => {}
            Rest::Torn => {
                let text = "its last line is not whole, and a segment follows".to_owned();
                self.fault(FaultKind::Chain, file, Some((good + 2, seq + 1)), text);
                return None;
            }
            Rest::Bad { line, why } => {
                self.fault(kind_of(&why), file, Some((line, seq + 1)), why.to_string());
                return None;
            }
        }
        Some(Last { file: file.to_owned(), seq, head: content.head, state: content.state })
    }

    /// A crash between setting aside and the new header leaves a file that nothing names.
    fn report_unnamed(&mut self) {
        for file in std::mem::take(&mut self.set_aside).into_keys() {
            let text = "it was damaged and set aside, and no header that can be read tells of it";
            self.fault(FaultKind::SetAside, &file, None, text.to_owned());
        }
    }
}

fn kind_of(why: &BadLine) -> FaultKind {
    match why {
        BadLine::NoHash
        | BadLine::WrongHash
        | BadLine::WrongPrev
        | BadLine::NoFile(_)
        | BadLine::Unreadable(_)
        | BadLine::Foreign(_) => FaultKind::Chain,
        BadLine::WrongSeq => FaultKind::Sequence,
        BadLine::Illegal(_) => FaultKind::Illegal,
    }
}

/// The first so many lines; all of them where there are fewer, or the number makes no sense.
fn first_lines(bytes: &[u8], lines: Option<u64>) -> &[u8] {
    let Some(lines) = lines.and_then(|lines| usize::try_from(lines).ok()) else { return bytes };
    let length = bytes.split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    bytes.get(..length).unwrap_or(bytes)
}

/// The number of the segment that was set aside under this name, where one was.
fn number_set_aside(name: &str) -> Option<u64> {
    let (digits, _) = name.split_once(".jsonl.damaged-")?;
    digits.parse().ok()
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing: "read", path, source }
}
