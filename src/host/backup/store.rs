//! The archive's file while it is written: it grows, and stale parts of it are taken out.
//!
//! A part is taken out by making it one skippable frame, which every zstd reader passes over: its
//! first eight bytes become that frame's header. What no reader sees is given back to the file
//! system where that is worth a call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::Sender;

use nix::fcntl::{FallocateFlags, fallocate};
use sha2::{Digest, Sha256};

use super::index::Span;
use super::read_back::not_as_written;
use super::text::hex;

/// A run in the window is read back in stretches of this length while it is written.
const STRETCH_BYTES: u64 = 8 * 1024 * 1024;
/// Any of 16 magic numbers; nobody else takes note of this one.
const SKIP_MAGIC: u32 = 0x184d_2a5e;
/// Magic number and length.
const SKIP_HEADER_BYTES: u64 = 8;
/// A skippable frame's length is a number of 32 bits.
const SKIP_BYTES_MAX: u64 = 2 << 30;
/// A zstd frame of nothing. GNU tar tells how an archive is compressed by its first four bytes, and
/// would not know a skippable frame.
const NOTHING: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];
/// Holes are whole blocks, and cost a change of the file's map.
const HOLE_BYTES_MIN: u64 = 1024 * 1024;
const HOLE_BLOCK_BYTES: u64 = 4096;

/// Who reads back what is written, and what was written for it.
#[derive(Debug)]
struct Follower {
    reader: Sender<u64>,
    told: u64,
    digest: Sha256,
}

/// An archive's file.
#[derive(Debug)]
pub(super) struct Store {
    file: File,
    bytes: u64,
    /// Headers of what was taken out, not looked at again yet.
    skips: Vec<(u64, [u8; 8])>,
    follower: Option<Follower>,
}

impl Store {
    /// An empty file.
    pub(super) fn new(file: File) -> Self {
        Self { file, bytes: 0, skips: Vec::new(), follower: None }
    }

    /// Length of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether somebody reads back what is written.
    pub(super) fn is_followed(&self) -> bool {
        self.follower.is_some()
    }

    /// Begins a file whose first entry may be taken out again.
    pub(super) fn begin_with_nothing(&mut self) -> io::Result<()> {
        if self.bytes == 0 {
            self.append(&NOTHING)?;
        }
        Ok(())
    }

    /// From now on somebody reads back what is written, and is told how far that is.
    pub(super) fn follow(&mut self, reader: Sender<u64>) {
        self.follower = Some(Follower { reader, told: self.bytes, digest: Sha256::new() });
    }

    /// Lets the follower have the rest, and gives the SHA-256 of all that was written for it.
    pub(super) fn end_following(&mut self) -> Option<String> {
        let follower = self.follower.take()?;
        // A reader that has ended says why when it is joined.
        let _ = follower.reader.send(self.bytes);
        Some(hex(&follower.digest.finalize()))
    }

    /// Writes at the end; gives where that was.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.bytes;
        self.file.write_all_at(bytes, offset)?;
        self.bytes += bytes.len() as u64;
        let Some(follower) = &mut self.follower else { return Ok(offset) };
        follower.digest.update(bytes);
        if self.bytes - follower.told >= STRETCH_BYTES {
            follower.told = self.bytes;
            let _ = follower.reader.send(self.bytes);
        }
        Ok(offset)
    }

    /// Takes a part out, which consists of whole frames.
    pub(super) fn take_out(&mut self, (mut offset, mut length): Span) -> io::Result<()> {
        while length > 0 {
            // What is left must hold a header of its own.
            let skip = if length > SKIP_BYTES_MAX { SKIP_BYTES_MAX / 2 } else { length };
            let body = u32::try_from(skip.saturating_sub(SKIP_HEADER_BYTES)).unwrap_or(0);
            let mut header = [0; 8];
            let numbers = SKIP_MAGIC.to_le_bytes().into_iter().chain(body.to_le_bytes());
            header.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
            self.file.write_all_at(&header, offset)?;
            self.skips.push((offset, header));
            self.give_back((offset + SKIP_HEADER_BYTES, u64::from(body)));
            offset += skip;
            length -= skip;
        }
        Ok(())
    }

    /// Looks whether everything that was taken out is so.
    pub(super) fn check_skips(&mut self) -> io::Result<()> {
        for (offset, header) in self.skips.drain(..) {
            let mut found = [0; 8];
            self.file.read_exact_at(&mut found, offset)?;
            if found != header {
                return Err(not_as_written(&format!("what is stale at {offset} is not skipped")));
            }
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Not every file system has holes, and none is owed one.
    fn give_back(&self, (offset, length): Span) {
        if length < HOLE_BYTES_MIN {
            return;
        }
        let begin = offset.next_multiple_of(HOLE_BLOCK_BYTES);
        let end = (offset + length) / HOLE_BLOCK_BYTES * HOLE_BLOCK_BYTES;
        if let (Ok(begin), Ok(length)) = (i64::try_from(begin), i64::try_from(end - begin)) {
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let _ = fallocate(&self.file, hole, begin, length);
        }
    }
}
