//! One run over the home: what is in the archive as it is stays there, the rest is taken out and
//! written anew.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::sys::stat::FileStat;
use sha2::{Digest, Sha256};

use super::frames::Frames;
use super::index::{Content, Index, Key, Record, Stamp};
use super::medium::Media;
use super::pack::{Packer, entry_name};
use super::tarball::END;
use super::walk::{At, Found, Id, Node, Walk, id_of, open_file, warn_gone};
use super::{Error, Job};

/// Everything that a run works with.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) job: &'a Job,
    pub(super) index: &'a mut Index,
    pub(super) media: &'a mut Media,
    pub(super) packer: Packer<'a>,
    pub(super) frames: Frames<'a>,
    /// The daemon is down. What is written now is for good, and not recorded.
    pub(super) at_rest: bool,
    /// Files with several names, by what they are.
    pub(super) links: HashMap<Id, Link>,
    pub(super) done: Done,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Entries that were written.
    pub(super) written: u64,
    /// Those of them that are files.
    pub(super) files: u64,
    /// Entries that were taken out and are not there any more.
    pub(super) vanished: u64,
    /// What was found, or should have been, and is not in the archive.
    pub(super) skipped: u64,
    /// Bytes of the archive, before compression, that were written.
    pub(super) bytes: u64,
    /// How long it was rested for the daemon's sake.
    pub(super) rested: Duration,
}

/// The first name of a file in the archive.
#[derive(Debug, Clone)]
pub(super) struct Link {
    name: Vec<u8>,
    serial: u32,
    stamp: Stamp,
}

