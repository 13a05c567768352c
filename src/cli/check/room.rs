//! Whether there is room, on each file system, for what is still to be written.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::binary::Outlook;
use super::finding::Finding;
use super::site::{Site, in_words};
use super::subject::Subject;
use crate::host::room::{self, Need};
use crate::journal::RESERVE_BYTES;
use crate::units::human;

const WHAT: &str = "room";
const BLOCK_BYTES: u64 = 512;
/// Files and folders that an upgrade makes, and some to spare.
const INODES_MIN: u64 = 64;

/// What a backup of the home takes at most.
pub(super) fn home(site: &Site<'_>) -> Result<Need, room::Error> {
    let paths = &site.paths;
    room::needed_for_backup(paths.home(), &[paths.home_nymvisor(), paths.backups().to_owned()])
}

pub(super) fn findings(
    site: &Site<'_>,
    subject: Option<&Subject>,
    binary: &Outlook,
    home: &Result<Need, room::Error>,
) -> Vec<Finding> {
    let mut needs: Vec<(PathBuf, u64)> = Vec::new();
    if let Some(bytes) = binary.missing_bytes.filter(|bytes| *bytes > 0) {
        needs.push((site.paths.upgrades(), bytes));
    }
    if site.config.daemon.unsafe_skip_backup {
        let text = "daemon.unsafe_skip_backup is on: no backup is made, and none can be restored";
        let mut findings = of(needs, site);
        findings.push(Finding::warn("backup", text, "switch it off"));
        return findings;
    }
    match home {
        Ok(need) => {
            let there = subject.map_or(0, |subject| copied_already(site, subject));
            needs.push((site.paths.backups().to_owned(), need.bytes.saturating_sub(there)));
            of(needs, site)
        }
        Err(error) => {
            let text = in_words(error);
            vec![Finding::fail(WHAT, text, "see that the home can be read whole by this user")]
        }
    }
}

fn of(mut needs: Vec<(PathBuf, u64)>, site: &Site<'_>) -> Vec<Finding> {
    let reserve = site.paths.journal().join(".reserve");
    if reserve.symlink_metadata().is_err() {
        needs.push((site.paths.journal(), RESERVE_BYTES as u64));
    }
    if let Err(error) = room::check(&needs) {
        return vec![Finding::fail(WHAT, in_words(&error), "free it, or mount more")];
    }
    let mut findings: Vec<Finding> =
        needs.iter().map(|(path, bytes)| shown(path, *bytes)).collect();
    for (path, _) in &needs {
        let inodes = room::free(path).map_or(u64::MAX, |room| room.inodes);
        if inodes < INODES_MIN {
            let text = format!("only {inodes} more files can be made where {} is", path.display());
            findings.push(Finding::fail("inodes", text, "remove files there"));
        }
    }
    findings
}

fn shown(path: &std::path::Path, bytes: u64) -> Finding {
    let free = room::free(path).map_or(0, |room| room.bytes);
    let text = format!("{} needed at most, {} free: {}", human(bytes), human(free), path.display());
    Finding::ok(WHAT, text)
}

/// What the `run` that is up has copied ahead: it lies in the file system already.
fn copied_already(site: &Site<'_>, subject: &Subject) -> u64 {
    if site.runner.is_none() {
        return 0;
    }
    let folder = site.paths.backup_of(&subject.info.name);
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".partial"))
        .filter_map(|entry| Some(entry.metadata().ok()?.blocks() * BLOCK_BYTES))
        .sum()
}
