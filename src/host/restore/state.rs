//! How far a restore got, in one small durable file.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::plan::Plan;
use super::{Error, Job};
use crate::disk::{Disk, RealDisk, replace};

const FORMAT: u32 = 1;

/// What is done for certain. Without a file nothing is, and what was unpacked is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// The archive is unpacked beside the home, whole and durable.
    Staged,
    /// Nothing that has to go is in the home any more.
    Aside,
    /// What was unpacked is in the home.
    Placed,
    /// The home is as the backup has it; nothing is done any more.
    Done,
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// Where the archive is, as in [`crate::machine::Archive::path`].
    archive: String,
    /// What is done.
    pub(super) phase: Phase,
    /// What is moved and where to; made once, so that every run goes on with the same.
    pub(super) plan: Plan,
    /// Folders that get their metadata at the end, with it: read from what was unpacked, before
    /// the moves out of there change it. Parents come first.
    pub(super) settle: Vec<(OsString, Meta)>,
    /// How many things were moved aside.
    pub(super) moved_aside: u64,
}

impl State {
    /// What is certain once the archive is unpacked.
    pub(super) fn staged(job: &Job, plan: Plan) -> Self {
        Self {
            format: FORMAT,
            archive: job.archive.path.clone(),
            phase: Phase::Staged,
            plan,
            settle: Vec::new(),
            moved_aside: 0,
        }
    }

    /// Reads the file; `None` where there is none.
    pub(super) fn load(job: &Job) -> Result<Option<Self>, Error> {
        let path = path(&job.work);
        let bytes = match RealDisk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::of("reading", &path, error)),
        };
        let odd = |what: String| Error::State { path: path.clone(), what };
        let state: Self = serde_json::from_slice(&bytes).map_err(|e| odd(e.to_string()))?;
        if state.format != FORMAT {
            return Err(odd(format!("its format is {}, not {FORMAT}", state.format)));
        }
        if state.archive != job.archive.path {
            return Err(odd("it belongs to the restore of another backup".into()));
        }
        // A kill may have come between its renaming and the folder's sync.
        RealDisk.sync_dir(&job.work).map_err(|e| Error::of("syncing", &job.work, e))?;
        Ok(Some(state))
    }

    /// Makes what is done durable.
    pub(super) fn save(&self, job: &Job) -> Result<(), Error> {
        let path = path(&job.work);
        let bytes = serde_json::to_vec(self).map_err(|e| Error::of("writing", &path, e))?;
        replace(&RealDisk, &path, &bytes, 0o600).map_err(|e| Error::of("writing", &path, e))
    }
}

/// Whether a restore in this folder has begun, and is not known to be done.
pub(super) fn is_unfinished(work: &Path) -> bool {
    let Ok(bytes) = RealDisk.read(&path(work)) else { return false };
    let state: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    state.is_none_or(|state| state.get("phase") != Some(&serde_json::json!(Phase::Done)))
}

fn path(work: &Path) -> PathBuf {
    work.join("state.json")
}
