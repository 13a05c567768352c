//! The files move to the new version, and are mended where they were lost.

use chrono::Utc;
use tokio::task::{spawn_blocking, spawn_local};

use super::super::files::Files;
use super::{LocalHost, our_failure};
use crate::machine::{Event, Failure, Upgrade, Version};
use crate::release::{PlanLock, UpgradeName};

impl LocalHost {
    pub(super) fn commit_swap(&mut self, attempt: u64, upgrade: Upgrade, from: &Version) {
        tracing::debug!("moving the files from {} to {}", from.name, upgrade.name);
        self.commit_files(attempt, move |files| {
            files.commit(&upgrade, Utc::now()).map_err(Failure::from)
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
                let _lock = PlanLock::acquire(&lock).map_err(our_failure)?;
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

    pub(super) fn drop_from_queue(&mut self, names: Vec<String>) {
        self.change_plan("superseded upgrades stay in the plan", move |files| {
            files.drop_queued(&names).map_err(|error| error.to_string())
        });
    }

    /// What could not be moved after a commit point is moved now.
    pub(super) fn move_shared(&mut self, upgrade: Upgrade) {
        self.change_plan("history, plan or link are still behind", move |files| {
            match files.commit(&upgrade, Utc::now()) {
                Ok(left) if left.is_empty() => Ok(()),
                Ok(left) => Err(left),
                Err(error) => Err(error.to_string()),
            }
        });
    }

    pub(super) fn rebuild_plan(&mut self, version: Version) {
        self.change_plan("the plan could not be written anew", move |files| {
            let aside = files.rebuild_plan(&version, Utc::now()).map_err(|e| e.to_string())?;
            for aside in aside {
                tracing::warn!("what was damaged is kept as {}", aside.display());
            }
            Ok(())
        });
    }

    pub(super) fn restore_version_file(&mut self, version: Version) {
        self.change_plan("the version file could not be written anew", move |files| {
            let aside = files.restore_version(&version, Utc::now()).map_err(|e| e.to_string())?;
            if let Some(aside) = aside {
                tracing::warn!("the damaged version file is kept as {}", aside.display());
            }
            Ok(())
        });
    }

    pub(super) fn mend_link(&mut self, name: String) {
        self.change_plan("`current` could not be mended", move |files| {
            let name = UpgradeName::installed(&name).map_err(|error| error.to_string())?;
            files.mend_link(&name).map_err(|error| error.to_string())
        });
    }

    /// A chore under the plan's lock.
    pub(super) fn change_plan(
        &mut self,
        what: &'static str,
        job: impl FnOnce(&Files) -> Result<(), String> + Send + 'static,
    ) {
        let (files, lock) = (self.files.clone(), self.setup.paths.plan_lock());
        self.chore(what, move || {
            let _lock = PlanLock::acquire(&lock).map_err(|error| error.to_string())?;
            job(&files)
        });
    }
}
