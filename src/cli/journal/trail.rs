//! Records with what they are about: which upgrade, which attempt at it. Pure, but for its source.
//!
//! A record names an upgrade at times, an attempt's number at others, and often neither. So the
//! states before and after it are made once more, as the machine makes them: what differs between
//! them is what the record was about.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::about::{Memory, Tried, differences};
use crate::health;
use crate::journal::{Header, Mishap, Segment};
use crate::machine::{Attempt, Candidate, Code, Record, State, replay};

/// A piece of a journal.
#[derive(Debug)]
pub(in crate::cli) enum Item {
    /// Something about the journal itself, in words.
    Note(String),
    /// Records that should be here can't be told, in words.
    Gap(String),
    /// A record.
    Entry(Box<Entry>),
}

impl Item {
    /// What it says of the journal, where it is no record.
    pub(in crate::cli) fn note(&self) -> Option<&str> {
        match self {
            Self::Note(text) | Self::Gap(text) => Some(text),
            Self::Entry(_) => None,
        }
    }

    /// Which records can't be told, where it is about that.
    pub(in crate::cli) fn gap(&self) -> Option<&str> {
        match self {
            Self::Gap(text) => Some(text),
            Self::Note(_) | Self::Entry(_) => None,
        }
    }

    /// The record, where it is one.
    pub(in crate::cli) fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Note(_) | Self::Gap(_) => None,
            Self::Entry(entry) => Some(entry),
        }
    }
}

/// A record, where it stands, and what it is about.
#[derive(Debug)]
pub(in crate::cli) struct Entry {
    /// Name of the file in the journal's folder.
    pub(in crate::cli) file: String,
    /// The line, from 1.
    pub(in crate::cli) line_number: u64,
    /// The line as it is written.
    pub(in crate::cli) line: String,
    /// The hash of the line before.
    pub(in crate::cli) prev: String,
    /// Its hash.
    pub(in crate::cli) hash: String,
    /// The record.
    pub(in crate::cli) record: Record,
    /// The roll-back that was under way when it was made.
    pub(in crate::cli) back: Option<Box<Attempt>>,
    /// Names of the upgrades that it is about.
    pub(in crate::cli) about: BTreeSet<String>,
    /// The upgrade whose preparation, attempt or backup it reports of.
    pub(in crate::cli) of: Option<String>,
    /// The attempt that it belongs to, until a daemon is up again.
    pub(in crate::cli) tried: Option<Tried>,
    /// What is prepared afterwards.
    pub(in crate::cli) candidate: Option<Box<Candidate>>,
    /// What failed, where it tells of a failure.
    pub(in crate::cli) failed: Option<Code>,
    /// The upgrade of this name runs and has not yet lived through its startup period.
    pub(in crate::cli) on_trial: Option<String>,
}

impl Entry {
    /// Whether it is about the upgrade of this name.
    pub(in crate::cli) fn is_about(&self, name: &str) -> bool {
        self.about.contains(name)
    }
}

/// What has been read of a journal, so that reading can go on where it ended.
#[derive(Debug, Default)]
pub(in crate::cli) struct Trail {
    /// The last segment, and how many of its records were given out.
    segment: u64,
    records: usize,
    /// Number of the last record that was given out.
    seq: u64,
    told_end: bool,
    memory: Memory,
    /// What was remembered at the beginning of the last segment.
    checkpoint: Memory,
    state: Option<State>,
    /// Names of the upgrades to which something happened that no record here tells.
    untold: BTreeSet<String>,
}

impl Trail {
    /// From which segment on it has to be read next.
    pub(in crate::cli) fn segment(&self) -> u64 {
        self.segment
    }

    /// The state after the last record.
    pub(in crate::cli) fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// Whether something happened to this upgrade that no record here tells.
    pub(in crate::cli) fn is_untold(&self, name: &str) -> bool {
        self.untold.contains(name)
    }

    /// What is new in this segment, which is the last one of the last time or one after it. What
    /// has been made of those before, and is not given out yet, is in `items`.
    pub(in crate::cli) fn take(&mut self, segment: Segment, items: &mut Vec<Item>) {
        match segment.number.cmp(&self.segment) {
            Ordering::Less => return,
            Ordering::Equal => self.memory = self.checkpoint.clone(),
            Ordering::Greater => self.begin(&segment, items),
        }
        self.read(segment, items);
    }

