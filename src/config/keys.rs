//! Every key of the configuration: where it stands, what it means, how it is read and written.

use std::ffi::OsStr;

use super::Config;

/// One entry of a table; the field is read and set by the same rule.
macro_rules! key {
    ($table:ident.$name:ident, $variable:literal, $label:literal, $kind:ident,
     $read:expr, $show:expr, $comment:literal) => {
        Key {
            table: stringify!($table),
            name: stringify!($name),
            variable: $variable,
            label: $label,
            comment: $comment,
            kind: Kind::$kind,
            set: |config, value| {
                config.$table.$name = $read(value)?;
                Ok(())
            },
            get: |config| $show(&config.$table.$name),
        }
    };
}

mod daemon;
mod kinds;
mod nymvisor;

pub(super) use kinds::{Kind, Value};

/// One key of the configuration.
#[derive(Debug)]
pub(super) struct Key {
    /// `nymvisor` or `daemon`.
    pub(super) table: &'static str,
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Its environment variable.
    pub(super) variable: &'static str,
    /// What `config` calls it, colon included where 0.1.x had one.
    pub(super) label: &'static str,
    /// What stands above it in the file.
    pub(super) comment: &'static str,
    /// What the file may hold.
    pub(super) kind: Kind,
    /// Sets it from a text; the error says what is allowed.
    pub(super) set: fn(&mut Config, &OsStr) -> Result<(), String>,
    /// What it is.
    pub(super) get: fn(&Config) -> Value,
}

/// The key with this name (`daemon.home`).
pub(super) fn find(full_name: &str) -> Option<&'static Key> {
    all().find(|key| {
        full_name
            .split_once('.')
            .is_some_and(|(table, name)| key.table == table && key.name == name)
    })
}

/// Every key, in the order of the file and of the JSON output.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    nymvisor::KEYS.iter().chain(daemon::KEYS)
}
