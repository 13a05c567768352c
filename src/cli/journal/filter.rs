//! Which records are wanted.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::show::entries;
use super::trail::{Entry, Item};
use super::words;
use crate::cli::Error;
use crate::machine::PhaseName;
use crate::narrate;

/// Which records are wanted. Each option narrows the choice.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Filter {
    /// Only what is about this upgrade, from the queue on
    #[arg(long, value_name = "NAME")]
    pub(super) upgrade: Option<String>,
    /// Only from this time on: RFC 3339, or a duration ago ('2h', '1d 12h')
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub(super) since: Option<DateTime<Utc>>,
    /// Only up to this time: RFC 3339, or a duration ago
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub(super) until: Option<DateTime<Utc>>,
    /// Only what begins or ends in this phase, such as Draining
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    pub(super) phase: Option<PhaseName>,
    /// Only of this session, by its id or the beginning of it; 'last' for the last one
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,
    /// Only what the log tells as a warning or an error
    #[arg(long)]
    pub(super) failures: bool,
}

impl Filter {
    /// Whether anything is left out.
    pub(super) fn is_any(&self) -> bool {
        self.upgrade.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.phase.is_some()
            || self.session.is_some()
            || self.failures
    }

    /// An error where no record is about the upgrade that is asked for.
    pub(super) fn expect_known(&self, items: &[Item]) -> Result<(), Error> {
        let is_unknown = |name: &&String| !upgrades(entries(items)).contains(name);
        self.upgrade.as_ref().filter(is_unknown).map_or(Ok(()), |name| Err(unknown(name, items)))
    }

    /// Whether `entry` is wanted, in a journal with this last session.
    pub(super) fn wants(&self, entry: &Entry, last_session: Option<&str>) -> bool {
        let record = &entry.record;
        let is_of = |wanted: &String| match wanted.as_str() {
            "last" => last_session == Some(record.session.as_str()),
            wanted => record.session.starts_with(wanted),
        };
        self.upgrade.as_ref().is_none_or(|name| entry.is_about(name))
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at <= until)
            && self.phase.is_none_or(|phase| record.from == phase || record.to == phase)
            && self.session.as_ref().is_none_or(is_of)
            && (!self.failures || narrate::is_trouble(record))
    }
}

/// The session of the last record.
pub(super) fn last_session<'a>(
    mut entries: impl DoubleEndedIterator<Item = &'a Entry>,
) -> Option<&'a str> {
    entries.next_back().map(|entry| entry.record.session.as_str())
}

/// The names of the upgrades that the journal tells of, in the order of their first records.
pub(super) fn upgrades<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let new: Vec<_> = entry.about.iter().filter(|name| !names.contains(name)).collect();
        let new: Vec<String> = new.into_iter().cloned().collect();
        names.extend(new);
    }
    names
}

/// That no record is about this upgrade.
pub(super) fn unknown(name: &str, items: &[Item]) -> Error {
    let known = match upgrades(entries(items)).as_slice() {
        [] => format!("it tells of {}", none(items)),
        known => format!("it tells of {}{}", known.join(", "), since(items).unwrap_or_default()),
    };
    Error::Refused(format!("the journal has no record about an upgrade {name:?}; {known}"))
}

/// That a journal tells of none: `no upgrade yet`.
pub(super) fn none(items: &[Item]) -> String {
    format!("no upgrade{}", since(items).unwrap_or_else(|| " yet".to_owned()))
}

/// Since when a journal tells of anything, where that is not its beginning.
fn since(items: &[Item]) -> Option<String> {
    let first = entries(items).next().map(|entry| &entry.record);
    first.filter(|record| record.seq > 1).map(|record| {
        format!(" since record {} of {}, where it begins", record.seq, words::time(record.at))
    })
}

/// A time: RFC 3339, or a duration before now.
fn when(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| Utc::now().checked_sub_signed(ago)).ok_or_else(|| {
        "expected a time such as 2026-01-31T12:00:00Z, or a duration ago such as '2h' or '1d 12h'"
            .to_owned()
    })
}

/// A phase by its name, in upper or lower case.
fn phase(text: &str) -> Result<PhaseName, String> {
    let found = PhaseName::ALL.into_iter().find(|name| name.to_string().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let names: Vec<String> = PhaseName::ALL.iter().map(PhaseName::to_string).collect();
        format!("a phase is one of {}", names.join(", "))
    })
}
