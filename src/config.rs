//! The configuration: read once, from file, environment and flags, into valid types.
//!
//! Precedence: environment, then `init`'s flags, then the file, then the default. A `-c` file
//! overrides the process environment. [`load`] is what a command starts with.

use std::path::PathBuf;
use std::time::Duration;

use crate::machine::{Hooks, Policy};

mod address;
mod command_line;
mod env;
mod env_file;
mod error;
mod file;
mod keys;
mod listen;
mod lookup;
mod paths;
mod retention;
mod show;
mod template;
mod values;
mod windows;
mod zone;

pub use address::Address;
pub(crate) use address::{HIDDEN_QUERY, redact_text, redacted};
pub use command_line::CommandLine;
pub use env::Env;
pub use error::Error;
pub use file::{read, write};
pub use listen::Listen;
pub use lookup::{Instance, check_claim, claim, find_config, instances, load, same_path};
pub use paths::{ASIDE_PREFIX, Paths, Root};
pub use show::{to_json, to_text};
pub use windows::{Moment, Windows};

pub use crate::retention::{Outlived, Retention};

/// The configuration of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What concerns nymvisor itself.
    pub nymvisor: Nymvisor,
    /// What concerns the daemon.
    pub daemon: Daemon,
}

/// The table `nymvisor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nymvisor {
    /// Name of the instance, and of its folder: `nym-node-default`.
    pub id: String,
    /// Where announcements are, without daemon and file name.
    pub upstream_base_upgrade_url: Address,
    /// How often upstream is asked. Never zero.
    pub upstream_polling_rate: Duration,
    /// No log of ours, except for the error that ends a run.
    pub disable_logs: bool,
    /// Folder for binaries and plans instead of the shared one. Absolute.
    pub upgrade_data_directory: Option<PathBuf>,
    /// Where metrics and health are told; `None` is nowhere.
    pub metrics_listen: Option<Listen>,
    /// Which versions' folders `prune` leaves; `None` keeps them all.
    pub version_retention: Option<Retention>,
    /// Which segments of the journal `prune` leaves; `None` keeps them all.
    pub journal_retention: Option<Retention>,
    /// Which log files are kept; `None` keeps them all.
    pub log_retention: Option<Retention>,
    /// When an upgrade may stop the daemon; `None` is always.
    pub maintenance_windows: Option<Windows>,
    /// What upstream announces is performed later by a part of this, another on each node.
    pub upgrade_spread: Duration,
}

/// The table `daemon`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the configuration file")]
pub struct Daemon {
    /// Name of the binary: `nym-node`.
    pub name: String,
    /// Its data folder: `/home/nym/.nym/nym-nodes/default-nym-node`. Absolute.
    pub home: PathBuf,
    /// Where its announcement is; counts more than the base URL.
    pub absolute_upstream_upgrade_url: Option<Address>,
    /// Binaries may be downloaded.
    pub allow_binaries_download: bool,
    /// A download without a checksum is refused.
    pub enforce_download_checksum: bool,
    /// Start the daemon after an upgrade; otherwise the run ends.
    pub restart_after_upgrade: bool,
    /// Start the daemon again after a crash.
    pub restart_on_failure: bool,
    /// From a crash to the next start.
    pub failure_restart_delay: Duration,
    /// So many startup failures in a row end the run; 0 acts as 1.
    pub max_startup_failures: u32,
    /// A crash so soon after a start is a startup failure.
    pub startup_period_duration: Duration,
    /// From the polite signal to SIGKILL.
    pub shutdown_grace_period: Duration,
    /// Folder for backups instead of `<home>/nymvisor/backups`. Absolute.
    pub backup_data_directory: Option<PathBuf>,
    /// Upgrade without a backup.
    pub unsafe_skip_backup: bool,
    /// Fetch and verify an upgrade while the old version runs.
    pub prepare_ahead: bool,
    /// Largest binary that is downloaded, in bytes. Never zero.
    pub max_binary_size: u64,
    /// So many bytes a second are copied at most while the daemon runs; `None` is no limit.
    pub backup_rate_limit: Option<u64>,
    /// Bytes that may change in the home between two passes of a copy. Never zero.
    pub backup_changes_limit: u64,
    /// Which backups are removed after an upgrade, and by `backups prune`; `None` keeps them all.
    pub backup_retention: Option<Retention>,
    /// Roll back a new version that fails before it has once lived through its startup period.
    pub rollback_on_failed_upgrade: bool,
    /// A roll-back puts the data back as well.
    pub rollback_restores_data: bool,
    /// Runs before an upgrade, beside the old daemon.
    pub pre_upgrade_command: Option<CommandLine>,
    /// Runs before each start of the daemon.
    pub pre_start_command: Option<CommandLine>,
    /// Runs when a new version is up.
    pub post_upgrade_command: Option<CommandLine>,
    /// Runs when an upgrade, or the daemon, has failed for good.
    pub on_failure_command: Option<CommandLine>,
    /// So long each of them may take. Never zero.
    pub hook_timeout: Duration,
    /// A new version has to answer here with a status of 2xx.
    pub health_check_url: Option<Address>,
    /// This has to exit with status 0 for a new version.
    pub health_check_command: Option<CommandLine>,
    /// From one look at a new version's health to the next. Never zero.
    pub health_check_interval: Duration,
}

