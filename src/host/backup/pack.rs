//! From what is in the home to entries of the archive.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{Whence, lseek};
use xattr::FileExt as _;

use super::index::is_steady;
use super::mapped::Mapped;
use super::tarball::{Attributes, Extent, Shape, Tarball};
use super::tempo::Pace;
use super::walk::{Found, Node};
use super::{Cancel, Error};

const BUFFER_BYTES: usize = 256 * 1024;
const BLOCK_BYTES: u64 = 512;

/// Reads what is in a home, at its pace, and writes it as entries.
#[derive(Debug)]
pub(super) struct Packer<'a> {
    /// The archive, for messages.
    archive: &'a Path,
    cancel: &'a Cancel,
    /// The daemon is down: nothing should change now.
    at_rest: bool,
    pub(super) pace: Pace,
    /// What the daemon has mapped; looked at on and on while files are read.
    pub(super) mapped: &'a mut Mapped,
    buffer: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Entries for `archive`, which is only named in messages.
    pub(super) fn new(
        archive: &'a Path,
        mapped: &'a mut Mapped,
        pace: Pace,
        at_rest: bool,
        cancel: &'a Cancel,
    ) -> Self {
        Self { archive, cancel, at_rest, pace, mapped, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Between two entries: small ones are work as well, and so is a look at one.
    pub(super) fn give_way(&mut self) -> Result<(), Error> {
        self.pace.take(0, self.cancel)
    }

    /// A folder.
    pub(super) fn folder(
        &self,
        (name, whole): (&[u8], &Path),
        folder: &File,
        stat: &FileStat,
        out: impl Write,
    ) -> Result<(), Error> {
        let attributes = attributes_of(folder, whole)?;
        self.head(name, stat, Shape::Folder, &attributes, out).map(|_| ())
    }

    /// A symbolic link with this text.
    pub(super) fn link(
        &self,
        name: &[u8],
        target: &[u8],
        stat: &FileStat,
        out: impl Write,
    ) -> Result<(), Error> {
        self.head(name, stat, Shape::Link(target), &Vec::new(), out).map(|_| ())
    }

    /// One more name for what is in the archive as `first`.
    pub(super) fn same_as(
        &self,
        name: &[u8],
        first: &[u8],
        stat: &FileStat,
        out: impl Write,
    ) -> Result<(), Error> {
        self.head(name, stat, Shape::SameAs(first), &Vec::new(), out).map(|_| ())
    }

    /// A file with its content. Tells whether it was the same all the while: if not, the entry is
    /// well formed, but may hold something that the file never was.
    pub(super) fn file(
        &mut self,
        (name, whole): (&[u8], &Path),
        file: &File,
        stat: &FileStat,
        out: impl Write,
    ) -> Result<bool, Error> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let attributes = attributes_of(file, whole)?;
        let map = map_of(file, stat, size).map_err(|e| Error::of("reading", whole, e))?;
        let shape = map.as_ref().map_or(Shape::File(size), |map| Shape::Sparse(size, map));
        let mut entry = self.head(name, stat, shape, &attributes, out)?;
        for run in map.as_deref().unwrap_or(&[(0, size)]) {
            self.copy(file, *run, whole, &mut entry)?;
        }
        entry.end_of_data().map_err(|e| Error::of("writing", self.archive, e))?;
        let after = fstat(file).map_err(|e| Error::of("looking at", whole, e))?;
        let steady = is_steady(stat, &after);
        if !steady && self.at_rest {
            tracing::warn!("{} changed while the backup read it", whole.display());
        }
        Ok(steady)
    }

    fn head<W: Write>(
        &self,
        name: &[u8],
        stat: &FileStat,
        shape: Shape<'_>,
        attributes: &Attributes,
        out: W,
    ) -> Result<Tarball<W>, Error> {
        let mut entry = Tarball::new(out);
        let begun = entry.begin(name, stat, shape, attributes);
        begun.map_err(|e| Error::of("writing", self.archive, e))?;
        Ok(entry)
    }

    /// Copies a run of a file: exactly as long as the header says, whatever the file has become.
    fn copy(
        &mut self,
        file: &File,
        run: Extent,
        whole: &Path,
        entry: &mut Tarball<impl Write>,
    ) -> Result<(), Error> {
        let (mut offset, mut left) = run;
        let mut ended = false;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            self.pace.take(wanted as u64, self.cancel)?;
            self.mapped.look_now_and_then();
            let Some(part) = self.buffer.get_mut(..wanted) else { break };
            let mut count = 0;
            if !ended {
                count = read_at(file, part, offset).map_err(|e| Error::of("reading", whole, e))?;
            }
            if count == 0 {
                ended = true;
                part.fill(0);
                count = wanted;
            }
            if let Some(part) = self.buffer.get(..count) {
                entry.data(part).map_err(|e| Error::of("writing", self.archive, e))?;
            }
            offset += count as u64;
            left -= count as u64;
        }
        Ok(())
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
pub(super) fn entry_name(found: &Found) -> Vec<u8> {
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
