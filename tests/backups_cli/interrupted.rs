//! A restore that is killed, and what goes on from there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{NOTHING, json, list, path, read, refused, upgraded};
use crate::support::run::Stage;

const FILES: u32 = 60;

/// With files enough for a restore to take a while.
fn filled() -> Stage {
    let stage = Stage::new();
    for number in 0..FILES {
        let folder = stage.site.home(&format!("data/{}", number % 20));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(number.to_string()), format!("{number} as it was")).unwrap();
    }
    for number in 0..40 {
        stage.switch(&format!("file-{number}"), "as it was");
    }
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    super::stop(&stage, run);
    spoil(&stage);
    stage
}

fn spoil(stage: &Stage) {
    for number in 0..FILES {
        stage.switch(&format!("data/{}/{number}", number % 20), "changed");
    }
    stage.switch("file-7", "changed");
    stage.switch("appeared", "changed");
}

fn assert_as_it_was(stage: &Stage, when: &str) {
    for number in 0..FILES {
        let content = read(stage, &format!("data/{}/{number}", number % 20));
        assert_eq!(content, format!("{number} as it was"), "{when}");
    }
    assert_eq!(read(stage, "file-7"), "as it was", "{when}");
    assert!(!stage.site.home("appeared").exists(), "{when}");
    assert!(!stage.site.home("nymvisor/restoring.json").exists(), "{when}");
    let hidden = fs::read_dir(stage.site.home("")).unwrap();
    let hidden = hidden.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(hidden.filter(|name| name.starts_with('.')).count(), 0, "{when}");
}

/// Kills the command at this call of the system.
fn kill_at(stage: &Stage, call: &str, number: usize) -> bool {
    let log = stage.site.path("strace.log");
    let plain = stage.site.command(&["backups", "restore", "v1.1.0"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&log).args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
    command.arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.current_dir(plain.get_current_dir().unwrap());
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    fs::read_to_string(log).unwrap_or_default().contains("killed by SIGKILL")
}

fn has_strace() -> bool {
    Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|it| it.success())
}

fn aside(stage: &Stage) -> Vec<PathBuf> {
    let folders = fs::read_dir(stage.site.home("nymvisor/rollbacks")).unwrap();
    folders.map(|folder| folder.unwrap().path().join("aside")).filter(|it| it.exists()).collect()
}

/// Half restored, as the kill in the midst of the moves leaves it.
fn half_restored() -> Option<Stage> {
    if !has_strace() {
        eprintln!("skipped: strace is not there, or may not trace");
        return None;
    }
    let stage = filled();
    assert!(kill_at(&stage, "renameat2", 60), "no kill");
    Some(stage)
}

#[test]
fn run_refuses_a_home_that_is_half_restored_and_names_what_finishes_it() {
    let Some(stage) = half_restored() else { return };
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(3), "{}", end.stderr);
    assert!(end.stderr.contains("is half restored: finish it with `nymvisor backups restore v1.1"));
    assert!(stage.daemons().is_empty() && stage.logged("started 1.1.0") == 0, "{}", stage.story());
    let checked = stage.site.run(&["check"]);
    assert_ne!(checked.status, 0);
    assert!(checked.stdout.contains("is half restored: finish it with"), "{}", checked.stdout);
    let shown = json(&stage, &["list"]);
    assert!(shown["restoring"].as_str().unwrap().starts_with("v1.1.0/"), "{shown}");
    // The archive isn't needed any more, and another one has to wait.
    let archive = path(&list(&stage)[0]);
    fs::rename(&archive, archive.with_extension("away")).unwrap();
    let expected = format!("its archive is missing, which was {}", archive.display());
    refused(&stage, &["backups", "restore", "v9"], 1, &expected);
    let said = stage.site.ok(&["backups", "restore", "v1.1.0"]);
    assert!(said.contains("is restored in "), "{said}");
    fs::rename(archive.with_extension("away"), &archive).unwrap();
    assert_as_it_was(&stage, "finished");
    assert_eq!(aside(&stage).len(), 1);
    assert_eq!(fs::read_to_string(aside(&stage)[0].join("file-7")).unwrap(), "changed");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn another_backup_has_to_wait_and_prune_leaves_what_is_being_restored() {
    let Some(stage) = half_restored() else { return };
    let stage = stage.with("DAEMON_BACKUP_RETENTION", "1ms");
    let other = stage.site.home("nymvisor/backups/v0/backup-x-preupgrade.tar.zst");
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::copy(path(&list(&stage)[0]), other).unwrap();
    refused(&stage, &["backups", "restore", "v0"], 1, "finish that first: `nymvisor backups");
    assert_eq!(json(&stage, &["prune"])["freed_bytes"], 0);
    stage.site.ok(&["backups", "restore", "v1.1.0"]);
    assert_as_it_was(&stage, "finished");
    stage.site.ok(&["backups", "restore", "v0"]);
    assert_as_it_was(&stage, "by the other");
}

