//! What is in an archive under way, and how it was when it was read.
//!
//! 64 bytes an entry, whatever the length of its path: path and state are kept as 128 bits each of
//! a keyed hash. Nobody who chooses names or times can make two of them meet.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::FileStat;

/// A path, for the length of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u128);

/// Everything that `stat` tells and that a change changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u128);

/// SHA-256 of an entry, header and attributes included.
pub(super) type Content = [u8; 32];

/// A run of bytes in the archive: offset and length.
pub(super) type Span = (u64, u64);

/// One entry of the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// How it was before it was read.
    pub(super) stamp: Stamp,
    /// Its frames.
    pub(super) span: Span,
    /// Its number.
    pub(super) serial: u32,
    /// The number of the entry with the content: its own, or that of the first name.
    pub(super) first: u32,
    /// The run that found it as it is.
    seen: u32,
    /// As long as the stamp is the same, so is the rest.
    pub(super) is_proven: bool,
}

/// All entries that can still become stale.
#[derive(Debug, Default)]
pub(super) struct Index {
    hashers: (RandomState, RandomState),
    records: HashMap<Key, Record>,
    /// Of those that no stamp proves.
    contents: HashMap<Key, Content>,
    serial: u32,
    run: u32,
}

impl Index {
    /// Begins another run over the home: nothing was seen in it.
    pub(super) fn begin_run(&mut self) {
        self.run += 1;
    }

    /// The key of a path.
    pub(super) fn key(&self, path: &Path) -> Key {
        Key(self.hash(path.as_os_str().as_bytes()))
    }

    /// The stamp of a file.
    pub(super) fn stamp(&self, stat: &FileStat) -> Stamp {
        Stamp(self.hash(traits(stat)))
    }

    /// What is recorded for a path.
    pub(super) fn get(&self, key: Key) -> Option<Record> {
        self.records.get(&key).copied()
    }

    /// The content to compare with.
    pub(super) fn content(&self, key: Key) -> Option<Content> {
        self.contents.get(&key).copied()
    }

    /// The present run found it, and it is as it was.
    pub(super) fn keep(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(&key) {
            record.seen = self.run;
        }
    }

    /// From now on the stamp of an entry proves its content, or does not.
    pub(super) fn set_proven(&mut self, key: Key, is_proven: bool) {
        if let Some(record) = self.records.get_mut(&key) {
            record.is_proven = is_proven;
        }
    }

    /// Takes a record out, and gives the frames that are stale now.
    pub(super) fn remove(&mut self, key: Key) -> Option<Span> {
        self.contents.remove(&key);
        self.records.remove(&key).map(|record| record.span)
    }

    /// Numbers an entry that is about to be written.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Records an entry; its frames are added by [`Index::place`] as they are written.
    pub(super) fn insert(
        &mut self,
        key: Key,
        stamp: Stamp,
        (serial, first): (u32, u32),
        is_proven: bool,
        content: Option<Content>,
    ) {
        let record = Record { stamp, span: (0, 0), serial, first, seen: self.run, is_proven };
        self.records.insert(key, record);
        if let Some(content) = content {
            self.contents.insert(key, content);
        }
    }

    /// Adds a frame to an entry; its frames follow one another.
    pub(super) fn place(&mut self, key: Key, (offset, length): Span) {
        if let Some(record) = self.records.get_mut(&key) {
            if record.span.1 == 0 {
                record.span.0 = offset;
            }
            record.span.1 += length;
        }
    }

    /// Takes out all that the present run has not seen, and gives their frames in order.
    pub(super) fn take_unseen(&mut self) -> Vec<Span> {
        let mut spans = Vec::new();
        let (run, contents) = (self.run, &mut self.contents);
        self.records.retain(|key, record| {
            if record.seen != run {
                contents.remove(key);
                spans.push(record.span);
            }
            record.seen == run
        });
        spans.sort_unstable();
        spans
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    fn hash(&self, value: impl Hash) -> u128 {
        let (high, low) = (self.hashers.0.hash_one(&value), self.hashers.1.hash_one(&value));
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Whether nothing happened to a file between two looks, as far as they can tell.
pub(super) fn is_steady(before: &FileStat, after: &FileStat) -> bool {
    traits(before) == traits(after)
}

/// Number of blocks and time of access change without a change of the file.
fn traits(stat: &FileStat) -> impl Hash + PartialEq {
    (
        (stat.st_dev, stat.st_ino, stat.st_nlink),
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size),
        (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec),
    )
}