    fn begin(&mut self, segment: &Segment, items: &mut Vec<Item>) {
        let is_unread = segment.content.is_err();
        match segment.content.as_ref().map(|content| &content.header) {
            Ok(header) => {
                self.withdraw(header, items);
                items.extend(self.gap_before(header));
                items.extend(segment.beginning().map(Item::Note));
                self.miss(header);
            }
            Err(_) => items.extend(segment.beginning().map(Item::Gap)),
        }
        (self.segment, self.records, self.told_end) = (segment.number, 0, is_unread);
        self.checkpoint = self.memory.clone();
    }

    /// What could not be synced counts no more, and stands in the new segment again.
    fn withdraw(&mut self, header: &Header, items: &mut Vec<Item>) {
        match &header.after {
            Some(Mishap::WriteFailed { seq, .. }) => {
                let is_void = |item: &mut Item| match item {
                    Item::Note(_) | Item::Gap(_) => false,
                    Item::Entry(entry) => entry.record.seq > *seq,
                };
                while items.pop_if(is_void).is_some() {
                    self.seq = self.seq.saturating_sub(1);
                }
            }
            // Its numbers begin anew.
            Some(Mishap::Damaged { .. }) => self.seq = header.seq,
            Some(Mishap::TornTail { .. }) | None => {}
        }
    }

    /// The records between what was read before and this segment, in words. What can't be read of
    /// the segment before was told there.
    fn gap_before(&self, header: &Header) -> Option<Item> {
        let begins_anew = matches!(header.after, Some(Mishap::Damaged { .. }));
        if self.segment == 0 && header.seq > 0 && !begins_anew {
            return Some(Item::Note(format!(
                "it begins with record {}: those before were pruned, or are missing, which \
                 `nymvisor journal verify` tells",
                header.seq + 1
            )));
        }
        (self.segment > 0 && header.seq > self.seq && !self.told_end).then(|| {
            let (first, last) = (self.seq + 1, header.seq);
            Item::Gap(format!(
                "the records {first} to {last} are missing; `nymvisor journal verify` tells more"
            ))
        })
    }

    /// Takes note of what the state at a segment's beginning says, and no record has told.
    fn miss(&mut self, header: &Header) {
        // What was withdrawn follows once more.
        if let Some(Mishap::WriteFailed { .. }) = header.after {
            return;
        }
        let after = &header.state;
        let initial = || State::initial(after.installed.clone(), after.policy.clone());
        let before = self.state.clone().unwrap_or_else(initial);
        self.untold.extend(differences(&before, after));
    }

    fn read(&mut self, segment: Segment, items: &mut Vec<Item>) {
        let end = segment.end();
        let Segment { file, content, lines, .. } = segment;
        let Ok(content) = content else { return };
        let mut state = content.header.state;
        let mut prev = content.header_hash;
        let pairs = content.records.into_iter().zip(lines);
        for (number, (read, line)) in pairs.enumerate() {
            // It has been replayed once already, or it would not be here.
            let Ok(after) = replay(&state, &read.record) else { break };
            let told = self.memory.take(&state, &read.record, &after);
            let is_new = number >= self.records && read.record.seq > self.seq;
            self.records = self.records.max(number + 1);
            let before = std::mem::replace(&mut prev, read.hash.clone());
            if is_new {
                self.seq = read.record.seq;
                items.push(Item::Entry(Box::new(Entry {
                    file: file.clone(),
                    line_number: number as u64 + 2,
                    line,
                    prev: before.to_string(),
                    hash: read.hash.to_string(),
                    failed: health::failed(&read.record, &after),
                    record: read.record,
                    back: read.back,
                    about: told.about,
                    of: told.of,
                    tried: told.tried,
                    candidate: after.candidate.clone().map(Box::new),
                    on_trial: told.on_trial,
                })));
            }
            state = after;
        }
        self.state = Some(state);
        if let Some(end) = end.filter(|_| !self.told_end) {
            self.told_end = true;
            items.push(Item::Gap(end));
        }
    }
}