#[test]
fn broken_off_before_anything_moved_it_blocks_nothing() {
    if !has_strace() {
        return;
    }
    let stage = filled();
    assert!(kill_at(&stage, "syncfs", 1), "no kill");
    assert!(stage.site.home("nymvisor/restoring.json").exists());
    assert_eq!(read(&stage, "file-7"), "changed");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0));
    let expected = "was broken off before it had moved anything: the data is as it was";
    assert!(end.stderr.contains(expected), "{}", end.stderr);
    assert!(!stage.site.home("nymvisor/restoring.json").exists());
    assert!(fs::read_dir(stage.site.home("nymvisor/rollbacks")).unwrap().next().is_none());
    assert_eq!(read(&stage, "file-7"), "changed");
}

#[test]
fn a_mark_that_cannot_be_read_is_no_reason_to_guess() {
    let stage = upgraded(&["1.1.0"]);
    for content in ["", "{}", "{\"format\": 9}", "\u{0}"] {
        fs::write(stage.site.home("nymvisor/restoring.json"), content).unwrap();
        let end = stage.run_to_end(&NOTHING);
        assert_eq!(end.status, Some(3), "{}", end.stderr);
        assert!(end.stderr.contains("restoring.json says that the home is being restored"));
        refused(&stage, &["backups", "list"], 3, "restoring.json");
    }
}

#[test]
fn killed_at_any_instant_the_same_command_goes_on() {
    let stage = filled();
    for turn in 0..12_u64 {
        spoil(&stage);
        let mut killed = 0;
        // The whole takes some hundred milliseconds.
        for pause_ms in [turn * 23, turn * 17 + 40] {
            let mut command = stage.site.command(&["backups", "restore", "v1.1.0"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(pause_ms));
            let _ = child.kill();
            killed += u32::from(child.wait().unwrap().code().is_none());
        }
        let said = stage.site.run(&["backups", "restore", "v1.1.0"]);
        assert_eq!(said.status, 0, "{turn}: {}", said.stderr);
        assert_as_it_was(&stage, &format!("turn {turn}, killed {killed} times"));
    }
    let changed = aside(&stage).iter().filter(|it| it.join("appeared").exists()).count();
    assert!(changed >= 12, "what was there is never lost: {changed}");
}

#[test]
fn killed_at_calls_of_each_kind_the_same_command_goes_on() {
    if !has_strace() {
        return;
    }
    let stage = filled();
    let mut killed = 0;
    let points = [
        ("renameat2", 1),
        ("renameat2", 20),
        ("renameat2", 45),
        ("renameat2", 80),
        ("rename", 1),
        ("rename", 2),
        ("rename", 4),
        ("rename", 5),
        ("fsync", 3),
        ("unlink", 1),
        ("syncfs", 1),
    ];
    for (call, number) in points {
        spoil(&stage);
        killed += usize::from(kill_at(&stage, call, number));
        let said = stage.site.run(&["backups", "restore", "v1.1.0"]);
        assert_eq!(said.status, 0, "{call} {number}: {}", said.stderr);
        assert_as_it_was(&stage, &format!("killed at {call} {number}"));
    }
    assert!(killed >= points.len() - 3, "{killed} of {}", points.len());
}
