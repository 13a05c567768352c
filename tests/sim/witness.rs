//! Reads the journal as it lies there, and holds it against what was done.
//!
//! Each record is replayed and shown to the model's oracle. What a power cut or a failed write took
//! back is forgotten again, unless something had been done on its word: that is judged after each
//! session.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use nymvisor::config::Paths;
use nymvisor::journal::{Header, Mishap};
use nymvisor::machine::{Archive, Effect, Event, RESUMPTIONS_MAX, Record, State, replay};

use super::disk::SimDisk;
use crate::model::oracle::Oracle;

/// An order that the host was given.
#[derive(Debug)]
pub(crate) struct Performed {
    pub(crate) effect: Effect,
    /// By a record that was only held in memory.
    pub(crate) is_held: bool,
}

/// A line of the journal, and what is known after it.
#[derive(Debug)]
struct Seen {
    segment: u64,
    /// Where it ends in its file, and its last bytes: its hash.
    end: usize,
    tail: Vec<u8>,
    seq: u64,
    /// `None` for a header.
    record: Option<Record>,
    state: State,
    oracle: Oracle,
}

/// What the journal was seen to hold.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    seen: Vec<Seen>,
    /// A damaged journal was set aside, and a new chain begun.
    pub(crate) was_damaged: bool,
    nothing: Oracle,
    /// Number and time of the last record on whose word something was done.
    acted_on: Option<(u64, DateTime<Utc>)>,
}

const TAIL_BYTES: usize = 68;

impl Witness {
    /// Reads on from where it stopped. An error is a broken promise.
    pub(crate) fn read(&mut self, medium: &SimDisk, paths: &Paths) -> Result<(), String> {
        let path = |number: u64| paths.journal().join(format!("{number:08}.jsonl"));
        let is_there = |seen: &Seen| {
            let bytes = medium.peek(&path(seen.segment)).unwrap_or_default();
            bytes.get(..seen.end).is_some_and(|bytes| bytes.ends_with(&seen.tail))
        };
        while self.seen.last().is_some_and(|seen| !is_there(seen)) {
            self.seen.pop();
        }
        let (from, mut at) = self.seen.last().map_or((0, 0), |seen| (seen.segment, seen.end));
        for number in numbers(medium, paths).into_iter().filter(|number| *number >= from) {
            let bytes = medium.peek(&path(number)).unwrap_or_default();
            at = if number == from { at } else { 0 };
            for line in bytes[at..].split_inclusive(|byte| *byte == b'\n') {
                let read = if at == 0 {
                    self.take_header(line, number)?
                } else {
                    self.take_record(line, number, at)?
                };
                if !read {
                    break;
                }
                at += line.len();
            }
        }
        if let Some(acted_on) = self.acted_on {
            let is_it = |record: &Record| (record.seq, record.at) == acted_on;
            let mut newest = self.seen.iter().rev().filter_map(|seen| seen.record.as_ref());
            if !newest.any(is_it) {
                return Err(format!("record {} was acted on, and is lost", acted_on.0));
            }
        }
        Ok(())
    }

    fn take_header(&mut self, line: &[u8], segment: u64) -> Result<bool, String> {
        let Ok(header) = serde_json::from_slice::<Header>(line) else { return Ok(false) };
        if let Some(Mishap::Damaged { .. }) = header.after {
            self.seen.clear();
            self.was_damaged = true;
            self.acted_on = None;
        }
        // What was in doubt stands here again, or never was.
        while self.seen.last().is_some_and(|seen| seen.seq > header.seq) {
            self.seen.pop();
        }
        if let Some(last) = self.seen.last()
            && (last.seq != header.seq || last.state != header.state)
        {
            return Err(format!("segment {segment} does not go on where the last one ended"));
        }
        let oracle = self.oracle().clone();
        let tail = tail(line);
        let (seq, state) = (header.seq, header.state);
        self.seen.push(Seen { segment, end: line.len(), tail, seq, record: None, state, oracle });
        Ok(true)
    }

