//! What a key may hold, and how that is read and shown.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::{Address, CommandLine, Listen, Retention, Windows, retention, values};

/// What a file may hold for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Kind {
    Text,
    Path,
    Switch,
    Count,
    Size,
}

/// The value of a key, to be written or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Value {
    Text(String),
    Address(Address),
    Path(PathBuf),
    Switch(bool),
    Count(u32),
    Size(u64),
    Time(Duration),
    Unset,
}

pub(super) fn optional<T>(
    value: &OsStr,
    read: fn(&OsStr) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

pub(super) fn address(value: &OsStr) -> Result<Address, String> {
    Address::parse(&value.to_string_lossy())
}

pub(super) fn kept(value: &OsStr) -> Result<Retention, String> {
    retention::parse(&value.to_string_lossy())
}

pub(super) fn kept_or_all(kept: Option<Retention>) -> Value {
    kept.map_or(Value::Unset, |kept| Value::Text(kept.to_string()))
}

pub(super) fn listen(value: &OsStr) -> Result<Listen, String> {
    Listen::parse(&value.to_string_lossy())
}

pub(super) fn windows(value: &OsStr) -> Result<Windows, String> {
    Windows::parse(&value.to_string_lossy())
}

pub(super) fn required_path(value: &OsStr) -> Result<PathBuf, String> {
    values::path(value)
}

pub(super) fn path_or_unset(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Unset, |path| Value::Path(path.clone()))
}

pub(super) fn command_or_unset(command: Option<&CommandLine>) -> Value {
    command.map_or(Value::Unset, |command| Value::Text(command.to_string()))
}
