//! How long records say that something took: phases, and times without a daemon. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::machine::{Event, PhaseName, Record};

/// A stretch of time in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The phase.
    pub phase: PhaseName,
    /// When it was entered.
    pub from: DateTime<Utc>,
    /// When it was left, or when the last record in it was made.
    pub to: DateTime<Utc>,
}

/// How long no daemon was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownTime {
    /// When the daemon ended.
    pub from: DateTime<Utc>,
    /// When one was up again; `None` where none was.
    pub to: Option<DateTime<Utc>>,
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
    pub fn of(records: &[Record]) -> Self {
        let spent = |span: &Span| Spent { phase: span.phase, us: micros(span.to - span.from) };
        let downs = down_times(records);
        let told = downs.iter().map(|down| down.to.map(|to| micros(to - down.from)));
        let down_us = told.sum::<Option<u64>>().filter(|_| !downs.is_empty());
        Self { phases: spans(records).iter().map(spent).collect(), down_us }
    }
}

/// The phases that these records went through. A `Running` at their end is not among them: it
/// goes on.
#[must_use]
pub fn spans(records: &[Record]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for record in records {
        if let Some(open) = spans.last_mut() {
            open.to = record.at;
        }
        if spans.last().is_none_or(|open| open.phase != record.to) {
            spans.push(Span { phase: record.to, from: record.at, to: record.at });
        }
    }
    if spans.last().is_some_and(|last| last.phase == PhaseName::Running) {
        spans.pop();
    }
    spans
}

/// The times without a daemon in these records, oldest first.
#[must_use]
pub fn down_times(records: &[Record]) -> Vec<DownTime> {
    let mut times: Vec<DownTime> = Vec::new();
    for record in records {
        let open = times.last_mut().filter(|time| time.to.is_none());
        match (&record.event, open) {
            (Event::DaemonEnded { .. }, None) => {
                times.push(DownTime { from: record.at, to: None });
            }
            (Event::DaemonSpawned { .. }, Some(open)) => open.to = Some(record.at),
            _ => {}
        }
    }
    times
}

fn micros(time: TimeDelta) -> u64 {
    time.num_microseconds().and_then(|us| u64::try_from(us).ok()).unwrap_or_default()
}
