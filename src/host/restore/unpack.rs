//! A backup unpacked into a folder of its own, with no home involved.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FchmodatFlags, fchmodat};

use super::meta::Meta;
use super::plan::Plan;
use super::stage::{stage, wipe};
use super::{Error, Job, folder};
use crate::disk::{Disk, RealDisk, create_dirs};
use crate::host::backup::Cancel;
use crate::machine::Archive;

/// What is unpacked lies in here until it is whole.
const HOLDING: &str = ".nymvisor-unpacking";

/// Unpacks an archive into an empty or missing folder, which gets owner, mode, time and attributes
/// of the home. Nothing is seen in it before all of it is unpacked and durable.
///
/// After an error nothing is left that wasn't there before.
pub fn unpack(archive: &Archive, into: &Path, cancel: &Cancel) -> Result<(), Error> {
    // A link to nothing is no place for a folder either.
    let is_there = |path: &Path| !matches!(RealDisk.kind(path), Ok(None));
    if is_there(into) && !into.is_dir() {
        return Err(Error::NotAFolder { path: into.to_owned() });
    }
    let made: Vec<&Path> = into.ancestors().take_while(|path| !is_there(path)).collect();
    let unpacked = unpack_into(archive, into, cancel).map_err(Error::unpacking);
    if unpacked.is_err() {
        for folder in made {
            // Empty, and ours; else somebody has use for it.
            let _ = std::fs::remove_dir(folder);
        }
    }
    unpacked
}

fn unpack_into(archive: &Archive, into: &Path, cancel: &Cancel) -> Result<(), Error> {
    create_dirs(&RealDisk, into, 0o700).map_err(|e| Error::of("creating", into, e))?;
    // A link is a good name for a folder; what is unpacked goes behind it.
    let into = std::fs::canonicalize(into).map_err(|e| Error::of("looking at", into, e))?;
    let target = File::open(&into).map_err(|e| Error::of("opening", &into, e))?;
    let names = folder::names(&target).map_err(|e| Error::of("listing", &into, e))?;
    if names.iter().any(|name| name != HOLDING) {
        return Err(Error::NotEmpty { path: into });
    }
    let holding = into.join(HOLDING);
    // An interrupted call left it.
    wipe(&holding)?;
    create_dirs(&RealDisk, &holding, 0o700).map_err(|e| Error::of("creating", &holding, e))?;
    let (home, archive) = (into.clone(), archive.clone());
    let job = Job { home, leave_out: Vec::new(), archive, work: holding.clone() };
    let unpacked = stage(&job, &Plan::of_folder(&holding), cancel);
    if unpacked.is_err() {
        // The error is what matters; what is left is wiped by the next call.
        let _ = wipe(&holding);
    }
    unpacked?;
    move_up(&target, &into, &holding.join("staged"))?;
    folder::sync(&target, &into)
}

/// Moves everything in `staged` into the folder, which gets its metadata.
fn move_up(target: &File, into: &Path, staged: &Path) -> Result<(), Error> {
    let from = File::open(staged).map_err(|e| Error::of("opening", staged, e))?;
    let meta = Meta::of(&from, staged)?;
    for name in folder::names(&from).map_err(|e| Error::of("listing", staged, e))? {
        let failed = |error: Errno| Error::of("moving into its place", &into.join(&name), error);
        let moved = folder::rename((&from, &name), (target, &name)).map_err(failed)?;
        if let Some(before) = moved {
            fchmodat(target, name.as_os_str(), before, FchmodatFlags::NoFollowSymlink)
                .map_err(failed)?;
        }
    }
    folder::sync(target, into)?;
    wipe(staged.parent().unwrap_or(staged))?;
    meta.apply(target, into)
}
