//! The journal remembers.
//!
//! A folder of segments, each a file of JSON Lines: first a [`Header`] with the state at its
//! beginning, then one [`Record`] a line. Every line carries the SHA-256 of the one before
//! (`prev`) and its own (`hash`), across segments too.
//!
//! **Law 1, write-ahead.** Effects can be had only from a [`Committed`] transition, and that only
//! from [`Journal::append`], after the record's bytes are synced. There is no other way to make an
//! [`Order`], so that performing something unrecorded does not compile. The one exception has a
//! type of its own: while nothing can be written, records are [held in memory](HeldOrder) and may
//! order what keeps the daemon up.
//!
//! ```compile_fail,E0451
//! # use nymvisor::{journal::Order, machine::Effect};
//! let order = Order { effect: Effect::ReleaseLock, seq: 1 }; // its fields are private
//! ```
//!
//! ```compile_fail,E0451
//! # use nymvisor::{journal::Committed, machine::{Record, State}};
//! fn commit(record: Record, state: State) -> Committed {
//!     Committed { record, state } // its fields are private
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use nymvisor::{host::Host, machine::Transition};
//! fn hasty<H: Host>(host: &mut H, transition: Transition) {
//!     for effect in transition.effects {
//!         host.perform(effect); // an effect is no order
//!     }
//! }
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, DiskFile};
use crate::machine::{Effect, Event, PhaseName, Record, State, Transition};

mod chain;
mod held;
mod open;
mod prune;
mod pruned;
mod read;
mod reserve;
mod segment;
mod verify;

pub use chain::{BadLine, Hash};
use held::Held;
pub use held::{HeldOrder, Unwritten};
pub use open::{Opened, open};
pub use prune::{Review, Reviewed, SegmentFate, review};
pub use pruned::Pruned;
pub use read::{
    End, Part, Reading, Segment, describe, last_state, read, read_from, read_to_end, state_of_any,
};
pub use reserve::{RESERVE_BYTES, reserve};
pub use segment::{Content, Line, Rest, read_segment, segments};
pub use verify::{Fault, FaultKind, Found, Last, Verified, verify};

/// The version of the format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// A segment that has grown past this many bytes is followed by a new one; while no daemon is up,
/// only at twice that.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;

/// Mode bits of the journal's files: they tell paths and users.
const FILE_MODE: u32 = 0o600;

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// Id of the instance.
    pub instance: String,
    /// Name of the daemon.
    pub daemon: String,
    /// Number of the segment, from 1.
    pub segment: u64,
    /// When it was begun, UTC.
    pub at: DateTime<Utc>,
    /// Number of the last record before it; 0 where there is none.
    pub seq: u64,
    /// What happened to the journal before it, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Mishap>,
    /// The state at its beginning.
    pub state: State,
}

/// Why a segment was begun before the last one was full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mishap {
    /// The last line of the segment before was cut short by a crash. It ordered nothing.
    TornTail {
        /// The segment's file name.
        file: String,
        /// Bytes that were cut off.
        bytes: u64,
        /// Name of the file that keeps them.
        kept_as: String,
    },
    /// The segment before could not be written or synced. What it holds after record `seq` is in
    /// doubt, and stands here again.
    WriteFailed {
        /// The segment's file name.
        file: String,
        /// The last record of it that is durable.
        seq: u64,
        /// Records that were held in memory meanwhile.
        records: u64,
    },
    /// The segment before is damaged. It is set aside whole; a new chain begins, and the state is
    /// what the disk says.
    Damaged {
        /// Name that the file has now.
        kept_as: String,
        /// Its SHA-256 (hex); that of nothing where it was no file.
        sha256: String,
        /// The first bad line, from 1; 0 where it was no file.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Id of the instance.
    pub instance: String,
    /// Name of the daemon.
    pub daemon: String,
}

/// What the journal could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused a file operation.
    #[error("the journal {path} could not be {doing}: {source}")]
    Io {
        /// What was being done, as a past participle.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Records are held in memory, and nothing may be written before them.
    #[error("the journal can't be written at present; records are held in memory")]
    Failing,
    /// A value could not be written as JSON.
    #[error("a record could not be put into words: {0}")]
    Json(#[from] serde_json::Error),
}

/// The journal of one instance, open for writing.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    owner: Owner,
    session: String,
    /// `None` only while the journal is failing and no segment is begun.
    file: Option<Box<dyn DiskFile>>,
    segment: u64,
    bytes: u64,
    bytes_max: u64,
    seq: u64,
    head: Hash,
    held: Option<Held>,
}

