//! The look at the beginning of a session: what is there?

use std::time::Duration;

use chrono::Utc;
use nix::sys::signal::Signal;
use tokio::task::{spawn_blocking, spawn_local};

use super::super::{Stimulus, backup, daemon, files, place, processes};
use super::LocalHost;
use crate::config::Paths;
use crate::digest::Algorithm;
use crate::machine::{Archive, Binary, Link, Observed, Upgrade};
use crate::release::UpgradeName;

/// Before a look that ended early is taken again.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);

/// Tries to read a file that the system doesn't hand out: five seconds in all.
const READS_MAX: u32 = 20;
const READ_PAUSE: Duration = Duration::from_millis(250);

impl LocalHost {
    pub(super) fn observe(
        &mut self,
        upgrade: Option<Upgrade>,
        binary: Option<Binary>,
        archive: Option<Archive>,
    ) {
        let left = processes::left(&self.setup.token_prefix);
        // A command that outlived nymvisor serves no home: it has no grace period.
        for command in left.commands {
            if let Err(error) = daemon::signal_leader(command, Signal::SIGKILL) {
                tracing::warn!("a command of an earlier session is left: {error}");
            }
        }
        self.leftovers = left.daemons;
        let (found, restless) = self.groups.look(&self.leftovers);
        self.leftovers.extend(found);
        let leftover = self.leftovers.first().copied();
        // A start is near, and the look takes a while as well.
        self.groups.poise();
        let (files, paths) = (self.files.clone(), self.setup.paths.clone());
        let sender = self.teller.0.clone();
        let binary = upgrade.zip(binary);
        let look = move || Observed {
            at: Utc::now(),
            daemon: leftover,
            version: seen("the version file", patiently(|| files.version())),
            queue: seen("the plan", files.durable_queue()),
            link: seen("the link", files.link()).unwrap_or(Link::Absent),
            binary: binary.as_ref().and_then(|(of, was)| same_binary(&paths, of, was)),
            backup_holds: archive.as_ref().is_some_and(|archive| backup_holds(&paths, archive)),
        };
        let groups = self.groups.clone();
        spawn_local(async move {
            groups.end(restless, None).await;
            // Without an answer no daemon would ever be started.
            loop {
                let look = look.clone();
                match spawn_local(async { spawn_blocking(look).await }).await.flatten() {
                    Ok(observed) => return drop(sender.send(Stimulus::Found(observed))),
                    Err(error) => tracing::error!("the look at the disk ended early: {error}"),
                }
                tokio::time::sleep(AGAIN_PAUSE).await;
            }
        });
    }
}

/// After a swap the version file alone tells which version may be started: where the system doesn't
/// hand it out, it is asked for a while.
pub(super) fn patiently<T>(read: impl Fn() -> Result<T, files::Error>) -> Result<T, files::Error> {
    for _ in 0..READS_MAX {
        let read = read();
        if files::is_told(&read) {
            return read;
        }
        std::thread::sleep(READ_PAUSE);
    }
    read()
}

/// What can't be read is as good as absent; the log says why.
fn seen<T>(what: &str, read: Result<T, files::Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!("{what} can't be used: {error}")).ok()
}

/// The binary that was checked, if its bytes are still the same.
fn same_binary(paths: &Paths, upgrade: &Upgrade, was: &Binary) -> Option<Binary> {
    let path = paths.binary(&UpgradeName::installed(&upgrade.name).ok()?);
    let is = place::digest_file(&path, Algorithm::Sha256).ok()?;
    (is.sha256 == was.sha256 && is.bytes == was.bytes && is.identity == was.identity)
        .then(|| was.clone())
}

/// Whether the archive is whole, and nothing in the home was touched after it was sealed.
fn backup_holds(paths: &Paths, archive: &Archive) -> bool {
    let sealed_at = std::fs::metadata(backup::path_of(archive)).and_then(|meta| meta.modified());
    let left_out = super::prepare::left_out(paths);
    let unchanged = sealed_at.is_ok_and(|sealed_at| {
        backup::home_changed_since(paths.home(), &left_out, sealed_at).is_ok_and(|changed| !changed)
    });
    unchanged && backup::confirm(archive).unwrap_or(false)
}
