//! The flags of `init`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;

use crate::cli::output::Output;

/// The flags of `init`. Their values are read by the same rules as those of the variables.
#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// Path to the daemon's executable
    pub(super) daemon_binary: PathBuf,
    /// ID of this nymvisor instance [default: <daemon>-default]
    #[arg(long)]
    pub(super) id: Option<OsString>,
    /// Base url of the upstream source for upgrade information
    #[arg(long, value_name = "URL")]
    upstream_base_upgrade_url: Option<OsString>,
    /// How often the upstream source is polled, such as '30m' or '1h'
    #[arg(long, value_name = "DURATION")]
    upstream_polling_rate: Option<OsString>,
    /// Disable the logs of nymvisor (not those of the daemon)
    #[arg(long)]
    disable_nymvisor_logs: bool,
    /// Custom folder for upgrade data: binaries and upgrade plans
    #[arg(long, value_name = "FOLDER")]
    upgrade_data_directory: Option<OsString>,
    /// Folder of the daemon's data, such as ~/.nym/nym-nodes/default-nym-node
    #[arg(long, value_name = "FOLDER")]
    daemon_home: Option<OsString>,
    /// Full url of this daemon's upgrade information; counts more than the base url
    #[arg(long, value_name = "URL")]
    daemon_absolute_upstream_upgrade_url: Option<OsString>,
    /// Whether announced binaries are downloaded [default: true]
    #[arg(long, value_name = "BOOL")]
    allow_download_upgrade_binaries: Option<OsString>,
    /// Whether a download without a checksum is refused [default: true]
    #[arg(long, value_name = "BOOL")]
    enforce_download_checksum: Option<OsString>,
    /// Whether the daemon is started after an upgrade [default: true]
    #[arg(long, value_name = "BOOL")]
    restart_daemon_after_upgrade: Option<OsString>,
    /// Whether the daemon is started again after a failure [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    restart_daemon_on_failure: Option<OsString>,
    /// Pause between a failure and the next start
    #[arg(long, value_name = "DURATION")]
    on_failure_daemon_restart_delay: Option<OsString>,
    /// So many startup failures in a row end nymvisor
    #[arg(long, value_name = "NUMBER")]
    max_daemon_startup_failures: Option<OsString>,
    /// A failure so soon after a start is a startup failure
    #[arg(long, value_name = "DURATION")]
    startup_period_duration: Option<OsString>,
    /// Time for the daemon to end when it was asked to, before it is killed
    #[arg(long, value_name = "DURATION")]
    daemon_shutdown_grace_period: Option<OsString>,
    /// Custom folder for backups of the daemon's data
    #[arg(long, value_name = "FOLDER")]
    daemon_backup_data_directory: Option<OsString>,
    /// Upgrade without backups
    #[arg(long)]
    unsafe_skip_backup: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// A key, its flag and the value that was given for it.
type Row<'a> = (&'static str, &'static str, Option<&'a OsStr>);

fn on<'a>(switch: bool) -> Option<&'a OsStr> {
    switch.then_some(OsStr::new("true"))
}

impl InitArgs {
    /// What was given: the key, the flag and its value.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &'static str, &OsStr)> {
        let rows = self.nymvisor_rows().into_iter().chain(self.daemon_rows());
        rows.filter_map(|(key, flag, value)| Some((key, flag, value?)))
    }

    fn nymvisor_rows(&self) -> [Row<'_>; 5] {
        [
            ("nymvisor.id", "--id", self.id.as_deref()),
            (
                "nymvisor.upstream_base_upgrade_url",
                "--upstream-base-upgrade-url",
                self.upstream_base_upgrade_url.as_deref(),
            ),
            (
                "nymvisor.upstream_polling_rate",
                "--upstream-polling-rate",
                self.upstream_polling_rate.as_deref(),
            ),
            ("nymvisor.disable_logs", "--disable-nymvisor-logs", on(self.disable_nymvisor_logs)),
            (
                "nymvisor.upgrade_data_directory",
                "--upgrade-data-directory",
                self.upgrade_data_directory.as_deref(),
            ),
        ]
    }

    fn daemon_rows(&self) -> [Row<'_>; 12] {
        [
            ("daemon.home", "--daemon-home", self.daemon_home.as_deref()),
            (
                "daemon.absolute_upstream_upgrade_url",
                "--daemon-absolute-upstream-upgrade-url",
                self.daemon_absolute_upstream_upgrade_url.as_deref(),
            ),
            (
                "daemon.allow_binaries_download",
                "--allow-download-upgrade-binaries",
                self.allow_download_upgrade_binaries.as_deref(),
            ),
            (
                "daemon.enforce_download_checksum",
                "--enforce-download-checksum",
                self.enforce_download_checksum.as_deref(),
            ),
            (
                "daemon.restart_after_upgrade",
                "--restart-daemon-after-upgrade",
                self.restart_daemon_after_upgrade.as_deref(),
            ),
            (
                "daemon.restart_on_failure",
                "--restart-daemon-on-failure",
                self.restart_daemon_on_failure.as_deref(),
            ),
            (
                "daemon.failure_restart_delay",
                "--on-failure-daemon-restart-delay",
                self.on_failure_daemon_restart_delay.as_deref(),
            ),
            (
                "daemon.max_startup_failures",
                "--max-daemon-startup-failures",
                self.max_daemon_startup_failures.as_deref(),
            ),
            (
                "daemon.startup_period_duration",
                "--startup-period-duration",
                self.startup_period_duration.as_deref(),
            ),
            (
                "daemon.shutdown_grace_period",
                "--daemon-shutdown-grace-period",
                self.daemon_shutdown_grace_period.as_deref(),
            ),
            (
                "daemon.backup_data_directory",
                "--daemon-backup-data-directory",
                self.daemon_backup_data_directory.as_deref(),
            ),
            ("daemon.unsafe_skip_backup", "--unsafe-skip-backup", on(self.unsafe_skip_backup)),
        ]
    }
}
