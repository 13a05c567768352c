//! Other file systems mounted below the home.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nymvisor::host::backup::{self, Cancel};
use nymvisor::host::restore::{self, Error, Job};
use nymvisor::host::room;

use super::{Scene, assert_aside, assert_same, fill, names, say, spoil};
use crate::backup::tree::set_mtime;

/// A mount; gone when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// `None` where we may not mount.
    pub(crate) fn new(at: PathBuf, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let done = Command::new("mount").args(arguments).arg(&at).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(at));
        }
        say("skipped: may not mount");
        None
    }

    pub(crate) fn tmpfs(at: PathBuf, options: &str) -> Option<Self> {
        Self::new(at, &["-t", "tmpfs", "-o", options, "none"])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_child_that_is_a_mount_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    let Some(_mount) = Mount::tmpfs(scene.home.join("data"), "size=32m,mode=0755") else { return };
    let deep = scene.home.join("disks/one with a blank");
    let Some(_deep) = Mount::tmpfs(deep.clone(), "size=4m,mode=0755") else { return };
    fill_apart(&scene);
    fs::write(deep.join("blob"), "old").unwrap();
    set_mtime(&deep, 1_111_111_111, 1);
    set_mtime(&scene.home.join("disks"), 1_222_222_222, 2);
    set_mtime(&scene.home, 1_400_000_000, 7);
    scene.seal();
    let before = scene.manifest();
    fs::write(scene.home.join("data/db"), "migrated").unwrap();
    fs::remove_file(scene.home.join("data/untouched")).unwrap();
    fs::write(deep.join("blob"), "new").unwrap();
    fs::write(deep.join("more"), "more").unwrap();
    fs::write(scene.home.join("disks/beside"), "beside").unwrap();
    let restored = scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
    for (path, content) in [
        ("data/db", "migrated"),
        ("disks/one with a blank/blob", "new"),
        ("disks/one with a blank/more", "more"),
        ("disks/beside", "beside"),
    ] {
        assert_eq!(fs::read_to_string(restored.aside.join(path)).unwrap(), content, "{path}");
    }
    let hidden = scene.home.join("data/.nymvisor-restore-7");
    assert_eq!(names(&hidden), ["aside"]);
    let done = fs::read(scene.job().work.join("state.json")).unwrap();
    scene.restore().unwrap();
    assert_eq!(fs::read(scene.job().work.join("state.json")).unwrap(), done);
}

fn fill_apart(scene: &Scene) {
    scene.write("data/db", "old");
    scene.write("data/untouched", "the same");
    scene.write("data/keys/private.pem", "secret");
    fs::hard_link(scene.home.join("data/db"), scene.home.join("data/also-db")).unwrap();
    scene.write("top", "at the top");
}

#[test]
fn a_home_that_is_a_mount_is_restored_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::at(folder.path());
    let Some(_mount) = Mount::tmpfs(scene.home.clone(), "size=64m,mode=0755") else { return };
    let scene = Scene::new(folder.path());
    fill(&scene);
    set_mtime(&scene.home, 1_400_000_000, 7);
    scene.seal();
    let before = scene.manifest();
    let left = spoil(&scene);
    let restored = scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
    assert_aside(&scene, &restored.aside, &left);
    assert!(!scene.home.join(".nymvisor-restore-7").exists());
}

#[test]
fn our_own_folder_on_another_mount_or_behind_a_link_is_no_obstacle() {
    for linked in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::at(folder.path());
        let elsewhere = folder.path().join("elsewhere");
        let at = if linked { elsewhere.clone() } else { scene.home.join("nymvisor") };
        let Some(_mount) = Mount::tmpfs(at, "size=64m,mode=0755") else { return };
        if linked {
            fs::create_dir_all(&scene.home).unwrap();
            std::os::unix::fs::symlink(&elsewhere, scene.home.join("nymvisor")).unwrap();
        }
        let scene = Scene::new(folder.path());
        fill(&scene);
        set_mtime(&scene.home, 1_400_000_000, 7);
        scene.seal();
        let before = scene.manifest();
        let left = spoil(&scene);
        let restored = scene.restore().unwrap();
        let mut after = scene.manifest();
        let hidden = std::path::Path::new(".nymvisor-restore-7");
        after.retain(|path, _| !path.starts_with(hidden));
        assert_same(&before, &after);
        assert_aside(&scene, &restored.aside, &left);
    }
}

