//! The files move to the new version, and are mended where they were lost.

use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::oneshot;
use tokio::task::{spawn_blocking, spawn_local};

use super::super::files::{Files, Mended};
use super::locks::plan_failure;
use super::look::patiently;
use super::{LocalHost, Teller, our_failure};
use crate::machine::{Announcement, Event, Failure, Upgrade, Version};
use crate::release::{PlanLock, UpgradeName};

/// The daemon is down: whoever holds the plan for longer has taken it since the lock was taken.
const PLAN_PATIENCE: Duration = Duration::from_millis(500);

impl LocalHost {
    pub(super) fn commit_swap(
        &mut self,
        attempt: u64,
        upgrade: Upgrade,
        before: Option<Announcement>,
    ) {
        tracing::debug!("moving the files to {}", upgrade.name);
        self.commit_files(attempt, move |files| {
            files.commit(&upgrade, before.as_ref(), Utc::now()).map_err(Failure::from)
        });
    }

    /// Passes a commit point under the plan's lock, and tells what could not be moved with it.
    pub(super) fn commit_files(
        &mut self,
        attempt: u64,
        commit: impl FnOnce(&Files) -> Result<String, Failure> + Send + 'static,
    ) {
        let (files, teller) = (self.files.clone(), self.teller.clone());
        let lock = self.setup.paths.plan_lock();
        // In a task of its own: a panic has an outcome as well, or the swap would wait for ever.
        let committed = spawn_local(async move {
            let committed = spawn_blocking(move || {
                let lock = PlanLock::acquire_within(&lock, PLAN_PATIENCE);
                let _lock = lock.map_err(|error| plan_failure(&error))?;
                commit(&files)
            });
            committed.await.map_err(our_failure).flatten()
        });
        self.chores.push(spawn_local(async move {
            let outcome = committed.await.map_err(our_failure).flatten();
            teller
                .tell_outcome(attempt, outcome.map(|left| Event::SwapCommitted { attempt, left }));
        }));
    }

    /// Puts away what is half-done. A failed swap may have moved the version file all the same.
    pub(super) fn stand_down(&mut self, attempt: u64, in_doubt: Option<&Upgrade>) {
        self.cancel_preparation(attempt);
        let Some(target) = in_doubt.map(Upgrade::target) else {
            return self.teller.tell_outcome(attempt, Ok(Event::StoodDown { attempt }));
        };
        let (files, teller) = (self.files.clone(), self.teller.clone());
        self.chores.push(spawn_local(async move {
            let version = spawn_blocking(move || patiently(|| files.version())).await;
            let outcome = match version.map_err(our_failure).map(|read| read.map_err(Failure::from))
            {
                Ok(Ok(version)) if version == target => {
                    let left = "history, plan and link, which follow: the swap ended early";
                    Ok(Event::SwapCommitted { attempt, left: left.to_owned() })
                }
                Ok(Ok(_)) => Ok(Event::StoodDown { attempt }),
                Ok(Err(failure)) | Err(failure) => Err(failure),
            };
            teller.tell_outcome(attempt, outcome);
        }));
    }

    pub(super) fn drop_from_queue(&mut self, names: Vec<String>) {
        self.change_plan("superseded upgrades stay in the plan", move |files| {
            files.drop_queued(&names).map_err(|error| error.to_string())
        });
    }

    /// What could not be moved after a commit point is moved now.
    pub(super) fn move_shared(&mut self, upgrade: Upgrade, before: Option<Announcement>) {
        self.change_plan("history, plan or link are still behind", move |files| {
            match files.commit(&upgrade, before.as_ref(), Utc::now()) {
                Ok(left) if left.is_empty() => Ok(()),
                Ok(left) => Err(left),
                Err(error) => Err(error.to_string()),
            }
        });
    }

    pub(super) fn rebuild_plan(&mut self, current: Version, queued: Vec<Upgrade>) {
        let teller = self.teller.clone();
        self.change_plan("the plan could not be written anew", move |files| {
            let mended = files.rebuild_plan(&current, &queued, Utc::now());
            mended.map_err(|error| error.to_string())?.into_iter().for_each(|m| tell(&teller, m));
            Ok(())
        });
    }

    pub(super) fn restore_version_file(&mut self, version: Version) {
        let teller = self.teller.clone();
        self.change_plan("the version file could not be written anew", move |files| {
            let mended = files.restore_version(&version, Utc::now());
            mended.map_err(|error| error.to_string())?.into_iter().for_each(|m| tell(&teller, m));
            Ok(())
        });
    }

    pub(super) fn mend_link(&mut self, name: String) {
        self.change_plan("`current` could not be mended", move |files| {
            let name = UpgradeName::installed(&name).map_err(|error| error.to_string())?;
            let before = files.link().map_err(|error| error.to_string())?;
            files.mend_link(&name).map_err(|error| error.to_string())?;
            tracing::warn!("`current` is mended: {} -> {name}", before.words());
            Ok(())
        });
    }

    /// A chore under the plan's lock; a daemon that is to be started waits for its end.
    pub(super) fn change_plan(
        &mut self,
        what: &'static str,
        job: impl FnOnce(&Files) -> Result<(), String> + Send + 'static,
    ) {
        let (files, lock) = (self.files.clone(), self.setup.paths.plan_lock());
        let (ends, end) = oneshot::channel::<()>();
        self.changes.push(end);
        self.chore(what, move || {
            let _ends = ends;
            let _lock = PlanLock::acquire(&lock).map_err(|error| error.to_string())?;
            job(&files)
        });
    }
}

fn tell(teller: &Teller, mended: Mended) {
    let shown = |path: PathBuf| path.display().to_string();
    let (file, set_aside) = (shown(mended.file), mended.set_aside.map(shown));
    teller.tell(Event::FileMended { file, set_aside });
}
