//! Every key of the configuration: where it stands, what it means, how it is read and written.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Address, Config, Listen, Retention, Windows, retention, values};

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

/// What a file may hold for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Path,
    Switch,
    Count,
    Size,
}

/// The value of a key, to be written or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Address(Address),
    Path(PathBuf),
    Switch(bool),
    Count(u32),
    Size(u64),
    Time(Duration),
    Unset,
}

/// The key with this name (`daemon.home`).
pub(super) fn find(full_name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| {
        full_name
            .split_once('.')
            .is_some_and(|(table, name)| key.table == table && key.name == name)
    })
}

fn optional<T>(value: &OsStr, read: fn(&OsStr) -> Result<T, String>) -> Result<Option<T>, String> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

fn address(value: &OsStr) -> Result<Address, String> {
    Address::parse(&value.to_string_lossy())
}

fn kept(value: &OsStr) -> Result<Retention, String> {
    retention::parse(&value.to_string_lossy())
}

fn kept_or_all(kept: Option<Retention>) -> Value {
    kept.map_or(Value::Unset, |kept| Value::Text(kept.to_string()))
}

fn listen(value: &OsStr) -> Result<Listen, String> {
    Listen::parse(&value.to_string_lossy())
}

fn windows(value: &OsStr) -> Result<Windows, String> {
    Windows::parse(&value.to_string_lossy())
}

fn required_path(value: &OsStr) -> Result<PathBuf, String> {
    values::path(value)
}

fn path_or_unset(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Unset, |path| Value::Path(path.clone()))
}

/// One entry of [`KEYS`]; the field is read and set by the same rule.
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

/// Every key, in the order of the file and of the JSON output.
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
    key!(
        daemon.name,
        "DAEMON_NAME",
        "daemon name:",
        Text,
        values::segment,
        |v: &String| Value::Text(v.clone()),
        "Name of the daemon's binary, such as 'nym-node'."
    ),
    key!(
        daemon.home,
        "DAEMON_HOME",
        "daemon home:",
        Path,
        required_path,
        |v: &PathBuf| Value::Path(v.clone()),
        "The daemon's data folder; nymvisor keeps backups and version in nymvisor/ there."
    ),
    key!(
        daemon.absolute_upstream_upgrade_url,
        "DAEMON_ABSOLUTE_UPSTREAM_UPGRADE_URL",
        "upstream absolute upgrade url:",
        Text,
        |v| optional(v, address),
        |v: &Option<Address>| v.clone().map_or(Value::Unset, Value::Address),
        "Where this daemon's upgrades are announced; '' to derive it from the base URL."
    ),
    key!(
        daemon.allow_binaries_download,
        "DAEMON_ALLOW_BINARIES_DOWNLOAD",
        "allow binaries download:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Download announced binaries; otherwise each waits for 'add-upgrade --add-binary'."
    ),
    key!(
        daemon.enforce_download_checksum,
        "DAEMON_ENFORCE_DOWNLOAD_CHECKSUM",
        "enforce download checksum:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Refuse downloads without a checksum. One that is given is always checked."
    ),
    key!(
        daemon.restart_after_upgrade,
        "DAEMON_RESTART_AFTER_UPGRADE",
        "restart after upgrade:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Start the daemon after an upgrade; otherwise nymvisor ends."
    ),
    key!(
        daemon.restart_on_failure,
        "DAEMON_RESTART_ON_FAILURE",
        "restart on failure:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Start the daemon again when it has ended with a failure."
    ),
    key!(
        daemon.failure_restart_delay,
        "DAEMON_FAILURE_RESTART_DELAY",
        "on failure restart delay:",
        Text,
        values::duration,
        |v: &Duration| Value::Time(*v),
        "Pause between a failure and the next start."
    ),
    key!(
        daemon.max_startup_failures,
        "DAEMON_MAX_STARTUP_FAILURES",
        "max startup failures:",
        Count,
        values::count,
        |v: &u32| Value::Count(*v),
        "So many startup failures in a row end nymvisor. 0 acts as 1."
    ),
    key!(
        daemon.startup_period_duration,
        "DAEMON_STARTUP_PERIOD_DURATION",
        "startup period duration:",
        Text,
        values::duration,
        |v: &Duration| Value::Time(*v),
        "A failure so soon after a start is a startup failure."
    ),
    key!(
        daemon.shutdown_grace_period,
        "DAEMON_SHUTDOWN_GRACE_PERIOD",
        "shutdown grace period:",
        Text,
        values::duration,
        |v: &Duration| Value::Time(*v),
        "Time for the daemon to end when it was asked to, before it is killed."
    ),
    key!(
        daemon.backup_data_directory,
        "DAEMON_BACKUP_DATA_DIRECTORY",
        "CUSTOM backup data directory",
        Path,
        |v| optional(v, values::path),
        |v: &Option<PathBuf>| path_or_unset(v.as_ref()),
        "Folder for backups; '' for nymvisor/backups in the daemon's home."
    ),
    key!(
        daemon.unsafe_skip_backup,
        "DAEMON_UNSAFE_SKIP_BACKUP",
        "UNSAFE skip backups",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "UNSAFE: upgrade without a backup."
    ),
    key!(
        daemon.prepare_ahead,
        "DAEMON_PREPARE_AHEAD",
        "prepare upgrades ahead:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Fetch and verify an upgrade while the old version still runs."
    ),
    key!(
        daemon.max_binary_size,
        "DAEMON_MAX_BINARY_SIZE",
        "max binary size:",
        Size,
        values::size,
        |v: &u64| Value::Size(*v),
        "Largest binary that is downloaded: bytes, or a text such as '2GiB'."
    ),
    key!(
        daemon.backup_rate_limit,
        "DAEMON_BACKUP_RATE_LIMIT",
        "backup rate limit:",
        Size,
        |v| optional(v, values::size),
        |v: &Option<u64>| v.map_or(Value::Unset, Value::Size),
        "So much of the home is copied in a second while the daemon runs; '' for no limit."
    ),
    key!(
        daemon.backup_changes_limit,
        "DAEMON_BACKUP_CHANGES_LIMIT",
        "backup changes limit:",
        Size,
        values::size,
        |v: &u64| Value::Size(*v),
        "The home is copied once more before the daemon is stopped if more than this changed."
    ),
    key!(
        daemon.backup_retention,
        "DAEMON_BACKUP_RETENTION",
        "backup retention:",
        Text,
        |v| optional(v, kept),
        |v: &Option<Retention>| kept_or_all(*v),
        "Backups to keep: a number, an age, or both, such as '5 90d'; '' keeps them all."
    ),
    key!(
        daemon.rollback_on_failed_upgrade,
        "DAEMON_ROLLBACK_ON_FAILED_UPGRADE",
        "roll back on failed upgrade:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "Go back to the version before when a new one fails its first start."
    ),
    key!(
        daemon.rollback_restores_data,
        "DAEMON_ROLLBACK_RESTORES_DATA",
        "roll-back restores data:",
        Switch,
        values::switch,
        |v: &bool| Value::Switch(*v),
        "A roll-back puts the data back as backed up; what is there is moved aside."
    ),
];
