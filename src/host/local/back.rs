//! The steps of a roll-back: the data, the lock, the files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::Utc;
use tokio::task::spawn_blocking;

use super::super::restore;
use super::prepare::left_out;
use super::{LocalHost, our_failure};
use crate::config::Paths;
use crate::disk::{Disk, expect_file};
use crate::machine::{Archive, Code, Event, Failure, Upgrade, Version};
use crate::release::UpgradeName;

/// What to do about a roll-back that can't go on.
const REMEDY: &str = "the roll-back is not finished, and the daemon stays down; see to it and \
                      start `nymvisor run` again, which goes on, or, while nothing is moved yet, \
                      have the data left as it is with `nymvisor rollback --keep-data`";

impl LocalHost {
    pub(super) fn restore_home(
        &mut self,
        attempt: u64,
        upgrade: &Upgrade,
        to: Version,
        archive: Archive,
    ) {
        let (paths, disk) = (self.setup.paths.clone(), self.setup.disk.clone());
        let work = paths.rollbacks().join(format!("{attempt}-{}", upgrade.name));
        let cancel = self.work(attempt).cancel.clone();
        self.step(attempt, async move {
            let restored = spawn_blocking(move || {
                is_in_place(&*disk, &paths, &to)?;
                let job = restore::Job {
                    home: paths.home().to_owned(),
                    leave_out: left_out(&paths),
                    archive,
                    work,
                };
                restore::restore(&job, &cancel).map_err(|error| Failure {
                    code: error.code(),
                    text: format!("{error}; {REMEDY}"),
                })
            });
            let restored = restored.await.map_err(our_failure)??;
            let shown = |path: &PathBuf| path.as_os_str().as_bytes().escape_ascii().to_string();
            let places = [&restored.aside].into_iter().chain(&restored.elsewhere).map(shown);
            let aside = places.collect::<Vec<_>>().join(" and, of another file system, ");
            let moved_aside = restored.moved_aside;
            Ok(Event::HomeRestored { attempt, aside, moved_aside })
        });
    }

    pub(super) fn skip_restore(&mut self, attempt: u64, to: &Version) {
        let paths = &self.setup.paths;
        let outcome = is_in_place(&*self.setup.disk, paths, to)
            .and_then(|()| is_whole(&paths.rollbacks(), attempt))
            .map(|()| Event::RestoreSkipped { attempt });
        self.teller.tell_outcome(attempt, outcome);
    }

    pub(super) fn commit_roll_back(&mut self, attempt: u64, upgrade: Upgrade, to: Version) {
        tracing::debug!("moving the files back from {} to {}", upgrade.name, to.name);
        self.commit_files(attempt, move |files| {
            files.roll_back(&upgrade, &to, Utc::now()).map_err(|error| {
                let failure = Failure::from(error);
                Failure { text: format!("{}; {REMEDY}", failure.text), ..failure }
            })
        });
    }

    /// What could not be moved back after a commit point is moved now.
    pub(super) fn move_shared_back(&mut self, upgrade: Upgrade, to: Version) {
        self.change_plan("history, plan or link are still ahead", move |files| {
            match files.roll_back(&upgrade, &to, Utc::now()) {
                Ok(left) if left.is_empty() => Ok(()),
                Ok(left) => Err(left),
                Err(error) => Err(error.to_string()),
            }
        });
    }
}

/// Data that is half restored can't be left as it is.
fn is_whole(rollbacks: &Path, attempt: u64) -> Result<(), Failure> {
    let Some(work) = restore::unfinished(rollbacks, attempt) else { return Ok(()) };
    let text = format!(
        "the data can't be left as it is: its restore from the backup has begun, and {} holds the \
         rest; have it finished with `nymvisor rollback` and `nymvisor run`",
        work.display()
    );
    Err(Failure { code: Code::Io, text })
}

/// Nothing is moved for a version that could not be started afterwards.
fn is_in_place(disk: &dyn Disk, paths: &Paths, to: &Version) -> Result<(), Failure> {
    let name = UpgradeName::installed(&to.name).map_err(our_failure)?;
    let path = paths.binary(&name);
    expect_file(disk, &path).map_err(|what| {
        let text = format!("{what}; put the binary of {} back there; {REMEDY}", to.name);
        Failure { code: Code::NoBinary, text }
    })
}
