//! The home as one sealed archive.

mod changed;
mod examined;
mod faults;
mod hazards;
mod live;
mod live_mapped;
mod live_random;
mod live_ticks;
mod live_turmoil;
mod random_trees;
mod round_trip;
pub(crate) mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nymvisor::host::backup::{self, Cancel, Error, Job};
use nymvisor::machine::Archive;

/// A home and a place for its backups, apart from each other.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) home: PathBuf,
    pub(crate) backups: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// On a file system in memory; `None` where there is none.
    pub(crate) fn in_memory() -> Option<Self> {
        let folder = tempfile::tempdir_in("/dev/shm").ok().map(Self::within);
        if folder.is_none() {
            eprintln!("no file system in memory here");
        }
        folder
    }

    fn within(folder: tempfile::TempDir) -> Self {
        let (home, backups) = (folder.path().join("home"), folder.path().join("backups/1.2.0"));
        fs::create_dir(&home).unwrap();
        Self { folder, home, backups }
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn job(&self) -> Job {
        Job {
            home: self.home.clone(),
            leave_out: vec![self.home.join("nymvisor"), self.backups.clone()],
            archive: self.backups.join("backup-2026-11-22T10:00:00Z-preupgrade.tar.zst"),
            workers: 2,
            level: 3,
        }
    }

    pub(crate) fn seal(&self) -> Result<Archive, Error> {
        backup::seal(&self.job(), &Cancel::default())
    }

    /// What GNU tar finds different between the archive and the home.
    pub(crate) fn differences(&self, archive: &Archive) -> String {
        let tar = Command::new("tar")
            .arg("-df")
            .arg(backup::path_of(archive))
            .arg("-C")
            .arg(&self.home)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[tar.stdout, tar.stderr].concat()).into_owned()
    }

    /// What GNU tar makes of the archive.
    pub(crate) fn restore(&self, archive: &Archive) -> PathBuf {
        let to = self.folder.path().join("restored");
        fs::create_dir_all(&to).unwrap();
        let tar = Command::new("tar")
            .args([
                "--xattrs",
                "--xattrs-include=*",
                "--numeric-owner",
                "--warning=no-timestamp",
                "-xpf",
            ])
            .arg(backup::path_of(archive))
            .arg("-C")
            .arg(&to)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&tar.stderr).into_owned();
        assert!(tar.status.success() && said.is_empty(), "tar: {}: {said}", tar.status);
        to
    }
}

/// The names that GNU tar finds in the archive.
pub(crate) fn list(archive: &Archive) -> Vec<String> {
    let tar = Command::new("tar").arg("-tf").arg(backup::path_of(archive)).output().unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    String::from_utf8_lossy(&tar.stdout).lines().map(str::to_owned).collect()
}

/// Bytes that don't compress, the same at each call with the same seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// The names in a folder, hidden ones too, sorted; one that is not there holds none.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
