//! Reads the journal while the engine writes it, and shows each record as it comes.

use serde_json::Value;

use super::page::Page;
use crate::cli::Error;
use crate::config::{Config, Paths};
use crate::disk::RealDisk;
use crate::journal::{self, Owner, Part};
use crate::machine::{Attempt, Event, Record};
use crate::narrate;

/// What has been read of a journal.
#[derive(Debug)]
pub(super) struct Follower {
    paths: Paths,
    owner: Owner,
    records: Vec<Record>,
    head: Option<String>,
}

impl Follower {
    /// Of this instance's journal, from its beginning on.
    pub(super) fn new(config: &Config, paths: &Paths) -> Self {
        let owner =
            Owner { instance: config.nymvisor.id.clone(), daemon: config.daemon.name.clone() };
        Self { paths: paths.clone(), owner, records: Vec::new(), head: None }
    }

    /// What there is so far.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether something like this has happened.
    pub(super) fn has_seen(&self, is: impl Fn(&Event) -> bool) -> bool {
        self.records.iter().any(|record| is(&record.event))
    }

    /// The hash of the last record.
    pub(super) fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// Reads what is new and shows it.
    pub(super) fn look(&mut self, page: &Page) -> Result<(), Error> {
        let last = self.records.last().map_or(0, |record| record.seq);
        for part in journal::read(&RealDisk, &self.paths.journal(), &self.owner)? {
            // A note tells of a line that is just being written; it is there at the next look.
            let Part::Record { record, back, line } = part else { continue };
            if record.seq <= last {
                continue;
            }
            show(page, &record, back.as_deref())?;
            self.head = hash_in(&line);
            self.records.push(*record);
        }
        Ok(())
    }
}

fn show(page: &Page, record: &Record, back: Option<&Attempt>) -> Result<(), Error> {
    let is_new = record.from != record.to;
    let phase = if is_new { format!("-> {}", record.to) } else { format!("   {}", record.to) };
    page.happened(record.at, &phase, &narrate::event(&record.event, back), is_new)
}

fn hash_in(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    value.get("hash")?.as_str().map(str::to_owned)
}
