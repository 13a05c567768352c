//! What comes back is what was there when the backup was sealed; what was there since lies aside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nymvisor::host::backup::{Cancel, LiveCopy, Tempo};
use nymvisor::host::restore;
use nymvisor::machine::Archive;

use super::{Scene, allocated, assert_aside, assert_same, fill, names, say, spoil};
use crate::backup::noise;
use crate::backup::tree::{name, read, set_mtime};
use crate::support::helper;

#[test]
fn a_home_comes_back_as_it_was_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    let sealed = scene.seal();
    set_mtime(&scene.home, 1_400_000_000, 7);
    let before = scene.manifest();
    let left = spoil(&scene);
    assert!(before != scene.manifest());

    assert!(!restore::is_done(&scene.job()).unwrap());
    let restored = scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
    assert_aside(&scene, &restored.aside, &left);
    assert_eq!((restored.moved_aside, restored.entries), (12, sealed.entries));
    assert!(allocated(&scene.home.join("data/sparse")) < 64 * 1024);
    assert!(!scene.job().work.join("staged").exists());
    assert!(scene.home.join("nymvisor/current-version-info.json").exists());
    assert!(restore::is_done(&scene.job()).unwrap());

    // Weeks later: what is done is not done again.
    scene.write("data/db", "weeks of work");
    assert_eq!(scene.restore().unwrap(), restored);
    assert_eq!(fs::read_to_string(scene.home.join("data/db")).unwrap(), "weeks of work");
}

#[test]
fn attributes_acls_and_capabilities_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    let file = scene.write("data/file", "x");
    if xattr::set(&file, "user.probe", b"1").is_err() {
        say("skipped: this file system has no extended attributes");
        return;
    }
    xattr::set(&file, "user.a=b%c", b"\0\xff=\n%").unwrap();
    xattr::set(&file, "user.empty", b"").unwrap();
    xattr::set(&scene.home, "user.home", b"of the home").unwrap();
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x39\x30\0\0\
        \x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    let _ = xattr::set(&file, "system.posix_acl_access", acl);
    // One that is handed down to all that is made in the folder.
    let _ = xattr::set(scene.home.join("data"), "system.posix_acl_default", acl);
    let _ = xattr::set(scene.home.join("nymvisor"), "system.posix_acl_default", acl);
    let tool = scene.write("tool", "#!");
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let _ = xattr::set(&tool, "security.capability", capability);
    fs::set_permissions(scene.write("plain", "x"), fs::Permissions::from_mode(0o640)).unwrap();
    scene.seal();
    let before = scene.manifest();
    fs::remove_dir_all(scene.home.join("data")).unwrap();
    fs::remove_file(&tool).unwrap();
    xattr::remove(&scene.home, "user.home").unwrap();
    xattr::set(&scene.home, "user.new", b"by the new version").unwrap();
    scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
}

#[test]
fn owners_come_back_for_root() {
    if !nix::unistd::geteuid().is_root() {
        say("skipped: only root can give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    std::os::unix::fs::chown(scene.home.join("data/db"), Some(12_345), Some(54_321)).unwrap();
    std::os::unix::fs::lchown(scene.home.join("link"), Some(12_345), Some(54_321)).unwrap();
    std::os::unix::fs::chown(scene.home.join("empty"), Some(12_345), Some(1)).unwrap();
    fs::set_permissions(scene.home.join("empty"), fs::Permissions::from_mode(0o550)).unwrap();
    scene.seal();
    let before = scene.manifest();
    spoil(&scene);
    scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
}

#[test]
fn names_of_any_bytes_and_many_files_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    for n in 0..5_000_u64 {
        scene.write(&format!("data/{}/{n}", n % 50), n.to_le_bytes());
    }
    let long = scene.home.join("l".repeat(255)).join("m".repeat(255));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("x".repeat(255)), "deep").unwrap();
    symlink("t".repeat(1000), long.join("to")).unwrap();
    fs::hard_link(long.join("x".repeat(255)), scene.home.join("zz")).unwrap();
    for exact in [97, 98, 99, 100, 101] {
        fs::write(scene.home.join("y".repeat(exact)), "edge").unwrap();
        symlink("s".repeat(exact), scene.home.join(format!("s{exact}"))).unwrap();
    }
    for odd in [&b"\xff\xfe"[..], b" ", b"new\nline", b"-rf", b"a\\b", b"%3D"] {
        fs::write(scene.home.join(name(odd)), odd).unwrap();
    }
    scene.seal();
    let before = scene.manifest();
    fs::remove_dir_all(scene.home.join("data/7")).unwrap();
    fs::write(scene.home.join(name(b"\xff\xfe")), "changed").unwrap();
    let restored = scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
    assert_eq!(fs::read(restored.aside.join(name(b"\xff\xfe"))).unwrap(), b"changed");
}

