//! Whether the names in the data folder are durable.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Error, Files};
use crate::machine::Queue;

/// Counts changes of plan, history and link, and which of them are known to be durable.
#[derive(Debug)]
pub(super) struct Names {
    changes: AtomicU64,
    synced: AtomicU64,
}

impl Default for Names {
    /// Whoever changed them last may have been killed before that was durable.
    fn default() -> Self {
        Self { changes: AtomicU64::new(1), synced: AtomicU64::new(0) }
    }
}

impl Files {
    /// What the plan and the history say, once no power cut can take that back: who has seen that
    /// the plan followed a swap no longer looks after it.
    pub fn durable_queue(&self) -> Result<Queue, Error> {
        if self.names.synced.load(Ordering::SeqCst) != self.names.changes.load(Ordering::SeqCst) {
            self.sync_data()?;
        }
        self.queue()
    }

    /// Changes files of the data folder, and makes all their names durable at once: whichever of
    /// them a power cut leaves behind is moved again.
    pub(super) fn change_data(
        &self,
        change: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.names.changes.fetch_add(1, Ordering::SeqCst);
        change()?;
        self.sync_data()
    }

    fn sync_data(&self) -> Result<(), Error> {
        let changes = self.names.changes.load(Ordering::SeqCst);
        let path = self.paths.data().to_owned();
        let failed = |source| Error::Io { doing: "sync", path: path.clone(), source };
        self.disk.sync_dir(&path).map_err(failed)?;
        self.names.synced.fetch_max(changes, Ordering::SeqCst);
        Ok(())
    }
}
