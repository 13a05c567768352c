//! Time zones by their names, from the tables that this program brings along.
//!
//! They are bytes that nothing looks at where no zone is named. Tables with pointers in them would
//! be written to memory at each start.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// By its IANA name, to the letter.
    pub(super) fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        (zone.iana_name() == Some(name)).then_some(Self(zone))
    }

    /// The day that it is there.
    pub(super) fn day(&self, at: DateTime<Utc>) -> Option<NaiveDate> {
        let there = self.0.to_datetime(Timestamp::from_second(at.timestamp()).ok()?);
        let (month, day) = (u32::try_from(there.month()).ok()?, u32::try_from(there.day()).ok()?);
        NaiveDate::from_ymd_opt(i32::from(there.year()), month, day)
    }

    /// When clocks there show this for the first time; `None` where they never do.
    pub(super) fn first(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let part = |part: u32| i8::try_from(part).ok();
        let local = civil::DateTime::new(
            i16::try_from(local.year()).ok()?,
            part(local.month())?,
            part(local.day())?,
            part(local.hour())?,
            part(local.minute())?,
            part(local.second())?,
            0,
        );
        let local = local.ok()?;
        let offset = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        DateTime::from_timestamp(offset.to_timestamp(local).ok()?.as_second(), 0)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}
