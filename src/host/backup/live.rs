//! A backup that is made while the daemon runs, and brought up to date once it is down.
//!
//! The archive is a sequence of zstd frames. While the daemon runs each entry has frames of its
//! own, so that one which became stale can be taken out: its first bytes become the header of a
//! skippable frame. What replaces it is written at the end. The last run, with the daemon down,
//! adds folders, symbolic links and the end of the tar archive. Until the final rename all of it
//! has a hidden name, and a crash leaves nothing that counts.
//!
//! An entry stays if the file has the same device, inode, number of names, mode, owner, group,
//! size, modification time and change time as before it was read: all are compared for being
//! different, never for being newer. And if these prove something, which they do not where
//! - the change time was hardly past, by the file system's own clock, when the file was read: a
//!   second change could have the same; or the clock was set back to before it since;
//! - the daemon was ever seen to have the file mapped, shared and writable;
//! - the file system doesn't stamp stores through mappings, or isn't known to.
//!
//! Then the entry is compared by content, header and attributes included, if that was digested
//! when it was written; otherwise it is written anew. So is a file that changed while it was read.
//! A file of several names counts as one: with the entry that has its content, all others of its
//! names are written anew.
//!
//! What this can't see is a store to a page that was dirty already, through a mapping of a process
//! outside the daemon's group, or one that was gone before the next look at the mappings.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::courtesy::Courtesy;
use super::frames::Frames;
use super::index::Index;
use super::mapped::Mapped;
use super::medium::Media;
use super::pack::Packer;
use super::partial::{Partial, discard_partials, refuse_if_there};
use super::push::write_out_gently;
use super::read_back::{Sum, Tail, forget, read_back};
use super::run::{Done, Run};
use super::store::Store;
use super::tempo::{Pace, Tempo};
use super::text::escaped;
use super::walk::{LeftOut, Walk};
use super::{Cancel, Error, Job};
use crate::disk::{RealDisk, create_dirs, folder_of};
use crate::machine::Archive;

/// A backup under way. Dropped before it is sealed, it leaves nothing.
#[derive(Debug)]
pub struct LiveCopy {
    job: Job,
    tempo: Tempo,
    daemon: Option<u32>,
    /// It doesn't stand back for the daemon.
    hurries: bool,
    partial: Partial,
    store: Store,
    index: Index,
    media: Media,
    mapped: Mapped,
    /// Up to here the archive was read back from the medium.
    settled: u64,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Names of files that were written: they are new, or may have changed.
    pub changed: u64,
    /// Names of files that had gone.
    pub vanished: u64,
    /// Bytes that were written for them, before compression.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// How much of that it stood back, since the daemon wrote.
    pub rested: Duration,
}

/// A sealed backup. Those of its bytes that were written ahead of the stop were read back then,
/// if [`LiveCopy::settle`] was called after the last pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where it lies.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 (hex) of the archive: known only where nothing was written ahead.
    pub sha256: Option<String>,
    /// Number of entries in it.
    pub entries: u64,
    /// Number of sockets and FIFOs, and of files that vanished meanwhile, which are not in it.
    pub skipped: u64,
    /// Names of files that were written by the last run, or had gone.
    pub changed: u64,
    /// Bytes that the last run wrote, before compression.
    pub changed_bytes: u64,
}

impl Sealed {
    /// As it goes on the record.
    #[must_use]
    pub fn archive(&self) -> Archive {
        Archive {
            path: escaped(&self.path),
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            entries: self.entries,
            skipped: self.skipped,
        }
    }
}

impl LiveCopy {
    /// Makes the archive, with nothing in it. `daemon` is the process group whose mappings are
    /// looked at; without one, nothing is held to be mapped.
    pub fn begin(job: &Job, tempo: Tempo, daemon: Option<u32>) -> Result<Self, Error> {
        let folder = folder_of(&job.archive);
        create_dirs(&RealDisk, folder, 0o700).map_err(|e| Error::of("creating", folder, e))?;
        discard_partials(folder)?;
        refuse_if_there(&job.archive)?;
        let (partial, file) = Partial::create(&job.archive)?;
        Ok(Self {
            job: job.clone(),
            tempo,
            daemon,
            hurries: false,
            partial,
            store: Store::new(file),
            index: Index::default(),
            media: Media::new(),
            mapped: Mapped::by(daemon),
            settled: 0,
        })
    }

    /// Brings the archive up to date while the daemon runs. The first pass copies everything.
    pub fn pass(&mut self, cancel: &Cancel) -> Result<Pass, Error> {
        let (begun, tempo) = (Instant::now(), self.tempo);
        self.mapped.look();
        let path = self.partial.path().to_owned();
        self.store.begin_with_nothing().map_err(|e| Error::of("writing", &path, e))?;
        let done = tempo.run(&path, || self.run(false, cancel))?;
        self.mapped.look();
        Ok(Pass {
            changed: done.files,
            vanished: done.vanished,
            bytes: done.bytes,
            took: begun.elapsed(),
            rested: done.rested,
        })
    }

    /// Makes durable what was written so far, and reads it back from the medium.
    pub fn settle(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let (tempo, path) = (self.tempo, self.partial.path().to_owned());
        tempo.run(&path, || self.read_back_rest(cancel))
    }

    /// The daemon was started again: from now on the mappings of this group are looked at.
    pub fn follow(&mut self, daemon: Option<u32>) {
        self.daemon = daemon;
        self.mapped.follow(daemon);
    }

    /// The daemon is about to be stopped: what is copied late is copied while it is down. So from
    /// now on nobody stands back for it.
    pub fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Looks once more at what the daemon has mapped: to be called right before it is stopped.
    pub fn look(&mut self) {
        self.mapped.look();
    }