#[test]
fn a_left_out_folder_deep_inside_a_child_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(folder.path());
    fill(&scene);
    let deep = scene.home.join("data/keep/these/backups");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("old.tar"), "an old backup").unwrap();
    scene.write("data/keep/notes", "old notes");
    // By another name, and through a link.
    symlink("data/keep", scene.home.join("by-link")).unwrap();
    scene.leave_out.push(scene.home.join("by-link/../keep/these/backups"));
    set_mtime(&scene.home.join("data/keep"), 1_234_567_890, 1);
    set_mtime(&scene.home, 1_400_000_000, 7);
    scene.seal();
    let job = scene.job();
    scene.leave_out.push(deep.clone());
    let before = scene.manifest();
    let inode = fs::metadata(&deep).unwrap().ino();
    let left = spoil(&scene);
    scene.write("data/keep/notes", "new notes");
    fs::write(deep.join("newer.tar"), "a newer one").unwrap();
    let restored = restore::restore(&job, &Cancel::default()).unwrap();
    assert_same(&before, &scene.manifest());
    assert_aside(&scene, &restored.aside, &left);
    assert_eq!(names(&deep), ["newer.tar", "old.tar"]);
    assert_eq!(fs::metadata(&deep).unwrap().ino(), inode);
    let notes = restored.aside.join("data/keep/notes");
    assert_eq!(fs::read_to_string(notes).unwrap(), "new notes");
    assert!(!restored.aside.join("data/keep/these").exists());
}

#[test]
fn a_cancelled_restore_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    for n in 0..2_000 {
        scene.write(&format!("{n}"), noise(n, 2_000));
    }
    scene.seal();
    let before = scene.manifest();
    for n in 0..2_000 {
        scene.write(&format!("{n}"), "spoiled");
    }
    let cancel = Cancel::default();
    cancel.cancel();
    let error = restore::restore(&scene.job(), &cancel).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let aside = scene.job().work.join("aside");
    let mut cancelled = 0;
    for count in [1, 2, 500] {
        let cancel = Cancel::default();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
                while std::time::Instant::now() < until
                    && fs::read_dir(&aside).map_or(0, Iterator::count) < count
                {
                    std::thread::yield_now();
                }
                cancel.cancel();
            });
            restore::restore(&scene.job(), &cancel)
        });
        cancelled += usize::from(outcome.is_err_and(|error| error.is_cancelled()));
    }
    say(&format!("cancelled {cancelled} times"));
    let restored = scene.restore().unwrap();
    assert_eq!(restored.moved_aside, 2_000);
    assert_same(&before, &scene.manifest());
    for path in read(&restored.aside).keys().filter(|path| path.iter().count() > 0) {
        assert_eq!(fs::read_to_string(restored.aside.join(path)).unwrap(), "spoiled");
    }
}

#[test]
fn an_ordinary_user_restores_closed_folders_too() {
    const TEST: &str = "restore::round_trip::an_ordinary_user_restores_closed_folders_too";
    let close = |scene: &Scene, mode| {
        for path in ["shut/inner", "shut"] {
            fs::set_permissions(scene.home.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let run = |folder: &Path| {
        let scene = Scene::new(folder);
        fill(&scene);
        scene.write("shut/inner/file", "in a folder that nobody may write to");
        close(&scene, 0o500);
        scene.seal();
        let before = scene.manifest();
        let left = spoil(&scene);
        close(&scene, 0o700);
        scene.write("shut/inner/file", "new");
        close(&scene, 0o500);
        let restored = scene.restore().unwrap();
        assert_same(&before, &scene.manifest());
        assert_aside(&scene, &restored.aside, &left);
        let aside = restored.aside.join("shut");
        assert_eq!(fs::read_to_string(aside.join("inner/file")).unwrap(), "new");
        assert_eq!(fs::metadata(aside).unwrap().permissions().mode() & 0o7777, 0o500);
    };
    if let Some((_, folder)) = helper::role() {
        return run(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() {
        return run(folder.path());
    }
    std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).unwrap();
    let child = helper::again(TEST, "user", folder.path());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn begun_anew_without_its_record_it_loses_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    scene.write("top", "sealed");
    let long = "n".repeat(255);
    scene.write(&long, "sealed");
    scene.seal();
    let before = scene.manifest();
    for turn in ["first", "second", "third"] {
        scene.write("top", turn);
        scene.write(&long, turn);
        let restored = scene.restore().unwrap();
        assert_same(&before, &scene.manifest());
        fs::remove_file(scene.job().work.join("state.json")).unwrap();
        let mut found: Vec<_> = names(&restored.aside)
            .into_iter()
            .map(|name| fs::read_to_string(restored.aside.join(name)).unwrap())
            .collect();
        found.sort();
        assert_eq!(found.iter().filter(|content| *content == turn).count(), 2);
        assert_eq!(found.iter().filter(|content| *content == "first").count(), 2);
    }
}

/// Much of it was copied ahead, and some of that taken out again.
#[test]
fn a_backup_made_ahead_comes_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    scene.write("data/wal", noise(5, 50_000));
    let job = scene.backup_job();
    let mut copy = LiveCopy::begin(&job, Tempo::default(), None).unwrap();
    copy.pass(&Cancel::default()).unwrap();
    fs::remove_file(scene.home.join("data/wal")).unwrap();
    scene.write("data/db", noise(3, 80_000));
    scene.write("new/er", "made between");
    copy.pass(&Cancel::default()).unwrap();
    copy.settle(&Cancel::default()).unwrap();
    fs::remove_file(scene.home.join("top")).unwrap();
    scene.write("data/db", noise(4, 90_000));
    let before = scene.manifest();
    let sealed = copy.seal(&Cancel::default()).unwrap();
    let bytes = fs::read(&sealed.path).unwrap();
    let sha256 = nymvisor::digest::sha256(&bytes);
    scene.remember(&Archive { sha256: Some(sha256), ..sealed.archive() });
    spoil(&scene);
    scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
}
