//! The daemon's process: started, signalled, swept away.

use nix::sys::signal::Signal;
use tokio::task::spawn_local;

use super::super::{daemon, processes};
use super::{LocalHost, our_failure};
use crate::machine::{Daemon, Ending, Event, Version};
use crate::release::UpgradeName;

/// How often a process that is no child of ours is looked at.
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

impl LocalHost {
    pub(super) fn spawn_daemon(&mut self, version: &Version) {
        match self.spawn(version) {
            Ok(mut running) => {
                self.teller.tell(Event::DaemonSpawned { daemon: running.daemon });
                let teller = self.teller.clone();
                spawn_local(async move {
                    let ending = running.ended().await;
                    let uptime_ms = u64::try_from(running.uptime().as_millis()).unwrap_or(u64::MAX);
                    teller.tell(Event::DaemonEnded { ending, uptime_ms });
                });
            }
            Err(text) => {
                let failure = our_failure(text);
                self.teller.tell(Event::SpawnFailed { failure });
            }
        }
    }

    fn spawn(&self, version: &Version) -> Result<daemon::Running, String> {
        let name = UpgradeName::installed(&version.name).map_err(|error| error.to_string())?;
        let command = daemon::Command {
            binary: self.setup.paths.binary(&name),
            args: self.setup.args.clone(),
            token: format!("{}:{}", self.setup.token_prefix, self.setup.session),
            remove_env: Vec::new(),
            envs: self.setup.env.clone(),
        };
        daemon::spawn(&command).map_err(|error| error.to_string())
    }

    pub(super) fn interrupt_daemon(&mut self, daemon: Daemon) {
        match daemon::signal_leader(daemon, Signal::SIGINT) {
            Ok(true) => {}
            Ok(false) => tracing::debug!("process {} ended before it was asked to", daemon.pid),
            Err(error) => tracing::warn!("{error}"),
        }
        if self.leftovers.contains(&daemon) {
            // Nobody tells us when a process ends that is no child of ours.
            let teller = self.teller.clone();
            spawn_local(async move {
                while processes::is_alive(daemon) {
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                teller.tell(Event::DaemonEnded { ending: Ending::Unseen, uptime_ms: 0 });
            });
        }
    }

    pub(super) fn sweep_group(&mut self, daemon: Option<Daemon>) {
        let teller = self.teller.clone();
        spawn_local(async move {
            if let Some(daemon) = daemon {
                daemon::group_gone(daemon).await;
            }
            teller.tell(Event::GroupGone);
        });
    }
}

pub(super) fn forward(daemon: Daemon, signal: i32) {
    let sent = Signal::try_from(signal).map_err(|error| error.to_string()).and_then(|signal| {
        daemon::signal_leader(daemon, signal).map_err(|error| error.to_string())
    });
    if let Err(error) = sent {
        tracing::warn!("signal {signal} could not be passed on: {error}");
    }
}

pub(super) fn kill(daemon: Daemon) {
    if let Err(error) = daemon::kill_group(daemon) {
        tracing::warn!("{error}");
    }
}
