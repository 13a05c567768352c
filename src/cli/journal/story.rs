//! What the journal tells of one upgrade. Pure.

use chrono::{DateTime, Utc};

use super::chart::{Chart, Kind, charts};
use super::trail::Entry;
use crate::machine::{
    Archive, Attempt, Binary, Event, Failure, Hold, PhaseName, State, Upgrade, Version,
};

/// Where a binary came from that was not fetched.
const IN_PLACE: &str = "in place";

/// One upgrade, as the journal tells it.
#[derive(Debug)]
pub(in crate::cli) struct Story<'a> {
    /// Its name.
    pub(in crate::cli) name: String,
    /// The records that are about it.
    pub(in crate::cli) entries: Vec<&'a Entry>,
    /// Its announcements, each since the record where it is first seen.
    pub(in crate::cli) announced: Vec<Announced<'a>>,
    /// What ran before, where an attempt has begun.
    pub(in crate::cli) from: Option<Version>,
    /// When it was performed; the last time where that was more than once.
    pub(in crate::cli) performed: Option<DateTime<Utc>>,
    /// When it was rolled back, if that was later.
    pub(in crate::cli) rolled_back: Option<DateTime<Utc>>,
    /// Digest of the file that was its binary last, and where that came from.
    pub(in crate::cli) fetched: Option<(&'a str, &'a str)>,
    /// Its binary, as it was checked.
    pub(in crate::cli) binary: Option<&'a Binary>,
    /// The backup that was made for it, as it is known best.
    pub(in crate::cli) backup: Option<&'a Archive>,
    /// It was performed without a backup.
    pub(in crate::cli) unsafe_skipped: bool,
    /// What failed, and in which record.
    pub(in crate::cli) failures: Vec<(u64, &'a Failure)>,
    /// How it stands at the end of the journal.
    pub(in crate::cli) outcome: Outcome,
    /// Its preparations and attempts.
    pub(in crate::cli) charts: Vec<Chart>,
    /// Something happened to it that no record here tells: what is not told may have been.
    pub(in crate::cli) untold: bool,
}

/// What was announced.
#[derive(Debug)]
pub(in crate::cli) struct Announced<'a> {
    /// The record where it is first seen.
    pub(in crate::cli) seq: u64,
    /// When.
    pub(in crate::cli) at: DateTime<Utc>,
    /// The upgrade.
    pub(in crate::cli) upgrade: &'a Upgrade,
}

/// How an upgrade stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// An attempt, or a roll-back, is in this phase.
    UnderWay(PhaseName),
    /// Performed, and lived through its startup period.
    Performed,
    /// Performed, and not yet lived through its startup period.
    OnTrial,
    /// Rolled back.
    RolledBack,
    /// Held back, or paused, after this failure.
    Held(Failure),
    /// It is being prepared, or ready: what it waits for `upgrades list` tells.
    Prepared,
    /// Queued.
    Queued,
    /// Performed by the history of the data folder, and no record here tells of it.
    InHistory,
    /// Neither performed nor queued any more.
    Gone,
}

impl Outcome {
    /// In words.
    pub(in crate::cli) fn words(&self) -> String {
        match self {
            Self::UnderWay(phase) => format!("under way, in {phase}"),
            Self::Performed => "performed".to_owned(),
            Self::OnTrial => "performed; its startup period is not over".to_owned(),
            Self::RolledBack => "rolled back".to_owned(),
            Self::Held(failure) => format!("held back: {}", failure.text),
            Self::Prepared => "being prepared, or ready and waiting".to_owned(),
            Self::Queued => "queued".to_owned(),
            Self::InHistory => {
                "performed, by the history of the data folder; no record here tells of it"
                    .to_owned()
            }
            Self::Gone => "not performed, and no longer queued".to_owned(),
        }
    }

    /// For programs.
    pub(in crate::cli) fn name(&self) -> &'static str {
        match self {
            Self::UnderWay(_) => "under-way",
            Self::Performed => "performed",
            Self::OnTrial => "on-trial",
            Self::RolledBack => "rolled-back",
            Self::Held(_) => "held",
            Self::Prepared => "prepared",
            Self::Queued => "queued",
            Self::InHistory => "in-history",
            Self::Gone => "gone",
        }
    }
}

impl<'a> Story<'a> {
    /// What these records tell of the upgrade, in a journal that ends with this state.
    pub(in crate::cli) fn of(
        name: &str,
        all: impl Iterator<Item = &'a Entry>,
        end: Option<&'a State>,
        untold: bool,
    ) -> Self {
        let entries: Vec<&Entry> = all.filter(|entry| entry.is_about(name)).collect();
        let charts = charts(name, &entries);
        let mut story = Self {
            name: name.to_owned(),
            entries: Vec::new(),
            announced: Vec::new(),
            from: None,
            performed: None,
            rolled_back: None,
            fetched: None,
            binary: None,
            backup: None,
            unsafe_skipped: false,
            failures: Vec::new(),
            outcome: Outcome::Gone,
            charts,
            untold,
        };
        for entry in &entries {
            story.announcement(entry);
            story.take(entry);
        }
        story.entries = entries;
        if let Some(end) = end {
            story.take_end(end);
            story.outcome = story.outcome(end);
        }
        story
    }

