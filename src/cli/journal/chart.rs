//! Stretches of time, to be drawn to scale: what was prepared, and what the phases of an attempt
//! took. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::about::Tried;
use super::trail::Entry;
use crate::machine::{Event, PhaseName, Stage};

/// Some stretches of time on one scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chart {
    /// What it shows.
    pub(super) kind: Kind,
    /// The stretches, oldest first.
    pub(super) bars: Vec<Bar>,
    /// The times without a daemon.
    pub(super) downs: Vec<Down>,
}

/// What a chart shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// What was done ahead, while the daemon ran.
    Preparation,
    /// An attempt, from the stop to the time when a daemon is up, or to the end of the record.
    Attempt(Tried),
    /// The new version ended within its startup period.
    Trial,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    /// What it was spent in.
    pub(super) lane: Lane,
    /// When it was entered.
    pub(super) from: DateTime<Utc>,
    /// When it was left, or when the last record in it was made.
    pub(super) to: DateTime<Utc>,
}

/// What time is spent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// A phase.
    Phase(PhaseName),
    /// A step of the preparation.
    Step(&'static str),
    /// No nymvisor was up.
    Away,
}

impl Lane {
    /// Its name, no longer than 11 characters.
    pub(super) fn name(self) -> String {
        match self {
            Self::Phase(phase) => phase.to_string(),
            Self::Step(step) => step.to_owned(),
            Self::Away => "(not up)".to_owned(),
        }
    }
}

/// A time without a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Down {
    /// When the daemon ended; when that was seen, where `at_least` is set.
    pub(super) from: DateTime<Utc>,
    /// When one was up again; `None` where none was.
    pub(super) to: Option<DateTime<Utc>>,
    /// It ended earlier, and nobody was there to see when.
    pub(super) at_least: bool,
}

impl Down {
    /// How long: `5.8 ms`, `at least 2.0 s`, `for good`.
    pub(super) fn words(self) -> String {
        match self.to {
            None => "for good".to_owned(),
            Some(to) if self.at_least => {
                format!("at least {}", super::words::duration(to - self.from))
            }
            Some(to) => super::words::duration(to - self.from),
        }
    }
}

impl Chart {
    fn new(kind: Kind) -> Self {
        Self { kind, bars: Vec::new(), downs: Vec::new() }
    }

    /// Its beginning and its end.
    pub(super) fn ends(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let from = self.bars.iter().map(|bar| bar.from).min()?;
        Some((from, self.bars.iter().map(|bar| bar.to).max()?.max(from)))
    }

    /// How long all of it took.
    pub(super) fn whole(&self) -> TimeDelta {
        self.ends().map_or(TimeDelta::zero(), |(from, to)| to - from)
    }

    /// Where a stretch begins and how long it is, in parts of `parts`; at least `least` long, and
    /// never over the edge.
    pub(super) fn place(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        parts: i64,
        least: i64,
    ) -> (i64, i64) {
        let Some((begin, end)) = self.ends() else { return (0, least) };
        let us = |time: TimeDelta| i128::from(time.num_microseconds().unwrap_or(i64::MAX).max(0));
        let whole = us(end - begin).max(1);
        let scaled = |at: DateTime<Utc>| {
            let part = us(at - begin).min(whole) * i128::from(parts) * 2 + whole;
            i64::try_from(part / (whole * 2)).unwrap_or(parts)
        };
        let (left, right) = (scaled(from), scaled(to.max(from)));
        let length = (right - left).max(least);
        (left.min(parts - length).max(0), length)
    }

    fn enter(&mut self, lane: Lane, at: DateTime<Utc>) {
        if let Some(open) = self.bars.last_mut() {
            open.to = at;
        }
        if self.bars.last().is_none_or(|open| open.lane != lane) {
            self.bars.push(Bar { lane, from: at, to: at });
        }
    }

    fn down(&mut self, at: DateTime<Utc>, at_least: bool) {
        if self.downs.last().is_none_or(|down| down.to.is_some()) {
            self.downs.push(Down { from: at, to: None, at_least });
        }
    }

    fn up(&mut self, at: DateTime<Utc>) {
        if let Some(down) = self.downs.last_mut().filter(|down| down.to.is_none()) {
            down.to = Some(at);
        }
    }
}

