//! The chapters of the tour, and which of them is told.

use super::{NEW, OLD};
use crate::machine::{Event, PhaseName, Record};

/// A part of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chapter {
    /// The old version runs.
    Node,
    /// The new one is announced.
    Release,
    /// All is made ready while the daemon runs.
    Preparation,
    /// The daemon is stopped, and one is up again.
    Upgrade,
    /// What is there afterwards.
    OnRecord,
}

/// How far a chapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Over, as it should be.
    Done,
    /// Over, and something failed in it.
    Failed,
    /// It is told now.
    Now,
    /// It comes later, or never.
    Later,
}

impl Stand {
    /// What stands before a line.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Done => "[x]",
            Self::Failed => "[!]",
            Self::Now => "[>]",
            Self::Later => "[ ]",
        }
    }
}

impl Chapter {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 5] =
        [Self::Node, Self::Release, Self::Preparation, Self::Upgrade, Self::OnRecord];

    /// Its number and its title, no longer than 33 characters.
    pub(super) fn title(self) -> String {
        match self {
            Self::Node => format!("1. A node runs, version {OLD}"),
            Self::Release => format!("2. Upstream announces {NEW}"),
            Self::Preparation => "3. Prepared while the node runs".to_owned(),
            Self::Upgrade => "4. Due: stop, back up, swap, start".to_owned(),
            Self::OnRecord => "5. What is on the record".to_owned(),
        }
    }

    /// The chapter that begins with a record.
    pub(super) fn begun_by(record: &Record) -> Option<Self> {
        if let Event::AnnouncementReceived { .. } = record.event {
            return Some(Self::Preparation);
        }
        let is_asked = matches!(record.event, Event::StopRequested { .. });
        let is_stop = record.from == PhaseName::Running && record.to == PhaseName::Draining;
        (is_stop && !is_asked).then_some(Self::Upgrade)
    }

    /// How far it is, by the records so far.
    pub(super) fn stand<'a>(
        self,
        records: impl Iterator<Item = &'a Record>,
        released: bool,
    ) -> Stand {
        let far = Far::of(records, released);
        let known = |is_over: bool, is_now: bool| match (is_over, is_now) {
            (true, _) => Stand::Done,
            (false, true) => Stand::Now,
            (false, false) => Stand::Later,
        };
        match self {
            Self::Node => known(far.reached > self, true),
            Self::Preparation if far.held => Stand::Failed,
            Self::Upgrade if far.failed => Stand::Failed,
            Self::Release | Self::Preparation => known(far.reached > self, far.reached == self),
            Self::Upgrade => known(far.upgraded, far.reached == self),
            Self::OnRecord => Stand::Later,
        }
    }
}

/// How far the tour is.
#[derive(Debug)]
struct Far {
    reached: Chapter,
    /// The preparation failed.
    held: bool,
    /// The attempt failed, or the new version was given up.
    failed: bool,
    /// The new version is up.
    upgraded: bool,
}

impl Far {
    fn of<'a>(records: impl Iterator<Item = &'a Record>, released: bool) -> Self {
        let mut far = Self { reached: Chapter::Node, held: false, failed: false, upgraded: false };
        let mut committed = false;
        for record in records {
            far.reached = far.reached.max(Chapter::begun_by(record).unwrap_or(Chapter::Node));
            far.failed |= record.to == PhaseName::Failed;
            far.held |= matches!(record.event, Event::WorkFailed { .. })
                && record.from == PhaseName::Running;
            committed |= matches!(record.event, Event::SwapCommitted { .. });
            far.upgraded |= committed && matches!(record.event, Event::DaemonSpawned { .. });
        }
        if released {
            far.reached = far.reached.max(Chapter::Release);
        }
        far
    }
}
