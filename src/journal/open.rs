//! Opening a journal: what a crash or damage left is put in order, and the state known again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::held::Held;
use super::segment::{self, Content, Rest, read_segment, segments};
use super::{BadLine, Error, FORMAT, Hash, Header, Journal, Mishap, Owner, SEGMENT_BYTES_MAX};
use crate::disk::{self, Disk, DiskFile};
use crate::machine::State;

/// A journal that is ready for the next record.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The state after its last record.
    pub state: State,
    /// What had to be put in order, if anything.
    pub mishap: Option<Mishap>,
}

/// Opens the journal in `folder` for a new session, or begins one.
///
/// Only the last segment is read: it begins with the state. `initial` is the state to begin with
/// where there is no journal, or none that can be read; it is what the disk says.
pub fn open(
    disk: Arc<dyn Disk>,
    folder: &Path,
    owner: Owner,
    session: String,
    initial: State,
    at: DateTime<Utc>,
) -> Result<Opened, Error> {
    let opening = Opening { disk, folder: folder.to_owned(), owner, session, at };
    let created = super::create_folder(&*opening.disk, folder);
    // Where there may be a journal, none is begun beside it, or over it.
    if let Err(error) = &created
        && opening.disk.kind(folder).map_err(failed("looked at", folder))?.is_none()
    {
        return Ok(opening.in_memory(Start::first(), initial, None, error));
    }
    if let Err(error) = super::reserve(&*opening.disk, folder) {
        tracing::warn!("{error}; no upgrade begins without it");
    }
    let Some(last) = segments(&*opening.disk, folder)?.last().copied() else {
        return Ok(match created {
            Ok(()) => opening.begin(Start::first(), initial, None),
            Err(error) => opening.in_memory(Start::first(), initial, None, &error),
        });
    };
    let path = segment::path(folder, last);
    let bytes = match segment::read_bytes(&*opening.disk, &path)? {
        Ok(bytes) => bytes,
        // A folder or a link under this name is damage like any other.
        Err(why) => return opening.set_aside(last, &[], (0, &why), initial),
    };
    let content = match read_segment(&bytes, &opening.owner) {
        Ok(content) => content,
        Err(why) => return opening.set_aside(last, &bytes, (1, &why), initial),
    };
    opening.finish_setting_aside(&content.header)?;
    match (content.rest.clone(), created) {
        (Rest::Bad { line, why }, _) => opening.set_aside(last, &bytes, (line, &why), initial),
        // The folder itself may be gone after a power cut, and all that is written to it.
        (Rest::Nothing | Rest::Torn, Err(error)) => Ok(opening.in_doubt(last, content, &error)),
        (Rest::Nothing, Ok(())) => Ok(opening.go_on(last, content)),
        (Rest::Torn, Ok(())) => Ok(opening.cut(last, content, &bytes)),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { doing, path: path.clone(), source }
}

/// Where a segment takes up.
struct Start {
    segment: u64,
    seq: u64,
    prev: Hash,
}

impl Start {
    fn first() -> Self {
        Self { segment: 1, seq: 0, prev: Hash::none() }
    }

    /// After what is good of a segment.
    fn after(segment: u64, content: &Content) -> Self {
        let seq = content.records.last().map_or(content.header.seq, |line| line.record.seq);
        Self { segment: segment + 1, seq, prev: content.head.clone() }
    }
}

struct Opening {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    owner: Owner,
    session: String,
    at: DateTime<Utc>,
}

impl Opening {
    /// A crash may have come between the new chain and the name of the damaged file.
    fn finish_setting_aside(&self, header: &Header) -> Result<(), Error> {
        let Some(Mishap::Damaged { kept_as, .. }) = &header.after else { return Ok(()) };
        let path = segment::path(&self.folder, header.segment.saturating_sub(1));
        if self.disk.kind(&path).map_err(failed("looked at", &path))?.is_none() {
            return Ok(());
        }
        put_aside(&*self.disk, &self.folder, &path, &self.folder.join(kept_as))
    }

    /// The last segment is whole: it is written on.
    fn go_on(self, segment: u64, content: Content) -> Opened {
        match self.make_sure_of(segment) {
            Ok(file) => {
                let start = Start::after(segment, &content);
                let journal = self.journal(start, Some((file, content.good_bytes)), None);
                Opened { journal, state: content.state, mishap: None }
            }
            Err(error) => self.in_doubt(segment, content, &error),
        }
    }

    /// Opens a segment whose writer may have been killed before its name, or its last record, was
    /// durable. What follows rests on both.
    fn make_sure_of(&self, segment: u64) -> Result<Box<dyn DiskFile>, Error> {
        let path = segment::path(&self.folder, segment);
        self.disk.sync_dir(&self.folder).map_err(failed("synced", &self.folder))?;
        let mut file = self.disk.append(&path).map_err(failed("opened", &path))?;
        file.sync().map_err(failed("synced", &path))?;
        Ok(file)
    }

    /// The last line is torn: it ordered nothing. Its bytes are kept beside, it is cut off, and the
    /// cut is told by the header of the next segment.
    fn cut(self, segment: u64, content: Content, bytes: &[u8]) -> Opened {
        match self.cut_off(segment, content.good_bytes, bytes) {
            Ok(mishap) => self.begin(Start::after(segment, &content), content.state, Some(mishap)),
            Err(error) => self.in_doubt(segment, content, &error),
        }
    }

    /// What of the segment is durable can't be told, but for its header, which was before it had
    /// its name. All its records stand in the next one again, once that can be written.
    fn in_doubt(self, segment: u64, content: Content, error: &Error) -> Opened {
        tracing::error!("{error}; records are held in memory until it can be written");
        let Content { header, header_hash, records, state, .. } = content;
        let start = Start { segment: segment + 1, seq: header.seq, prev: header_hash };
        let records = records.into_iter().map(|line| line.record).collect();
        let held = Held::again(header.state, records);
        Opened { journal: self.journal(start, None, Some(held)), state, mishap: None }
    }

    fn cut_off(&self, segment: u64, good_bytes: u64, bytes: &[u8]) -> Result<Mishap, Error> {
        let path = segment::path(&self.folder, segment);
        let good = usize::try_from(good_bytes).unwrap_or(usize::MAX);
        let torn = bytes.get(good..).unwrap_or_default();
        let kept = beside(&path, "torn", self.at);
        disk::replace(&*self.disk, &kept, torn, super::FILE_MODE).map_err(failed("kept", &kept))?;
        let mut file = self.disk.append(&path).map_err(failed("opened", &path))?;
        file.truncate(good_bytes).map_err(failed("cut", &path))?;
        file.sync().map_err(failed("synced", &path))?;
        let (file, bytes) = (name_of(&path), torn.len() as u64);
        Ok(Mishap::TornTail { file, bytes, kept_as: name_of(&kept) })
    }

    /// The last segment is damaged: it is set aside whole, never repaired, and a new chain begins.
    fn set_aside(
        self,
        segment: u64,
        bytes: &[u8],
        (line, why): (u64, &BadLine),
        initial: State,
    ) -> Result<Opened, Error> {
        let path = segment::path(&self.folder, segment);
        let kept = beside(&path, "damaged", self.at);
        let mishap = Mishap::Damaged {
            kept_as: name_of(&kept),
            sha256: Hash::of(bytes).as_str().to_owned(),
            line,
            reason: why.to_string(),
        };
        let start = Start { segment: segment + 1, seq: 0, prev: Hash::none() };
        let (disk, folder) = (self.disk.clone(), self.folder.clone());
        // The new chain first: with the damaged file gone and no other there, the segment before
        // it would pass for the last one.
        let opened = self.begin(start, initial, Some(mishap));
        if !opened.journal.is_failing() {
            put_aside(&*disk, &folder, &path, &kept)?;
        }
        Ok(opened)
    }

    fn begin(self, start: Start, state: State, mishap: Option<Mishap>) -> Opened {
        let header = Header {
            format: FORMAT,
            instance: self.owner.instance.clone(),
            daemon: self.owner.daemon.clone(),
            segment: start.segment,
            at: self.at,
            seq: start.seq,
            after: mishap.clone(),
            state: state.clone(),
        };
        match segment::begin(&*self.disk, &self.folder, &header, &start.prev, &[]) {
            Ok(begun) => {
                let start = Start { segment: start.segment + 1, prev: begun.head, ..start };
                let journal = self.journal(start, Some((begun.file, begun.bytes)), None);
                Opened { journal, state, mishap }
            }
            Err(error) => self.in_memory(start, state, mishap, &error),
        }
    }

    /// The disk takes nothing: the session begins in memory, with the daemon up, and its records
    /// are written as soon as that is possible.
    fn in_memory(
        self,
        start: Start,
        state: State,
        mishap: Option<Mishap>,
        error: &Error,
    ) -> Opened {
        tracing::error!("{error}; records are held in memory until it can be written");
        let held = Held::since(state.clone(), mishap.clone());
        Opened { journal: self.journal(start, None, Some(held)), state, mishap }
    }

    /// `start` is where the next segment takes up.
    fn journal(
        self,
        start: Start,
        file: Option<(Box<dyn DiskFile>, u64)>,
        held: Option<Held>,
    ) -> Journal {
        let (file, bytes) = file.map_or((None, 0), |(file, bytes)| (Some(file), bytes));
        Journal {
            file,
            bytes,
            held,
            segment: start.segment - 1,
            bytes_max: SEGMENT_BYTES_MAX,
            seq: start.seq,
            head: start.prev,
            disk: self.disk,
            folder: self.folder,
            owner: self.owner,
            session: self.session,
        }
    }
}

fn put_aside(disk: &dyn Disk, folder: &Path, path: &Path, kept: &Path) -> Result<(), Error> {
    disk.rename(path, kept).map_err(failed("set aside", path))?;
    disk.sync_dir(folder).map_err(failed("synced", folder))
}

/// A name beside a segment for what is kept of it.
fn beside(path: &Path, what: &str, at: DateTime<Utc>) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}-{}", at.format("%Y%m%dT%H%M%S%.9fZ")));
    path.with_file_name(name)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
