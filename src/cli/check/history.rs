//! What upgrades have cost so far, as the journal tells it.

use chrono::{DateTime, Utc};

use crate::journal::Part;
use crate::machine::{Effect, Event, PhaseName, Record};

/// All records that can be read.
pub(in crate::cli) fn records(parts: &[Part]) -> impl DoubleEndedIterator<Item = &Record> {
    parts.iter().filter_map(|part| match part {
        Part::Record { record, .. } => Some(&**record),
        Part::Note(_) => None,
    })
}

/// Bytes, and the milliseconds that they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Timed {
    pub(in crate::cli) bytes: u64,
    pub(in crate::cli) ms: u64,
}

/// What took less bytes than this took its time for other reasons.
const TELLING_BYTES: u64 = 1024 * 1024;

impl Timed {
    /// So many milliseconds would another number of bytes take; `None` where it was too little to
    /// tell.
    pub(in crate::cli) fn scaled(self, bytes: u64) -> Option<u64> {
        if self.bytes < TELLING_BYTES {
            return (bytes < TELLING_BYTES).then_some(self.ms);
        }
        let ms = u128::from(self.ms.max(1)) * u128::from(bytes) / u128::from(self.bytes);
        u64::try_from(ms).ok()
    }

    pub(in crate::cli) fn per_second(self) -> u64 {
        let rate = u128::from(self.bytes) * 1000 / u128::from(self.ms.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// The last upgrade that was performed with the daemon up before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Down {
    /// From the daemon's being asked to end to the new one's start.
    pub(in crate::cli) ms: u64,
    /// Of that, writing the backup.
    pub(in crate::cli) backup_ms: u64,
    /// The home was copied ahead of the stop.
    pub(in crate::cli) copied_ahead: bool,
    /// What the backup was sized at.
    pub(in crate::cli) home_bytes: Option<u64>,
    /// When.
    pub(in crate::cli) at: DateTime<Utc>,
}

impl Down {
    /// How long the next one would be, with so much in the home.
    ///
    /// A copy ahead leaves what changes, which is taken to be as much as the last time. Without
    /// one the whole home is copied with the daemon down.
    pub(in crate::cli) fn expected_ms(&self, home_bytes: Option<u64>) -> u64 {
        let (Some(then), Some(now), false) = (self.home_bytes, home_bytes, self.copied_ahead)
        else {
            return self.ms;
        };
        let backup = Timed { bytes: then, ms: self.backup_ms }.scaled(now);
        backup.map_or(self.ms, |ms| self.ms.saturating_sub(self.backup_ms).saturating_add(ms))
    }
}

/// The last of each.
#[derive(Debug, Default)]
pub(in crate::cli) struct Past {
    pub(in crate::cli) fetch: Option<Timed>,
    pub(in crate::cli) copy: Option<Timed>,
    pub(in crate::cli) down: Option<Down>,
    walk: Walk,
}

/// What is known of the attempt that the records are just telling.
#[derive(Debug, Default)]
struct Walk {
    fetch_ordered: Option<(u64, DateTime<Utc>)>,
    copy_ordered: Option<(u64, DateTime<Utc>)>,
    seal_ordered: Option<(u64, DateTime<Utc>)>,
    sized: Option<(u64, u64)>,
    copied: Option<u64>,
    backup_ms: u64,
    drained_at: Option<DateTime<Utc>>,
    committed: Option<u64>,
}

impl Past {
    pub(in crate::cli) fn of(parts: &[Part]) -> Self {
        let mut past = Self::default();
        for record in records(parts) {
            past.take(record);
        }
        past
    }

    /// What the last backup was sized at, ahead of an upgrade.
    pub(in crate::cli) fn sized_bytes(&self) -> Option<u64> {
        self.walk.sized.map(|(_, bytes)| bytes)
    }

    fn take(&mut self, record: &Record) {
        if record.from == PhaseName::Running && record.to == PhaseName::Draining {
            self.walk.drained_at = Some(record.at);
            self.walk.committed = None;
            self.walk.backup_ms = 0;
        }
        self.take_event(record);
        for effect in &record.effects {
            self.take_order(effect, record.at);
        }
    }

    fn take_order(&mut self, effect: &Effect, at: DateTime<Utc>) {
        let walk = &mut self.walk;
        if let Effect::FetchBinary { attempt, .. } = effect {
            walk.fetch_ordered = Some((*attempt, at));
        } else if let Effect::CopyHome { attempt, .. } = effect {
            walk.copy_ordered = Some((*attempt, at));
        } else if let Effect::SealBackup { attempt, .. } = effect {
            walk.seal_ordered = Some((*attempt, at));
        }
    }

    fn take_event(&mut self, record: &Record) {
        let (walk, at) = (&mut self.walk, record.at);
        if let Event::BinaryFetched { attempt, bytes, source, .. } = &record.event {
            let ms = since(walk.fetch_ordered, *attempt, at).filter(|_| source.contains("://"));
            self.fetch = ms.map(|ms| Timed { bytes: *bytes, ms }).or(self.fetch);
        } else if let Event::RoomFound { attempt, needed_bytes, .. } = &record.event {
            walk.sized = Some((*attempt, *needed_bytes));
        } else if let Event::HomeCopied { attempt, bytes, .. } = &record.event {
            walk.copied = Some(*attempt);
            let ms = since(walk.copy_ordered, *attempt, at);
            self.copy = ms.map(|ms| Timed { bytes: *bytes, ms }).or(self.copy);
        } else if let Event::BackupSealed { attempt, .. } = &record.event {
            walk.backup_ms = since(walk.seal_ordered, *attempt, at).unwrap_or_default();
        } else if let Event::SwapCommitted { attempt, .. } = &record.event {
            walk.committed = Some(*attempt);
        } else if let Event::SessionStarted { .. }
        | Event::HomeRestored { .. }
        | Event::RestoreSkipped { .. } = &record.event
        {
            // A session that broke off, or a roll-back, tells nothing about an upgrade.
            walk.drained_at = None;
        } else if let Event::DaemonSpawned { .. } = &record.event {
            self.take_start(record);
        }
    }

    fn take_start(&mut self, record: &Record) {
        let walk = &mut self.walk;
        let (drained_at, committed) = (walk.drained_at.take(), walk.committed.take());
        let (Some(drained_at), Some(attempt)) = (drained_at, committed) else { return };
        let Ok(ms) = u64::try_from((record.at - drained_at).num_milliseconds()) else { return };
        self.down = Some(Down {
            ms,
            backup_ms: walk.backup_ms,
            copied_ahead: walk.copied == Some(attempt),
            home_bytes: walk.sized.filter(|sized| sized.0 == attempt).map(|sized| sized.1),
            at: record.at,
        });
    }
}

/// Milliseconds since something was ordered for the same attempt; `None` where the clock was set
/// back meanwhile.
fn since(ordered: Option<(u64, DateTime<Utc>)>, attempt: u64, at: DateTime<Utc>) -> Option<u64> {
    let (_, from) = ordered.filter(|(of, _)| *of == attempt)?;
    u64::try_from((at - from).num_milliseconds()).ok()
}
