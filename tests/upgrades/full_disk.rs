//! A full disk stops no daemon, and what it held up goes on when there is room again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{add_ok, archives, assert_never_stopped, end, started, until_fails, until_runs};
use crate::metrics;
use crate::support::run::Stage;

/// A small file system over a folder; only root can have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]).arg(at);
        let is_mounted = command.output().ok()?.status.success();
        if !is_mounted {
            eprintln!("skipped: a file system can't be mounted here");
        }
        is_mounted.then(|| Self(at.to_owned()))
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).output().ok();
    }
}

#[test]
fn a_journal_without_room_stops_no_daemon_and_is_whole_again_later() {
    let stage = metrics::watched();
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let Some(disk) = SmallDisk::mount(&data, "1m") else { return };
    let (run, pid) = started(&stage);
    fs::remove_file(data.join("journal/.reserve")).unwrap();
    disk.fill();
    add_ok(&stage, "1.1.0", "--now");
    stage.until("a word about the journal", || {
        run.stderr().contains("no record can be written").then_some(())
    });
    let place = metrics::place(&stage, &run);
    let told = metrics::until(&stage, place, "attention{need=\"journal\"}", 1.0);
    told.assert("daemon_up", 1.0);
    let upstream = stage.announcement("1.2.0");
    stage.publish(&upstream);
    super::until_polled(&stage, 5);
    assert_never_stopped(&stage, pid);
    assert_eq!(run.stderr().matches("no record can be written").count(), 1, "{}", run.stderr());
    disk.free();
    stage.until_log("started 1.2.0", 1);
    until_runs(&stage, "1.2.0");
    metrics::until(&stage, place, "attention{need=\"journal\"}", 0.0);
    for event in ["journal-failed", "journal-restored"] {
        assert!(stage.events().iter().any(|found| found == event), "{}", stage.story());
    }
    let numbers: Vec<u64> =
        stage.records().iter().map(|record| record.0["seq"].as_u64().unwrap()).collect();
    let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "none is missing, none twice");
    end(run);
    // The next session reads what was written.
    let run = stage.start(&["run"]);
    stage.until_log("started 1.2.0", 2);
    end(run);
}

/// What is reserved is enough to say that there is no room, and no upgrade begins without it.
#[test]
fn h12_h41_no_room_for_the_records_is_on_the_record_before_the_stop() {
    let stage = Stage::new();
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let Some(disk) = SmallDisk::mount(&data, "1m") else { return };
    let (run, pid) = started(&stage);
    disk.fill();
    add_ok(&stage, "1.1.0", "--now");
    let text = until_fails(&stage, "no-room");
    assert!(text.contains("records"), "{text}");
    assert_never_stopped(&stage, pid);
    disk.free();
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn with_a_journal_without_room_a_crashed_daemon_is_started_again() {
    let stage = Stage::new();
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let Some(disk) = SmallDisk::mount(&data, "1m") else { return };
    let (run, pid) = started(&stage);
    fs::remove_file(data.join("journal/.reserve")).unwrap();
    disk.fill();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    for starts in 2..4 {
        let leader = nix::unistd::Pid::from_raw(i32::try_from(stage.daemons()[0]).unwrap());
        nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGKILL).unwrap();
        stage.until_started(starts);
    }
    assert_ne!(i32::try_from(stage.daemons()[0]).unwrap(), pid.as_raw());
    disk.free();
    stage.until_event("journal-restored", 1);
    let ended = stage.events().iter().filter(|event| *event == "daemon-ended").count();
    assert_eq!(ended, 2, "what was held is written: {}", stage.story());
    end(run);
}

#[test]
fn h12_h41_no_room_for_the_backup_is_found_out_before_the_stop() {
    no_room_for_the_backup("true");
}

#[test]
fn h12_h41_even_where_nothing_is_prepared_the_daemon_is_not_stopped_without_room_for_the_backup() {
    no_room_for_the_backup("false");
}