    /// Brings the archive up to date with the daemon down, and seals it: what changed since the
    /// last pass is written, made durable and read back, and the archive gets its name.
    pub fn seal(mut self, cancel: &Cancel) -> Result<Sealed, Error> {
        // It was looked at before it was stopped, and nobody maps anything now.
        self.mapped.follow(None);
        let begin = self.store.bytes();
        let done = self.run_read_back(cancel)?;
        cancel.check()?;
        self.check_skips()?;
        refuse_if_there(&self.job.archive)?;
        let Self { job, partial, store, index, .. } = self;
        partial.keep_as(&job.archive)?;
        Ok(Sealed {
            path: job.archive,
            bytes: store.bytes(),
            sha256: done.1.filter(|_| begin == 0),
            entries: index.len() + done.0.written,
            skipped: done.0.skipped,
            changed: done.0.files + done.0.vanished,
            changed_bytes: done.0.bytes,
        })
    }

    fn run(&mut self, at_rest: bool, cancel: &Cancel) -> Result<Done, Error> {
        let archive = self.partial.path();
        let of = |error| Error::of("writing", archive, error);
        let mut left_out = LeftOut::find(&self.job.leave_out)?;
        let meta = self.store.file().metadata().map_err(|e| Error::of("looking at", archive, e))?;
        left_out.add((meta.dev(), meta.ino()));
        self.media.compare_clocks();
        self.index.begin_run();
        let courtesy = if at_rest { Courtesy::towards(None) } else { self.courtesy() };
        let gate = courtesy.gate();
        let pace = Pace::new(self.tempo.bytes_per_second.filter(|_| !at_rest), courtesy);
        let (job, index, media) = (&self.job, &mut self.index, &mut self.media);
        let (store, mapped) = (&mut self.store, &mut self.mapped);
        thread::scope(|scope| {
            let frames = Frames::start(scope, (job.workers, job.level), store, &gate);
            let frames = frames.map_err(of)?;
            let packer = Packer::new(archive, mapped, pace, at_rest, cancel);
            let (links, done) = (HashMap::new(), Done::default());
            let run = Run { job, index, media, packer, frames, at_rest, links, done };
            run.over_home(&mut Walk::new(&job.home, &left_out, cancel, at_rest))
        })
    }

    /// The last run: writes with one thread and, close behind, reads back with another. Gives the
    /// SHA-256 of what it wrote, too.
    fn run_read_back(&mut self, cancel: &Cancel) -> Result<(Done, Option<String>), Error> {
        let path = self.partial.path().to_owned();
        let of = |doing| move |error| Error::of(doing, &path, error);
        let again = self.store.file().try_clone().map_err(of.clone()("opening"))?;
        let begin = self.store.bytes();
        let (written, ready) = mpsc::channel();
        self.store.follow(written);
        let pace = Pace::new(None, Courtesy::towards(None));
        thread::scope(|scope| {
            let reader = thread::Builder::new()
                .name("backup-read".into())
                .spawn_scoped(scope, || read_back(Tail::new(&again, begin, ready, pace, cancel)));
            let done = self.run(true, cancel);
            let sha256 = self.store.end_following();
            let read = reader.map_err(of.clone()("starting a thread to read"))?.join();
            let done = done?;
            cancel.check()?;
            let read = read.unwrap_or_else(|_| Err(io::Error::other("the thread broke off")));
            let (sum, content) = read.map_err(|error| self.not_read_back(error))?;
            let bytes = self.store.bytes() - begin;
            self.compare((bytes, sha256.as_deref(), done.bytes), (&sum, content))?;
            Ok((done, sha256))
        })
    }

    fn compare(
        &self,
        written: (u64, Option<&str>, u64),
        (sum, content): (&Sum, u64),
    ) -> Result<(), Error> {
        if written == (sum.bytes, Some(&sum.sha256), content) {
            return Ok(());
        }
        let what = format!(
            "written {} bytes with SHA-256 {}, of {} bytes of content; read {} bytes with SHA-256 \
             {}, of {content} bytes of content",
            written.0,
            written.1.unwrap_or("unknown"),
            written.2,
            sum.bytes,
            sum.sha256
        );
        Err(self.not_read_back(io::Error::other(what)))
    }

    fn read_back_rest(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let path = self.partial.path();
        let (begin, end) = (self.settled, self.store.bytes());
        let mut pace = Pace::new(None, self.courtesy());
        write_out_gently(self.store.file(), (begin, end - begin), &mut pace, cancel)?;
        self.store.sync().map_err(|e| Error::of("syncing", path, e))?;
        forget(self.store.file(), begin, end - begin);
        let (written, ready) = mpsc::channel();
        // It is all there: one stretch, and the end.
        let _ = written.send(end);
        drop(written);
        if end > begin {
            let read = read_back(Tail::new(self.store.file(), begin, ready, pace, cancel));
            forget(self.store.file(), begin, end - begin);
            cancel.check()?;
            read.map_err(|error| self.not_read_back(error))?;
        }
        self.check_skips()?;
        self.settled = end;
        Ok(())
    }

    fn courtesy(&self) -> Courtesy {
        Courtesy::towards(self.daemon.filter(|_| !self.hurries))
    }

    fn check_skips(&mut self) -> Result<(), Error> {
        self.store.check_skips().map_err(|error| self.not_read_back(error))
    }

    /// An error with the system's code is the medium's; any other tells what is wrong.
    fn not_read_back(&self, error: io::Error) -> Error {
        let path = self.partial.path().to_owned();
        if error.raw_os_error().is_some() {
            return Error::of("reading back", &path, error);
        }
        Error::NotReadBack { path, what: error.to_string() }
    }
}
