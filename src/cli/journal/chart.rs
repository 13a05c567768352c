//! What is drawn to scale: what was prepared, and what the phases of an attempt took. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::about::Tried;
use super::trail::Entry;
use super::words;
use crate::machine::{Event, PhaseName, Stage};
use crate::spans::{self, Bar, Down, Lane, is_running};

/// Some stretches of time on one scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Chart {
    /// What it shows.
    pub(in crate::cli) kind: Kind,
    /// The stretches, oldest first.
    pub(in crate::cli) bars: Vec<Bar>,
    /// The times without a daemon.
    pub(in crate::cli) downs: Vec<Down>,
    /// It is not over: no record tells of its end yet.
    pub(in crate::cli) open: bool,
}

/// What a chart shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    /// What was done ahead, while the daemon ran.
    Preparation,
    /// An attempt, from the stop to the time when a daemon is up, or to the end of the record.
    Attempt(Tried),
    /// The new version ended within its startup period.
    Trial,
}

impl Chart {
    fn new(kind: Kind) -> Self {
        Self { kind, bars: Vec::new(), downs: Vec::new(), open: true }
    }

    /// Its beginning and its end.
    pub(in crate::cli) fn ends(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let from = self.bars.iter().map(|bar| bar.from).min()?;
        Some((from, self.bars.iter().map(|bar| bar.to).max()?.max(from)))
    }

    /// How long all of it took, in words: `58.9 ms`, `58.9 ms so far`.
    pub(in crate::cli) fn took(&self) -> String {
        let took = self.ends().map_or(TimeDelta::zero(), |(from, to)| to - from);
        words::duration(took) + if self.open { " so far" } else { "" }
    }

    /// Where a stretch begins and how long it is, in parts of `parts`; at least `least` long, and
    /// never over the edge.
    pub(in crate::cli) fn place(
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
        spans::enter(&mut self.bars, lane, at);
    }

    fn down(&mut self, at: DateTime<Utc>, at_least: bool) {
        spans::down(&mut self.downs, at, at_least);
    }
}

/// The charts of one upgrade, from the records that are about it: oldest first.
pub(in crate::cli) fn charts(name: &str, entries: &[&Entry]) -> Vec<Chart> {
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
            chart.open = false;
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
            chart.bars.pop_if(is_running);
            chart.open = false;
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
    }
    spans::take(&mut chart.bars, &mut chart.downs, record);
}
