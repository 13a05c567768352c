//! The table `daemon`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Address, CommandLine, Retention, values};
use super::kinds::{
    address, command_or_unset, kept, kept_or_all, optional, path_or_unset, required_path,
};
use super::{Key, Kind, Value};

pub(super) const KEYS: &[Key] = &[
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
    key!(
        daemon.pre_upgrade_command,
        "DAEMON_PRE_UPGRADE_COMMAND",
        "pre-upgrade command:",
        Text,
        |v| optional(v, CommandLine::parse),
        |v: &Option<CommandLine>| command_or_unset(v.as_ref()),
        "Runs before an upgrade, beside the old daemon; '' for none. No shell reads it."
    ),
    key!(
        daemon.pre_start_command,
        "DAEMON_PRE_START_COMMAND",
        "pre-start command:",
        Text,
        |v| optional(v, CommandLine::parse),
        |v: &Option<CommandLine>| command_or_unset(v.as_ref()),
        "Runs before each start of the daemon; '' for none."
    ),
    key!(
        daemon.post_upgrade_command,
        "DAEMON_POST_UPGRADE_COMMAND",
        "post-upgrade command:",
        Text,
        |v| optional(v, CommandLine::parse),
        |v: &Option<CommandLine>| command_or_unset(v.as_ref()),
        "Runs when a new version is up; '' for none."
    ),
    key!(
        daemon.on_failure_command,
        "DAEMON_ON_FAILURE_COMMAND",
        "on-failure command:",
        Text,
        |v| optional(v, CommandLine::parse),
        |v: &Option<CommandLine>| command_or_unset(v.as_ref()),
        "Runs when an upgrade, or the daemon, has failed for good; '' for none."
    ),
    key!(
        daemon.hook_timeout,
        "DAEMON_HOOK_TIMEOUT",
        "hook timeout:",
        Text,
        values::interval,
        |v: &Duration| Value::Time(*v),
        "Time for each of these commands, before it is ended."
    ),
    key!(
        daemon.health_check_url,
        "DAEMON_HEALTH_CHECK_URL",
        "health check url:",
        Text,
        |v| optional(v, address),
        |v: &Option<Address>| v.clone().map_or(Value::Unset, Value::Address),
        "A new version has to answer here, with a status of 2xx, within its startup period."
    ),
    key!(
        daemon.health_check_command,
        "DAEMON_HEALTH_CHECK_COMMAND",
        "health check command:",
        Text,
        |v| optional(v, CommandLine::parse),
        |v: &Option<CommandLine>| command_or_unset(v.as_ref()),
        "This has to exit with status 0 within a new version's startup period; '' for none."
    ),
    key!(
        daemon.health_check_interval,
        "DAEMON_HEALTH_CHECK_INTERVAL",
        "health check interval:",
        Text,
        values::interval,
        |v: &Duration| Value::Time(*v),
        "Pause between two looks at a new version's health."
    ),
];
