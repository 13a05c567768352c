//! How a run ends: exit statuses, and the daemon's own on the last line of stderr.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::helper::is_live;
use crate::support::run::Stage;

const NOTHING: [&str; 0] = [];

#[test]
fn a_daemon_that_ends_with_0_ends_the_run_with_0() {
    let stage = Stage::new();
    stage.switch("exit-at-start", "0");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("started"), 1);
    assert_eq!(stage.phases().last().unwrap(), "Restarting");
    stage.assert_consistent();
}

#[test]
fn h01_a_crash_with_restarts_off_ends_the_run_with_4_and_tells_the_daemons_status() {
    let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
    for status in ["1", "3", "77", "101"] {
        stage.switch("exit-at-start", status);
        let end = stage.run_to_end(&NOTHING);
        assert_eq!(end.status, Some(4), "{}", end.stderr);
        assert!(end.last_line().contains(&format!("exited with status {status}")), "{end:?}");
        assert_eq!(stage.phases().last().unwrap(), "Failed");
    }
    stage.assert_consistent();
}

#[test]
fn h01_a_daemon_that_dies_by_a_signal_is_a_crash() {
    let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
    for signal in ["KILL", "SEGV", "TERM"] {
        stage.install_script(&format!("kill -{signal} $$\nsleep 1"));
        let end = stage.run_to_end(&NOTHING);
        assert_eq!(end.status, Some(4), "{}", end.stderr);
        assert!(end.last_line().contains(&format!("SIG{signal}")), "{end:?}");
    }
}

#[test]
fn h01_a_daemon_that_cant_be_executed_ends_the_run_with_4() {
    let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
    let mark = stage.site.home("run-by-a-shell");
    let text = format!("touch {}\n", mark.display());
    for no_program in [b"\x7fELF and no more".as_slice(), b"", text.as_bytes()] {
        stage.install(no_program);
        let end = stage.run_to_end(&NOTHING);
        assert_eq!(end.status, Some(4), "{}", end.stderr);
        assert!(end.last_line().contains("could not be started"), "{end:?}");
        assert!(end.stderr.contains("genesis/bin/nym-node"), "{end:?}");
        assert_eq!(stage.until_event("spawn-failed", 1).to(), "Failed");
    }
    assert!(!mark.exists());
}

#[test]
fn a_daemon_that_cant_be_executed_is_tried_again_as_often_as_one_that_crashes() {
    let stage = Stage::new()
        .with("DAEMON_MAX_STARTUP_FAILURES", "3")
        .with("DAEMON_FAILURE_RESTART_DELAY", "10ms");
    stage.install(b"\x7fELF and no more");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert_eq!(stage.events().iter().filter(|name| *name == "spawn-failed").count(), 3);
}

#[test]
fn h05_helpers_of_a_crashed_daemon_are_gone_before_it_starts_again() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1ms");
    stage.switch("helper", "");
    let mut run = stage.start(&NOTHING);
    let first = stage.until_started(1);
    let helper: u32 = stage.until_log("helper", 1).rsplit(' ').next().unwrap().parse().unwrap();
    assert!(is_live(helper));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.cast_signed()), Signal::SIGKILL)
        .unwrap();
    stage.until_event("daemon-spawned", 2);
    assert!(!is_live(helper), "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
}

#[test]
fn h05_helpers_end_with_the_run() {
    for daemon_ends in ["by itself", "asked"] {
        let stage = Stage::new();
        stage.switch("helper", "");
        if daemon_ends == "by itself" {
            stage.switch("exit-at-start", "0");
        }
        let mut run = stage.start(&NOTHING);
        let helper: u32 = stage.until_log("helper", 1).rsplit(' ').next().unwrap().parse().unwrap();
        stage.until_started(1);
        let end = if daemon_ends == "asked" { run.stop(Signal::SIGINT) } else { run.wait() };
        assert_eq!(end.status, Some(0), "{}", end.stderr);
        assert!(!is_live(helper), "{daemon_ends}: {}", stage.story());
    }
}

#[test]
fn the_journal_tells_how_the_daemon_ended() {
    let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
    stage.switch("exit-at-start", "42");
    stage.run_to_end(&NOTHING);
    let record = stage.until_event("daemon-ended", 1);
    assert_eq!(record.data()["ending"]["exited"], 42);
    assert_eq!(record.from(), "Running");
    let text = stage.site.ok(&["journal", "show"]);
    assert!(text.contains("exited with status 42"), "{text}");
}

#[test]
fn what_a_run_leaves_in_its_log_files_is_what_it_said() {
    let stage = Stage::new();
    stage.switch("exit-at-start", "0");
    let end = stage.run_to_end(&NOTHING);
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let logged = fs::read_to_string(&files[0]).unwrap();
    assert!(logged.contains("the daemon is up"), "{logged}");
    let ours = |text: &str| text.lines().filter(|line| line.contains("INFO")).count();
    assert_eq!(ours(&logged), ours(&end.stderr), "{logged}\n---\n{}", end.stderr);
    assert!(!logged.contains('\u{1b}'));
}
