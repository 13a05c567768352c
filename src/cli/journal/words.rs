//! Durations and times in words.

use chrono::{DateTime, TimeDelta, Utc};

use crate::spans::Down;

/// A duration in its two largest units: `250 µs`, `5.8 ms`, `4.2 s`, `3 min 20 s`, `2 d 4 h`.
pub(in crate::cli) fn duration(time: TimeDelta) -> String {
    let us = time.num_microseconds().unwrap_or(i64::MAX).max(0);
    let seconds = us / 1_000_000;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => tenths(us / 100, "ms"),
        1_000_000..60_000_000 => tenths(us / 100_000, "s"),
        _ if seconds < 3_600 => two(seconds, (60, "min"), (1, "s")),
        _ if seconds < 86_400 => two(seconds, (3_600, "h"), (60, "min")),
        _ => two(seconds, (86_400, "d"), (3_600, "h")),
    }
}

/// How long no daemon was up: `5.8 ms`, `at least 2.0 s`, `for good`.
pub(in crate::cli) fn down(down: &Down) -> String {
    match down.to {
        None => "for good".to_owned(),
        Some(to) if down.at_least => format!("at least {}", duration(to - down.from)),
        Some(to) => duration(to - down.from),
    }
}

fn tenths(tenths: i64, unit: &str) -> String {
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn two(seconds: i64, large: (i64, &str), small: (i64, &str)) -> String {
    let rest = seconds % large.0 / small.0;
    match rest {
        0 => format!("{} {}", seconds / large.0, large.1),
        rest => format!("{} {} {rest} {}", seconds / large.0, large.1, small.1),
    }
}

/// A time as the records have it, in milliseconds.
pub(in crate::cli) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}