    /// What the state at the end knows, should no record have told it.
    fn take_end(&mut self, end: &'a State) {
        let last = end.performed.as_ref().filter(|last| last.upgrade.name == self.name);
        if let Some(last) = last.filter(|_| self.untold) {
            self.from.get_or_insert_with(|| last.from.clone());
            self.backup = self.backup.or(last.backup.as_ref());
        }
    }

    /// The version that it leads to.
    pub(in crate::cli) fn to(&self) -> Option<Version> {
        self.announced.last().map(|last| last.upgrade.target())
    }

    /// The attempts at it, roll-backs not counted.
    pub(in crate::cli) fn attempts(&self) -> usize {
        let is_attempt = |chart: &&Chart| matches!(&chart.kind, Kind::Attempt(of) if !of.back);
        self.charts.iter().filter(is_attempt).count()
    }

    fn announcement(&mut self, entry: &'a Entry) {
        let Some(upgrade) = announced(&self.name, &entry.record.event) else { return };
        if self.announced.last().is_none_or(|last| last.upgrade != upgrade) {
            let (seq, at) = (entry.record.seq, entry.record.at);
            self.announced.push(Announced { seq, at, upgrade });
        }
    }

    fn take(&mut self, entry: &'a Entry) {
        let record = &entry.record;
        let tried = entry.tried.as_ref().filter(|tried| tried.name == self.name);
        if let Some(tried) = tried.filter(|tried| !tried.back) {
            self.from = Some(tried.from.clone());
        }
        let is_its = entry.of.as_ref() == Some(&self.name);
        match (&record.event, is_its) {
            (Event::BinaryFetched { sha256, source, .. }, true) => {
                // The very file that was fetched before may lie in its place.
                let is_known = self.fetched.is_some_and(|(known, _)| known == sha256);
                if source != IN_PLACE || !is_known {
                    self.fetched = Some((sha256, source));
                }
            }
            (Event::BinaryChecked { binary, .. }, true) => self.binary = Some(binary),
            (Event::BackupSealed { archive, .. } | Event::BackupExamined { archive }, true) => {
                self.backup = Some(archive);
                self.unsafe_skipped = false;
            }
            (Event::BackupSkipped { .. }, true) => self.unsafe_skipped = true,
            (Event::SwapCommitted { .. }, true) if tried.is_some_and(|tried| tried.back) => {
                self.rolled_back = Some(record.at);
            }
            (Event::SwapCommitted { .. }, true) => {
                self.performed = Some(record.at);
                self.rolled_back = None;
            }
            (Event::WorkFailed { failure, .. } | Event::BackupDamaged { failure, .. }, true)
            | (Event::SpawnFailed { failure } | Event::HealthFailed { failure, .. }, _) => {
                self.failures.push((record.seq, failure));
            }
            _ => {}
        }
    }

    fn outcome(&self, end: &State) -> Outcome {
        let is_it = |attempt: &&Attempt| attempt.upgrade.name == self.name;
        if end.phase.attempt().as_ref().is_some_and(is_it) {
            return Outcome::UnderWay(end.phase.name());
        }
        if self.rolled_back.is_some() {
            return Outcome::RolledBack;
        }
        let trial = end.last_performed().filter(|last| last.upgrade.name == self.name);
        if self.performed.is_some() || trial.is_some() {
            let lived = trial.is_none_or(|last| last.lived);
            return if lived { Outcome::Performed } else { Outcome::OnTrial };
        }
        let is_held = |hold: Hold| hold != Hold::Free;
        let mut troubles = end.troubles.iter();
        if let Some(held) = troubles.find(|of| of.name == self.name && is_held(of.hold)) {
            return Outcome::Held(held.failure.clone());
        }
        if end.candidate.as_ref().is_some_and(|candidate| candidate.upgrade.name == self.name) {
            return Outcome::Prepared;
        }
        if end.queue.entries.iter().any(|entry| entry.name == self.name) {
            return Outcome::Queued;
        }
        let is_undone = end.undone.as_ref().is_some_and(|last| last.upgrade.name == self.name);
        match end.queue.performed.contains(&self.name) {
            _ if is_undone => Outcome::RolledBack,
            true => Outcome::InHistory,
            false => Outcome::Gone,
        }
    }
}

/// What an event says of the upgrade of this name.
fn announced<'a>(name: &str, event: &'a Event) -> Option<&'a Upgrade> {
    if let Event::AnnouncementReceived { upgrade } = event {
        return Some(upgrade).filter(|upgrade| upgrade.name == name);
    }
    let queue = if let Event::Recovered { observed, .. } = event {
        observed.queue.as_ref()
    } else if let Event::QueueRead { queue } = event {
        Some(queue)
    } else {
        None
    };
    queue?.entries.iter().find(|entry| entry.name == name)
}
