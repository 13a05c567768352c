//! Locks on files.

use std::fs::File;
use std::io;

use fd_lock::RwLock;

/// Takes the exclusive lock (`flock`) on an open file at once; `false` where somebody else has it.
///
/// It is held until the file is closed, by a crash too, and no child inherits it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match RwLock::new(file).try_write() {
        Ok(guard) => {
            // The guard would give it back at the end of this function.
            std::mem::forget(guard);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
