//! The daemon's process: started, signalled, swept away.

use std::cell::Cell;

use nix::sys::signal::Signal;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::spawn_local;

use super::super::daemon::{self, Strays};
use super::super::processes;
use super::groups::Groups;
use super::{LocalHost, Setup, Teller, our_failure};
use crate::machine::{Daemon, Ending, Event, Version};
use crate::release::UpgradeName;

/// How often a process that is no child of ours is looked at.
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// How long a start waits for files that are being mended: another process may hold their lock.
const AGREEMENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

impl LocalHost {
    /// Starts the daemon once the files that are being mended agree; or can't be, for the daemon
    /// comes first.
    pub(super) fn spawn_daemon(&mut self, version: Version) {
        let (setup, teller) = (self.setup.clone(), self.teller.clone());
        let (group, groups) = (self.daemon_group.clone(), self.groups.clone());
        let mut changes = std::mem::take(&mut self.changes);
        // One that has ended is closed.
        changes.retain_mut(|change| change.try_recv() == Err(TryRecvError::Empty));
        if changes.is_empty() {
            return start(&setup, teller, &version, &group, &groups);
        }
        spawn_local(async move {
            let agreed = async {
                for change in changes {
                    let _ = change.await;
                }
            };
            if tokio::time::timeout(AGREEMENT_PATIENCE, agreed).await.is_err() {
                tracing::warn!("the daemon is started before history, plan and link agree");
            }
            start(&setup, teller, &version, &group, &groups);
        });
    }

    pub(super) fn interrupt_daemon(&mut self, daemon: Daemon) {
        let is_leftover = self.leftovers.contains(&daemon);
        if !is_leftover {
            let token = token(&self.setup);
            self.strays = Some(match self.groups.of_daemon(daemon) {
                Some(group) => Strays::beyond(daemon, token, &group.members()),
                None => Strays::watched(daemon, token),
            });
            self.poise();
        }
        // As late as can be: a look that is old is repeated with the daemon down.
        self.look_at_mappings();
        let all = self.left_with(daemon);
        for asked in &all {
            match daemon::signal_leader(*asked, Signal::SIGINT) {
                Ok(true) => {}
                Ok(false) => tracing::debug!("process {} ended before it was asked to", asked.pid),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        if is_leftover {
            // Nobody tells us when a process ends that is no child of ours.
            let teller = self.teller.clone();
            spawn_local(async move {
                while all.iter().any(|left| processes::is_alive(*left)) {
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                teller.tell(Event::DaemonEnded { ending: Ending::Unseen, uptime_ms: 0 });
            });
        }
    }

    /// The next start is near where an upgrade has all it needs: nothing of it is to be done then.
    fn poise(&self) {
        if self.lock.borrow().is_some() {
            self.groups.poise();
        }
    }

    pub(super) fn kill_group(&self, daemon: Daemon) {
        let is_leftover = self.leftovers.contains(&daemon);
        let older = if is_leftover { self.groups.older() } else { Vec::new() };
        for group in self.groups.of_daemon(daemon).into_iter().chain(older) {
            if let Err(error) = group.kill() {
                tracing::warn!("{} can't be killed: {error}", group.path().display());
            }
        }
        for killed in self.left_with(daemon) {
            // What is left of an earlier session may have outlived the leader of its group.
            let may_lead_none = self.leftovers.contains(&killed);
            let alone = may_lead_none.then(|| daemon::signal_leader(killed, Signal::SIGKILL));
            let failed = [daemon::kill_group(killed).err(), alone.and_then(Result::err)];
            for error in failed.into_iter().flatten() {
                tracing::warn!("{error}");
            }
        }
    }

    /// What an earlier session left ends together, in one grace period: the engine knows of one.
    fn left_with(&self, daemon: Daemon) -> Vec<Daemon> {
        if self.leftovers.contains(&daemon) { self.leftovers.clone() } else { vec![daemon] }
    }

    pub(super) fn sweep_group(&mut self, daemon: Option<Daemon>) {
        let teller = self.teller.clone();
        let watched = self.strays.take().filter(|strays| Some(strays.daemon()) == daemon);
        // Those of earlier sessions have been looked for when this one began.
        let ours = daemon.filter(|daemon| !self.leftovers.contains(daemon));
        if ours.is_some() {
            self.poise();
        }
        let strays = watched.or_else(|| Some(Strays::of(ours?, token(&self.setup))));
        let groups = self.groups.clone();
        spawn_local(async move {
            let ended = match ours {
                Some(ours) => groups.of_daemon(ours).into_iter().collect(),
                None => groups.older(),
            };
            groups.end(ended, daemon).await;
            if let Some(daemon) = daemon {
                daemon::group_gone(daemon).await;
            }
            if let Some(strays) = strays {
                strays.gone().await;
            }
            teller.tell(Event::GroupGone);
        });
    }
}

fn start(
    setup: &Setup,
    teller: Teller,
    version: &Version,
    group: &Cell<Option<u32>>,
    groups: &Groups,
) {
    match spawn(setup, version, groups) {
        Ok(mut running) => {
            group.set(Some(running.daemon.pid));
            teller.tell(Event::DaemonSpawned { daemon: running.daemon });
            spawn_local(async move {
                let ending = running.ended().await;
                let uptime_ms = u64::try_from(running.uptime().as_millis()).unwrap_or(u64::MAX);
                teller.tell(Event::DaemonEnded { ending, uptime_ms });
            });
        }
        Err(text) => teller.tell(Event::SpawnFailed { failure: our_failure(text) }),
    }
}

fn spawn(setup: &Setup, version: &Version, groups: &Groups) -> Result<daemon::Running, String> {
    let name = UpgradeName::installed(&version.name).map_err(|error| error.to_string())?;
    let command = daemon::Command {
        binary: setup.paths.binary(&name),
        args: setup.args.clone(),
        token: token(setup),
        remove_env: Vec::new(),
        envs: setup.env.clone(),
    };
    groups.start(&command).map_err(|error| error.to_string())
}

/// What this session's daemons carry.
pub(super) fn token(setup: &Setup) -> String {
    format!("{}:{}", setup.token_prefix, setup.session)
}

pub(super) fn forward(daemon: Daemon, signal: i32) {
    let sent = Signal::try_from(signal).map_err(|error| error.to_string()).and_then(|signal| {
        daemon::signal_leader(daemon, signal).map_err(|error| error.to_string())
    });
    if let Err(error) = sent {
        tracing::warn!("signal {signal} could not be passed on: {error}");
    }
}
