//! The entries of an archive, as the backup writes them. Anything else is refused; this is no
//! reader for archives of other origin.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::Error;
use super::meta::Meta;
use super::source::Source;
use crate::machine::Archive;

const BLOCK_BYTES: u64 = 512;
/// A long name, or all extended attributes of one file, take less.
const EXTENSION_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A run of bytes in a file: offset and length.
pub(super) type Extent = (u64, u64);

/// What an entry makes.
#[derive(Debug)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file of so many bytes, of which these runs follow; the rest are holes.
    File(u64, Vec<Extent>),
    /// A symbolic link with this text.
    Link(OsString),
    /// One more name for what the archive has under this path.
    SameAs(PathBuf),
}

/// One thing in the archive.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path from the home on; empty for the home. It has no `..` and no `.` in it.
    pub(super) path: PathBuf,
    /// What it makes.
    pub(super) kind: Kind,
    /// Owner, mode, time, attributes.
    pub(super) meta: Meta,
}

/// An archive being read.
pub(super) struct Entries<'a> {
    source: Source<'a>,
    wanted: u64,
    count: u64,
    /// Content of the present entry that was not asked for yet, and the padding behind it.
    left: u64,
    padding: u64,
}

/// What goes ahead of a header because it doesn't fit into it.
#[derive(Debug, Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    mtime: Option<(i64, i64)>,
    attributes: Vec<(OsString, Vec<u8>)>,
}

impl<'a> Entries<'a> {
    /// Opens an archive.
    pub(super) fn open(sealed: &'a Archive) -> Result<Self, Error> {
        let source = Source::open(sealed)?;
        Ok(Self { source, wanted: sealed.entries, count: 0, left: 0, padding: 0 })
    }

    /// The next entry; what was not read of the one before is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.pass_over()?;
        let mut ahead = Ahead::default();
        loop {
            let mut header = Header::new_old();
            self.source.read_whole(header.as_mut_bytes())?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            if !has_right_sum(&header) {
                return Err(self.source.damaged("the checksum of a header is wrong"));
            }
            let kind = header.entry_type();
            if kind.is_gnu_longname() {
                ahead.name = Some(without_nul(self.extension(&header)?));
            } else if kind.is_gnu_longlink() {
                ahead.target = Some(without_nul(self.extension(&header)?));
            } else if kind.is_pax_local_extensions() {
                let records = self.extension(&header)?;
                if ahead.take_records(&records).is_none() {
                    return Err(self.source.damaged("an extended header can't be understood"));
                }
            } else {
                return self.entry(&header, ahead).map(Some);
            }
        }
    }

    /// Content of the present entry, run after run without the holes; 0 at its end.
    pub(super) fn content(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let Some(part) = into.get_mut(..wanted).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        match self.source.read(part)? {
            0 => Err(self.source.damaged("it ends too early")),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }

    /// Ends the reading: only now it is certain that every entry was one that was sealed.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.count != self.wanted {
            let what = format!("it has {} entries, not {}", self.count, self.wanted);
            return Err(self.source.damaged(&what));
        }
        self.source.finish()
    }

    /// That an entry is none that the backup writes.
    pub(super) fn odd(&self, path: &Path, why: &str) -> Error {
        self.source.damaged(&format!("the entry {} {why}", path.display()))
    }

    fn entry(&mut self, header: &Header, ahead: Ahead) -> Result<Entry, Error> {
        self.count += 1;
        let name = ahead.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = path_in_home(&name)
            .ok_or_else(|| self.odd(&PathBuf::from(OsString::from_vec(name)), "has a bad name"))?;
        let target = ahead
            .target
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let (Ok(mode), Ok(uid), Ok(gid), Ok(mtime), Ok(bytes)) =
            (header.mode(), header.uid(), header.gid(), header.mtime(), header.entry_size())
        else {
            return Err(self.odd(&path, "has a damaged header"));
        };
        let whole = (i64::try_from(mtime).unwrap_or(0), 0);
        let meta = Meta {
            mode: mode & 0o7777,
            uid: u32::try_from(uid).unwrap_or(0),
            gid: u32::try_from(gid).unwrap_or(0),
            mtime: ahead.mtime.unwrap_or(whole),
            attributes: ahead.attributes,
        };
        let kind = header.entry_type();
        let kind = if kind.is_dir() && bytes == 0 {
            Kind::Folder
        } else if kind.is_file() {
            Kind::File(bytes, vec![(0, bytes)])
        } else if kind.is_gnu_sparse() {
            self.sparse(header, bytes, &path)?
        } else if kind.is_symlink() && bytes == 0 && !target.is_empty() {
            Kind::Link(OsString::from_vec(target))
        } else if let Some(first) = path_in_home(&target).filter(|_| kind.is_hard_link()) {
            Kind::SameAs(first)
        } else {
            return Err(self.odd(&path, "is of a kind that no backup has"));
        };
        self.left = bytes;
        self.padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
        Ok(Entry { path, kind, meta })
    }

    fn sparse(&mut self, header: &Header, bytes: u64, path: &Path) -> Result<Kind, Error> {
        let fields = header.as_gnu().ok_or_else(|| self.odd(path, "has no map"))?;
        let mut map = Vec::new();
        let mut whole = put_runs(&mut map, &fields.sparse);
        let mut more = fields.is_extended();
        while more && whole {
            let mut block = GnuExtSparseHeader::new();
            self.source.read_whole(block.as_mut_bytes())?;
            whole = put_runs(&mut map, block.sparse());
            more = block.is_extended();
        }
        let size = fields.real_size().unwrap_or(0);
        let (mut end, mut sum) = (0, 0_u64);
        for (offset, length) in &map {
            whole &= *offset >= end;
            end = offset.saturating_add(*length);
            sum = sum.saturating_add(*length);
        }
        if !whole || end > size || sum != bytes {
            return Err(self.odd(path, "has a damaged map"));
        }
        Ok(Kind::File(size, map))
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let bytes = header.entry_size().unwrap_or(u64::MAX);
        if bytes > EXTENSION_BYTES_MAX {
            return Err(self.source.damaged("an extended header is too long"));
        }
        let whole = usize::try_from(bytes.next_multiple_of(BLOCK_BYTES)).unwrap_or(0);
        let mut body = vec![0; whole];
        self.source.read_whole(&mut body)?;
        body.truncate(usize::try_from(bytes).unwrap_or(0));
        Ok(body)
    }

    fn pass_over(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 16 * 1024];
        while self.content(&mut buffer)? > 0 {}
        let padding = usize::try_from(self.padding).unwrap_or(0).min(buffer.len());
        self.padding = 0;
        self.source.read_whole(buffer.get_mut(..padding).unwrap_or_default())
    }
}