const DEFAULT_POLLING_RATE: Duration = Duration::from_hours(1);
const DEFAULT_RESTART_DELAY: Duration = Duration::from_secs(10);
const DEFAULT_STARTUP_FAILURES: u32 = 10;
const DEFAULT_STARTUP_PERIOD: Duration = Duration::from_mins(2);
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(10);
const DEFAULT_LOGS_KEPT: u32 = 14;
const DEFAULT_HOOK_TIMEOUT: Duration = Duration::from_mins(5);
const DEFAULT_HEALTH_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_CHANGES_LIMIT: u64 = 64 * 1024 * 1024;
const DEFAULT_BINARY_SIZE: u64 = 2 * 1024 * 1024 * 1024;

impl Config {
    /// Every default; id, name and home are still empty, which [`Config::finish`] looks after.
    #[must_use]
    pub fn draft() -> Self {
        Self {
            nymvisor: Nymvisor {
                id: String::new(),
                upstream_base_upgrade_url: Address::default_base(),
                upstream_polling_rate: DEFAULT_POLLING_RATE,
                disable_logs: false,
                upgrade_data_directory: None,
                metrics_listen: None,
                version_retention: None,
                journal_retention: None,
                log_retention: Some(Retention { count: Some(DEFAULT_LOGS_KEPT), age: None }),
                maintenance_windows: None,
                upgrade_spread: Duration::ZERO,
            },
            daemon: Daemon {
                name: String::new(),
                home: PathBuf::new(),
                absolute_upstream_upgrade_url: None,
                allow_binaries_download: true,
                enforce_download_checksum: true,
                restart_after_upgrade: true,
                restart_on_failure: true,
                failure_restart_delay: DEFAULT_RESTART_DELAY,
                max_startup_failures: DEFAULT_STARTUP_FAILURES,
                startup_period_duration: DEFAULT_STARTUP_PERIOD,
                shutdown_grace_period: DEFAULT_GRACE_PERIOD,
                backup_data_directory: None,
                unsafe_skip_backup: false,
                prepare_ahead: true,
                max_binary_size: DEFAULT_BINARY_SIZE,
                backup_rate_limit: None,
                backup_changes_limit: DEFAULT_CHANGES_LIMIT,
                backup_retention: None,
                rollback_on_failed_upgrade: false,
                rollback_restores_data: true,
                pre_upgrade_command: None,
                pre_start_command: None,
                post_upgrade_command: None,
                on_failure_command: None,
                hook_timeout: DEFAULT_HOOK_TIMEOUT,
                health_check_url: None,
                health_check_command: None,
                health_check_interval: DEFAULT_HEALTH_INTERVAL,
            },
        }
    }

