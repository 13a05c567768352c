//! The table `nymvisor`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Address, Listen, Retention, Windows, values};
use super::kinds::{address, kept, kept_or_all, listen, optional, path_or_unset, windows};
use super::{Key, Kind, Value};

pub(super) const KEYS: &[Key] = &[
    key!(
        nymvisor.id,
        "NYMVISOR_ID",
        "id:",
        Text,
        values::segment,
        |v: &String| Value::Text(v.clone()),
        "Name of this instance, and of its folder."
    ),
    key!(
        nymvisor.upstream_base_upgrade_url,
        "NYMVISOR_UPSTREAM_BASE_UPGRADE_URL",
        "upstream base upgrade url:",
        Text,
        address,
        |v: &Address| Value::Address(v.clone()),
        "Where upgrades are announced: <this>/<daemon>/upgrade-info.json is polled."
    ),
    key!(
        nymvisor.upstream_polling_rate,
        "NYMVISOR_UPSTREAM_POLLING_RATE",
        "upstream polling rate:",
        Text,
        values::interval,
        |v: &Duration| Value::Time(*v),
        "How often it is polled, such as '30m' or '1h'."
    ),
    key!(
        nymvisor.disable_logs,
        "NYMVISOR_DISABLE_LOGS",
        "disable nymvisor logs:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "No logs of nymvisor; those of the daemon are not touched."
    ),
    key!(
        nymvisor.upgrade_data_directory,
        "NYMVISOR_UPGRADE_DATA_DIRECTORY",
        "CUSTOM upgrade data directory",
        Path,
        |v| optional(v, values::path),
        |v: &Option<PathBuf>| path_or_unset(v.as_ref()),
        "Folder for binaries and plans; '' for the one that all instances share."
    ),
    key!(
        nymvisor.metrics_listen,
        "NYMVISOR_METRICS_LISTEN",
        "metrics listen:",
        Text,
        |v| optional(v, listen),
        |v: &Option<Listen>| v.as_ref().map_or(Value::Unset, |v| Value::Text(v.to_string())),
        "Where metrics are told, such as '127.0.0.1:9184' or 'unix:/path'; '' for nowhere."
    ),
    key!(
        nymvisor.version_retention,
        "NYMVISOR_VERSION_RETENTION",
        "version retention:",
        Text,
        |v| optional(v, kept),
        |v: &Option<Retention>| kept_or_all(*v),
        "Versions that 'prune' keeps: a number, an age, or both, such as '3 90d'; '' keeps all."
    ),
    key!(
        nymvisor.journal_retention,
        "NYMVISOR_JOURNAL_RETENTION",
        "journal retention:",
        Text,
        |v| optional(v, kept),
        |v: &Option<Retention>| kept_or_all(*v),
        "Files of the journal (1 MiB each) that 'prune' keeps, likewise; '' keeps all."
    ),
    key!(
        nymvisor.log_retention,
        "NYMVISOR_LOG_RETENTION",
        "log retention:",
        Text,
        |v| optional(v, kept),
        |v: &Option<Retention>| kept_or_all(*v),
        "Log files to keep, one a day, likewise; '' keeps all."
    ),
    key!(
        nymvisor.maintenance_windows,
        "NYMVISOR_MAINTENANCE_WINDOWS",
        "maintenance windows:",
        Text,
        |v| optional(v, windows),
        |v: &Option<Windows>| v.as_ref().map_or(Value::Unset, |v| Value::Text(v.to_string())),
        "When an upgrade may stop the daemon: 'Mon-Fri 02:00 3h; Sun 04:30 90m UTC'; '' is always."
    ),
    key!(
        nymvisor.upgrade_spread,
        "NYMVISOR_UPGRADE_SPREAD",
        "upgrade spread:",
        Text,
        values::duration,
        |v: &Duration| Value::Time(*v),
        "An announced upgrade is performed later by a random part of this, another on each node."
    ),
];
