//! The lock around every change of a plan.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Error;
use crate::disk::{self, RealDisk, folder_of};

/// How long another one's change is waited for. A change takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// The lock (flock) around every change of a plan, held until it is dropped.
///
/// Its file is never removed: a lock on a removed file excludes nobody.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct PlanLock {
    _file: File,
}

impl PlanLock {
    /// Waits for the lock, for 10 s at most. Blocks: not for an asynchronous task.
    pub fn acquire(path: &Path) -> Result<Self, Error> {
        Self::acquire_within(path, PATIENCE)
    }

    /// Waits for the lock, for so long at most.
    pub fn acquire_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        let failed = |source| Error::Unwritable { path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        let since = Instant::now();
        loop {
            match disk::try_lock(&file) {
                Ok(true) => return Ok(Self { _file: file }),
                Ok(false) if since.elapsed() >= patience => {
                    return Err(Error::Locked { path: path.to_owned(), waited: patience });
                }
                Ok(false) => std::thread::sleep(PAUSE),
                Err(source) => return Err(failed(source)),
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(false).mode(0o644);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk::create_dirs(&RealDisk, folder_of(path), 0o755)?;
            options.create(true).open(path)?
        }
        // No lock outlives a power cut, so there is nothing to sync.
        opened => opened?,
    };
    disk::inherit_owner(path)?;
    Ok(file)
}
