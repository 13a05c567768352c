//! Maintenance windows: what may be written, and what the calendar says.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use nymvisor::config::{Moment, Windows};
use nymvisor::host::windows::watch;
use proptest::prelude::*;
use tokio::time::{Duration, Instant};

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn windows(text: &str) -> Windows {
    Windows::parse(text).unwrap()
}

fn open(until: &str) -> Moment {
    Moment::Open { closes_at: Some(utc(until)) }
}

fn closed(until: &str) -> Moment {
    Moment::Closed { opens_at: Some(utc(until)) }
}

#[test]
fn what_is_read_is_written_so_that_it_reads_alike() {
    for (text, written) in [
        ("02:00 3h", "02:00 3h"),
        ("Mon-Fri 02:00 3h; Sat,Sun 04:30 90m Europe/Berlin", ""),
        ("mon-FRI 02:00 3h", "Mon-Fri 02:00 3h"),
        ("Fri-Mon,Wed 23:59 1h 30m America/St_Johns", ""),
        ("Sun-Sun 00:00 7d UTC", "Sun 00:00 7days UTC"),
        ("Mon-Sun 00:00 24h", "00:00 1day"),
    ] {
        let read = windows(text);
        assert_eq!(windows(&read.to_string()), read, "{text}");
        if !written.is_empty() {
            assert_eq!(read.to_string(), written);
        }
    }
}

#[test]
fn what_cannot_be_used_is_named_with_what_is_allowed() {
    for (text, said) in [
        ("Mon", "'Mon': days, a time and a length are needed"),
        ("", "'': days, a time and a length are needed"),
        ("Mon 02:00 3h;", "'': days, a time"),
        ("Mun 02:00 3h", "'Mun' is no day"),
        ("Monday 02:00 3h", "'Monday' is no day"),
        ("Mon- 02:00 3h", "'' is no day"),
        ("Mon 2:00 3h", "'2:00' is no time of the day"),
        ("Mon 24:00 3h", "'24:00' is no time"),
        ("Mon 02:00:30 3h", "'02:00:30' is no time"),
        ("Mon 02:00", "'' is no length"),
        ("Mon 02:00 3", "'3' is no length"),
        ("Mon 02:00 8d", "'8d' is no length from 1m to 7d"),
        ("Mon 02:00 30s", "'30s' is no length"),
        ("Mon 02:00 3h Europe/Nowhere", "'Europe/Nowhere' is no time zone"),
        ("Mon 02:00 3h Europe/Berlin; Sat 02:00 3h", "'Europe/Berlin' stands before the last"),
        ("Mon 02:00 3h Tue", "'Tue' is no time zone"),
    ] {
        let error = Windows::parse(text).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
        assert!(error.contains("Mon-Fri 02:00 3h; Sat,Sun 04:30 90m Europe/Berlin"), "{error}");
    }
    let many = vec!["02:00 3h"; 33].join(";");
    assert!(Windows::parse(&many).unwrap_err().contains("more than 32"));
}

#[test]
fn a_window_opens_and_closes_over_midnight() {
    let of = windows("Fri 23:00 3h");
    // A Friday.
    assert_eq!(of.at(utc("2026-01-30T22:59:59Z")), closed("2026-01-30T23:00:00Z"));
    assert_eq!(of.at(utc("2026-01-30T23:00:00Z")), open("2026-01-31T02:00:00Z"));
    assert_eq!(of.at(utc("2026-01-31T01:59:59Z")), open("2026-01-31T02:00:00Z"));
    assert_eq!(of.at(utc("2026-01-31T02:00:00Z")), closed("2026-02-06T23:00:00Z"));
}

#[test]
fn windows_that_touch_are_one() {
    let of = windows("Mon 22:00 2h; Tue 00:00 1h; Tue 00:30 2h");
    assert_eq!(of.at(utc("2026-01-26T22:30:00Z")), open("2026-01-27T02:30:00Z"));
    let always = windows("00:00 24h");
    assert_eq!(always.at(utc("2026-01-26T22:30:00Z")), Moment::Open { closes_at: None });
}

