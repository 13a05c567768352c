//! Keeping off while an engine performs an upgrade.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::Error;

/// What the holder of `upgrade.lock` has written into it.
#[derive(Debug, Deserialize)]
struct Holder {
    pid: u32,
    instance: String,
    upgrade: String,
}

/// Holds `upgrade.lock` while a binary is replaced; `None` where there is no such file.
///
/// The file is the engine's: it is neither made nor removed here.
pub(super) fn keep_off(path: &Path) -> Result<Option<File>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Refused(format!(
            "an upgrade is being performed ({}, which {} holds); try again when it is done",
            path.display(),
            holder(&mut file)
        ))),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn holder(file: &mut File) -> String {
    const MAX_BYTES: u64 = 4096;
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text).ok();
    match read.and_then(|_| serde_json::from_str::<Holder>(&text).ok()) {
        Some(Holder { pid, instance, upgrade }) => format!(
            "process {pid} of the instance '{}' with the upgrade '{}'",
            instance.escape_debug(),
            upgrade.escape_debug()
        ),
        None => "another process".to_owned(),
    }
}
