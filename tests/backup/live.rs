//! A backup made ahead: whatever happens between its passes, it holds the home as it is at the end.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use nymvisor::host::backup::{self, Cancel, LiveCopy, Pass, Sealed, Tempo};

use super::tree::{assert_same, name, set_mtime};
use super::{Scene, list, names, noise};

/// A copy under way of a scene's home.
pub(crate) struct Copy(LiveCopy);

impl Copy {
    /// Nothing copied yet.
    pub(crate) fn begin(scene: &Scene) -> Self {
        Self(LiveCopy::begin(&scene.job(), Tempo::default(), None).unwrap())
    }

    /// The first pass is made, long enough after the last change to the home for its times to
    /// prove something.
    pub(crate) fn of(scene: &Scene) -> Self {
        std::thread::sleep(std::time::Duration::from_millis(60));
        let mut copy = Self::begin(scene);
        copy.pass();
        copy
    }

    pub(crate) fn pass(&mut self) -> Pass {
        self.0.pass(&Cancel::default()).unwrap()
    }

    pub(crate) fn settle(&mut self) {
        self.0.settle(&Cancel::default()).unwrap();
    }

    /// Seals, and compares what tar makes of it with the home.
    pub(crate) fn seal(self, scene: &Scene) -> Sealed {
        let sealed = self.0.seal(&Cancel::default()).unwrap();
        assert!(backup::is_whole(&sealed.path).unwrap());
        let archive = sealed.archive();
        let listed = list(&archive);
        assert_eq!(listed.len() as u64, sealed.entries, "{listed:?}");
        assert_same(&scene.home, &scene.restore(&archive));
        assert_eq!(sealed.bytes, fs::metadata(&sealed.path).unwrap().len());
        sealed
    }
}

fn fill(scene: &Scene) {
    scene.write("config/config.toml", "[mixnode]\n");
    scene.write("data/db", noise(1, 300_000));
    scene.write("data/db-wal", noise(2, 40_000));
    scene.write("data/deep/er/file", "x");
    scene.write("keys/private.pem", "secret");
    symlink("config/config.toml", scene.home.join("link")).unwrap();
    fs::hard_link(scene.home.join("data/db"), scene.home.join("also-db")).unwrap();
    fs::create_dir(scene.home.join("empty")).unwrap();
    for (path, seconds) in [("data", 5), ("data/deep", 6), ("", 7), ("keys", 8)] {
        set_mtime(&scene.home.join(path), seconds, 123);
    }
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let scene = Scene::new();
    fill(&scene);
    let mut copy = Copy::of(&scene);
    let pass = copy.pass();
    assert_eq!((pass.changed, pass.vanished, pass.bytes), (0, 0, 0));
    copy.settle();
    let sealed = copy.seal(&scene);
    assert_eq!((sealed.changed, sealed.skipped, sealed.entries), (0, 0, 14));
    assert_eq!(names(&scene.backups).len(), 1);
}

#[test]
fn what_changed_appeared_or_vanished_is_as_it_is_at_the_end() {
    let scene = Scene::new();
    fill(&scene);
    let mut copy = Copy::of(&scene);
    scene.write("data/db", noise(3, 310_000));
    scene.write("data/new/er/file", "new");
    fs::remove_file(scene.home.join("data/db-wal")).unwrap();
    // Without a trace in the folder's own times.
    set_mtime(&scene.home.join("data"), 5, 123);
    let pass = copy.pass();
    assert_eq!((pass.changed, pass.vanished), (3, 1));
    copy.settle();
    fs::remove_dir_all(scene.home.join("data/deep")).unwrap();
    scene.write("data/db-wal", "resurrected");
    fs::remove_file(scene.home.join("data/db-wal")).unwrap();
    let key = scene.home.join("keys/private.pem");
    fs::set_permissions(key, fs::Permissions::from_mode(0o400)).unwrap();
    let sealed = copy.seal(&scene);
    assert_eq!(sealed.changed, 2);
    let listed = list(&sealed.archive());
    assert!(!listed.iter().any(|name| name.contains("wal")), "{listed:?}");
}

#[test]
fn h44_two_writes_within_one_tick_are_told_apart() {
    let scene = Scene::new();
    fill(&scene);
    let file = scene.write("data/hot", "first");
    let mut copy = Copy::begin(&scene);
    for n in 0..300 {
        // Same size; where both writes fall into one tick, the same times too.
        fs::write(&file, format!("{n:05}")).unwrap();
        copy.pass();
        fs::write(&file, format!("{:05}", 99_999 - n)).unwrap();
    }
    copy.seal(&scene);
}