/// The charts of one upgrade, from the records that are about it: oldest first.
pub(super) fn charts(name: &str, entries: &[&Entry]) -> Vec<Chart> {
    let mut charts = preparations(name, entries);
    charts.extend(attempts(name, entries));
    charts.sort_by_key(Chart::ends);
    charts
}

/// What was prepared ahead, until it was dropped or the daemon was stopped.
fn preparations(name: &str, entries: &[&Entry]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut open: Option<Chart> = None;
    for entry in entries {
        let candidate = entry.candidate.as_ref().filter(|found| found.upgrade.name == name);
        if let Some(candidate) = candidate {
            let chart = open.get_or_insert_with(|| Chart::new(Kind::Preparation));
            chart.enter(Lane::Step(step(&candidate.stage)), entry.record.at);
        } else if let Some(mut chart) = open.take() {
            if let Some(last) = chart.bars.last_mut() {
                last.to = entry.record.at;
            }
            charts.push(chart);
        }
    }
    charts.extend(open);
    charts
}

fn step(stage: &Stage) -> &'static str {
    match stage {
        Stage::Fetching => "fetch",
        Stage::Checking => "build info",
        Stage::Sizing(_) => "room",
        Stage::Copying(_) => "copy",
        Stage::Ready(_) => "ready",
        Stage::Hooking(_) => "command",
        Stage::Refreshing(_) => "refresh",
        Stage::Locking(_) => "lock",
        Stage::Locked(_) => "locked",
    }
}

/// The attempts, each until a daemon is up, and what followed in the startup period.
fn attempts(name: &str, entries: &[&Entry]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut open: Option<Chart> = None;
    let mut before: Option<DateTime<Utc>> = None;
    for entry in entries {
        if open.is_none() {
            open = begin(name, entry);
        } else if let (Some(chart), Some(before)) = (&mut open, before) {
            go_on(chart, entry, before);
        }
        before = Some(entry.record.at);
        if entry.record.to == PhaseName::Running
            && let Some(mut chart) = open.take()
        {
            // It goes on.
            chart.bars.pop_if(|bar| bar.lane == Lane::Phase(PhaseName::Running));
            charts.push(chart);
        }
    }
    charts.extend(open);
    charts
}

fn begin(name: &str, entry: &Entry) -> Option<Chart> {
    let record = &entry.record;
    if record.to == PhaseName::Running {
        return None;
    }
    let tried = entry.tried.as_ref().filter(|tried| tried.name == name);
    let crashed = matches!(&record.event, Event::DaemonEnded { ending, .. } if ending.is_crash());
    let is_on_trial = entry.on_trial.as_deref() == Some(name);
    let kind = match tried {
        Some(tried) => Kind::Attempt(tried.clone()),
        None if is_on_trial && crashed && record.from == PhaseName::Running => Kind::Trial,
        None => return None,
    };
    let mut chart = Chart::new(kind);
    chart.enter(Lane::Phase(record.to), record.at);
    if let Event::DaemonEnded { .. } = record.event {
        chart.down(record.at, false);
    } else if record.from != PhaseName::Running {
        // None was up to begin with.
        chart.down(record.at, true);
    }
    Some(chart)
}

fn go_on(chart: &mut Chart, entry: &Entry, before: DateTime<Utc>) {
    let record = &entry.record;
    if let (Kind::Attempt(known), Some(tried)) = (&mut chart.kind, &entry.tried) {
        // How often it was taken up shows only in the end.
        if known.id == tried.id && known.back == tried.back {
            *known = tried.clone();
        }
    } else if let (Kind::Trial, Some(tried)) = (&chart.kind, &entry.tried) {
        chart.kind = Kind::Attempt(tried.clone());
    }
    if let Event::SessionStarted { .. } = record.event {
        chart.enter(Lane::Away, before);
        chart.down(record.at, true);
    } else if let Event::DaemonEnded { .. } = record.event {
        chart.down(record.at, false);
    } else if let Event::DaemonSpawned { .. } = record.event {
        chart.up(record.at);
    }
    chart.enter(Lane::Phase(record.to), record.at);
}
