//! Keeping off while an engine performs an upgrade, and keeping it off.
//!
//! Taken in this order, as an engine does: the plan, the upgrade lock.

use std::fs::File;
use std::io::{self, Read};

use serde::Deserialize;
use serde_json::json;

use crate::cli::Error;
use crate::config::Paths;
use crate::disk::{self, RealDisk};
use crate::host::{self, lock::HeldLock};
use crate::journal::{self, Owner};
use crate::machine::PhaseName;
use crate::release::UpgradeName;

const LOCK_MODE: u32 = 0o644;

/// What the holder of `upgrade.lock` has written into it.
#[derive(Debug, Deserialize)]
struct Holder {
    pid: u32,
    instance: String,
    upgrade: String,
}

/// Refuses while an engine performs an upgrade, without touching its lock.
///
/// Where nothing is replaced, only the engine that performs this very upgrade is in the way; it
/// may hold the lock for another one for as long as that isn't due.
pub(in crate::cli) fn check(
    paths: &Paths,
    name: &UpgradeName,
    replaces: bool,
) -> Result<(), Error> {
    let path = paths.upgrade_lock();
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    let holder = read_holder(&mut file);
    if !replaces && holder.as_ref().is_none_or(|holder| holder.upgrade != name.as_str()) {
        return Ok(());
    }
    match disk::try_lock(&file) {
        Ok(true) => Ok(()),
        Ok(false) => Err(performed(paths, holder)),
        Err(error) => Err(Error::io("lock", &path)(error)),
    }
}

/// Takes `upgrade.lock` while files of this upgrade are replaced, so that no engine begins to use
/// them; it waits for that. The plan is locked: no other command is at it.
pub(super) fn keep_off(
    paths: &Paths,
    instance: &str,
    name: &UpgradeName,
    replaces: bool,
) -> Result<Option<HeldLock>, Error> {
    if !replaces {
        return check(paths, name, replaces).map(|()| None);
    }
    let pid = std::process::id();
    let content = json!({"pid": pid, "instance": instance, "upgrade": name.as_str()}).to_string();
    match HeldLock::acquire(&paths.upgrade_lock(), LOCK_MODE, &content) {
        Ok(lock) => Ok(Some(lock)),
        Err(host::lock::Error::Busy { content, .. }) => {
            Err(performed(paths, serde_json::from_str(&content).ok()))
        }
        Err(error @ host::lock::Error::Io { .. }) => Err(Error::Unusable(error.to_string())),
    }
}

fn performed(paths: &Paths, holder: Option<Holder>) -> Error {
    Error::Refused(format!(
        "an upgrade is being performed: {} is held by {}; try again when it is done, which \
         `nymvisor journal show` of that instance tells",
        paths.upgrade_lock().display(),
        shown(holder, paths)
    ))
}

fn read_holder(file: &mut File) -> Option<Holder> {
    const MAX_BYTES: u64 = 4096;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn shown(holder: Option<Holder>, paths: &Paths) -> String {
    match holder {
        Some(Holder { pid, instance, upgrade }) => {
            let phase = phase_of(&instance, paths)
                .map(|phase| format!(", in the phase {phase}"))
                .unwrap_or_default();
            format!(
                "process {pid} of the instance '{}' for the upgrade '{}'{phase}",
                instance.escape_debug(),
                upgrade.escape_debug()
            )
        }
        None => "another process".to_owned(),
    }
}

/// Where the engine of an instance stands, as its journal says.
fn phase_of(instance: &str, paths: &Paths) -> Option<PhaseName> {
    let owner = Owner { instance: instance.to_owned(), daemon: paths.daemon().to_owned() };
    let folder = paths.root().instance(instance).join("data/journal");
    let state = journal::last_state(&RealDisk, &folder, &owner).ok().flatten()?;
    Some(state.phase.name())
}