#[test]
fn another_file_of_the_same_size_and_time_is_seen() {
    let scene = Scene::new();
    fill(&scene);
    let file = scene.write("data/state", "before");
    set_mtime(&file, 1_600_000_000, 7);
    let copy = Copy::of(&scene);
    let other = scene.write("other", "behind");
    fs::rename(&other, &file).unwrap();
    set_mtime(&file, 1_600_000_000, 7);
    let sealed = copy.seal(&scene);
    assert_eq!(sealed.changed, 1);

    let scene = Scene::new();
    let file = scene.write("data/state", "before");
    set_mtime(&file, 1_600_000_000, 7);
    let copy = Copy::of(&scene);
    fs::write(&file, "behind").unwrap();
    set_mtime(&file, 1_600_000_000, 7);
    assert_eq!(copy.seal(&scene).changed, 1);
}

#[test]
fn times_that_go_backwards_are_changes() {
    let scene = Scene::new();
    fill(&scene);
    let ahead = scene.write("data/ahead", "from a clock that was fast");
    set_mtime(&ahead, 9_000_000_000, 1);
    let mut copy = Copy::of(&scene);
    fs::write(&ahead, "from a clock that is right").unwrap();
    set_mtime(&ahead, 1_000_000_000, 1);
    set_mtime(&scene.home.join("data/db"), -5, 0);
    assert_eq!(copy.pass().changed, 3);
    set_mtime(&scene.home.join("link"), 1, 0);
    copy.seal(&scene);
}

#[test]
fn a_mode_or_an_attribute_alone_is_a_change() {
    let scene = Scene::new();
    fill(&scene);
    let key = scene.home.join("keys/private.pem");
    let mut copy = Copy::of(&scene);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(copy.pass().changed, 1);
    std::thread::sleep(std::time::Duration::from_millis(60));
    copy.pass();
    if xattr::set(&key, "user.probe", b"1").is_ok() {
        assert_eq!(copy.pass().changed, 1);
        xattr::set(&key, "user.probe", b"2").unwrap();
        xattr::set(scene.home.join("keys"), "user.probe", b"of a folder").unwrap();
    }
    fs::set_permissions(scene.home.join("empty"), fs::Permissions::from_mode(0o500)).unwrap();
    copy.seal(&scene);
}

#[test]
fn every_name_of_a_file_goes_with_it() {
    let scene = Scene::new();
    fill(&scene);
    let at = |path: &str| scene.home.join(path);
    for (path, with) in [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        scene.write(&format!("set/{path}1"), noise(with, 50_000));
        for n in 2..5 {
            fs::hard_link(at(&format!("set/{path}1")), at(&format!("set/{path}{n}"))).unwrap();
        }
    }
    let mut copy = Copy::of(&scene);
    // Content through one of the names; the first name gone; a name in between gone; a name added
    // ahead of the first; a name that becomes a file of its own with the same content.
    File::options().write(true).open(at("set/a3")).unwrap().write_all_at(b"!", 9).unwrap();
    fs::remove_file(at("set/b1")).unwrap();
    fs::remove_file(at("set/c2")).unwrap();
    fs::hard_link(at("set/d1"), at("set/0d")).unwrap();
    fs::remove_file(at("set/e1")).unwrap();
    fs::copy(at("set/e2"), at("set/e1")).unwrap();
    let pass = copy.pass();
    assert_eq!((pass.changed, pass.vanished), (4 + 3 + 3 + 5 + 4, 2));
    fs::rename(at("set/0d"), at("zd")).unwrap();
    fs::remove_file(at("set/b2")).unwrap();
    fs::remove_file(at("set/b3")).unwrap();
    fs::hard_link(at("link"), at("link-too")).unwrap();
    copy.seal(&scene);
}

#[test]
fn holes_are_kept_also_where_they_move() {
    let scene = Scene::new();
    fill(&scene);
    let mib = 1 << 20;
    for path in ["only", "mapped", "moved", "cut"] {
        let file = File::create(scene.home.join(path)).unwrap();
        file.set_len(32 * mib).unwrap();
        for at in 0..9 {
            file.write_all_at(b"data", at * 3 * mib + 4096).unwrap();
        }
    }
    let mut copy = Copy::of(&scene);
    let open = |path: &str| File::options().write(true).open(scene.home.join(path)).unwrap();
    open("moved").write_all_at(b"more", 31 * mib).unwrap();
    open("cut").set_len(5 * mib + 1).unwrap();
    copy.pass();
    open("only").set_len(0).unwrap();
    open("only").set_len(64 * mib).unwrap();
    let sealed = copy.seal(&scene);
    assert!(sealed.bytes < mib, "{}", sealed.bytes);
    let restored = scene.folder.path().join("restored");
    for path in ["only", "mapped", "moved", "cut"] {
        let allocated = |folder: &Path| super::tree::allocated(&folder.join(path));
        assert!(allocated(&restored) <= allocated(&scene.home).max(4096), "{path}");
    }
}

