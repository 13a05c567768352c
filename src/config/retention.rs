//! How many backups are kept, and for how long.

use std::fmt;
use std::time::Duration;

use super::values;

const DAY_SECONDS: u64 = 24 * 3600;

/// Which backups may go: one that is beyond the count, or older than the age. At least one of the
/// two is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many are kept; never zero.
    pub count: Option<u32>,
    /// None is kept for longer; never zero.
    pub age: Option<Duration>,
}

impl Retention {
    /// Reads `5`, `90d` or `5 90d`; the error says what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let allowed =
            || "a number of backups of at least 1, an age such as 90d, or both: '5 90d'".to_owned();
        let is_count = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let (counts, ages): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(is_count);
        let count = match counts.as_slice() {
            [] => None,
            [count] => Some(count.parse().ok().filter(|count| *count > 0).ok_or_else(allowed)?),
            [..] => return Err(allowed()),
        };
        let age = ages.join(" ");
        let age = if age.is_empty() { None } else { Some(values::interval(age.as_ref())) };
        let age = age.transpose().map_err(|_| allowed())?;
        if count.is_none() && age.is_none() {
            return Err(allowed());
        }
        Ok(Self { count, age })
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
