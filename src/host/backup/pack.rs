//! From what is in the home to entries of the archive.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::sys::stat::FileStat;
use nix::unistd::{Whence, lseek};
use xattr::FileExt as _;

use super::tarball::{Attributes, Extent, Shape, Tarball};
use super::walk::{At, Found, Id, Node, id_of, open_file, warn_gone};
use super::{Cancel, Error};

const BUFFER_BYTES: usize = 512 * 1024;
const BLOCK_BYTES: u64 = 512;

/// Writes what a walk finds into an archive.
pub(super) struct Packer<'a, W> {
    home: &'a Path,
    archive: &'a Path,
    cancel: &'a Cancel,
    tarball: Tarball<W>,
    /// Files with several names, by what they are: the name they have in the archive.
    links: HashMap<Id, Vec<u8>>,
    buffer: Vec<u8>,
    entries: u64,
    skipped: u64,
}

/// What was packed.
#[derive(Debug)]
pub(super) struct Packed<W> {
    /// What the archive was written to.
    pub(super) out: W,
    /// Bytes of the archive before compression.
    pub(super) bytes: u64,
    /// Entries in it.
    pub(super) entries: u64,
    /// What was found and is not in it.
    pub(super) skipped: u64,
}

impl<'a, W: Write> Packer<'a, W> {
    /// An archive of `home` into `out`, which is the file `archive` in messages.
    pub(super) fn new(home: &'a Path, archive: &'a Path, cancel: &'a Cancel, out: W) -> Self {
        Self {
            home,
            archive,
            cancel,
            tarball: Tarball::new(out),
            links: HashMap::new(),
            buffer: vec![0; BUFFER_BYTES],
            entries: 0,
            skipped: 0,
        }
    }

    /// Adds one thing.
    pub(super) fn add(&mut self, found: &Found) -> Result<(), Error> {
        let whole = self.home.join(&found.path);
        let name = entry_name(found);
        match &found.node {
            Node::Folder(folder) => {
                let attributes = attributes_of(folder, &whole)?;
                self.begin(&name, &found.stat, Shape::Folder, &attributes)
            }
            Node::File(at) => self.add_file(at, &found.stat, &whole, name),
            Node::Link(at) => self.add_link(at, &found.stat, &whole, name),
            Node::Special(kind) => {
                tracing::warn!("{} is a {kind} and is not backed up", whole.display());
                self.skipped += 1;
                Ok(())
            }
        }
    }

    /// Ends the archive. `vanished` counts what the walk itself could not show.
    pub(super) fn finish(self, vanished: u64) -> Result<Packed<W>, Error> {
        let (archive, entries, skipped) = (self.archive, self.entries, self.skipped + vanished);
        let (bytes, out) = self.tarball.finish().map_err(|e| Error::of("writing", archive, e))?;
        Ok(Packed { out, bytes, entries, skipped })
    }

