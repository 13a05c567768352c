//! Maintenance windows: when an upgrade may stop the daemon.
//!
//! `Mon-Fri 02:00 3h; Sat,Sun 04:30 90m Europe/Berlin`: windows with days (every day without any),
//! the local time at which they open, and how long they stay open; a time zone for all of them
//! comes last, UTC without one.
//!
//! A time that a day doesn't have, when clocks are set forward, is the moment at which they are.
//! Of one that a day has twice the first counts. A length is time that passes, whatever clocks are
//! set to meanwhile.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use super::values;
use super::zone::Zone;

/// A longer one would be one that is always open.
const LENGTH_MAX: TimeDelta = TimeDelta::days(7);
/// From one day to the next zones have left out one day at most.
const GAP_MAX_MINUTES: i64 = 24 * 60 + 60;
/// So far the calendar is looked at: any week has each day, unless a zone leaves it out.
const DAYS_AHEAD: u64 = 15;
const WINDOWS_MAX: usize = 32;

const ALLOWED: &str = "windows such as 'Mon-Fri 02:00 3h; Sat,Sun 04:30 90m Europe/Berlin': days \
                       (Mon, Mon-Fri, Sat,Sun; none is every day), when they open (HH:MM), how \
                       long they stay open (1m to 7d), and last, once for all of them, a time \
                       zone by its IANA name (none is UTC)";

/// The windows of one instance; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    windows: Vec<Rule>,
    zone: Option<Zone>,
}

/// One window, which opens on some days of each week.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    days: Vec<Weekday>,
    opens: NaiveTime,
    length: TimeDelta,
}

/// What the calendar says of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A window is open.
    Open {
        /// When it closes; `None` where windows follow each other without an end.
        closes_at: Option<DateTime<Utc>>,
    },
    /// None is.
    Closed {
        /// When the next one opens; `None` is never, which the calendar's end alone can make.
        opens_at: Option<DateTime<Utc>>,
    },
}

impl Windows {
    /// Reads them; the error says what is wrong, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("{ALLOWED}; {what}");
        let mut zone = None;
        let mut windows = Vec::new();
        let parts: Vec<&str> = text.split(';').map(str::trim).collect();
        for (at, part) in parts.iter().enumerate() {
            let mut words: Vec<&str> = part.split_whitespace().collect();
            let last = words.last().copied().unwrap_or_default();
            if words.len() > 2 && last.starts_with(|c: char| c.is_alphabetic()) {
                words.pop();
                if at + 1 < parts.len() {
                    return Err(wrong(format!("'{last}' stands before the last window")));
                }
                let known = Zone::named(last);
                zone = Some(known.ok_or_else(|| wrong(format!("'{last}' is no time zone")))?);
            }
            windows.push(Rule::parse(&words).map_err(|what| wrong(format!("'{part}': {what}")))?);
        }
        if windows.len() > WINDOWS_MAX {
            return Err(wrong(format!("there are more than {WINDOWS_MAX}")));
        }
        Ok(Self { windows, zone })
    }

    /// What the calendar says of `at`.
    #[must_use]
    pub fn at(&self, at: DateTime<Utc>) -> Moment {
        let spans = self.spans(at);
        let mut closes_at = at;
        // Sorted by their beginning: each that begins before the end so far may prolong it.
        for (opens, closes) in &spans {
            if *opens <= closes_at && *closes > closes_at {
                closes_at = *closes;
            }
        }
        if closes_at > at {
            let is_seen = closes_at < at + TimeDelta::days(7);
            return Moment::Open { closes_at: Some(closes_at).filter(|_| is_seen) };
        }
        let opens_at = spans.iter().map(|(opens, _)| *opens).find(|opens| *opens > at);
        Moment::Closed { opens_at }
    }

    /// All that are open at some time between a while ago and a while ahead, by their beginning.
    fn spans(&self, at: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let zone = &self.zone.clone().unwrap_or(Zone::UTC);
        let today = zone.day(at).unwrap_or_else(|| at.date_naive());
        let first = today.checked_sub_days(Days::new(9)).unwrap_or(NaiveDate::MIN);
        let mut spans = Vec::new();
        for ahead in 0..9 + DAYS_AHEAD {
            let Some(day) = first.checked_add_days(Days::new(ahead)) else { break };
            for window in &self.windows {
                spans.extend(window.on(day, zone));
            }
        }
        spans.sort_unstable();
        spans
    }
}

impl Rule {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let (days, rest) = match words {
            [time, rest @ ..] if time.contains(':') => (days("Mon-Sun")?, (time, rest)),
            [named, time, rest @ ..] => (days(named)?, (time, rest)),
            [] | [_] => return Err("days, a time and a length are needed".to_owned()),
        };
        let (time, length) = rest;
        let is_whole = time.len() == 5;
        let opens = NaiveTime::parse_from_str(time, "%H:%M").ok().filter(|_| is_whole);
        let opens = opens.ok_or_else(|| format!("'{time}' is no time of the day, HH:MM"))?;
        let text = length.join(" ");
        let length = values::duration(text.as_ref()).ok();
        let length = length.and_then(|length| TimeDelta::from_std(length).ok());
        let length = length
            .filter(|length| (TimeDelta::minutes(1)..=LENGTH_MAX).contains(length))
            .ok_or_else(|| format!("'{text}' is no length from 1m to 7d"))?;
        Ok(Self { days, opens, length })
    }

    /// When it opens and closes on that day of the zone, if it does.
    fn on(&self, day: NaiveDate, zone: &Zone) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        use chrono::Datelike;
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let local = day.and_time(self.opens);
        let opens = (0..=GAP_MAX_MINUTES).find_map(|minutes| {
            let local = local.checked_add_signed(TimeDelta::minutes(minutes))?;
            zone.first(local)
        })?;
        Some((opens, opens.checked_add_signed(self.length)?))
    }
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`, `Fri-Mon,Wed`: sorted, each once.
fn days(text: &str) -> Result<Vec<Weekday>, String> {
    let day = |name: &str| {
        let is_short = name.len() == 3;
        let known = name.parse::<Weekday>().ok().filter(|_| is_short);
        known.ok_or_else(|| format!("'{name}' is no day, such as Mon"))
    };
    let mut found = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (mut next, to) = (day(from)?, day(to)?);
        found.push(next);
        while next != to {
            next = next.succ();
            found.push(next);
        }
    }
    found.sort_unstable_by_key(Weekday::num_days_from_monday);
    found.dedup();
    Ok(found)
}

/// `Mon-Fri`, `Sat,Sun`: days in their order, three or more that follow each other as a range.
fn in_words(days: &[Weekday]) -> String {
    let runs = days.chunk_by(|day, next| day.succ() == *next);
    let words = runs.flat_map(|run| match run {
        [first, _, .., last] => vec![format!("{first}-{last}")],
        few => few.iter().map(ToString::to_string).collect(),
    });
    words.collect::<Vec<String>>().join(",")
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, window) in self.windows.iter().enumerate() {
            if at > 0 {
                write!(f, "; ")?;
            }
            if window.days.len() < 7 {
                write!(f, "{} ", in_words(&window.days))?;
            }
            let length = window.length.to_std().unwrap_or(Duration::ZERO);
            let length = humantime::format_duration(length);
            write!(f, "{} {length}", window.opens.format("%H:%M"))?;
        }
        self.zone.as_ref().map_or(Ok(()), |zone| write!(f, " {zone}"))
    }
}