#[test]
fn a_folder_that_becomes_a_link_and_a_link_that_becomes_a_folder() {
    let scene = Scene::new();
    fill(&scene);
    let outside = scene.folder.path().join("outside");
    fs::create_dir_all(outside.join("er")).unwrap();
    fs::write(outside.join("er/file"), "not of the home").unwrap();
    symlink("nowhere", scene.home.join("turn")).unwrap();
    scene.write("file", "to be a folder");
    let mut copy = Copy::of(&scene);
    fs::rename(scene.home.join("data/deep"), scene.folder.path().join("away")).unwrap();
    symlink(&outside, scene.home.join("data/deep")).unwrap();
    fs::remove_file(scene.home.join("turn")).unwrap();
    scene.write("turn/inside", "a folder now");
    copy.pass();
    fs::remove_file(scene.home.join("file")).unwrap();
    scene.write("file/inside", "a folder now");
    copy.seal(&scene);
}

#[test]
fn names_that_are_no_utf8_are_followed() {
    let scene = Scene::new();
    let at = |bytes: &[u8]| scene.home.join(name(bytes));
    for odd in [&b"\xff\xfe"[..], b"new\nline", b"-rf", b"a\\b", b"\x80"] {
        fs::write(at(odd), odd).unwrap();
    }
    let mut copy = Copy::of(&scene);
    fs::write(at(b"\xff\xfe"), "changed").unwrap();
    fs::remove_file(at(b"new\nline")).unwrap();
    assert_eq!(copy.pass().changed, 1);
    fs::rename(at(b"\x80"), at(b"\x81")).unwrap();
    copy.seal(&scene);
}

#[test]
fn a_hundred_thousand_small_files() {
    // In memory for the sake of the other tests: a disk is busy for minutes with so many.
    let scene = Scene::in_memory().unwrap_or_else(Scene::new);
    for folder in 0..100 {
        let folder = scene.home.join(format!("data/{folder}"));
        fs::create_dir_all(&folder).unwrap();
        for n in 0..1000 {
            fs::write(folder.join(format!("{n}.bin")), noise(n, 100)).unwrap();
        }
    }
    let mut copy = Copy::of(&scene);
    for n in 0..100 {
        scene.write(&format!("data/{n}/{n}.bin"), noise(n + 7, 120));
    }
    let pass = copy.pass();
    // The last of the first pass may have been too young for their times to prove anything.
    assert!((100..200).contains(&pass.changed), "{pass:?}");
    for n in 0..100 {
        fs::remove_file(scene.home.join(format!("data/{n}/7.bin"))).unwrap();
    }
    copy.settle();
    let sealed = copy.0.seal(&Cancel::default()).unwrap();
    assert_eq!(sealed.entries, 100_000 - 100 + 102);
    let archive = sealed.archive();
    assert_eq!(list(&archive).len(), 100_000 - 100 + 102);
    assert_eq!(scene.differences(&archive), "");
}

#[test]
fn a_page_of_a_large_sparse_file() {
    let scene = Scene::new();
    let path = scene.write("data/lmdb", "");
    let file = File::options().write(true).open(&path).unwrap();
    let gib = 1 << 30;
    file.set_len(4 * gib).unwrap();
    for n in 0..64 {
        file.write_all_at(&noise(n, 64 * 1024), n * 64 * 1024 * 1024).unwrap();
    }
    drop(file);
    let copy = Copy::of(&scene);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&noise(99, 4096), 2 * gib + 8192).unwrap();
    let sealed = copy.0.seal(&Cancel::default()).unwrap();
    assert_eq!(sealed.changed, 1);
    let restored = scene.restore(&sealed.archive()).join("data/lmdb");
    let restored = File::open(restored).unwrap();
    let file = File::open(path).unwrap();
    assert_eq!(restored.metadata().unwrap().len(), 4 * gib);
    let (mut left, mut right) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    for n in 0..64 {
        file.read_exact_at(&mut left, n * 64 * 1024 * 1024).unwrap();
        restored.read_exact_at(&mut right, n * 64 * 1024 * 1024).unwrap();
        assert!(left == right, "at {n}");
    }
}
