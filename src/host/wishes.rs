//! What is held and cancelled, in a file beside the journal: where that has to be set aside, an
//! upgrade that a person didn't want must not be performed after all.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::disk::{self, Disk};
use crate::machine::Wishes;

const MODE: u32 = 0o600;

/// Who keeps them from several threads: of two that are under way at once the later word counts.
#[derive(Debug, Default)]
pub struct Keeper {
    last: AtomicU64,
    turn: Mutex<()>,
}

impl Keeper {
    /// The number of the next word.
    pub fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The number of the last word.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// The same as [`keep`], unless a later word has been given its number meanwhile.
    pub fn keep(
        &self,
        number: u64,
        disk: &dyn Disk,
        path: &Path,
        wishes: &Wishes,
    ) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if number == self.last() { keep(disk, path, wishes) } else { Ok(()) }
    }
}

/// Writes them, or removes the file where there are none; durable once it returns.
pub fn keep(disk: &dyn Disk, path: &Path, wishes: &Wishes) -> io::Result<()> {
    if wishes.are_none() {
        disk::remove_if_there(disk, path)?;
        return disk.sync_dir(disk::folder_of(path));
    }
    let mut bytes = serde_json::to_vec_pretty(wishes)?;
    bytes.push(b'\n');
    disk::replace(disk, path, &bytes, MODE)
}

/// Reads them; a hold whose time is over by now is none.
pub fn kept(disk: &dyn Disk, path: &Path, now: DateTime<Utc>) -> io::Result<Wishes> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wishes::default()),
        Err(error) => return Err(error),
    };
    let mut wishes: Wishes = serde_json::from_slice(&bytes)?;
    wishes.cancelled.retain(crate::machine::Trouble::is_cancelled);
    wishes.holding = wishes.holding.filter(|holding| holding.until.is_none_or(|end| end > now));
    Ok(wishes)
}
