//! What `config` and `init` print. Credentials are left out.

use std::fmt::Write;

use serde_json::{Map, json};

use super::keys::{self, Key, Value};
use super::{Config, values};

const LABEL_COLUMNS: usize = 35;

/// The order of 0.1.x; keys that it didn't show come after.
const TEXT_ORDER: [&str; 17] = [
    "nymvisor.id",
    "daemon.name",
    "daemon.home",
    "nymvisor.upstream_base_upgrade_url",
    "nymvisor.disable_logs",
    "nymvisor.upgrade_data_directory",
    "daemon.absolute_upstream_upgrade_url",
    "daemon.allow_binaries_download",
    "daemon.enforce_download_checksum",
    "daemon.restart_after_upgrade",
    "daemon.restart_on_failure",
    "daemon.failure_restart_delay",
    "daemon.max_startup_failures",
    "daemon.startup_period_duration",
    "daemon.shutdown_grace_period",
    "daemon.backup_data_directory",
    "daemon.unsafe_skip_backup",
];

/// A line for each key: label, padded to 35 columns, and value.
#[must_use]
pub fn to_text(config: &Config) -> String {
    let known = |key: &&Key| {
        let full = format!("{}.{}", key.table, key.name);
        !TEXT_ORDER.contains(&full.as_str())
    };
    let ordered = TEXT_ORDER.iter().filter_map(|name| keys::find(name));
    let mut text = String::new();
    for key in ordered.chain(keys::all().filter(known)) {
        let value = match (key.get)(config) {
            Value::Unset => "\"\"".to_owned(),
            Value::Text(text) => text,
            Value::Address(address) => address.without_credentials(),
            Value::Path(path) => path.display().to_string(),
            Value::Switch(on) => on.to_string(),
            Value::Count(number) => number.to_string(),
            Value::Size(bytes) => values::size_text(bytes),
            Value::Time(duration) => humantime::format_duration(duration).to_string(),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{:<LABEL_COLUMNS$}{value}", key.label);
    }
    text
}

/// One object with the two tables; sizes are in bytes, durations texts, what is unset null.
#[must_use]
pub fn to_json(config: &Config) -> serde_json::Value {
    let table = |table: &str| {
        let keys = keys::all().filter(|key| key.table == table);
        keys.map(|key| (key.name.to_owned(), json_of((key.get)(config)))).collect::<Map<_, _>>()
    };
    json!({"nymvisor": table("nymvisor"), "daemon": table("daemon")})
}

fn json_of(value: Value) -> serde_json::Value {
    match value {
        Value::Unset => json!(null),
        Value::Text(text) => json!(text),
        Value::Address(address) => json!(address.without_credentials()),
        Value::Path(path) => json!(path.to_string_lossy()),
        Value::Switch(on) => json!(on),
        Value::Count(number) => json!(number),
        Value::Size(bytes) => json!(bytes),
        Value::Time(duration) => json!(humantime::format_duration(duration).to_string()),
    }
}
