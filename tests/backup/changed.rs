//! Whether a sealed backup is still the home as it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nymvisor::host::backup::home_changed_since;

use super::Scene;
use crate::support::helper;

fn ctime(path: &Path) -> SystemTime {
    let meta = fs::symlink_metadata(path).unwrap();
    let (seconds, nanos) = (meta.ctime().try_into().unwrap(), meta.ctime_nsec());
    UNIX_EPOCH + Duration::new(seconds, nanos.try_into().unwrap())
}

/// Writes a file until the file system's clock is well past `time`.
fn write_after(path: &Path, time: SystemTime) {
    let patience = Instant::now() + helper::DEADLINE;
    loop {
        fs::write(path, "later").unwrap();
        if ctime(path) > time + Duration::from_millis(100) {
            return;
        }
        assert!(Instant::now() < patience, "the clock stands still");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_change_in_the_home_is_seen_and_one_in_what_is_left_out_is_not() {
    let scene = Scene::new();
    scene.write("data/deep/file", "x");
    scene.write("nymvisor/run.lock", "");
    let left_out = [scene.home.join("nymvisor")];
    let then = ctime(&scene.home.join("nymvisor/run.lock")) + Duration::from_millis(15);
    write_after(&scene.home.join("nymvisor/run.lock"), then);
    assert!(!home_changed_since(&scene.home, &left_out, then).unwrap());
    assert!(home_changed_since(&scene.home, &[], then).unwrap());
    fs::write(scene.home.join("data/deep/file"), "y").unwrap();
    assert!(home_changed_since(&scene.home, &left_out, then).unwrap());
}

#[test]
fn a_removed_name_and_a_changed_mode_are_seen() {
    let scene = Scene::new();
    let gone = scene.write("data/gone", "x");
    let kept = scene.write("kept", "x");
    let then = ctime(&kept) + Duration::from_millis(15);
    write_after(&scene.folder.path().join("clock"), then);
    assert!(!home_changed_since(&scene.home, &[], then).unwrap());
    fs::remove_file(gone).unwrap();
    assert!(home_changed_since(&scene.home, &[], then).unwrap());
    let then = ctime(&scene.home.join("data")) + Duration::from_millis(15);
    write_after(&scene.folder.path().join("clock"), then);
    assert!(!home_changed_since(&scene.home, &[], then).unwrap());
    let mut mode = fs::metadata(&kept).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&kept, mode).unwrap();
    assert!(home_changed_since(&scene.home, &[], then).unwrap());
}

#[test]
fn h44_a_change_within_a_tick_before_counts_as_one_since() {
    let scene = Scene::new();
    let file = scene.write("data/file", "x");
    let then = ctime(&file) + Duration::from_millis(3);
    assert!(home_changed_since(&scene.home, &[], then).unwrap());
}
