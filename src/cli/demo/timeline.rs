//! The phases of one upgrade, drawn to scale. Everything here is pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::page::seconds;
use crate::machine::{Event, PhaseName, Record};
pub use crate::spans::{DownTime, Span, down_times, spans};

const BAR_CELLS: usize = 34;

/// The records of the first upgrade that stopped the daemon: from its drain to the time when a
/// daemon is up for good, or to the end. Empty where no upgrade stopped it.
#[must_use]
pub fn upgrade(records: &[Record]) -> &[Record] {
    let is_drain = |record: &Record| {
        record.from == PhaseName::Running
            && record.to == PhaseName::Draining
            && !matches!(record.event, Event::StopRequested { .. })
    };
    let Some(first) = records.iter().position(is_drain) else { return &[] };
    let rest = records.get(first..).unwrap_or_default();
    let is_end = |at: usize| {
        let (before, after) = rest.split_at((at + 1).min(rest.len()));
        before.last().is_some_and(|record| record.to == PhaseName::Running) && !crashes_soon(after)
    };
    let end = (0..rest.len()).find(|at| is_end(*at));
    rest.get(..end.map_or(rest.len(), |end| end + 1)).unwrap_or_default()
}

/// Whether a daemon that has just come up ends by itself within its startup period.
fn crashes_soon(after: &[Record]) -> bool {
    let mut starting = after.iter().take_while(|record| record.event != Event::StartupPassed);
    let left = starting.find(|record| record.to != PhaseName::Running);
    left.is_some_and(|record| matches!(record.event, Event::DaemonEnded { .. }))
}

/// A table of the phases with a bar for each, all on one scale. Times are told from `began` on.
/// No line is longer than 80 characters, as long as all is over within 10,000 seconds.
#[must_use]
pub fn draw(spans: &[Span], began: DateTime<Utc>) -> Vec<String> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Vec::new() };
    let (start, whole) = (first.from, last.to - first.from);
    let mut lines = vec![format!("  {:<11} {:>8} {:>8} {:>9}", "phase", "from s", "to s", "ms")];
    lines.extend(spans.iter().map(|span| {
        let bar = bar(span.from - start, span.to - span.from, whole);
        let row = format!(
            "  {:<11} {:>8} {:>8} {:>9}  {bar}",
            span.phase,
            seconds(span.from - began),
            seconds(span.to - began),
            milliseconds(span.to - span.from),
        );
        row.trim_end().to_owned()
    }));
    lines.push(format!("  {:<11} {:>27}", "together", milliseconds(whole)));
    lines
}

/// A duration as `12.3`: milliseconds.
#[must_use]
pub fn milliseconds(time: TimeDelta) -> String {
    let tenths = time.num_microseconds().unwrap_or(i64::MAX).max(0).saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Blocks that stand for `length`, behind as many spaces as stand for `offset`. What is shorter
/// than half a block is a thin line, so that nothing that happened is left out.
fn bar(offset: TimeDelta, length: TimeDelta, whole: TimeDelta) -> String {
    let (from, len) = (cells(offset, whole), cells(length, whole));
    // Rounding both must not lead over the edge.
    let from = from.min(BAR_CELLS - 1);
    let len = len.min(BAR_CELLS - from);
    let blocks = if len == 0 { "▏".to_owned() } else { "█".repeat(len) };
    format!("{}{blocks}", " ".repeat(from))
}

fn cells(part: TimeDelta, whole: TimeDelta) -> usize {
    let us = |time: TimeDelta| i128::from(time.num_microseconds().unwrap_or(i64::MAX).max(0));
    let cells = i128::try_from(BAR_CELLS).unwrap_or_default();
    let (part, whole) = (us(part), us(whole).max(1));
    usize::try_from((part * cells * 2 + whole) / (whole * 2)).unwrap_or(BAR_CELLS).min(BAR_CELLS)
}
