//! The files that say which version runs: moved once, and never put back.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::Utc;
use nymvisor::config::{self, Env, Paths};
use nymvisor::disk::{Disk, DiskFile, Kind, RealDisk};
use nymvisor::host::files::Files;
use nymvisor::host::wishes::{Keeper, kept};
use nymvisor::machine::{Announcement, Holding, Requester, Upgrade, Wishes};

use crate::support::site::{Site, read_json};

/// The files of an instance: the plan, the history and the link are those of the site.
fn files_of(site: &Site, home: &str, disk: Arc<dyn Disk>) -> (Files, Paths) {
    let home = site.path(home);
    fs::create_dir_all(home.join("nymvisor")).unwrap();
    let version = site.home("nymvisor/current-version-info.json");
    let own = home.join("nymvisor/current-version-info.json");
    if !own.exists() {
        fs::copy(version, own).unwrap();
    }
    let variables = [("HOME", site.path("")), ("DAEMON_HOME", home)];
    let env = Env::of(variables.map(|(name, value)| (name.into(), value.into())));
    let (_, paths) = config::load(&RealDisk, &env).unwrap();
    (Files::new(disk, paths.clone()), paths)
}

fn add(site: &Site, version: &str, flags: &[&str]) -> Upgrade {
    let binary = site.binary("nym-node", version);
    let name = format!("v{version}");
    let mut arguments =
        vec!["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", &name, "--now"];
    arguments.extend(flags);
    site.ok(&arguments);
    let (files, _) = files_of(site, "node", Arc::new(RealDisk));
    let entries = files.queue().unwrap().entries;
    entries.into_iter().find(|entry| entry.name == name).unwrap()
}

fn current(files: &Files) -> Option<Announcement> {
    files.queue().unwrap().current.as_ref().map(Upgrade::announcement)
}

fn perform(files: &Files, upgrade: &Upgrade) {
    let before = current(files);
    assert_eq!(files.commit(upgrade, before.as_ref(), Utc::now()).unwrap(), "");
}