/// Clocks in Berlin go from 02:00 to 03:00: what opens at 02:30 opens when they do.
#[test]
fn a_time_that_the_day_lacks_is_when_clocks_are_set_forward() {
    let of = windows("02:30 1h Europe/Berlin");
    assert_eq!(of.at(utc("2026-03-29T00:59:59Z")), closed("2026-03-29T01:00:00Z"));
    assert_eq!(of.at(utc("2026-03-29T01:00:00Z")), open("2026-03-29T02:00:00Z"));
    // A length is time that passes.
    let of = windows("01:30 2h Europe/Berlin");
    assert_eq!(of.at(utc("2026-03-29T01:30:00Z")), open("2026-03-29T02:30:00Z"));
}

/// Clocks in Berlin go from 03:00 back to 02:00: what opens at 02:30 opens once, the first time.
#[test]
fn of_a_time_that_the_day_has_twice_the_first_counts() {
    let of = windows("02:30 15m Europe/Berlin");
    assert_eq!(of.at(utc("2026-10-25T00:30:00Z")), open("2026-10-25T00:45:00Z"));
    assert_eq!(of.at(utc("2026-10-25T01:30:00Z")), closed("2026-10-26T01:30:00Z"));
}

/// Samoa left out a whole Friday, the 30th of December 2011.
#[test]
fn a_day_that_a_zone_leaves_out_opens_when_the_next_begins() {
    let of = windows("Fri 12:00 1h Pacific/Apia");
    assert_eq!(of.at(utc("2011-12-30T09:59:00Z")), closed("2011-12-30T10:00:00Z"));
    assert_eq!(of.at(utc("2011-12-30T11:00:00Z")), closed("2012-01-05T22:00:00Z"));
}

const ZONES: [&str; 5] =
    ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[derive(Debug, Clone)]
struct Drawn {
    from: usize,
    to: usize,
    hour: u32,
    minute: u32,
    length_minutes: i64,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (0..7_usize, 0..7_usize, 0..24_u32, 0..60_u32, 1..3000_i64).prop_map(
        |(from, to, hour, minute, length_minutes)| Drawn { from, to, hour, minute, length_minutes },
    )
}

impl Drawn {
    fn text(&self) -> String {
        let (from, to) = (DAYS[self.from], DAYS[self.to]);
        let Self { hour, minute, length_minutes, .. } = self;
        format!("{from}-{to} {hour:02}:{minute:02} {length_minutes}m")
    }

    fn has(&self, day: Weekday) -> bool {
        let number = day.num_days_from_monday() as usize;
        (number + 7 - self.from) % 7 <= (self.to + 7 - self.from) % 7
    }

