//! How long records say that something took: phases, and times without a daemon. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::machine::{Event, PhaseName, Record};

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What it was spent in.
    pub lane: Lane,
    /// When it was entered.
    pub from: DateTime<Utc>,
    /// When it was left, or when the last record in it was made.
    pub to: DateTime<Utc>,
}

/// What time is spent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A phase.
    Phase(PhaseName),
    /// A step of the preparation.
    Step(&'static str),
    /// No nymvisor was up.
    Away,
}

impl Lane {
    /// Its name, no longer than 11 characters.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Phase(phase) => phase.to_string(),
            Self::Step(step) => step.to_owned(),
            Self::Away => "(not up)".to_owned(),
        }
    }
}

/// A time without a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down {
    /// When the daemon ended; when that was seen, where `at_least` is set.
    pub from: DateTime<Utc>,
    /// When one was up again; `None` where none was.
    pub to: Option<DateTime<Utc>>,
    /// It ended earlier, and nobody was there to see when.
    pub at_least: bool,
}

/// How long a phase took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// The phase.
    pub phase: PhaseName,
    /// Microseconds in it.
    pub us: u64,
}

/// What a commit took, from the drain to the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// The phases in their order.
    pub phases: Vec<Spent>,
    /// Microseconds without a daemon; `None` where none has come up since, or none was up before.
    pub down_us: Option<u64>,
}

impl Cost {
    /// What these records tell: from the first after the daemon was last up to its next start, or
    /// to the last that there is.
    #[must_use]
    pub fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let (bars, downs) = spans(records);
        let spent = bars.iter().filter_map(|bar| match bar.lane {
            Lane::Phase(phase) => Some(Spent { phase, us: micros(bar.to - bar.from) }),
            Lane::Step(_) | Lane::Away => None,
        });
        let told = downs.iter().map(|down| down.to.map(|to| micros(to - down.from)));
        let down_us = told.sum::<Option<u64>>().filter(|_| !downs.is_empty());
        Self { phases: spent.collect(), down_us }
    }
}

/// From `at` on, time is spent in `lane`.
pub fn enter(bars: &mut Vec<Bar>, lane: Lane, at: DateTime<Utc>) {
    if let Some(open) = bars.last_mut() {
        open.to = at;
    }
    if bars.last().is_none_or(|open| open.lane != lane) {
        bars.push(Bar { lane, from: at, to: at });
    }
}

/// No daemon is up from `at` on, or longer.
pub fn down(downs: &mut Vec<Down>, at: DateTime<Utc>, at_least: bool) {
    if downs.last().is_none_or(|down| down.to.is_some()) {
        downs.push(Down { from: at, to: None, at_least });
    }
}

/// What a record adds: the phase that it leads to, and whether a daemon is up.
pub fn take(bars: &mut Vec<Bar>, downs: &mut Vec<Down>, record: &Record) {
    if let Event::DaemonEnded { .. } = record.event {
        down(downs, record.at, false);
    } else if let Event::DaemonSpawned { .. } = record.event
        && let Some(down) = downs.last_mut().filter(|down| down.to.is_none())
    {
        down.to = Some(record.at);
    }
    enter(bars, Lane::Phase(record.to), record.at);
}

/// The phases of these records and the times without a daemon. A time without a nymvisor counts to
/// the phase before it; a `Running` at their end is not among them, for it goes on.
#[must_use]
pub fn spans<'a>(records: impl Iterator<Item = &'a Record>) -> (Vec<Bar>, Vec<Down>) {
    let (mut bars, mut downs) = (Vec::new(), Vec::new());
    records.for_each(|record| take(&mut bars, &mut downs, record));
    bars.pop_if(is_running);
    (bars, downs)
}

/// Whether the daemon is up in it.
#[must_use]
pub fn is_running(bar: &mut Bar) -> bool {
    bar.lane == Lane::Phase(PhaseName::Running)
}

fn micros(time: TimeDelta) -> u64 {
    time.num_microseconds().and_then(|us| u64::try_from(us).ok()).unwrap_or_default()
}
