//! The tar format, as GNU tar and others read it back exactly.
//!
//! GNU headers: a name longer than its field goes ahead in an `L` or `K` entry, byte for byte and
//! whatever the reader's locale; a sparse file has its map in the header. What those can't hold
//! (parts of a second, times before 1970, extended attributes) goes ahead in a PAX entry.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use nix::sys::stat::FileStat;
use tar::{EntryType, GnuExtSparseHeader, GnuHeader, Header};

const BLOCK_BYTES: u64 = 512;

/// A run of bytes in a sparse file: offset and length. All but the last are whole blocks.
pub(super) type Extent = (u64, u64);

/// What a header tells, besides the metadata.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// A folder.
    Folder,
    /// A file of so many bytes, which follow.
    File(u64),
    /// A file of so many bytes, of which only these runs follow.
    Sparse(u64, &'a [Extent]),
    /// A symbolic link with this text.
    Link(&'a [u8]),
    /// One more name for the file that is in the archive under this name.
    SameAs(&'a [u8]),
}

/// Extended attributes: names and values.
pub(super) type Attributes = Vec<(OsString, Vec<u8>)>;

/// What ends an archive: two empty blocks.
pub(super) const END: [u8; 1024] = [0; 1024];

/// One entry of a tar archive being written.
#[derive(Debug)]
pub(super) struct Tarball<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Tarball<W> {
    /// An entry with nothing in it yet. Entries are whole blocks, so it begins with one.
    pub(super) fn new(out: W) -> Self {
        Self { out, bytes: 0 }
    }

    /// Begins an entry. The content of a file follows through [`Tarball::data`], to the last byte
    /// of its [`Shape`], and then [`Tarball::end_of_data`].
    pub(super) fn begin(
        &mut self,
        name: &[u8],
        stat: &FileStat,
        shape: Shape<'_>,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        let (kind, bytes, target): (_, _, &[u8]) = match shape {
            Shape::Folder => (EntryType::Directory, 0, b""),
            Shape::File(bytes) => (EntryType::Regular, bytes, b""),
            Shape::Sparse(_, map) => (EntryType::GNUSparse, map.iter().map(|run| run.1).sum(), b""),
            Shape::Link(target) => (EntryType::Symlink, 0, target),
            Shape::SameAs(first) => (EntryType::Link, 0, first),
        };
        header.set_entry_type(kind);
        header.set_size(bytes);
        header.set_mode(stat.st_mode & 0o7777);
        header.set_uid(stat.st_uid.into());
        header.set_gid(stat.st_gid.into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        self.extension(&pax_records(stat, attributes))?;
        if let Some(fields) = header.as_gnu_mut() {
            self.text(&mut fields.name, name, EntryType::GNULongName)?;
            self.text(&mut fields.linkname, target, EntryType::GNULongLink)?;
        }
        let more = match shape {
            Shape::Sparse(size, map) => header.as_gnu_mut().map(|it| put_map(it, size, map)),
            Shape::Folder | Shape::File(_) | Shape::Link(_) | Shape::SameAs(_) => None,
        };
        header.set_cksum();
        self.put(header.as_bytes())?;
        more.into_iter().flatten().try_for_each(|block| self.put(block.as_bytes()))
    }

    /// Some of the content of the entry that was begun.
    pub(super) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)
    }

    /// Fills the last block of an entry's content.
    pub(super) fn end_of_data(&mut self) -> io::Result<()> {
        let over = self.bytes % BLOCK_BYTES;
        if over == 0 {
            return Ok(());
        }
        self.out.write_all(&vec![0; usize::try_from(BLOCK_BYTES - over).unwrap_or(0)])?;
        self.bytes += BLOCK_BYTES - over;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Puts a name into its field, and the whole of it ahead if the field is too short.
    fn text(&mut self, field: &mut [u8], text: &[u8], kind: EntryType) -> io::Result<()> {
        for (to, from) in field.iter_mut().zip(text) {
            *to = *from;
        }
        if text.len() < field.len() {
            return Ok(());
        }
        let mut body = text.to_vec();
        body.push(0);
        self.ahead("././@LongLink", kind, &body)
    }

    fn extension(&mut self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.ahead("././@PaxHeader", EntryType::XHeader, records)
    }

    fn ahead(&mut self, name: &str, kind: EntryType, body: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_path(name)?;
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.put(header.as_bytes())?;
        self.put(body)?;
        self.end_of_data()
    }
}

/// Puts a sparse file's map into its header; what doesn't fit there is returned as the blocks
/// that follow it.
fn put_map(header: &mut GnuHeader, size: u64, map: &[Extent]) -> Vec<GnuExtSparseHeader> {
    header.set_real_size(size);
    let mut runs = map.iter().copied().peekable();
    for (slot, (offset, length)) in header.sparse.iter_mut().zip(runs.by_ref().take(4)) {
        slot.set_offset(offset);
        slot.set_length(length);
    }
    let mut blocks = Vec::new();
    header.set_is_extended(runs.peek().is_some());
    while runs.peek().is_some() {
        let mut block = GnuExtSparseHeader::new();
        let slots = block.sparse.len();
        for (slot, (offset, length)) in block.sparse.iter_mut().zip(runs.by_ref().take(slots)) {
            slot.set_offset(offset);
            slot.set_length(length);
        }
        block.set_is_extended(runs.peek().is_some());
        blocks.push(block);
    }
    blocks
}

fn pax_records(stat: &FileStat, attributes: &Attributes) -> Vec<u8> {
    let mut records = Vec::new();
    if stat.st_mtime < 0 || stat.st_mtime_nsec != 0 {
        put_record(&mut records, b"mtime", seconds(stat.st_mtime, stat.st_mtime_nsec).as_bytes());
    }
    for (name, value) in attributes {
        let mut key = b"SCHILY.xattr.".to_vec();
        for byte in name.as_bytes() {
            // "=" would end the key early; GNU tar reads these two as it writes them.
            match byte {
                b'%' => key.extend_from_slice(b"%25"),
                b'=' => key.extend_from_slice(b"%3D"),
                other => key.push(*other),
            }
        }
        put_record(&mut records, &key, value);
    }
    records
}

/// A time as PAX writes it: the fraction has the sign of the whole.
fn seconds(whole: i64, nanos: i64) -> String {
    if whole < 0 && nanos > 0 {
        let (whole, nanos) = (whole + 1, 1_000_000_000 - nanos);
        return format!("-{}.{nanos:09}", whole.unsigned_abs());
    }
    format!("{whole}.{nanos:09}")
}

/// Appends `<length> <key>=<value>\n`, where the length counts its own digits too.
fn put_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}