    /// By looking at each minute of the time before: whether it opened in one of them.
    fn is_open(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        let begins = |minute: DateTime<Utc>| {
            let local = minute.with_timezone(&zone);
            let opens = NaiveTime::from_hms_opt(self.hour, self.minute, 0).unwrap();
            let before = (minute - TimeDelta::minutes(1)).with_timezone(&zone);
            let jumped = local.naive_local() - before.naive_local();
            if jumped > TimeDelta::minutes(1) {
                // The gap between the two: what is in it opens at its end.
                let missed = (1..=jumped.num_minutes())
                    .map(|more| before.naive_local() + TimeDelta::minutes(more));
                return missed.into_iter().any(|at| at.time() == opens && self.has(at.weekday()));
            }
            let first = zone.from_local_datetime(&local.naive_local()).earliest();
            local.hour() == self.hour
                && local.minute() == self.minute
                && self.has(local.weekday())
                && first == Some(local)
        };
        (0..self.length_minutes).any(|ago| begins(at - TimeDelta::minutes(ago)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Open is what is within one of them, and nothing else; and what is told of the next change
    /// is the first moment at which that is otherwise.
    #[test]
    fn within_the_union_and_there_alone_it_is_open(
        drawn in proptest::collection::vec(drawn(), 1..3),
        zone in 0..ZONES.len(),
        // About the days on which clocks are set, and others.
        start in prop_oneof![Just("2026-03-27T00:00:00Z"), Just("2026-10-24T00:00:00Z"),
            Just("2026-04-03T12:00:00Z"), Just("2026-07-01T00:00:00Z")],
        minutes in 0..4320_i64,
    ) {
        let text: Vec<String> = drawn.iter().map(Drawn::text).collect();
        let of = windows(&format!("{} {}", text.join("; "), ZONES[zone]));
        let zone: Tz = ZONES[zone].parse().unwrap();
        let at = utc(start) + TimeDelta::minutes(minutes);
        let is_open = |at| drawn.iter().any(|drawn| drawn.is_open(at, zone));
        let (open, change) = match of.at(at) {
            Moment::Open { closes_at } => (true, closes_at),
            Moment::Closed { opens_at } => (false, opens_at),
        };
        prop_assert_eq!(open, is_open(at), "{}: {}", of, at);
        let Some(change) = change else { return Ok(()) };
        prop_assert!(change > at);
        prop_assert_eq!(is_open(change), !open, "{}: {} changes at {}", of, at, change);
        let minutes = (change - at).num_minutes();
        // A few of the minutes between: nothing changes before.
        for part in 1..8 {
            let between = at + TimeDelta::minutes(minutes * part / 8);
            if between < change {
                prop_assert_eq!(is_open(between), open, "{}: {} changes earlier", of, at);
            }
        }
        let last = change - TimeDelta::minutes(1);
        prop_assert!(last < at || is_open(last) == open);
    }
}

/// What is told while a clock goes, which jumps once it has gone for ten seconds.
async fn told(text: &str, start: &str, jump: TimeDelta, for_seconds: u64) -> Vec<(u64, Moment)> {
    let begun = Instant::now();
    let clock = {
        let start = utc(start);
        move || {
            let gone = begun.elapsed();
            let right = start + TimeDelta::from_std(gone).unwrap();
            if gone < Duration::from_secs(10) { right } else { right + jump }
        }
    };
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = {
        let told = told.clone();
        move |moment| told.borrow_mut().push((begun.elapsed().as_secs(), moment))
    };
    let watch = watch(windows(text), clock, tell);
    let _ = tokio::time::timeout(Duration::from_secs(for_seconds), watch).await;
    told.take()
}

#[tokio::test(start_paused = true)]
async fn a_window_is_told_when_it_opens_and_when_it_closes() {
    let told = told("02:00 1h", "2026-01-26T01:59:00Z", TimeDelta::zero(), 7200).await;
    assert_eq!(
        told,
        [
            (0, closed("2026-01-26T02:00:00Z")),
            (60, open("2026-01-26T03:00:00Z")),
            (3660, closed("2026-01-27T02:00:00Z")),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn h36_a_clock_that_jumps_over_a_window_is_noticed_within_a_minute() {
    let jump = TimeDelta::hours(6);
    let told = told("02:00 8h", "2026-01-26T00:00:00Z", jump, 600).await;
    let [(0, before), (noticed, after)] = told[..] else { panic!("{told:?}") };
    assert_eq!(before, closed("2026-01-26T02:00:00Z"));
    assert_eq!(after, open("2026-01-26T10:00:00Z"));
    assert!(noticed <= 61, "{noticed}");
}

#[tokio::test(start_paused = true)]
async fn h36_a_clock_that_is_set_back_closes_a_window() {
    let told = told("02:00 1h", "2026-01-26T02:30:00Z", TimeDelta::hours(-3), 600).await;
    let [(0, before), (noticed, after)] = told[..] else { panic!("{told:?}") };
    assert_eq!(before, open("2026-01-26T03:00:00Z"));
    assert_eq!(after, closed("2026-01-26T02:00:00Z"));
    assert!(noticed <= 61, "{noticed}");
}