impl Ahead {
    /// Takes the records `<length> <key>=<value>\n`; `None` where they are damaged.
    fn take_records(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ')?;
            let length = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            records = records.get(length..)?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            if key == b"mtime" {
                self.mtime = Some(time_of(std::str::from_utf8(value).ok()?)?);
            } else {
                let name = key.strip_prefix(b"SCHILY.xattr.")?;
                self.attributes.push((attribute_name(name), value.to_vec()));
            }
        }
        Some(())
    }
}

/// Seconds and nanoseconds, which count upwards also before 1970.
fn time_of(text: &str) -> Option<(i64, i64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |rest| (true, rest));
    let whole: i64 = whole.parse().ok()?;
    let nanos: i64 = format!("{part:0<9}").parse().ok().filter(|_| part.len() <= 9)?;
    match (negative, nanos) {
        (false, nanos) => Some((whole, nanos)),
        (true, 0) => Some((-whole, 0)),
        (true, nanos) => Some((-whole - 1, 1_000_000_000 - nanos)),
    }
}

fn attribute_name(mut escaped: &[u8]) -> OsString {
    let mut name = Vec::with_capacity(escaped.len());
    while let Some((first, rest)) = escaped.split_first() {
        let (byte, rest) = match (rest.strip_prefix(b"25"), rest.strip_prefix(b"3D")) {
            (Some(rest), _) if *first == b'%' => (b'%', rest),
            (_, Some(rest)) if *first == b'%' => (b'=', rest),
            _ => (*first, rest),
        };
        name.push(byte);
        escaped = rest;
    }
    OsString::from_vec(name)
}

/// `./a/b` and `./a/b/` as `a/b`; `None` for anything that could lead elsewhere.
fn path_in_home(name: &[u8]) -> Option<PathBuf> {
    let below = name.strip_prefix(b"./")?;
    let below = below.strip_suffix(b"/").unwrap_or(below);
    let path = PathBuf::from(OsString::from_vec(below.to_vec()));
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let same = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
    (plain && same && !below.contains(&0)).then_some(path)
}

fn put_runs(map: &mut Vec<Extent>, slots: &[GnuSparseHeader]) -> bool {
    slots.iter().filter(|slot| !slot.is_empty()).all(|slot| {
        let run = slot.offset().and_then(|offset| Ok((offset, slot.length()?)));
        run.map(|run| map.push(run)).is_ok()
    })
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

fn has_right_sum(header: &Header) -> bool {
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    header.cksum().is_ok_and(|told| told == sum)
}
