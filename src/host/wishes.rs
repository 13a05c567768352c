//! What is held and cancelled, in a file beside the journal: where that has to be set aside, an
//! upgrade that a person didn't want must not be performed after all.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::disk::{self, Disk};
use crate::machine::Wishes;

const MODE: u32 = 0o600;

/// Writes them, or removes the file where there are none.
pub fn keep(disk: &dyn Disk, path: &Path, wishes: &Wishes) -> io::Result<()> {
    if wishes.are_none() {
        return disk::remove_if_there(disk, path);
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