    /// Sets the key of this name (`daemon.home`) from a flag's text.
    pub fn set_by_flag(
        &mut self,
        key: &str,
        flag: &str,
        value: &std::ffi::OsStr,
    ) -> Result<(), Error> {
        let Some(key) = keys::find(key) else {
            return Err(Error::Missing { what: "a key for this flag", remedy: "report this" });
        };
        (key.set)(self, value).map_err(|allowed| Error::Flag {
            flag: flag.to_owned(),
            value: values::shown(value),
            allowed,
        })
    }

    /// Overrides what has a variable in the environment.
    pub fn set_by_env(&mut self, env: &Env) -> Result<(), Error> {
        for key in keys::all() {
            let Some(value) = env.get(key.variable) else { continue };
            (key.set)(self, value).map_err(|allowed| Error::Variable {
                name: key.variable,
                value: values::shown(value),
                allowed,
            })?;
        }
        Ok(())
    }

    /// Checks that nothing required is missing, and gives the id its default.
    pub fn finish(mut self) -> Result<Self, Error> {
        let missing = |what, remedy| Err(Error::Missing { what, remedy });
        if self.daemon.name.is_empty() {
            return missing("the daemon's name", "set daemon.name in the file, or DAEMON_NAME");
        }
        if self.daemon.home.as_os_str().is_empty() {
            let remedy = "give --daemon-home to init, or set daemon.home or DAEMON_HOME";
            return missing("the daemon's home", remedy);
        }
        if self.nymvisor.id.is_empty() {
            self.nymvisor.id = default_id(&self.daemon.name);
        }
        Ok(self)
    }

    /// The URL that is polled: the absolute one, or the base with `/<daemon>/upgrade-info.json`.
    ///
    /// It may hold credentials: messages show [`Address::without_credentials`].
    #[must_use]
    pub fn polled_url(&self) -> Address {
        match &self.daemon.absolute_upstream_upgrade_url {
            Some(absolute) => absolute.clone(),
            None => self.nymvisor.upstream_base_upgrade_url.announcement_of(&self.daemon.name),
        }
    }

    /// The settings that the machine's decisions depend on.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let daemon = &self.daemon;
        Policy {
            restart_on_failure: daemon.restart_on_failure,
            restart_after_upgrade: daemon.restart_after_upgrade,
            prepare_ahead: daemon.prepare_ahead,
            skip_backup: daemon.unsafe_skip_backup,
            rollback_on_failed_upgrade: daemon.rollback_on_failed_upgrade,
            rollback_restores_data: daemon.rollback_restores_data,
            prunes_backups: daemon.backup_retention.is_some(),
            keeps_windows: self.nymvisor.maintenance_windows.is_some(),
            hooks: Hooks {
                pre_upgrade: daemon.pre_upgrade_command.is_some(),
                per_stop: daemon.pre_upgrade_command.is_some(),
                pre_start: daemon.pre_start_command.is_some(),
                post_upgrade: daemon.post_upgrade_command.is_some(),
                on_failure: daemon.on_failure_command.is_some(),
            },
            checks_health: daemon.health_check_url.is_some()
                || daemon.health_check_command.is_some(),
            max_startup_failures: daemon.max_startup_failures,
            failure_restart_delay_ms: whole_ms(daemon.failure_restart_delay),
            startup_period_ms: whole_ms(daemon.startup_period_duration),
            shutdown_grace_ms: whole_ms(daemon.shutdown_grace_period),
        }
    }
}

/// Every key (`daemon.home`) with its variable (`DAEMON_HOME`), in the order of the file.
pub fn keys() -> impl Iterator<Item = (String, &'static str)> {
    keys::all().map(|key| (format!("{}.{}", key.table, key.name), key.variable))
}

/// The id of an instance that was given none.
#[must_use]
pub fn default_id(daemon: &str) -> String {
    format!("{daemon}-default")
}

/// Reads a duration such as `10s` or `1h 30m`; the error says what is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text.as_ref())
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