impl Run<'_> {
    /// Goes over the whole home.
    pub(super) fn over_home(mut self, walk: &mut Walk<'_>) -> Result<Done, Error> {
        for found in &mut *walk {
            match found {
                Ok(found) => self.add(&found)?,
                // The next run finds what it turned into.
                Err(Error::Unsteady { .. }) if !self.at_rest => {}
                Err(error) => return Err(error),
            }
            self.packer.mapped.look_now_and_then();
            self.packer.give_way()?;
        }
        for span in self.index.take_unseen() {
            self.frames.store().take_out(span).map_err(|e| self.writing(e))?;
            self.done.vanished += 1;
        }
        if self.at_rest {
            self.frames.write_all(&END).map_err(|e| self.writing(e))?;
        }
        self.frames.drain().map_err(|e| self.writing(e))?;
        self.place();
        self.done.skipped += walk.vanished();
        self.done.bytes = self.frames.bytes();
        self.done.rested = self.packer.pace.rested();
        Ok(self.done)
    }

    fn add(&mut self, found: &Found) -> Result<(), Error> {
        let whole = self.job.home.join(&found.path);
        match &found.node {
            // Readers give a folder its times when they leave it, and GNU tar makes links that lead
            // out of the home at its very end. So both are written by the last run, in which a
            // folder comes before what is added below it.
            Node::Folder(_) | Node::Link(_) if !self.at_rest => Ok(()),
            Node::Folder(folder) => {
                self.done.written += 1;
                let name = entry_name(found);
                self.packer.folder((&name, &whole), folder, &found.stat, &mut self.frames)
            }
            Node::Link(at) => self.add_link(found, at, &whole),
            Node::File(at) => self.add_file(found, at, &whole),
            Node::Special(kind) => {
                if self.at_rest {
                    tracing::warn!("{} is a {kind} and is not backed up", whole.display());
                }
                self.done.skipped += 1;
                Ok(())
            }
        }
    }

    fn add_file(&mut self, found: &Found, at: &At, whole: &Path) -> Result<(), Error> {
        let key = self.index.key(&found.path);
        let record = self.index.get(key);
        let stamp = self.index.stamp(&found.stat);
        if let Some(link) = self.links.get(&id_of(&found.stat)).cloned() {
            let holds = |it: &Record| it.stamp == stamp && it.first == link.serial;
            if stamp == link.stamp && record.as_ref().is_some_and(holds) {
                self.index.keep(key);
                return Ok(());
            }
            return self.add_name(found, key, &link);
        }
        let record = record.filter(|it| it.stamp == stamp && it.first == it.serial);
        if let Some(record) = record
            && self.holds(found, at, key, record, whole)?
        {
            self.index.keep(key);
            self.know(&found.stat, stamp, found, record.serial);
            return Ok(());
        }
        self.write(found, at, key, whole)
    }

    /// Whether an entry is still what the file is, which has the same stamp as then.
    fn holds(
        &mut self,
        found: &Found,
        at: &At,
        key: Key,
        record: Record,
        whole: &Path,
    ) -> Result<bool, Error> {
        let is_mapped = self.packer.mapped.has(found.stat.st_ino);
        if record.is_proven && !is_mapped && !self.media.may_repeat(&found.stat) {
            return Ok(true);
        }
        let Some(content) = self.index.content(key) else { return Ok(false) };
        let Some((file, stat)) = self.open(at, whole)? else { return Ok(false) };
        if self.index.stamp(&stat) != record.stamp {
            return Ok(false);
        }
        let is_proven = self.media.proves(&at.parent, &stat);
        let mut again = Tee { frames: None, digest: Some(Sha256::new()) };
        let name = entry_name(found);
        let steady = self.packer.file((&name, whole), &file, &stat, &mut again)?;
        let same = steady && again.content() == Some(content);
        if same {
            let is_mapped = self.packer.mapped.has(stat.st_ino);
            self.index.set_proven(key, is_proven && !is_mapped);
        }
        Ok(same)
    }

    /// Writes an entry anew.
    fn write(&mut self, found: &Found, at: &At, key: Key, whole: &Path) -> Result<(), Error> {
        self.take_out(key)?;
        let Some((file, stat)) = self.open(at, whole)? else {
            self.gone(whole);
            return Ok(());
        };
        let (serial, stamp) = (self.index.next_serial(), self.index.stamp(&stat));
        let is_proven = self.at_rest
            || (self.media.proves(&at.parent, &stat) && !self.packer.mapped.has(stat.st_ino));
        let digest = (!is_proven).then(Sha256::new);
        self.frames.begin_entry((!self.at_rest).then_some(key));
        let mut out = Tee { frames: Some(&mut self.frames), digest };
        let name = entry_name(found);
        let steady = self.packer.file((&name, whole), &file, &stat, &mut out)?;
        let content = out.content().filter(|_| steady);
        self.frames.end_entry();
        self.done.written += 1;
        self.done.files += 1;
        if !self.at_rest {
            self.index.insert(key, stamp, (serial, serial), is_proven && steady, content);
        }
        self.know(&stat, stamp, found, serial);
        self.place();
        Ok(())
    }

    /// One more name for what is in the archive.
    fn add_name(&mut self, found: &Found, key: Key, link: &Link) -> Result<(), Error> {
        self.take_out(key)?;
        let serial = self.index.next_serial();
        self.frames.begin_entry((!self.at_rest).then_some(key));
        let name = entry_name(found);
        self.packer.same_as(&name, &link.name, &found.stat, &mut self.frames)?;
        self.frames.end_entry();
        self.done.written += 1;
        self.done.files += 1;
        if !self.at_rest {
            self.index.insert(key, link.stamp, (serial, link.serial), true, None);
        }
        self.place();
        Ok(())
    }

    /// A symbolic link can't change, only be replaced.
    fn add_link(&mut self, found: &Found, at: &At, whole: &Path) -> Result<(), Error> {
        let key = self.index.key(&found.path);
        if let Some(link) = self.links.get(&id_of(&found.stat)).cloned() {
            return self.add_name(found, key, &link);
        }
        let target = match readlinkat(&*at.parent, at.name.as_os_str()) {
            Ok(target) => target,
            Err(Errno::ENOENT) => {
                self.gone(whole);
                return Ok(());
            }
            Err(Errno::EINVAL) => return Err(Error::Unsteady { path: whole.to_owned() }),
            Err(error) => return Err(Error::of("reading the link", whole, error)),
        };
        let (serial, stamp) = (self.index.next_serial(), self.index.stamp(&found.stat));
        let name = entry_name(found);
        self.packer.link(&name, target.as_bytes(), &found.stat, &mut self.frames)?;
        self.done.written += 1;
        self.know(&found.stat, stamp, found, serial);
        Ok(())
    }

    /// `None`: it is gone, or became something else, which only a daemon at work may do.
    fn open(&self, at: &At, whole: &Path) -> Result<Option<(File, FileStat)>, Error> {
        match open_file(at, whole) {
            Err(Error::Unsteady { .. }) if !self.at_rest => Ok(None),
            opened => opened,
        }
    }

    fn gone(&mut self, whole: &Path) {
        if self.at_rest {
            warn_gone(whole);
        }
        self.done.skipped += 1;
    }

    fn know(&mut self, stat: &FileStat, stamp: Stamp, found: &Found, serial: u32) {
        if stat.st_nlink > 1 {
            self.links.insert(id_of(stat), Link { name: entry_name(found), serial, stamp });
        }
    }

    fn take_out(&mut self, key: Key) -> Result<(), Error> {
        match self.index.remove(key) {
            Some(span) => self.frames.store().take_out(span).map_err(|e| self.writing(e)),
            None => Ok(()),
        }
    }

    fn place(&mut self) {
        for (key, span) in self.frames.placed() {
            self.index.place(key, span);
        }
    }

    fn writing(&self, error: io::Error) -> Error {
        Error::of("writing", &self.job.archive, error)
    }
}

/// Where an entry goes: into the archive, into a digest, or both.
struct Tee<'a, 'b> {
    frames: Option<&'a mut Frames<'b>>,
    digest: Option<Sha256>,
}

impl Tee<'_, '_> {
    fn content(&self) -> Option<Content> {
        self.digest.clone().map(|digest| digest.finalize().into())
    }
}

impl Write for Tee<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(frames) = &mut self.frames {
            frames.write_all(bytes)?;
        }
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