/// Names in the history, what the plan calls current and queues, and where the link leads.
fn told(site: &Site, files: &Files) -> (Vec<String>, String, Vec<String>, String) {
    let queue = files.queue().unwrap();
    let queued = queue.entries.into_iter().map(|entry| entry.name).collect();
    let link = fs::read_link(site.data("current")).unwrap();
    let link = link.file_name().unwrap().to_str().unwrap().to_owned();
    (queue.performed, queue.current.unwrap().name, queued, link)
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// As a kill between the version file and the history leaves it.
fn commit_version_alone(site: &Site, home: &str, name: &str) {
    let info = read_json(&site.data(&format!("upgrades/{name}/upgrade-info.json")));
    let path = site.path(home).join("nymvisor/current-version-info.json");
    let mut version = read_json(&path);
    for field in ["name", "version", "upgradeTime", "binaryDetails"] {
        version[field] = info[field].clone();
    }
    fs::write(path, version.to_string()).unwrap();
}

#[test]
fn h21_who_comes_late_puts_nothing_back() {
    let site = Site::new().initialised();
    let first = add(&site, "1.1.0", &[]);
    let (late, _) = files_of(&site, "late", Arc::new(RealDisk));
    let (other, _) = files_of(&site, "other", Arc::new(RealDisk));
    let before = current(&late);
    commit_version_alone(&site, "late", "v1.1.0");
    perform(&other, &first);
    perform(&other, &add(&site, "1.2.0", &[]));
    add(&site, "1.3.0", &[]);
    let there = told(&site, &other);
    let bytes = fs::read(site.data("upgrade-plan.json")).unwrap();
    for _ in 0..2 {
        assert_eq!(late.commit(&first, before.as_ref(), Utc::now()).unwrap(), "");
        assert_eq!(told(&site, &late), there);
        assert_eq!(fs::read(site.data("upgrade-plan.json")).unwrap(), bytes);
    }
    let wanted = (words(&["v1.1.0", "v1.2.0"]), "v1.2.0".into(), words(&["v1.3.0"]));
    assert_eq!((there.0, there.1, there.2), wanted);
    assert_eq!(late.version().unwrap().name, "v1.1.0");
}

/// The other instance never performed it: it is in the history once all the same, and goes from
/// the queue, which others have moved past it.
#[test]
fn h21_what_was_committed_alone_is_entered_behind_what_came_before_it() {
    let site = Site::new().initialised();
    let first = add(&site, "1.1.0", &[]);
    let (late, _) = files_of(&site, "late", Arc::new(RealDisk));
    let (other, _) = files_of(&site, "other", Arc::new(RealDisk));
    let before = current(&late);
    commit_version_alone(&site, "late", "v1.1.0");
    perform(&other, &add(&site, "1.2.0", &[]));
    for _ in 0..2 {
        assert_eq!(late.commit(&first, before.as_ref(), Utc::now()).unwrap(), "");
        let names = words(&["v1.1.0", "v1.2.0"]);
        assert_eq!(told(&site, &late), (names, "v1.2.0".into(), vec![], "v1.2.0".into()));
    }
}

/// The other instance went to an older version meanwhile: the upgrade is still queued, and news.
#[test]
fn h21_what_is_still_queued_moves_the_plan_on() {
    let site = Site::new().initialised();
    let second = add(&site, "1.2.0", &[]);
    let (late, _) = files_of(&site, "late", Arc::new(RealDisk));
    let (other, _) = files_of(&site, "other", Arc::new(RealDisk));
    let before = current(&late);
    commit_version_alone(&site, "late", "v1.2.0");
    perform(&other, &add(&site, "1.1.0", &[]));
    assert_eq!(late.commit(&second, before.as_ref(), Utc::now()).unwrap(), "");
    let names = words(&["v1.1.0", "v1.2.0"]);
    assert_eq!(told(&site, &late), (names, "v1.2.0".into(), vec![], "v1.2.0".into()));
}

#[test]
fn h16_interrupted_between_any_two_files_it_is_entered_once() {
    let site = Site::new().initialised();
    let (files, _) = files_of(&site, "node", Arc::new(RealDisk));
    let first = add(&site, "1.1.0", &[]);
    let before = current(&files);
    let plan = fs::read(site.data("upgrade-plan.json")).unwrap();
    perform(&files, &first);
    // Killed after the history, before the plan.
    fs::write(site.data("upgrade-plan.json"), plan).unwrap();
    assert_eq!(files.commit(&first, before.as_ref(), Utc::now()).unwrap(), "");
    // Killed after the plan, before the link.
    fs::remove_file(site.data("current")).unwrap();
    assert_eq!(files.commit(&first, before.as_ref(), Utc::now()).unwrap(), "");
    let names = words(&["v1.1.0"]);
    assert_eq!(told(&site, &files), (names, "v1.1.0".into(), vec![], "v1.1.0".into()));
}

#[test]
fn back_and_forth_are_three_performances() {
    let site = Site::new().initialised();
    let (files, _) = files_of(&site, "node", Arc::new(RealDisk));
    let first = add(&site, "1.1.0", &[]);
    perform(&files, &first);
    perform(&files, &add(&site, "0.9.0", &["--allow-downgrade"]));
    let again = add(&site, "1.1.0", &["--force"]);
    let before = current(&files);
    perform(&files, &again);
    // Done twice it is still the same performance.
    assert_eq!(files.commit(&again, before.as_ref(), Utc::now()).unwrap(), "");
    let names = words(&["v1.1.0", "v0.9.0", "v1.1.0"]);
    assert_eq!(told(&site, &files), (names, "v1.1.0".into(), vec![], "v1.1.0".into()));
}

/// A disk whose next so many syncs of one folder fail.
#[derive(Debug)]
struct Flaky {
    folder: PathBuf,
    fail: AtomicU32,
}

impl Disk for Flaky {
    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let count = |left: u32| left.checked_sub(1);
        let fails = folder == self.folder
            && self.fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok();
        if fails { Err(io::Error::from_raw_os_error(5)) } else { RealDisk.sync_dir(folder) }
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        RealDisk.kind(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.read_link(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(folder)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path, mode)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.append(path)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        RealDisk.create_dir(path, mode)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        RealDisk.symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
}

/// The file has its new name, which is the commit point, though its folder could not be synced.
#[test]
fn h14_a_version_file_that_is_renamed_is_committed_whatever_its_sync_says() {
    for fail in [1, 2] {
        let site = Site::new().initialised();
        let upgrade = add(&site, "1.1.0", &[]);
        let disk = Flaky { folder: site.home("nymvisor"), fail: AtomicU32::new(fail) };
        let (files, _) = files_of(&site, "node", Arc::new(disk));
        let left = files.commit(&upgrade, current(&files).as_ref(), Utc::now()).unwrap();
        assert_eq!(left.is_empty(), fail == 1, "{left}");
        assert_eq!(files.version().unwrap(), upgrade.target());
        let names = words(&["v1.1.0"]);
        assert_eq!(told(&site, &files), (names, "v1.1.0".into(), vec![], "v1.1.0".into()));
    }
}

/// Nothing is moved where the version file could not be written.
#[test]
fn h14_a_version_file_that_is_not_renamed_commits_nothing() {
    let site = Site::new().initialised();
    let upgrade = add(&site, "1.1.0", &[]);
    let (files, _) = files_of(&site, "node", Arc::new(RealDisk));
    let there = told(&site, &files);
    fs::create_dir_all(site.home("nymvisor/.current-version-info.json.new/x")).unwrap();
    files.commit(&upgrade, current(&files).as_ref(), Utc::now()).unwrap_err();
    assert_eq!(told(&site, &files), there);
    assert_eq!(files.version().unwrap().name, "genesis");
}

/// A hold and its release may be written by two threads, in either order.
#[test]
fn of_two_wishes_that_are_kept_at_once_the_later_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wishes.json");
    let requester = Requester::Plan;
    let held = Wishes { holding: Some(Holding { until: None, requester }), ..Wishes::default() };
    let keeper = Keeper::default();
    let (hold, release) = (keeper.number(), keeper.number());
    keeper.keep(release, &RealDisk, &path, &Wishes::default()).unwrap();
    keeper.keep(hold, &RealDisk, &path, &held).unwrap();
    assert!(!path.exists());
    keeper.keep(keeper.number(), &RealDisk, &path, &held).unwrap();
    assert_eq!(kept(&RealDisk, &path, Utc::now()).unwrap(), held);
}
