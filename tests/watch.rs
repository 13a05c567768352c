//! The watch on a file that others change.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nymvisor::host::watch::{Names, Watch};
use tempfile::tempdir;

use crate::support::helper::DEADLINE;

/// Longer than a change takes to settle. It only ever passes in full where nothing may come.
const SILENCE: Duration = Duration::from_millis(1500);
const PLAN: &str = "upgrade-plan.json";

fn watch(folder: &Path) -> Watch {
    Watch::new(folder, Names::One(PLAN.into()))
}

async fn told(watch: &mut Watch, what: &str) {
    assert!(tokio::time::timeout(DEADLINE, watch.changed()).await.is_ok(), "not told: {what}");
}

async fn silent(watch: &mut Watch, what: &str) {
    assert!(tokio::time::timeout(SILENCE, watch.changed()).await.is_err(), "told: {what}");
}

fn replace(folder: &Path, content: &str) {
    fs::write(folder.join(".beside"), content).unwrap();
    fs::rename(folder.join(".beside"), folder.join(PLAN)).unwrap();
}

#[tokio::test]
async fn h32_a_file_that_is_replaced_again_and_again_is_still_seen() {
    let folder = tempdir().unwrap();
    replace(folder.path(), "0");
    let mut watch = watch(folder.path());
    for round in 1..4 {
        replace(folder.path(), &round.to_string());
        told(&mut watch, "a rename over it").await;
    }
    fs::write(folder.path().join(PLAN), "in place").unwrap();
    told(&mut watch, "a write in place").await;
    fs::remove_file(folder.path().join(PLAN)).unwrap();
    told(&mut watch, "its removal").await;
    fs::write(folder.path().join(PLAN), "new").unwrap();
    told(&mut watch, "its creation").await;
    silent(&mut watch, "nothing happened").await;
}

#[tokio::test]
async fn h31_a_change_while_another_settles_is_not_dropped() {
    let folder = tempdir().unwrap();
    let mut watch = watch(folder.path());
    let path = folder.path().to_owned();
    // Changes at every distance from the first; after each signal the reader sees what is there.
    let writer = std::thread::spawn(move || {
        for number in 1..=40_u32 {
            replace(&path, &number.to_string());
            std::thread::sleep(Duration::from_millis(u64::from(number * 7 % 130)));
        }
    });
    let mut seen = String::new();
    while seen != "40" {
        told(&mut watch, &format!("after {seen}")).await;
        seen = fs::read_to_string(folder.path().join(PLAN)).unwrap();
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let folder = tempdir().unwrap();
    let mut watch = watch(folder.path());
    replace(folder.path(), "1");
    // Given up before the change has settled, as a select does with its other arms.
    for _ in 0..5 {
        let waited = tokio::time::timeout(Duration::from_millis(5), watch.changed()).await;
        if waited.is_ok() {
            // On a machine as slow as that the change has settled: it was told, not lost.
            return;
        }
    }
    told(&mut watch, "the change before").await;
}

#[tokio::test]
async fn reading_and_other_names_are_no_changes() {
    let folder = tempdir().unwrap();
    replace(folder.path(), "1");
    let mut watch = watch(folder.path());
    fs::read(folder.path().join(PLAN)).unwrap();
    fs::read_dir(folder.path()).unwrap().count();
    fs::File::open(folder.path()).unwrap().sync_all().unwrap();
    fs::write(folder.path().join("upgrade-history.json"), "x").unwrap();
    fs::create_dir(folder.path().join("upgrades")).unwrap();
    silent(&mut watch, "nobody changed the plan").await;
}

#[tokio::test]
async fn a_burst_that_never_pauses_is_reported_all_the_same() {
    let folder = tempdir().unwrap();
    let mut watch = watch(folder.path());
    let path = folder.path().to_owned();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            fs::write(path.join(PLAN), "x").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    told(&mut watch, "while it goes on").await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_folder_that_is_replaced_or_comes_late_is_watched_again() {
    let top = tempdir().unwrap();
    let folder = top.path().join("data");
    let mut watch = watch(&folder);
    fs::create_dir(&folder).unwrap();
    replace(&folder, "1");
    told(&mut watch, "the folder came").await;
    replace(&folder, "2");
    told(&mut watch, "a change in it").await;

    fs::rename(&folder, top.path().join("aside")).unwrap();
    told(&mut watch, "the folder went").await;
    fs::create_dir(&folder).unwrap();
    told(&mut watch, "another came").await;
    replace(&folder, "3");
    told(&mut watch, "a change in the new one").await;

    fs::remove_dir_all(&folder).unwrap();
    told(&mut watch, "it was removed").await;
    fs::create_dir(&folder).unwrap();
    told(&mut watch, "it came back").await;
    replace(&folder, "4");
    told(&mut watch, "a change after that").await;
}

#[tokio::test]
async fn requests_are_seen_under_any_name_but_a_hidden_one() {
    let folder = tempdir().unwrap();
    let mut watch = Watch::new(folder.path(), Names::All);
    fs::write(folder.path().join(".17.json.new"), "half").unwrap();
    silent(&mut watch, "it is still being written").await;
    fs::rename(folder.path().join(".17.json.new"), folder.path().join("17.json")).unwrap();
    told(&mut watch, "a request").await;
}

#[tokio::test]
async fn without_help_from_the_kernel_changes_are_found_by_looking() {
    let folder = tempdir().unwrap();
    replace(folder.path(), "1");
    let every = Duration::from_millis(20);
    for names in [Names::One(PLAN.into()), Names::All] {
        let mut watch = Watch::looking(folder.path(), names, every);
        silent(&mut watch, "nothing happened").await;
        replace(folder.path(), "2");
        told(&mut watch, "same size, other file").await;
        fs::remove_file(folder.path().join(PLAN)).unwrap();
        told(&mut watch, "its removal").await;
        replace(folder.path(), "3");
        told(&mut watch, "its return").await;
    }
}

#[tokio::test]
async fn in_another_role() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use std::os::fd::AsRawFd;

    let Some((role, folder)) = crate::support::helper::role() else { return };
    assert_eq!(role, "exhausted");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // The lowest free descriptor is the first that may not be had any more.
    let free = fs::File::open("/dev/null").unwrap().as_raw_fd();
    setrlimit(Resource::RLIMIT_NOFILE, u64::from(free.cast_unsigned()), hard).unwrap();
    let watch = watch(&folder);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    fs::write(folder.join("means"), format!("{watch:?}")).unwrap();
}

#[test]
fn without_watches_left_it_looks_instead() {
    let folder = tempdir().unwrap();
    let mut command =
        crate::support::helper::again("watch::in_another_role", "exhausted", folder.path());
    assert!(command.status().unwrap().success());
    let means = fs::read_to_string(folder.path().join("means")).unwrap();
    assert!(means.contains("Looking"), "{means}");
}