    fn add_file(
        &mut self,
        at: &At,
        seen: &FileStat,
        whole: &Path,
        name: Vec<u8>,
    ) -> Result<(), Error> {
        if self.add_if_known(seen, &name)? {
            return Ok(());
        }
        let Some((file, stat)) = open_file(at, whole)? else {
            self.gone(whole);
            return Ok(());
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let attributes = attributes_of(&file, whole)?;
        let map = map_of(&file, &stat, size).map_err(|e| Error::of("reading", whole, e))?;
        let shape = map.as_ref().map_or(Shape::File(size), |map| Shape::Sparse(size, map));
        self.begin(&name, &stat, shape, &attributes)?;
        for run in map.as_deref().unwrap_or(&[(0, size)]) {
            self.copy(&file, *run, whole)?;
        }
        self.tarball.end_of_data().map_err(|e| Error::of("writing", self.archive, e))?;
        self.know(&stat, name);
        Ok(())
    }

    fn add_link(
        &mut self,
        at: &At,
        stat: &FileStat,
        whole: &Path,
        name: Vec<u8>,
    ) -> Result<(), Error> {
        if self.add_if_known(stat, &name)? {
            return Ok(());
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
        self.begin(&name, stat, Shape::Link(target.as_bytes()), &Vec::new())?;
        self.know(stat, name);
        Ok(())
    }

    /// Adds one more name for a file that is in the archive.
    fn add_if_known(&mut self, stat: &FileStat, name: &[u8]) -> Result<bool, Error> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.links.get(&id_of(stat)).cloned() else { return Ok(false) };
        self.begin(name, stat, Shape::SameAs(&first), &Vec::new())?;
        Ok(true)
    }

    fn know(&mut self, stat: &FileStat, name: Vec<u8>) {
        if stat.st_nlink > 1 {
            self.links.insert(id_of(stat), name);
        }
    }

    fn begin(
        &mut self,
        name: &[u8],
        stat: &FileStat,
        shape: Shape<'_>,
        attributes: &Attributes,
    ) -> Result<(), Error> {
        self.entries += 1;
        self.tarball
            .begin(name, stat, shape, attributes)
            .map_err(|e| Error::of("writing", self.archive, e))
    }

    /// Copies a run of a file: exactly as long as the header says, whatever the file has become.
    fn copy(&mut self, file: &File, run: Extent, whole: &Path) -> Result<(), Error> {
        let (mut offset, mut left) = run;
        let mut ended = false;
        while left > 0 {
            self.cancel.check()?;
            let wanted = usize::try_from(left).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            let Some(part) = self.buffer.get_mut(..wanted) else { break };
            let mut count = 0;
            if !ended {
                count = read_at(file, part, offset).map_err(|e| Error::of("reading", whole, e))?;
            }
            if count == 0 {
                if !ended {
                    tracing::warn!("{} shrank while it was read", whole.display());
                }
                ended = true;
                part.fill(0);
                count = wanted;
            }
            if let Some(part) = self.buffer.get(..count) {
                self.tarball.data(part).map_err(|e| Error::of("writing", self.archive, e))?;
            }
            offset += count as u64;
            left -= count as u64;
        }
        Ok(())
    }

    fn gone(&mut self, whole: &Path) {
        warn_gone(whole);
        self.skipped += 1;
    }
}

fn read_at(file: &File, part: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(part, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// `./` for the home, `./a/` for a folder, `./a/b` for anything else.
fn entry_name(found: &Found) -> Vec<u8> {
    let mut name = b"./".to_vec();
    name.extend_from_slice(found.path.as_os_str().as_bytes());
    if matches!(found.node, Node::Folder(_)) && found.path != PathBuf::new() {
        name.push(b'/');
    }
    name
}

fn attributes_of(file: &File, whole: &Path) -> Result<Attributes, Error> {
    let failed = |error| Error::of("reading the extended attributes of", whole, error);
    let names: Vec<OsString> = match file.list_xattr() {
        Ok(names) => names.collect(),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut attributes = Vec::with_capacity(names.len());
    for name in names {
        // One that was taken away meanwhile is no loss.
        if let Some(value) = file.get_xattr(&name).map_err(failed)? {
            attributes.push((name, value));
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}

/// Where a file with holes has data. `None` for one without, and where the file system can't tell.
fn map_of(file: &File, stat: &FileStat, size: u64) -> io::Result<Option<Vec<Extent>>> {
    if u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES >= size {
        return Ok(None);
    }
    let mut map: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let begin = match seek(file, at, Whence::SeekData) {
            // No data from here on.
            Err(Errno::ENXIO) => break,
            // The file system knows no holes.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(None),
            found => found?.min(size),
        };
        let end = match seek(file, begin, Whence::SeekHole) {
            Err(Errno::ENXIO) => size,
            found => found?,
        };
        // The format wants whole blocks; a few bytes of a hole are stored as the zeros they are.
        let begin = begin / BLOCK_BYTES * BLOCK_BYTES;
        let end = end.next_multiple_of(BLOCK_BYTES).min(size);
        match map.last_mut() {
            Some(last) if last.0 + last.1 >= begin => last.1 = end.max(begin) - last.0,
            _ if end > begin => map.push((begin, end - begin)),
            _ => {}
        }
        at = end.max(at + 1);
    }
    if map == [(0, size)] {
        return Ok(None);
    }
    // The end of a hole at the end is known from an empty run there.
    if map.last().is_none_or(|last| last.0 + last.1 < size) {
        map.push((size, 0));
    }
    Ok(Some(map))
}

fn seek(file: &File, offset: u64, whence: Whence) -> Result<u64, Errno> {
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    lseek(file, offset, whence).map(|at| u64::try_from(at).unwrap_or(0))
}