/// A transition whose record is durable: from here on its effects may begin.
#[must_use = "the effects of a committed transition have to be performed"]
#[derive(Debug)]
pub struct Committed {
    record: Record,
    state: State,
}

/// An effect that a durable record orders. Only the journal makes one.
#[must_use = "an order has to be carried out"]
#[derive(Debug)]
pub struct Order {
    effect: Effect,
    seq: u64,
}

impl Order {
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

impl Committed {
    /// What was written.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The state that holds now, and what is to be done.
    #[must_use]
    pub fn into_parts(self) -> (State, Vec<Order>) {
        let Record { seq, effects, .. } = self.record;
        (self.state, effects.into_iter().map(|effect| Order { effect, seq }).collect())
    }
}

impl Journal {
    /// Writes what `event` led to and makes it durable: one write, one sync.
    ///
    /// An error means that it is not durable, whatever is in the file. The journal is
    /// [failing](Self::is_failing) from then on, until it is [restored](Self::restore).
    pub fn append(
        &mut self,
        before: &State,
        event: &Event,
        transition: &Transition,
        at: DateTime<Utc>,
    ) -> Result<Committed, Error> {
        if self.held.is_some() {
            return Err(Error::Failing);
        }
        let record = self.record(event, transition, at);
        let (mut line, mut hash) = chain::seal(&record, &self.head)?;
        if let Err(error) = self.write(&line) {
            self.held = Some(Held::since(before.clone(), None));
            if !self.make_room(&error) || self.restore(at).is_err() {
                return Err(error);
            }
            // A new segment is begun, in the room that was reserved.
            (line, hash) = chain::seal(&record, &self.head)?;
            if let Err(error) = self.write(&line) {
                self.held = Some(Held::since(before.clone(), None));
                return Err(error);
            }
        }
        self.seq = record.seq;
        self.head = hash;
        self.bytes += line.len() as u64;
        let state = transition.state.clone();
        if self.is_full(&state) && self.rotate(&state, at, None, &[]).is_err() {
            // The record itself is durable. Whether the next segment is begun is in doubt, so
            // nothing more may be written to this one.
            self.held = Some(Held::since(state.clone(), None));
        }
        Ok(Committed { record, state })
    }

    /// While no daemon is up a segment grows on: the next is begun once nobody waits for it.
    fn is_full(&self, state: &State) -> bool {
        let may_wait = state.phase.name() != PhaseName::Running;
        self.bytes > if may_wait { 2 * self.bytes_max } else { self.bytes_max }
    }

    /// Gives up what is reserved, where that may help.
    fn make_room(&self, error: &Error) -> bool {
        error.is_for_want_of_room() && reserve::give_up(&*self.disk, &self.folder)
    }

    /// Hash of the last line: who writes it down elsewhere can prove later what it covers.
    #[must_use]
    pub fn head(&self) -> &Hash {
        &self.head
    }

    /// The session whose records it writes.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    fn record(&self, event: &Event, transition: &Transition, at: DateTime<Utc>) -> Record {
        let held = self.held.as_ref().map_or(0, |held| held.records.len() as u64);
        Record {
            seq: self.seq + held + 1,
            at,
            session: self.session.clone(),
            from: transition.from,
            event: event.clone(),
            to: transition.state.phase.name(),
            effects: transition.effects.clone(),
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Error> {
        let path = segment::path(&self.folder, self.segment);
        let failed = |doing| move |source| Error::Io { doing, path, source };
        let Some(file) = &mut self.file else {
            return Err(failed("opened")(std::io::ErrorKind::NotFound.into()));
        };
        file.write_all(line).map_err(failed.clone()("written"))?;
        file.sync().map_err(failed("synced"))
    }

    /// Begins the next segment, with these records.
    fn rotate(
        &mut self,
        state: &State,
        at: DateTime<Utc>,
        after: Option<Mishap>,
        records: &[Record],
    ) -> Result<(), Error> {
        let header = Header {
            format: FORMAT,
            instance: self.owner.instance.clone(),
            daemon: self.owner.daemon.clone(),
            segment: self.segment + 1,
            at,
            seq: self.seq,
            after,
            state: state.clone(),
        };
        let begun = segment::begin(&*self.disk, &self.folder, &header, &self.head, records)?;
        self.seq += records.len() as u64;
        self.segment = header.segment;
        self.file = Some(begun.file);
        self.bytes = begun.bytes;
        self.head = begun.head;
        Ok(())
    }
}

/// Creates the journal's folder, readable by its owner alone.
pub fn create_folder(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk::create_dirs(disk, folder, 0o700).map_err(|source| Error::Io {
        doing: "created",
        path: folder.to_owned(),
        source,
    })
}
