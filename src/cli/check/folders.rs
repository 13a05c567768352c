//! Whether the folders can be written that an upgrade writes to.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, Uid, eaccess};

use super::finding::Finding;
use super::site::Site;
use crate::disk::folder_of;

const WHAT: &str = "folders";

/// Asks the kernel; nothing is written.
pub(super) fn findings(site: &Site<'_>) -> Vec<Finding> {
    let paths = &site.paths;
    let mut folders: Vec<PathBuf> = vec![
        paths.data().to_owned(),
        paths.upgrades(),
        paths.home_nymvisor(),
        paths.instance_data(),
        paths.journal(),
    ];
    if !site.config.daemon.unsafe_skip_backup {
        folders.push(paths.backups().to_owned());
    }
    let mut findings: Vec<Finding> = folders.iter().filter_map(|folder| refused(folder)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(WHAT, format!("all {} can be written", folders.len())));
    }
    findings
}

/// Why `path`, or the folder it would be made in, can't be written.
fn refused(path: &Path) -> Option<Finding> {
    let there = nearest(path);
    if there.is_file() {
        let text = format!("{} is a file, where a folder is needed", there.display());
        return Some(Finding::fail(WHAT, text, "move it away"));
    }
    let errno = eaccess(there, AccessFlags::W_OK | AccessFlags::X_OK).err()?;
    let text = format!("{} can't be written: {}", there.display(), errno.desc());
    let remedy = if errno == Errno::EROFS {
        "mount its file system writable".to_owned()
    } else {
        let user = Uid::effective();
        format!("give it to the user that `nymvisor run` runs as (this is user {user})")
    };
    Some(Finding::fail(WHAT, text, remedy))
}

fn nearest(path: &Path) -> &Path {
    let mut at = path;
    while at.symlink_metadata().is_err() && folder_of(at) != at {
        at = folder_of(at);
    }
    at
}
