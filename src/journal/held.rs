//! The exception: records that are held in memory, because the disk takes none.
//!
//! After a failed write or sync the page cache proves nothing about what is on the medium. So the
//! segment is left as it is, and everything from the doubtful record on is written again, from
//! memory and with its own times, to a new one.

use chrono::{DateTime, Utc};

use super::{Error, Journal, Mishap, segment};
use crate::machine::{Effect, Event, Record, State, Transition};

/// What is held in memory.
#[derive(Debug)]
pub(super) struct Held {
    /// The state after the last durable record.
    since: State,
    /// What is to be told of the journal before, where that is not a failed write.
    mishap: Option<Mishap>,
    pub(super) records: Vec<Record>,
}

impl Held {
    pub(super) fn since(state: State, mishap: Option<Mishap>) -> Self {
        Self { since: state, mishap, records: Vec::new() }
    }

    /// Records that were read, and may not be durable.
    pub(super) fn again(since: State, records: Vec<Record>) -> Self {
        Self { since, mishap: None, records }
    }
}

/// A transition that is recorded in memory alone.
#[must_use = "the effects of a transition have to be performed"]
#[derive(Debug)]
pub struct Unwritten {
    record: Record,
    state: State,
}

/// An effect of a record that is held in memory: one that keeps the daemon up.
#[must_use = "an order has to be carried out"]
#[derive(Debug)]
pub struct HeldOrder {
    effect: Effect,
    seq: u64,
}

impl HeldOrder {
    /// What is ordered, to look at.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The number of the record that orders it.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What is ordered.
    #[must_use]
    pub fn into_effect(self) -> Effect {
        self.effect
    }
}

impl Unwritten {
    /// What is held.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The state that holds now, and what is to be done.
    #[must_use]
    pub fn into_parts(self) -> (State, Vec<HeldOrder>) {
        let Record { seq, effects, .. } = self.record;
        (self.state, effects.into_iter().map(|effect| HeldOrder { effect, seq }).collect())
    }
}

impl Journal {
    /// A write or a sync has failed, and nothing has been written since.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.held.is_some()
    }

    /// Holds a record in memory, if the journal is failing and the record orders nothing but
    /// what [keeps the daemon up](Effect::is_for_supervision).
    pub fn hold(
        &mut self,
        event: &Event,
        transition: &Transition,
        at: DateTime<Utc>,
    ) -> Option<Unwritten> {
        if !transition.effects.iter().all(Effect::is_for_supervision) {
            return None;
        }
        let record = self.record(event, transition, at);
        self.held.as_mut()?.records.push(record.clone());
        Some(Unwritten { record, state: transition.state.clone() })
    }

    /// Writes what is held to a new segment. An error means that everything is as it was.
    pub fn restore(&mut self, at: DateTime<Utc>) -> Result<(), Error> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let restored = self.write_held(&held, at);
        if restored.is_err() {
            self.held = Some(held);
        }
        restored
    }

    fn write_held(&mut self, held: &Held, at: DateTime<Utc>) -> Result<(), Error> {
        let segment = self.segment;
        super::create_folder(&*self.disk, &self.folder)?;
        // The name of the segment before may not be durable: the next must not outlive it.
        let failed = |source| Error::Io { doing: "synced", path: self.folder.clone(), source };
        self.disk.sync_dir(&self.folder).map_err(failed)?;
        let path = segment::path(&self.folder, segment);
        let failed_write = || Mishap::WriteFailed {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            seq: self.seq,
            records: held.records.len() as u64,
        };
        // Before the first segment there is none that could be in doubt.
        let mishap = held.mishap.clone().or_else(|| (segment > 0).then(failed_write));
        self.rotate(&held.since, at, mishap, &held.records)
    }
}
