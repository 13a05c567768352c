//! Backups that can't be made: nothing of them is left, and the error says what to do.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use nymvisor::host::backup::{self, Cancel, Error, Job};
use nymvisor::machine::{Archive, Code};

use super::tree::name;
use super::{Scene, names, noise};
use crate::support::helper;
use crate::sweep::has_strace;

/// Waits until the archive under way has so many bytes, or is no longer there.
pub(crate) fn wait_for_partial(scene: &Scene, bytes: u64) {
    let patience = Instant::now() + helper::DEADLINE;
    let partial = format!(".{}.partial", scene.job().archive.file_name().unwrap().display());
    let partial = scene.backups.join(partial);
    let mut seen = false;
    while Instant::now() < patience {
        match fs::metadata(&partial) {
            Ok(meta) if meta.len() >= bytes => return,
            Ok(_) => seen = true,
            Err(_) if seen || scene.job().archive.exists() => return,
            Err(_) => {}
        }
        thread::yield_now();
    }
}

#[test]
fn a_cancelled_backup_leaves_nothing() {
    let scene = Scene::new();
    scene.write("a", noise(1, 64 * 1024 * 1024));
    let cancel = Cancel::default();
    cancel.cancel();
    let error = backup::seal(&scene.job(), &cancel).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert!(names(&scene.backups).is_empty());

    for _ in 0..50 {
        let cancel = Cancel::default();
        let sealed = thread::scope(|scope| {
            scope.spawn(|| {
                wait_for_partial(&scene, 1024 * 1024);
                cancel.cancel();
            });
            backup::seal(&scene.job(), &cancel)
        });
        match sealed {
            Ok(sealed) => fs::remove_file(sealed.path).unwrap(),
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                assert!(names(&scene.backups).is_empty());
                return;
            }
        }
    }
    panic!("never cancelled in time");
}

/// The rename is done by then, and whether it is durable nobody knows.
#[test]
fn a_backup_whose_folder_cannot_be_synced_leaves_nothing() {
    const TEST: &str = "backup::faults::a_backup_whose_folder_cannot_be_synced_leaves_nothing";
    if let Some((_, folder)) = helper::role() {
        let job = job_in(&folder);
        let error = backup::seal(&job, &Cancel::default()).unwrap_err();
        assert!(error.to_string().contains("syncing"), "{error}");
        return;
    }
    if !has_strace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("home")).unwrap();
    let child = helper::again(TEST, "seal", folder.path());
    let mut traced = Command::new("strace");
    traced.args(["-f", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "-P"]);
    traced.arg(folder.path().join("b")).arg(child.get_program()).args(child.get_args());
    traced.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let status = traced.stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert!(names(&folder.path().join("b")).is_empty());
}

#[test]
fn a_missing_home_is_named() {
    let scene = Scene::new();
    let job = Job { home: scene.folder.path().join("no-home"), ..scene.job() };
    let error = backup::seal(&job, &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("no-home"), "{error}");
    assert_eq!(error.code(), Code::Io);
    assert!(names(&scene.backups).is_empty());
}

/// A small file system of its own; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .output()
            .ok()?;
        if !mount.status.success() {
            eprintln!("can't mount here");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn h41_a_full_disk_is_told_as_no_room_and_leaves_nothing() {
    let scene = Scene::new();
    scene.write("a", noise(1, 4 * 1024 * 1024));
    let Some(_small) = Small::mount(scene.backups.clone(), "size=1m") else { return };
    let error = scene.seal().unwrap_err();
    assert_eq!(error.code(), Code::NoRoom, "{error}");
    let text = error.to_string();
    assert!(text.contains("backups/1.2.0") && text.contains("daemon.backup_data_directory"));
    assert!(names(&scene.backups).is_empty());
}

#[test]
fn h41_a_disk_without_inodes_is_told_as_no_room() {
    let scene = Scene::new();
    scene.write("a", "x");
    let Some(_small) = Small::mount(scene.backups.clone(), "nr_inodes=2") else { return };
    fs::write(scene.backups.join("last"), "").unwrap();
    let error = scene.seal().unwrap_err();
    assert_eq!(error.code(), Code::NoRoom, "{error}");
}

#[test]
fn another_file_system_below_the_home_belongs_to_it() {
    let scene = Scene::new();
    let Some(small) = Small::mount(scene.home.join("data"), "size=1m") else { return };
    scene.write("data/file", "x");
    let sealed = scene.seal().unwrap();
    drop(small);
    assert_eq!(fs::read(scene.restore(&sealed).join("data/file")).unwrap(), b"x");
}

/// Runs in a process without privileges: what can't be read is named, and is never left out.
#[test]
fn an_unreadable_file_ends_the_backup_and_is_named() {
    const INNER: &str = "NYMVISOR_TEST_UNREADABLE";
    if let Some(folder) = std::env::var_os(INNER) {
        return unreadable(Path::new(&folder));
    }
    let scene = Scene::new();
    scene.write("data/private.pem", "secret");
    scene.write("data/other", "x");
    let key = scene.home.join("data/private.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).unwrap();
    if !nix::unistd::geteuid().is_root() {
        return unreadable(scene.folder.path());
    }
    let sealed = scene.seal().unwrap();
    assert_eq!(sealed.entries, 4, "root reads everything");
    fs::remove_dir_all(scene.folder.path().join("backups")).unwrap();
    chown(scene.folder.path(), Some(65534), Some(65534)).unwrap();
    let exe = scene.folder.path().join("suite");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let inner = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&exe)
        .args(["--exact", "backup::faults::an_unreadable_file_ends_the_backup_and_is_named"])
        .env(INNER, scene.folder.path())
        .current_dir(scene.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inner.stdout);
    assert!(inner.status.success() && said.contains("1 passed"), "{said}");
}

fn job_in(folder: &Path) -> Job {
    Job {
        home: folder.join("home"),
        leave_out: vec![],
        archive: folder.join("b/backup-preupgrade.tar.zst"),
        workers: 1,
        level: 1,
    }
}

fn unreadable(folder: &Path) {
    let error = backup::seal(&job_in(folder), &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert!(error.to_string().contains("home/data/private.pem"), "{error}");
    assert!(names(&folder.join("b")).is_empty());
}

#[test]
fn a_backup_path_of_any_bytes_is_found_again() {
    let scene = Scene::new();
    scene.write("file", "x");
    let folder = scene.folder.path().join(name(b"b\xff\\x41 \xc3\xa9"));
    let archive = folder.join("backup-preupgrade.tar.zst");
    let job = Job { archive: archive.clone(), ..scene.job() };
    let sealed = backup::seal(&job, &Cancel::default()).unwrap();
    assert_eq!(backup::path_of(&sealed).as_os_str().as_bytes(), archive.as_os_str().as_bytes());
    assert!(backup::confirm(&sealed).unwrap());
    assert!(sealed.path.contains("b\\xff\\x5cx41 é"), "{}", sealed.path);
    let odd = Archive { path: "/a\\x4/\\q\\".into(), ..sealed };
    assert_eq!(backup::path_of(&odd), Path::new("/a\\x4/\\q\\"));
}
