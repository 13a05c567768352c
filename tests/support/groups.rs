//! Control groups that nymvisor has made for instances of tests.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nymvisor::digest;
use nymvisor::host::cgroup::{Group, recorded};

/// This instance's part of the token.
pub(crate) fn token_prefix(instance: &Path) -> String {
    let mut prefix = digest::sha256(instance.as_os_str().as_bytes());
    prefix.truncate(16);
    prefix
}

/// What the sessions of these instances have left.
pub(crate) fn of_instances(instances: &Path) -> Vec<Group> {
    let entries = fs::read_dir(instances).into_iter().flatten().flatten();
    let places = entries.flat_map(|entry| {
        let instance = entry.path();
        recorded(&instance.join("data/control-groups"), &token_prefix(&instance))
    });
    places.flat_map(|place| place.groups()).collect()
}

pub(crate) fn remove(groups: &[Group]) {
    for group in groups {
        end(group.path());
    }
}

/// Kills what is in it, and removes it.
pub(crate) fn end(folder: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    let _ = fs::write(folder.join("cgroup.kill"), "1");
    while remove_below(folder).is_err() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn remove_below(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
