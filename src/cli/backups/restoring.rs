//! A mark in the home for as long as `backups restore` puts it back.
//!
//! Nothing in the home is touched before the backup is unpacked whole; from then on until the end
//! the home is neither what it was nor what the backup has, and no daemon may be started on it.

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::Error;
use crate::config::Paths;
use crate::disk::{self, Disk, RealDisk};
use crate::host::backup;
use crate::host::restore::{self, Job};
use crate::machine::{Archive, State, Version};

const FORMAT: u32 = 1;

/// A restore that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restoring {
    format: u32,
    /// The backup's name.
    pub(super) name: String,
    /// The backup; every call goes on with the same.
    pub(super) archive: Archive,
    /// The version that it is of, where that is known.
    pub(super) from: Option<Version>,
    /// The folder for it, in the form of [`Archive::path`].
    work: String,
    /// When it was begun, UTC.
    at: DateTime<Utc>,
}

impl Restoring {
    /// One that begins now.
    pub(super) fn new(
        paths: &Paths,
        name: &str,
        archive: Archive,
        from: Option<Version>,
        at: DateTime<Utc>,
    ) -> Self {
        let folder = format!("restore-{}", at.format("%Y%m%dT%H%M%S%.3fZ"));
        let work = backup::path_text(&paths.rollbacks().join(folder));
        Self { format: FORMAT, name: name.to_owned(), archive, from, work, at }
    }

    /// The one that is not finished; `None` where there is none.
    pub(super) fn load(paths: &Paths) -> Result<Option<Self>, Error> {
        let path = paths.restoring();
        let bytes = match RealDisk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let parsed = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        let known = parsed.and_then(|restoring: Self| match restoring.format {
            FORMAT => Ok(restoring),
            format => Err(format!("its format is {format}, not {FORMAT}")),
        });
        known.map(Some).map_err(|error| {
            Error::Unusable(format!(
                "{} says that the home is being restored, and can't be used: {error}; see in {} \
                 how far that is, then remove the file",
                path.display(),
                paths.rollbacks().display()
            ))
        })
    }

    /// Makes it known, durably.
    pub(super) fn save(&self, paths: &Paths) -> Result<(), Error> {
        let path = paths.restoring();
        let failed = || Error::io("write", &path);
        let bytes = serde_json::to_vec(self).map_err(io::Error::from).map_err(failed())?;
        disk::replace(&RealDisk, &path, &bytes, 0o600).map_err(failed())
    }

    /// It is over: done, or given up before anything was touched.
    pub(super) fn remove(paths: &Paths) -> Result<(), Error> {
        let path = paths.restoring();
        let removed = disk::remove_if_there(&RealDisk, &path)
            .and_then(|()| RealDisk.sync_dir(disk::folder_of(&path)));
        removed.map_err(Error::io("remove", &path))
    }

    /// What is to be done.
    pub(super) fn job(&self, paths: &Paths) -> Job {
        Job {
            home: paths.home().to_owned(),
            leave_out: left_out(paths),
            archive: self.archive.clone(),
            work: self.work(),
        }
    }

    fn work(&self) -> PathBuf {
        let archive = Archive { path: self.work.clone(), ..self.archive.clone() };
        backup::path_of(&archive)
    }
}

/// What no backup holds, as the engine has it.
fn left_out(paths: &Paths) -> Vec<PathBuf> {
    vec![paths.home_nymvisor(), paths.backups().to_owned()]
}

/// Refuses to start a daemon on a home that is half restored, be it by `backups restore` or by a
/// roll-back that the journal, which is in `state`, no longer knows of.
pub(in crate::cli) fn refuse_half_restored(paths: &Paths, state: &State) -> Result<(), Error> {
    refuse_amid_a_restore(paths)?;
    take_away_what_is_over(paths)?;
    if state.phase.attempt().is_some_and(|attempt| attempt.back.is_some()) {
        return Ok(());
    }
    let unfinished = restore::unfinished(&paths.rollbacks(), state.last_attempt);
    let Some(work) = unfinished else { return Ok(()) };
    let (home, work) = (paths.home().display(), work.display());
    Err(Error::Unusable(format!(
        "a roll-back was interrupted while it put data back into {home}, and the journal no longer \
         tells how it goes on; make {home} whole, with `nymvisor backups restore` or by hand \
         ({work} holds what was there in `aside`, and what is left of the backup in `staged`), \
         then remove {work}/state.json"
    )))
}

/// Refuses where `backups restore` has moved something, and is not done. Nothing is changed.
pub(in crate::cli) fn refuse_amid_a_restore(paths: &Paths) -> Result<(), Error> {
    let Some(restoring) = Restoring::load(paths)? else { return Ok(()) };
    let job = restoring.job(paths);
    if !restore::has_begun(&job)? || restore::is_done(&job)? {
        return Ok(());
    }
    Err(Error::Unusable(format!(
        "{} is half restored: finish it with `nymvisor backups restore {}`",
        paths.home().display(),
        super::plain(&restoring.name)
    )))
}

/// Removes the mark of a restore that is done, or that touched nothing, with what it left.
fn take_away_what_is_over(paths: &Paths) -> Result<(), Error> {
    let Some(restoring) = Restoring::load(paths)? else { return Ok(()) };
    let job = restoring.job(paths);
    if !restore::has_begun(&job)? {
        let name = &restoring.name;
        tracing::warn!(
            "`nymvisor backups restore {name}` was broken off before it had moved anything: the \
             data is as it was, and the node is started on it; to restore all the same, stop \
             nymvisor and say it again"
        );
    }
    restore::abandon(&job)?;
    Restoring::remove(paths)
}
