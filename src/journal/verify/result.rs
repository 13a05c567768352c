//! What a verification finds.

use std::collections::BTreeMap;

use super::super::{Hash, Pruned};
use crate::machine::{Archive, State, Upgrade};

/// What can be wrong, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A line is not as it was sealed, is foreign, or does not follow the one before it.
    Chain,
    /// A number is not the next one, or a file is missing.
    Sequence,
    /// The machine would not have made the transition.
    Illegal,
    /// The files on disk say something else.
    Files,
    /// The head that was asked for is not in the chain.
    Head,
    /// A damaged part was set aside by an earlier `run`.
    SetAside,
}

impl FaultKind {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Sequence => "sequence",
            Self::Illegal => "illegal",
            Self::Files => "files",
            Self::Head => "head",
            Self::SetAside => "set-aside",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// Name of the file in the journal's folder; `None` where it is about no file of it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// Number of the record that stands there, or should.
    pub seq: Option<u64>,
    /// What is wrong, in words.
    pub text: String,
}

/// Where a hash stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The segment's file name.
    pub file: String,
    /// The line, from 1; the first is the segment's header.
    pub line: u64,
    /// Number of the record; of the one before it, for a header.
    pub seq: u64,
    /// How many records came after it.
    pub after: u64,
}

/// What a journal ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// The segment's file name.
    pub file: String,
    /// Number of the last record.
    pub seq: u64,
    /// Hash of the last line.
    pub head: Hash,
    /// The state that the records lead to.
    pub state: State,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of segments.
    pub segments: u64,
    /// Number of records that are whole, legal and not superseded.
    pub records: u64,
    /// The end; `None` where there is none that can be read.
    pub last: Option<Last>,
    /// Where the hash that was asked for stands.
    pub found: Option<Found>,
    /// What is wrong, in the order of the journal.
    pub faults: Vec<Fault>,
    /// What is odd, and no fault.
    pub notes: Vec<String>,
    /// What was pruned before all of that.
    pub pruned: Option<Pruned>,
    /// The upgrades that were committed, oldest first.
    pub committed: Vec<Upgrade>,
    /// The backups that were sealed, by path.
    pub archives: BTreeMap<String, Archive>,
}
