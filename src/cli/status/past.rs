//! What the records tell that the state after the last of them does not: times, causes, durations.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::health;
use crate::journal::Part;
use crate::machine::{Attempt, Effect, Event, HookCall, PhaseName, Record, Timer, Version};
use crate::narrate;
use crate::spans::{Cost, Spent};

/// The `run` that made the last records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) at: DateTime<Utc>,
    pub(super) pid: u32,
    pub(super) nymvisor: String,
}

/// A start of the daemon that was not the first of its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// When.
    pub at: DateTime<Utc>,
    /// What it came after, in words.
    pub why: String,
}

/// An upgrade, or a roll-back, that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// What ran before.
    pub from: Version,
    /// What was installed.
    pub to: Version,
    /// It was a roll-back.
    pub rolled_back: bool,
    /// When it was committed.
    pub at: DateTime<Utc>,
    /// The phases from the drain to the start, in their order.
    pub phases: Vec<Spent>,
    /// Microseconds without a daemon; `None` where none has come up since.
    pub down_us: Option<u64>,
}

/// The last thing that failed.
pub(super) struct Failing<'a> {
    pub(super) record: &'a Record,
    /// The roll-back that was under way.
    pub(super) back: Option<&'a Attempt>,
    /// Name of the upgrade, where it was one, and is known.
    pub(super) upgrade: Option<String>,
}

/// What is known after the last record.
#[derive(Default)]
pub(super) struct Past<'a> {
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) last_at: Option<DateTime<Utc>>,
    pub(super) session: Option<Session>,
    /// Restarts within the session, and the last of them.
    pub(super) restarts: u64,
    pub(super) last_restart: Option<Restart>,
    /// When the daemon was started last.
    pub(super) spawned_at: Option<DateTime<Utc>>,
    /// Until when an announcement (name, digest) pauses.
    pub(super) pauses: BTreeMap<(String, String), DateTime<Utc>>,
    pub(super) failing: Option<Failing<'a>>,
    pub(super) done: Option<Done>,
    walk: Walk,
}

#[derive(Default)]
struct Walk {
    seen_one: bool,
    started: bool,
    cause: Option<String>,
    names: BTreeMap<u64, String>,
    swap: Option<Swap>,
    /// Number of the record with which the daemon last was up.
    committed: Option<usize>,
}

/// A commit that was ordered.
struct Swap {
    attempt: u64,
    from: Version,
    to: Version,
    rolled_back: bool,
}

