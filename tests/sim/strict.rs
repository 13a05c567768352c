//! The simulation finds a sync that is missing: with one kind of them left out, stories end badly.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nymvisor::disk::{Disk, DiskFile, Kind};

use super::disk::{Keep, Op, SimDisk};
use super::stories;
use super::story::{Death, Mishap, Play, Story};
use super::sweep::points;

/// Which sync is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Sync,
    SyncDir,
    /// None: what stands in front of the medium does no harm by itself.
    Nothing,
}

/// A medium with code in front of it that forgets to sync.
#[derive(Debug)]
struct Forgetful(SimDisk, Lacks);

#[derive(Debug)]
struct ForgetfulFile(Box<dyn DiskFile>);

impl DiskFile for ForgetfulFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

impl Forgetful {
    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        if self.1 == Lacks::Sync { Box::new(ForgetfulFile(file)) } else { file }
    }
}

impl Disk for Forgetful {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        self.0.kind(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.read_link(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(folder)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.0.create(path, mode)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.0.append(path)?))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.0.create_dir(path, mode)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.0.symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        if self.1 == Lacks::SyncDir { Ok(()) } else { self.0.sync_dir(folder) }
    }
}

/// How many of the power cuts in one upgrade end badly.
fn bad_outcomes(lacks: Lacks, keep: Keep) -> usize {
    let (_, _, story) = stories::all().swap_remove(0);
    let ends_badly = |at: &u64| {
        let mishaps = vec![Mishap::Dies(*at, Death::Power(keep))];
        let story = Story { mishaps, ..story.clone() };
        Play::on(&story, |medium| Arc::new(Forgetful(medium, lacks))).play().is_err()
    };
    points(&story, Op::changes).iter().filter(|at| ends_badly(at)).count()
}

#[test]
fn where_a_files_sync_is_missing_power_cuts_end_badly() {
    let bad = bad_outcomes(Lacks::Sync, Keep::Names);
    eprintln!("no file is synced: {bad} bad outcomes");
    assert!(bad > 10, "{bad}");
}

#[test]
fn where_a_folders_sync_is_missing_power_cuts_end_badly() {
    let bad = bad_outcomes(Lacks::SyncDir, Keep::Bytes);
    eprintln!("no folder is synced: {bad} bad outcomes");
    assert!(bad > 10, "{bad}");
}

#[test]
fn where_none_is_missing_no_power_cut_ends_badly() {
    for keep in [Keep::Names, Keep::Bytes] {
        assert_eq!(bad_outcomes(Lacks::Nothing, keep), 0, "{keep:?}");
    }
}
