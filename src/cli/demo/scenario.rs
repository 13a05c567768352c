//! What can be shown: the upgrade, and one honest failure for each phase.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use super::stage::Stage;
use crate::machine::{Code, PhaseName};

/// The phase in which something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fail {
    /// The server doesn't have the binary
    Downloading,
    /// The binary's checksum is wrong
    Verifying,
    /// Another process holds the upgrade lock
    Locking,
    /// The daemon doesn't end when it is asked to
    Draining,
    /// After the stop, the backup can't be written
    BackingUp,
    /// After the stop, the version file can't be replaced
    Swapping,
    /// After the upgrade, the new version can't be started
    Restarting,
    /// After the upgrade, the new version crashes
    Running,
}

/// What should come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The new version runs.
    Upgraded,
    /// The preparation failed; the old version has not been stopped.
    HeldBack(Code),
    /// The attempt failed after the stop, in this phase; the old version runs again.
    BackToOld(PhaseName),
    /// The new version was given up.
    GivenUp,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scenario(pub(super) Option<Fail>);

impl Scenario {
    /// What should come of it.
    pub(super) fn expected(self) -> Expected {
        match self.0 {
            None | Some(Fail::Draining) => Expected::Upgraded,
            Some(Fail::Downloading) => Expected::HeldBack(Code::HttpStatus),
            Some(Fail::Verifying) => Expected::HeldBack(Code::DigestMismatch),
            Some(Fail::Locking) => Expected::HeldBack(Code::LockBusy),
            Some(Fail::BackingUp) => Expected::BackToOld(PhaseName::BackingUp),
            Some(Fail::Swapping) => Expected::BackToOld(PhaseName::Swapping),
            Some(Fail::Restarting | Fail::Running) => Expected::GivenUp,
        }
    }

    /// Flags of the daemon's old version.
    pub(super) fn old_daemon(self, stage: &Stage) -> Vec<OsString> {
        let nymvisor = stage.home().join("nymvisor");
        let flag = |name: &str, path: PathBuf| vec![name.into(), path.into_os_string()];
        match self.0 {
            Some(Fail::Draining) => vec!["--ignore-interrupt".into()],
            Some(Fail::BackingUp) => flag("--leave-file", nymvisor.join("backups")),
            // The name under which the new version file is written before it is renamed.
            Some(Fail::Swapping) => {
                flag("--leave-folder", nymvisor.join(".current-version-info.json.new"))
            }
            Some(Fail::Restarting) => flag("--remove", stage.join("sh")),
            None | Some(Fail::Downloading | Fail::Verifying | Fail::Locking | Fail::Running) => {
                Vec::new()
            }
        }
    }

    /// Flags of its new version.
    pub(super) fn new_daemon(self) -> Vec<OsString> {
        if self.0 == Some(Fail::Running) { vec!["--crash".into()] } else { Vec::new() }
    }

    /// The shell that the new version's script names.
    pub(super) fn new_shell(self, stage: &Stage) -> PathBuf {
        if self.0 == Some(Fail::Restarting) { stage.join("sh") } else { "/bin/sh".into() }
    }