    fn take_record(&mut self, line: &[u8], segment: u64, at: usize) -> Result<bool, String> {
        if line.last() != Some(&b'\n') {
            return Ok(false);
        }
        let Ok(record) = serde_json::from_slice::<Record>(line) else { return Ok(false) };
        let before = &self.seen.last().ok_or("a record before any header")?.state;
        let state = replay(before, &record).map_err(|why| format!("no replay: {why:?}"))?;
        let mut oracle = self.oracle().clone();
        oracle.see(before, &record, &state)?;
        if state.phase.attempt().is_some_and(|attempt| attempt.resumed > RESUMPTIONS_MAX) {
            return Err("an attempt is taken up too often".to_owned());
        }
        let (end, tail, seq) = (at + line.len(), tail(line), record.seq);
        self.seen.push(Seen { segment, end, tail, seq, record: Some(record), state, oracle });
        Ok(true)
    }

    pub(crate) fn oracle(&self) -> &Oracle {
        self.seen.last().map_or(&self.nothing, |seen| &seen.oracle)
    }

    pub(crate) fn state(&self) -> Option<&State> {
        self.seen.last().map(|seen| &seen.state)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.seen.iter().filter_map(|seen| seen.record.as_ref())
    }

    /// Law 1: what a session did is what its durable records ordered, in that order; the last
    /// record's orders may not have been begun, and what only keeps the daemon up may be lost.
    pub(crate) fn judge(&mut self, session: &str, performed: &[Performed]) -> Result<(), String> {
        let records: Vec<&Record> =
            self.records().filter(|record| record.session == session).collect();
        let ordered: Vec<&Effect> = records.iter().flat_map(|record| &record.effects).collect();
        for (at, done) in performed.iter().enumerate() {
            match ordered.get(at) {
                Some(effect) if **effect == done.effect => {}
                None if done.is_held => {}
                other => {
                    return Err(format!("done without a durable record: {done:?}, not {other:?}"));
                }
            }
        }
        let last = records.last().map_or(0, |record| record.effects.len());
        let ended = records.last().is_some_and(|record| {
            record.effects.iter().any(|effect| matches!(effect, Effect::Exit(_)))
        });
        if ordered.len() > performed.len() + last && !ended {
            return Err("a record's orders were passed over".to_owned());
        }
        let mut left = performed.iter().filter(|done| !done.is_held).count();
        let mut acted_on = None;
        for record in records {
            if left == 0 {
                break;
            }
            if !record.effects.is_empty() {
                acted_on = Some((record.seq, record.at));
            }
            left = left.saturating_sub(record.effects.len());
        }
        self.acted_on = acted_on.or(self.acted_on);
        Ok(())
    }

    /// Whether a file is older than the first segment that is known.
    pub(crate) fn is_old(&self, file: &str) -> bool {
        let number = file.split('.').next().and_then(|number| number.parse::<u64>().ok());
        let first = self.seen.first().map_or(0, |seen| seen.segment);
        number.is_some_and(|number| number < first)
    }

    /// The backups of all upgrades that were committed, but those that the retention let go.
    pub(crate) fn backups_of_committed(&self) -> Vec<&Archive> {
        let mut sealed: BTreeMap<u64, &Archive> = BTreeMap::new();
        let mut needed = Vec::new();
        for record in self.records() {
            match &record.event {
                Event::BackupSealed { attempt, archive } => drop(sealed.insert(*attempt, archive)),
                // Switched off between two sessions of one attempt.
                Event::BackupSkipped { attempt } => drop(sealed.remove(attempt)),
                Event::SwapCommitted { attempt, .. } => needed.extend(sealed.remove(attempt)),
                Event::BackupsOutlived { .. } => {
                    let orders = &record.effects;
                    needed.retain(|kept| !orders.iter().any(|order| discards(order, kept)));
                }
                _ => {}
            }
        }
        needed
    }
}

fn discards(order: &Effect, kept: &Archive) -> bool {
    matches!(order, Effect::DiscardBackup(archive) if archive.path == kept.path)
}

fn tail(line: &[u8]) -> Vec<u8> {
    line[line.len().saturating_sub(TAIL_BYTES)..].to_vec()
}

fn numbers(medium: &SimDisk, paths: &Paths) -> Vec<u64> {
    let names = medium.peek_names(&paths.journal());
    let number = |name: &std::ffi::OsString| {
        PathBuf::from(name).to_str()?.strip_suffix(".jsonl")?.parse().ok()
    };
    names.iter().filter_map(number).collect()
}
