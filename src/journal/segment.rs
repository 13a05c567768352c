//! One file of the journal: named, begun and read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chain::{self, BadLine, Hash, Links};
use super::{Error, FILE_MODE, FORMAT, Header, Owner};
use crate::disk::{self, Disk, DiskFile, Kind};
use crate::machine::{Attempt, Illegal, Record, State, replay};

/// What the files are named after their number.
const SUFFIX: &str = ".jsonl";

/// The file of a segment.
pub(super) fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:08}{SUFFIX}"))
}

/// The numbers of the segments in a journal's folder, in order.
pub fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<u64>, Error> {
    let names = disk.list(folder).map_err(|source| Error::Io {
        doing: "listed",
        path: folder.to_owned(),
        source,
    })?;
    let number = |name: &std::ffi::OsString| {
        name.to_str()?.strip_suffix(SUFFIX).filter(|digits| digits.len() == 8)?.parse().ok()
    };
    Ok(names.iter().filter_map(number).collect())
}

/// The bytes of a segment; a link is not followed. The inner error is that no file lies there.
pub(super) fn read_bytes(disk: &dyn Disk, path: &Path) -> Result<Result<Vec<u8>, BadLine>, Error> {
    let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let instead = match disk.kind(path).map_err(failed)? {
        Some(Kind::File(_)) => return disk.read(path).map(Ok).map_err(failed),
        Some(kind) => disk::in_words(disk, path, &kind),
        None => "gone".to_owned(),
    };
    Ok(Err(BadLine::NoFile(instead)))
}

/// A segment that has just been begun.
pub(super) struct Begun {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) bytes: u64,
    pub(super) head: Hash,
}

/// Begins a segment with these records. Its name appears only with all of them in it: what stands
/// in the segment before after the header's record counts no more from then on.
pub(super) fn begin(
    disk: &dyn Disk,
    folder: &Path,
    header: &Header,
    prev: &Hash,
    records: &[Record],
) -> Result<Begun, Error> {
    let (mut lines, mut head) = chain::seal(header, prev)?;
    for record in records {
        let (line, hash) = chain::seal(record, &head)?;
        lines.extend(line);
        head = hash;
    }
    let path = path(folder, header.segment);
    let failed = |source| Error::Io { doing: "begun", path: path.clone(), source };
    disk::replace(disk, &path, &lines, FILE_MODE).map_err(failed)?;
    let file = disk.append(&path).map_err(failed)?;
    Ok(Begun { file, bytes: lines.len() as u64, head })
}

/// What a segment holds, up to its first bad line.
#[derive(Debug)]
pub struct Content {
    /// The first line.
    pub header: Header,
    /// What the header names as the line before it.
    pub header_prev: Hash,
    /// Hash of the header.
    pub header_hash: Hash,
    /// The records that are whole, and that follow each other legally.
    pub records: Vec<Line>,
    /// The state after the last of them.
    pub state: State,
    /// Hash of the last good line.
    pub head: Hash,
    /// Bytes of all good lines.
    pub good_bytes: u64,
    /// What follows the good lines.
    pub rest: Rest,
}

/// A record, its hash, and what it was about.
#[derive(Debug)]
pub struct Line {
    /// The record.
    pub record: Record,
    /// The roll-back that was under way when it was made.
    pub back: Option<Box<Attempt>>,
    /// The hash of its line.
    pub hash: Hash,
}

/// What follows the last good line of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// A last line with no newline, or with a hole in it: a write that a crash cut short, or of
    /// which not every page has reached the disk.
    Torn,
    /// A line that is whole and wrong.
    Bad {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: BadLine,
    },
}

/// Reads a segment and replays it. The error is that of its very first line.
pub fn read_segment(bytes: &[u8], owner: &Owner) -> Result<Content, BadLine> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let (header, links) = read_header(first, owner)?;
    let mut content = Content {
        state: header.state.clone(),
        header,
        header_prev: links.prev,
        header_hash: links.hash.clone(),
        records: Vec::new(),
        head: links.hash,
        good_bytes: first.len() as u64,
        rest: Rest::Nothing,
    };
    let mut lines = (2..).zip(lines).peekable();
    while let Some((number, line)) = lines.next() {
        if line.last() != Some(&b'\n') {
            content.rest = Rest::Torn;
            break;
        }
        if let Err(why) = content.take(line) {
            let is_last = lines.peek().is_none();
            let rest = Rest::Bad { line: number, why };
            content.rest = if is_last && has_hole(line) { Rest::Torn } else { rest };
            break;
        }
    }
    Ok(content)
}

/// What a file system has not written reads as zeros; a record has none.
fn has_hole(line: &[u8]) -> bool {
    line.contains(&0)
}

impl Content {
    /// Takes in one line, newline included, or says what is wrong with it.
    fn take(&mut self, line: &[u8]) -> Result<(), BadLine> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let links = chain::unseal(text)?;
        if links.prev != self.head {
            return Err(BadLine::WrongPrev);
        }
        let record: Record = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
        let last = self.records.last().map_or(self.header.seq, |line| line.record.seq);
        if record.seq != last + 1 {
            return Err(BadLine::WrongSeq);
        }
        let back = self.state.phase.roll_back().cloned().map(Box::new);
        self.state = replay(&self.state, &record).map_err(|illegal| describe(&record, &illegal))?;
        self.head = links.hash.clone();
        self.good_bytes += line.len() as u64;
        self.records.push(Line { record, back, hash: links.hash });
        Ok(())
    }
}

fn unreadable(error: &serde_json::Error) -> BadLine {
    BadLine::Unreadable(error.to_string())
}

fn describe(record: &Record, illegal: &Illegal) -> BadLine {
    let event = record.event.name();
    BadLine::Illegal(match illegal {
        Illegal::Refused(why) => format!("{event} is refused in {} ({why:?})", record.from),
        Illegal::Differs(made)
            if (made.from, made.state.phase.name()) == (record.from, record.to)
                && made.effects.len() == record.effects.len() =>
        {
            format!("{event} orders something else there than this record")
        }
        Illegal::Differs(made) => format!(
            "{event} leads from {} to {} with {} orders, not from {} to {} with {}",
            made.from,
            made.state.phase.name(),
            made.effects.len(),
            record.from,
            record.to,
            record.effects.len(),
        ),
    })
}

fn read_header(line: &[u8], owner: &Owner) -> Result<(Header, Links), BadLine> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let text = line.strip_suffix(b"\n").ok_or(BadLine::NoHash)?;
    let links = chain::unseal(text)?;
    let Format { format } = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    if format > FORMAT {
        let text = format!("it is of format {format}, and this program reads up to {FORMAT}");
        return Err(BadLine::Foreign(text));
    }
    let header: Header = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    if header.instance != owner.instance || header.daemon != owner.daemon {
        return Err(BadLine::Foreign(format!(
            "it belongs to the instance {} of {}, not to {} of {}",
            header.instance, header.daemon, owner.instance, owner.daemon,
        )));
    }
    Ok((header, links))
}