    /// Settings of the instance that differ from the default, as flags of `init`.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self.0 {
            Some(Fail::Draining) => &["--daemon-shutdown-grace-period", "1s"],
            Some(Fail::Restarting | Fail::Running) => &[
                "--max-daemon-startup-failures",
                "2",
                "--on-failure-daemon-restart-delay",
                "300ms",
            ],
            None
            | Some(
                Fail::Downloading
                | Fail::Verifying
                | Fail::Locking
                | Fail::BackingUp
                | Fail::Swapping,
            ) => &[],
        }
    }

    /// What was made to go wrong, before it does.
    pub(super) fn announced(self) -> &'static str {
        match self.0 {
            None => "Nothing is made to go wrong (for that, see 'nymvisor demo --help').",
            Some(Fail::Downloading) => {
                "Made to go wrong: the server announces the release, but answers 404 when the \
                 binary is fetched."
            }
            Some(Fail::Verifying) => {
                "Made to go wrong: the checksum in the announcement is not that of the binary."
            }
            Some(Fail::Locking) => {
                "Made to go wrong: another process (this one) holds upgrade.lock."
            }
            Some(Fail::Draining) => {
                "Made to go wrong: the old version ignores SIGINT. It has 1 second to end."
            }
            Some(Fail::BackingUp) => {
                "Made to go wrong: on its way out, the old version replaces the folder of the \
                 backups by a plain file."
            }
            Some(Fail::Swapping) => {
                "Made to go wrong: on its way out, the old version puts a folder where the new \
                 version file has to be written."
            }
            Some(Fail::Restarting) => {
                "Made to go wrong: on its way out, the old version removes the interpreter that \
                 the new version's binary, a script, needs."
            }
            Some(Fail::Running) => {
                "Made to go wrong: the new version tells its build info, but crashes when it runs."
            }
        }
    }

    /// What the engine did, and why.
    pub(super) fn explanation(self) -> &'static str {
        match self.0 {
            None => {
                "The binary was fetched, its checksum and build info were checked and the home \
                 was copied while the old version ran. Only then was it stopped, for as long as \
                 the last changes and the swap took. To look around in what it leaves behind:"
            }
            Some(Fail::Downloading) => {
                "The binary is fetched while the daemon runs, so the daemon noticed nothing. A \
                 missing file may turn up: the engine tries again by itself, after 1 minute, then \
                 2, 4 and so on up to an hour. To try at once:"
            }
            Some(Fail::Verifying) => {
                "A binary is neither executed nor installed before its checksum is right, and \
                 the daemon noticed nothing. Fetching the same again would not help: the upgrade \
                 is held until upstream announces another one, or you say:"
            }
            Some(Fail::Locking) => {
                "The lock is taken before the daemon is stopped, so the daemon noticed nothing. \
                 Whoever holds it will let it go: the engine tries again by itself after 1 \
                 minute, then 2, 4 and so on up to an hour. To try at once:"
            }
            Some(Fail::Draining) => {
                "A daemon is asked once, with SIGINT. One that is still there when the grace \
                 period is over is killed with everything it started, and the upgrade goes on. \
                 If yours needs longer, set daemon.shutdown_grace_period, or for one run:"
            }
            Some(Fail::BackingUp) => {
                "Without a backup there is no upgrade. The old version was started again at \
                 once, with nothing changed. The engine tries again by itself after 1 minute, \
                 then 2, 4 and so on. When the cause is mended, to try at once:"
            }
            Some(Fail::Swapping) => {
                "Until the version file is replaced the old version holds, so it was started \
                 again at once. The backup was removed: nothing had changed after it. The engine \
                 tries again by itself after 1 minute, then 2, 4 and so on. When the cause is \
                 mended, to try at once:"
            }
            Some(Fail::Restarting | Fail::Running) => {
                "From the swap on the new version holds; it may have changed the data already, \
                 so the engine doesn't go back by itself. It tried as often as \
                 daemon.max_startup_failures allows, then ended with status 4, for a service \
                 manager to see. The backup is there. To go back to the old binary:"
            }
        }
    }

    /// What an operator would type.
    pub(super) fn remedy(self) -> &'static [&'static str] {
        match self.0 {
            None => &["nymvisor demo --keep"],
            Some(Fail::Draining) => &["DAEMON_SHUTDOWN_GRACE_PERIOD=1m nymvisor run run"],
            Some(
                Fail::Downloading
                | Fail::Verifying
                | Fail::Locking
                | Fail::BackingUp
                | Fail::Swapping,
            ) => &["nymvisor retry v1.1.0"],
            Some(Fail::Restarting | Fail::Running) => &[
                "nymvisor add-upgrade $DEMO/nym-node --upgrade-name back-to-v1.0.0 \
                 --allow-downgrade --now",
                "nymvisor run run",
            ],
        }
    }
}