impl<'a> Past<'a> {
    pub(super) fn of(parts: &'a [Part]) -> Self {
        let mut past = Self::default();
        let records: Vec<(&Record, Option<&Attempt>)> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Record { record, back, .. } => Some((&**record, back.as_deref())),
                Part::Note(_) => None,
            })
            .collect();
        for (at, (record, back)) in records.iter().enumerate() {
            past.take(record, *back, at);
        }
        past.measure(&records);
        past
    }

    fn take(&mut self, record: &'a Record, back: Option<&'a Attempt>, at: usize) {
        if record.from != record.to || !self.walk.seen_one {
            self.since = Some(record.at);
        }
        self.walk.seen_one = true;
        self.last_at = Some(record.at);
        self.take_event(record, back, at);
        for effect in &record.effects {
            self.take_order(effect, record.at);
        }
    }

    fn take_event(&mut self, record: &'a Record, back: Option<&'a Attempt>, at: usize) {
        if let Event::SessionStarted { nymvisor, pid, .. } = &record.event {
            self.session = Some(Session { at: record.at, pid: *pid, nymvisor: nymvisor.clone() });
            (self.restarts, self.last_restart) = (0, None);
            (self.walk.started, self.walk.cause) = (false, None);
            self.pauses.clear();
        } else if let Event::DaemonSpawned { .. } = &record.event {
            self.spawned_at = Some(record.at);
            if std::mem::replace(&mut self.walk.started, true) {
                self.restarts += 1;
                let why = self.walk.cause.take().unwrap_or_else(|| "it ended".to_owned());
                self.last_restart = Some(Restart { at: record.at, why });
            }
        } else if let Event::SwapCommitted { attempt, .. } = &record.event {
            self.committed(*attempt, record, at);
        }
        if let Some(failing) = self.failing_in(record, back) {
            self.walk.cause = Some(narrate::event(&record.event, back));
            self.failing = Some(failing);
        }
    }

    fn committed(&mut self, attempt: u64, record: &Record, at: usize) {
        let Some(swap) = self.walk.swap.take_if(|swap| swap.attempt == attempt) else { return };
        let how = if swap.rolled_back { "the roll-back to" } else { "the upgrade to" };
        self.walk.cause = Some(format!("{how} {} ({})", swap.to.name, swap.to.version));
        self.walk.committed = Some(at);
        self.done = Some(Done {
            from: swap.from,
            to: swap.to,
            rolled_back: swap.rolled_back,
            at: record.at,
            phases: Vec::new(),
            down_us: None,
        });
    }

    fn failing_in(&self, record: &'a Record, back: Option<&'a Attempt>) -> Option<Failing<'a>> {
        let mut upgrade = None;
        let failed = if let Event::HookEnded { hook, attempt, ending, .. } = &record.event {
            upgrade = attempt.and_then(|attempt| self.walk.names.get(&attempt).cloned());
            hook.decides() && ending.code().is_some()
        } else if let Event::WorkFailed { attempt, .. } = &record.event {
            upgrade = self.walk.names.get(attempt).cloned();
            true
        } else {
            health::is_crash(record) || health::failure(&record.event).is_some()
        };
        if !failed {
            return None;
        }
        Some(Failing { record, back, upgrade })
    }

    fn take_order(&mut self, effect: &Effect, at: DateTime<Utc>) {
        let walk = &mut self.walk;
        if let Effect::StartTimer { timer: Timer::Pause { name, digest }, after_ms } = effect {
            let pause = i64::try_from(*after_ms).ok().and_then(TimeDelta::try_milliseconds);
            if let Some(until) = pause.and_then(|pause| at.checked_add_signed(pause)) {
                self.pauses.insert((name.clone(), digest.clone()), until);
            }
        } else if let Effect::FetchBinary { attempt, upgrade }
        | Effect::CheckBinary { attempt, upgrade }
        | Effect::CopyHome { attempt, upgrade }
        | Effect::TakeLock { attempt, upgrade }
        | Effect::LockRollBack { attempt, upgrade }
        | Effect::SealBackup { attempt, upgrade, .. } = effect
        {
            walk.names.insert(*attempt, upgrade.name.clone());
        } else if let Effect::RunHook(HookCall { attempt: Some(id), upgrade: Some(of), .. }) =
            effect
        {
            walk.names.insert(*id, of.name.clone());
        } else if let Effect::CommitSwap { attempt, upgrade, from, .. } = effect {
            let (from, to) = (from.clone(), upgrade.target());
            walk.swap = Some(Swap { attempt: *attempt, from, to, rolled_back: false });
        } else if let Effect::CommitRollBack { attempt, upgrade, to } = effect {
            let (from, to) = (upgrade.target(), to.clone());
            walk.swap = Some(Swap { attempt: *attempt, from, to, rolled_back: true });
        }
    }

    /// The phases of the last commit: from the drain after the daemon was last up to its next
    /// start, interruptions included.
    fn measure(&mut self, records: &[(&Record, Option<&Attempt>)]) {
        let (Some(done), Some(committed)) = (&mut self.done, self.walk.committed) else { return };
        let (before, after) = records.split_at(committed);
        let is_up = |(record, _): &(&Record, Option<&Attempt>)| record.to == PhaseName::Running;
        let up = before.iter().rposition(is_up).map_or(0, |at| at + 1);
        let is_spawn =
            |(record, _): &(&Record, _)| matches!(record.event, Event::DaemonSpawned { .. });
        let spawn = after.iter().position(is_spawn).map(|at| at + 1);
        let end = committed + spawn.unwrap_or(after.len());
        let slice = records.get(up..end).unwrap_or_default();
        let cost = Cost::of(slice.iter().map(|(record, _)| *record));
        done.phases = cost.phases;
        done.down_us = cost.down_us.filter(|_| spawn.is_some());
    }
}
