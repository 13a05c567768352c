//! Locks that end with their holder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nymvisor::host::lock::{Error, HeldLock, held_by};
use tempfile::tempdir;

use crate::support::helper::{Guarded, again, eventually, number_in, role};

fn busy(error: Error) -> (Option<u32>, String) {
    match error {
        Error::Busy { pid, content, .. } => (pid, content),
        Error::Io { .. } => panic!("{error}"),
    }
}

#[test]
#[expect(clippy::zombie_processes, reason = "both are killed by the test that plays this role")]
fn in_another_role() {
    let Some((role, folder)) = role() else { return };
    assert_eq!(role, "holder");
    let _held = HeldLock::acquire(&folder.join("run.lock"), 0o600, "by another\n").unwrap();
    // A child that outlives its parent must not carry the lock on.
    let sleeper = Command::new("sleep").arg("300").spawn().unwrap();
    fs::write(folder.join("sleeper"), format!("{}\n", sleeper.id())).unwrap();
    std::thread::sleep(std::time::Duration::from_mins(5));
}

#[test]
fn one_holds_it_and_the_other_learns_who() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.lock");
    let held = HeldLock::acquire(&path, 0o600, "pid 1234567, session 9\n").unwrap();
    assert!(held.still_ours());
    let error = HeldLock::acquire(&path, 0o600, "the second\n").unwrap_err();
    assert!(error.to_string().contains("run.lock"), "{error}");
    let (pid, content) = busy(error);
    assert_eq!(content, "pid 1234567, session 9\n", "what the holder wrote stays");
    // The kernel's word goes before the file's, where it gives one.
    assert!([Some(std::process::id()), Some(1_234_567)].contains(&pid), "{pid:?}");
    drop(held);
    let again = HeldLock::acquire(&path, 0o600, "x").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "x", "nothing of the longer text is left");
    again.release_and_remove().unwrap();
    assert!(!path.exists());
}

/// `status` would say that no `run` is up.
#[test]
fn a_lock_is_seen_however_many_others_come_and_go() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.lock");
    let _held = HeldLock::acquire(&path, 0o600, "us\n").unwrap();
    if held_by(&path).is_none() {
        eprintln!("the kernel doesn't tell who holds locks");
        return;
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (other, is_over) = (folder.path().join(format!("{number}.lock")), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // Whoever looks at our open files through /proc may hold it a moment longer.
                    let _ = HeldLock::acquire(&other, 0o600, "");
                }
            });
        }
        let missed = (0..2000).filter(|_| held_by(&path).is_none()).count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(missed, 0);
    });
}

#[test]
fn the_lock_ends_with_a_killed_holder_though_its_child_lives() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("run.lock");
    let mut command = again("locks::in_another_role", "holder", folder.path());
    let mut holder = Guarded(command.spawn().unwrap());
    let sleeper = number_in(&folder.path().join("sleeper"));
    let (pid, content) = busy(HeldLock::acquire(&path, 0o600, "us\n").unwrap_err());
    assert_eq!(content, "by another\n");
    // Without a number in the text only the kernel can tell, and some file systems hide it.
    assert!(pid.is_none_or(|pid| pid == holder.0.id()), "{pid:?}");
    holder.0.kill().unwrap();
    let held = eventually("the lock", || HeldLock::acquire(&path, 0o600, "us\n").ok());
    assert!(held.still_ours());
    let sleeper = nix::unistd::Pid::from_raw(sleeper.cast_signed());
    nix::sys::signal::kill(sleeper, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn a_lock_on_a_file_that_lost_its_name_counts_for_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("upgrade.lock");
    let held = HeldLock::acquire(&path, 0o644, "first\n").unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!held.still_ours());
    let other = HeldLock::acquire(&path, 0o644, "second\n").unwrap();
    assert!(!held.still_ours());
    held.release_and_remove().unwrap();
    assert!(other.still_ours(), "another's file is not removed");
    assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
}

#[test]
fn removing_and_taking_at_once_never_makes_two_holders() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("upgrade.lock");
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut taken = 0;
                while taken < 50 {
                    let Ok(held) = HeldLock::acquire(&path, 0o644, "x") else { continue };
                    let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    assert_eq!(before, 0, "two at once");
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    taken += 1;
                    held.release_and_remove().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_full_disk_refuses_no_lock_for_what_is_written_into_it() {
    // Every write to it ends with ENOSPC.
    let held = HeldLock::acquire(Path::new("/dev/full"), 0o600, "for people\n").unwrap();
    assert!(held.still_ours());
}

#[test]
fn it_has_the_mode_that_was_asked_for_and_is_never_a_link() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("upgrade.lock");
    let _held = HeldLock::acquire(&path, 0o600, "").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let precious = folder.path().join("precious");
    fs::write(&precious, "keep").unwrap();
    let link = folder.path().join("link.lock");
    symlink(&precious, &link).unwrap();
    let error = HeldLock::acquire(&link, 0o600, "gone").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep");

    let missing = folder.path().join("no/such/folder.lock");
    let error = HeldLock::acquire(&missing, 0o600, "").unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
}
