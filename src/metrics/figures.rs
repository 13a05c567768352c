//! What is counted, as the records of a session come. No I/O, and no clock.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::tally::Tally;
use crate::health;
use crate::machine::{
    Archive, Attempt, Code, Event, Phase, PhaseName, Record, Restarting, State, Version, Why,
};
use crate::spans::{Cost, Spent};

/// A commit that takes more records than this is not measured: they are kept until the next start.
const KEPT_RECORDS_MAX: usize = 256;

/// What may come of asking upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// It says something else than before.
    Changed,
    /// The same as before.
    Unchanged,
    /// Something that is no announcement.
    Unusable,
    /// No answer, or none that could be taken.
    Failed,
}

/// What became of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Performed,
    RolledBack,
    PreparationFailed,
    AttemptFailed,
    RollBackFailed,
}

/// The last upgrade, or roll-back, that was committed in this session.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) from: Version,
    pub(super) to: Version,
    pub(super) at: DateTime<Utc>,
    pub(super) phases: Vec<Spent>,
    pub(super) down_us: Option<u64>,
}

/// What has been counted since the session began.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) state: Option<State>,
    pub(super) records: u64,
    pub(super) phase_since: Option<DateTime<Utc>>,
    pub(super) in_phase: Tally<PhaseName, Duration>,
    pub(super) down: Duration,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) restarts: Tally<Why, u64>,
    pub(super) crashes: u64,
    pub(super) failures: Tally<Code, u64>,
    pub(super) outcomes: Tally<Outcome, u64>,
    pub(super) last: Option<Last>,
    pub(super) backup: Option<Archive>,
    pub(super) backups_sealed: u64,
    pub(super) backups_damaged: u64,
    pub(super) polls: Tally<Polled, u64>,
    pub(super) polled_at: Option<DateTime<Utc>>,
    pub(super) answered_at: Option<DateTime<Utc>>,
    /// When the sums of time were brought up to date.
    since: Instant,
    /// The records since the daemon was last up.
    kept: Vec<Record>,
    /// It was committed, and the daemon is not up yet.
    committed: Option<Last>,
}

impl Polled {
    pub(super) const ALL: [Self; 4] =
        [Self::Changed, Self::Unchanged, Self::Unusable, Self::Failed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Unusable => "unusable",
            Self::Failed => "failed",
        }
    }
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Performed,
        Self::RolledBack,
        Self::PreparationFailed,
        Self::AttemptFailed,
        Self::RollBackFailed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Performed => "performed",
            Self::RolledBack => "rolled-back",
            Self::PreparationFailed => "preparation-failed",
            Self::AttemptFailed => "attempt-failed",
            Self::RollBackFailed => "roll-back-failed",
        }
    }
}

impl Figures {
    /// Nothing yet. A session begins at `now`, with no daemon up.
    pub(super) fn new(now: Instant) -> Self {
        const RESTARTS: [Why; 4] =
            [Why::DaemonEnded, Why::Upgraded, Why::AttemptFailed, Why::RolledBack];
        Self {
            state: None,
            records: 0,
            phase_since: None,
            in_phase: Tally::of(&PhaseName::ALL),
            down: Duration::ZERO,
            started_at: None,
            restarts: Tally::of(&RESTARTS),
            crashes: 0,
            failures: Tally::of(&Code::ALL),
            outcomes: Tally::of(&Outcome::ALL),
            last: None,
            backup: None,
            backups_sealed: 0,
            backups_damaged: 0,
            polls: Tally::of(&Polled::ALL),
            polled_at: None,
            answered_at: None,
            since: now,
            kept: Vec::new(),
            committed: None,
        }
    }

    /// This record was made, and led to this state.
    pub(super) fn take(&mut self, record: &Record, state: &State, now: Instant) {
        self.pass(now);
        self.records += 1;
        if record.from != record.to || self.phase_since.is_none() {
            self.phase_since = Some(record.at);
        }
        if let Some(code) = health::failed(record, state) {
            self.failures.add(code, 1);
        }
        self.take_daemon(record);
        self.take_upgrade(record, state);
        self.take_backup(&record.event);
        self.state = Some(state.clone());
    }

    /// Upstream was asked at this time.
    pub(super) fn take_poll(&mut self, polled: Polled, at: DateTime<Utc>) {
        self.polls.add(polled, 1);
        self.polled_at = Some(at);
        if polled != Polled::Failed {
            self.answered_at = Some(at);
        }
    }

    /// Brings the sums of time up to date.
    pub(super) fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        self.since = now;
        if let Some(state) = &self.state {
            self.in_phase.add(state.phase.name(), passed);
        }
        if !self.is_up() {
            self.down += passed;
        }
    }

    /// Whether a daemon that serves is up.
    pub(super) fn is_up(&self) -> bool {
        self.state.as_ref().is_some_and(health::is_up)
    }

    fn take_daemon(&mut self, record: &Record) {
        if let Event::DaemonSpawned { .. } = &record.event {
            let is_first = self.started_at.replace(record.at).is_none();
            let why = self.state.as_ref().and_then(|state| why(&state.phase));
            if let (false, Some(why)) = (is_first, why) {
                self.restarts.add(why, 1);
            }
        } else if health::is_crash(record) {
            self.crashes += 1;
        }
    }

    fn take_upgrade(&mut self, record: &Record, state: &State) {
        let under_way = self.state.as_ref().and_then(|state| state.phase.attempt());
        if let Event::SwapCommitted { .. } = &record.event {
            let back = under_way.is_some_and(|attempt| attempt.back.is_some());
            let outcome = if back { Outcome::RolledBack } else { Outcome::Performed };
            self.outcomes.add(outcome, 1);
            self.committed = self.state.as_ref().map(|before| Last {
                from: before.installed.clone(),
                to: state.installed.clone(),
                at: record.at,
                phases: Vec::new(),
                down_us: None,
            });
        } else if let Event::WorkFailed { attempt, .. } = &record.event {
            self.outcomes.add(failed(*attempt, under_way), 1);
        }
        self.measure(record);
    }

    /// Keeps what a commit is measured by, and measures it once the daemon is up again.
    fn measure(&mut self, record: &Record) {
        if self.kept.len() < KEPT_RECORDS_MAX {
            self.kept.push(record.clone());
        }
        if record.to != PhaseName::Running {
            return;
        }
        let kept = std::mem::take(&mut self.kept);
        if let Some(last) = self.committed.take() {
            let is_whole = kept.len() < KEPT_RECORDS_MAX;
            let Cost { phases, down_us } =
                if is_whole { Cost::of(kept.iter()) } else { Cost::default() };
            self.last = Some(Last { phases, down_us, ..last });
        }
    }

    fn take_backup(&mut self, event: &Event) {
        if let Event::BackupSealed { archive, .. } = event {
            self.backups_sealed += 1;
            self.backup = Some(archive.clone());
        } else if let Event::BackupDamaged { .. } = event {
            self.backups_damaged += 1;
        }
    }
}

/// What a start that is due comes after.
fn why(phase: &Phase) -> Option<Why> {
    if let Phase::Restarting(Restarting { why, .. }) = phase { Some(*why) } else { None }
}

fn failed(attempt: u64, under_way: Option<&Attempt>) -> Outcome {
    match under_way.filter(|of| of.id == attempt) {
        None => Outcome::PreparationFailed,
        Some(of) if of.back.is_some() => Outcome::RollBackFailed,
        Some(_) => Outcome::AttemptFailed,
    }
}
