//! How many of something old are kept, and for how long.

use std::fmt;
use std::time::Duration;

const DAY_SECONDS: u64 = 24 * 3600;

/// What may go: what is beyond the count, or older than the age. At least one of the two is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many are kept; never zero.
    pub count: Option<u32>,
    /// None is kept for longer; never zero.
    pub age: Option<Duration>,
}

/// Why something is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlived {
    /// More than the number to keep are newer.
    BeyondCount,
    /// It is older than the age.
    TooOld,
}

impl Retention {
    /// Whether something goes of which so many newer ones are kept, and that is so old.
    #[must_use]
    pub fn outlived(&self, newer: usize, age: Duration) -> Option<Outlived> {
        let most = self.count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if most.is_some_and(|most| newer >= most) {
            return Some(Outlived::BeyondCount);
        }
        self.age.filter(|most| age > *most).map(|_| Outlived::TooOld)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(count) = self.count {
            write!(f, "{count}")?;
        }
        let Some(age) = self.age else { return Ok(()) };
        if self.count.is_some() {
            write!(f, " ")?;
        }
        // Months are of no use to who means days.
        match (age.as_secs() / DAY_SECONDS, age.as_secs() % DAY_SECONDS, age.subsec_nanos()) {
            (days, 0, 0) => write!(f, "{days}d"),
            _ => write!(f, "{}", humantime::format_duration(age)),
        }
    }
}