fn no_room_for_the_backup(prepare_ahead: &str) {
    let stage = Stage::after(|site| {
        let folder = site.path("backups");
        site.set_env("DAEMON_BACKUP_DATA_DIRECTORY", folder.to_str().unwrap());
        site.set_env("DAEMON_PREPARE_AHEAD", prepare_ahead);
    });
    let Some(disk) = SmallDisk::mount(&stage.site.path("backups"), "256k") else { return };
    fs::write(stage.site.home("much"), vec![1; 1 << 20]).unwrap();
    stage.announce("1.1.0");
    let (run, pid) = started(&stage);
    let text = until_fails(&stage, "no-room");
    assert!(text.contains("backups"), "{text}");
    assert_never_stopped(&stage, pid);
    drop(disk);
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    assert_eq!(archives(&stage.site.path("backups")).len(), 1);
    end(run);
}

#[test]
fn room_that_vanishes_after_the_stop_brings_the_old_version_back() {
    let stage = Stage::after(|site| {
        let folder = site.path("backups");
        site.set_env("DAEMON_BACKUP_DATA_DIRECTORY", folder.to_str().unwrap());
    })
    // What was copied ahead needs no more room.
    .with("DAEMON_PREPARE_AHEAD", "false");
    let Some(disk) = SmallDisk::mount(&stage.site.path("backups"), "2m") else { return };
    stage.switch("ignore-int.1.0.0", "");
    fs::write(stage.site.home("some"), vec![1; 100_000]).unwrap();
    let (run, pid) = started(&stage);
    stage.announce("1.1.0");
    stage.until_phase("Draining");
    disk.fill();
    let leader = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGKILL).unwrap();
    until_fails(&stage, "no-room");
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "genesis");
    assert_eq!(super::files(&stage.site.path("backups")), [stage.site.path("backups/filler")]);
    disk.free();
    fs::remove_file(stage.site.home("ignore-int.1.0.0")).unwrap();
    // What ignores INT is up once more.
    let leader = nix::unistd::Pid::from_raw(i32::try_from(stage.daemons()[0]).unwrap());
    nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGKILL).unwrap();
    stage.until_started(3);
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h12_a_backup_folder_that_cannot_be_written_is_found_out_before_the_stop() {
    let stage = Stage::after(|site| {
        let folder = site.path("backups");
        site.set_env("DAEMON_BACKUP_DATA_DIRECTORY", folder.to_str().unwrap());
    });
    let Some(disk) = SmallDisk::mount(&stage.site.path("backups"), "8m") else { return };
    let mut command = Command::new("mount");
    assert!(command.args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap().success());
    stage.announce("1.1.0");
    let (run, pid) = started(&stage);
    let text = until_fails(&stage, "io");
    assert!(text.contains("backups"), "{text}");
    assert_never_stopped(&stage, pid);
    drop(disk);
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h12_a_version_file_that_cannot_be_written_is_found_out_before_the_stop() {
    let stage = Stage::new();
    let folder = stage.site.home("nymvisor");
    let kept = fs::read(folder.join("current-version-info.json")).unwrap();
    let Some(disk) = SmallDisk::mount(&folder, "8m") else { return };
    fs::write(folder.join("current-version-info.json"), kept).unwrap();
    fs::create_dir(folder.join("backups")).unwrap();
    let (run, pid) = started(&stage);
    let mut command = Command::new("mount");
    command.args(["--bind", "-o", "ro"]).arg(&disk.0).arg(&disk.0);
    // Its files stay writable for who has them open, as after an error of the medium.
    if !command.status().unwrap().success() {
        return;
    }
    let second = SmallDisk(disk.0.clone());
    stage.announce("1.1.0");
    let text = until_fails(&stage, "io");
    assert!(text.contains("nymvisor"), "{text}");
    assert_never_stopped(&stage, pid);
    drop(second);
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}