#[test]
fn a_file_or_a_read_only_folder_that_is_mounted_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    let own = folder.path().join("secret");
    fs::write(&own, "handed in").unwrap();
    let target = scene.write("config/secret", "");
    let mounted = Command::new("mount").arg("--bind").arg(&own).arg(&target).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        say("skipped: may not mount");
        return;
    }
    let _secret = Mount(target.clone());
    let at = scene.home.join("fixed");
    let Some(_fixed) = Mount::tmpfs(at.clone(), "size=1m,ro") else { return };
    set_mtime(&scene.home, 1_400_000_000, 7);
    scene.seal();
    let before = scene.manifest();
    let left = spoil(&scene);
    let restored = scene.restore().unwrap();
    assert_same(&before, &scene.manifest());
    assert_aside(&scene, &restored.aside, &left);
    assert_eq!(fs::read_to_string(target).unwrap(), "handed in");
}

#[test]
fn a_mount_that_is_missing_after_a_reboot_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    let at = scene.home.join("data");
    let Some(mount) = Mount::tmpfs(at.clone(), "size=32m,mode=0755") else { return };
    fill_apart(&scene);
    scene.seal();
    // Something that keeps the restore from going past its first record.
    fs::create_dir_all(scene.job().work.join("aside")).unwrap();
    fs::remove_dir(scene.job().work.join("aside")).unwrap();
    fs::write(scene.job().work.join("aside"), "in the way").unwrap();
    scene.restore().unwrap_err();
    fs::remove_file(scene.job().work.join("aside")).unwrap();
    drop(mount);
    fs::write(at.join("under"), "the mount").unwrap();
    let error = scene.restore().unwrap_err();
    assert!(matches!(error, Error::NotMounted { .. }), "{error}");
    assert_eq!(names(&at), ["under"]);
}

/// It lies within the daemon's data, where a mount leaves no other place.
#[test]
fn what_lies_aside_on_a_mount_is_not_archived_again_and_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    let Some(_mount) = Mount::tmpfs(scene.home.join("data"), "size=32m,mode=0755") else { return };
    fill_apart(&scene);
    fs::write(scene.home.join("data/blob"), vec![1; 1 << 20]).unwrap();
    scene.seal();
    let need = room::needed_for_backup(&scene.home, &scene.leave_out).unwrap();
    fs::write(scene.home.join("data/db"), "migrated").unwrap();
    let first = scene.restore().unwrap();
    let now = room::needed_for_backup(&scene.home, &scene.leave_out).unwrap();
    assert_eq!(now.entries, need.entries);

    let next = scene.home.join("nymvisor/backups/1.3.0/backup.tar.zst");
    let next = backup::Job { archive: next, ..scene.backup_job() };
    let archive = backup::seal(&next, &Cancel::default()).unwrap();
    let out = folder.path().join("out");
    restore::unpack(&archive, &out, &Cancel::default()).unwrap();
    assert_eq!(names(&out.join("data")), ["also-db", "blob", "db", "keys", "untouched"]);

    // The next restore leaves it, and the link to it, alone.
    let job = Job { archive, work: scene.home.join("nymvisor/rollbacks/8"), ..scene.job() };
    let second = restore::restore(&job, &Cancel::default()).unwrap();
    let hidden = |number| scene.home.join(format!("data/.nymvisor-restore-{number}/aside"));
    assert_eq!(fs::read_to_string(hidden(7).join("db")).unwrap(), "migrated");
    assert_eq!(fs::read_to_string(first.aside.join("data/db")).unwrap(), "migrated");
    assert_eq!(fs::read_to_string(second.aside.join("data/db")).unwrap(), "old");
    assert_eq!(names(&hidden(8)), ["also-db", "blob", "db", "keys", "untouched"]);
}
