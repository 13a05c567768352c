//! Reads the journal while the engine writes it.

use super::UPGRADE;
use crate::cli::Error;
use crate::cli::journal::{Book, Entry, Item, Story};
use crate::config::{Config, Paths};
use crate::disk::RealDisk;
use crate::machine::{Event, Record};

/// What has been read of a journal.
#[derive(Debug)]
pub(super) struct Follower {
    book: Book,
    items: Vec<Item>,
}

impl Follower {
    /// Of this instance's journal, from its beginning on.
    pub(super) fn new(config: Config, paths: Paths) -> Self {
        Self { book: Book::new(config, paths), items: Vec::new() }
    }

    /// Reads on, and gives what is new.
    pub(super) fn look(&mut self) -> Result<impl Iterator<Item = &Entry>, Error> {
        let known = self.items.len();
        self.items.extend(self.book.read(&RealDisk)?);
        Ok(self.items.iter().skip(known).filter_map(Item::entry))
    }

    /// What there is so far.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.items.iter().filter_map(Item::entry)
    }

    /// The records of it.
    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.entries().map(|entry| &entry.record)
    }

    /// Whether something like this has happened.
    pub(super) fn has_seen(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.records().any(|record| is(&record.event))
    }

    /// The hash of the last record.
    pub(super) fn head(&self) -> Option<&str> {
        self.entries().next_back().map(|entry| entry.hash.as_str())
    }

    /// What is told of the upgrade.
    pub(super) fn story(&self) -> Story<'_> {
        self.book.story(UPGRADE, self.entries())
    }
}
