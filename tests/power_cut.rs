//! An upgrade, or a roll-back, on a real file system that loses power in it: killed, and everything
//! lost that was not synced by then. Root only; the standard suite takes a sample,
//! `NYMVISOR_SWEEP=all` all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::support::helper::eventually;
use crate::support::run::Stage;
use crate::support::site::Site;
use crate::sweep::points::Point;
use crate::sweep::stories::{Pool, Story, Template};
use crate::sweep::trial::Trial;
use crate::sweep::{Jobs, has_strace, sweep};

/// How many points of a story are tried in the standard suite.
const SAMPLE: usize = 3;
/// Each takes a loop device.
const WORKERS: usize = 2;
/// mkfs.xfs makes none that is smaller than 300 MiB. The file is sparse.
const DISK_BYTES: u64 = 320 << 20;
const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F"];
const XFS: &[&str] = &["mkfs.xfs", "-q", "-f"];
/// `FS_IOC_SHUTDOWN` without flushing the log.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A file system of its own in a file; gone when dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// One as `mkfs` makes it, mounted; none where that can't be.
    fn new(mkfs: &[&str]) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let disk = Self { folder: tempfile::tempdir_in(parent).unwrap() };
        File::create(disk.image()).unwrap().set_len(DISK_BYTES).unwrap();
        fs::create_dir(disk.at()).unwrap();
        let made = succeeds(Command::new(mkfs[0]).args(&mkfs[1..]).arg(disk.image()));
        (made && disk.mount()).then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// The image as it was when it was saved.
    fn saved(&self) -> PathBuf {
        self.folder.path().join("saved")
    }

    /// All that is on it now is what [`Disk::put_back`] puts back.
    fn save(&self) {
        self.unmount();
        assert!(copy(&self.image(), &self.saved()) && self.mount());
    }

    fn put_back(&self) {
        self.unmount();
        assert!(copy(&self.saved(), &self.image()) && self.mount());
    }

    fn at(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&self) -> bool {
        succeeds(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.at()))
    }

    /// From now on all is lost that is not on the medium. False where that can't be done.
    fn cut_power(&self) -> bool {
        succeeds(Command::new("python3").arg("-c").arg(SHUT_DOWN).arg(self.at()))
    }

    /// Not lazily: one image mounted twice would be damaged by us.
    fn unmount(&self) {
        eventually("the end of a mount", || {
            succeeds(Command::new("umount").arg(self.at())).then_some(())
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.at()).output();
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn copy(from: &Path, to: &Path) -> bool {
    succeeds(Command::new("cp").arg("--sparse=always").arg(from).arg(to))
}

/// An installation on a disk of its own.
type OnDisk = (Arc<Disk>, Template);

fn on_disk(mkfs: &[&str], story: Story) -> OnDisk {
    let disk = Arc::new(Disk::new(mkfs).unwrap());
    let site = Site::within(tempfile::tempdir_in(disk.at()).unwrap());
    let saved = Arc::clone(&disk);
    let template = Template::of(Stage::on(site, |_| {}), story, |_| {
        saved.save();
        Box::new(move || saved.put_back())
    });
    (disk, template)
}

/// Runs until this point, loses the power there, and starts again.
fn cut((disk, template): &OnDisk, point: &Point) -> bool {
    let trial = Trial::new(template);
    let hit = trial.killed_at(point);
    assert!(disk.cut_power());
    disk.unmount();
    assert!(disk.mount(), "the file system is not whole");
    trial.assert_ends_well();
    hit
}

fn power_cuts(mkfs: &[&str], on_disk: fn(Story) -> OnDisk) {
    if !has_strace() {
        return;
    }
    let can_be_cut = Disk::new(mkfs).is_some_and(|disk| disk.cut_power());
    if !can_be_cut {
        eprintln!("skipped: no {}, not root, or no file system that can be shut down", mkfs[0]);
        return;
    }
    // What is traced needs no disk of its own.
    let pool = Pool::new(Template::new);
    let jobs = Jobs::new(&pool, SAMPLE, Point::cuts);
    let pool = Pool::new(on_disk);
    sweep(&format!("power cuts ({})", mkfs[0]), jobs, WORKERS, |job| {
        pool.with(job.story, |on_disk| cut(on_disk, &job.point))
    });
}

#[test]
fn h14_h16_h30_after_a_power_cut_on_ext4_it_ends_old_or_new_and_then_new() {
    power_cuts(EXT4, |story| on_disk(EXT4, story));
}

#[test]
fn h14_h16_h30_after_a_power_cut_on_xfs_it_ends_old_or_new_and_then_new() {
    power_cuts(XFS, |story| on_disk(XFS, story));
}
