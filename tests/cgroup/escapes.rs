//! What a daemon may start that neither its process group nor its token tells of.

use super::{
    CHAIN, Command, HIDDEN, Nest, Pid, Signal, Stage, Stopped, fs, install, is_live, kill, length,
    pid_of, read_only, start_in,
};

/// Whether all that was written into the home is in the backup that the upgrade has made of it.
fn assert_nothing_was_written_beside(stage: &Stage, name: &str) {
    stage.site.ok(&["backups", "restore", "v1.1.0", "--to", "out"]);
    let then = fs::read(stage.site.path("out").join(name)).unwrap().len();
    assert_eq!(then as u64, length(stage, name), "{}", stage.story());
}

#[test]
fn h05_what_forks_without_end_is_gone_before_the_backup() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    install(&stage, "chain", CHAIN);
    let mut run = start_in(&nest, &stage);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_nothing_was_written_beside(&stage, "chain");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn h05_what_hides_is_gone_before_the_backup() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    install(&stage, "hidden", HIDDEN);
    let mut run = start_in(&nest, &stage);
    stage.until_started(1);
    let hidden = pid_of(&stage, "hidden");
    stage.announce("1.1.0");
    stage.until_event("backup-sealed", 1);
    assert!(!is_live(hidden));
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_nothing_was_written_beside(&stage, "hidden");
    let said = run.stderr();
    let told = format!("process {hidden} was started by the daemon and had left its group");
    assert!(said.contains(&told), "{said}");
    // As before, the signal is the daemon's alone.
    assert_eq!(stage.logged("hidden asked"), 0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}

#[test]
fn h05_what_hides_ends_with_the_run_with_a_crash_and_after_the_grace_period() {
    let Some(nest) = Nest::new() else { return };
    for end in ["asked", "crashed", "killed"] {
        let stage = Stage::new()
            .with("DAEMON_RESTART_ON_FAILURE", "false")
            .with("DAEMON_SHUTDOWN_GRACE_PERIOD", "300ms");
        install(&stage, "hidden", HIDDEN);
        if end == "killed" {
            let script = fs::read_to_string(stage.site.data("genesis/bin/nym-node")).unwrap();
            stage.install(script.replace("trap 'exit 0' INT", "trap '' INT").as_bytes());
        }
        let mut run = start_in(&nest, &stage);
        let daemon = stage.until_started(1);
        let hidden = pid_of(&stage, "hidden");
        assert!(is_live(hidden));
        assert_eq!(nest.groups().len(), 1);
        if end == "crashed" {
            kill(Pid::from_raw(daemon.cast_signed()), Signal::SIGKILL).unwrap();
            assert_eq!(run.wait().status, Some(4));
        } else {
            assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        }
        assert!(!is_live(hidden), "{end}: {}", stage.story());
        assert!(nest.groups().is_empty(), "{end}: {:?}", nest.groups());
    }
}

/// What README says of a system without control groups; and that the tests above tell of them.
#[test]
fn without_a_group_what_hides_escapes() {
    let stage = Stage::new();
    let _stopped = Stopped(&stage);
    let Some(command) = read_only(&stage.run_command(&["run"])) else { return };
    install(&stage, "hidden", HIDDEN);
    let mut run = stage.start_command(command);
    stage.until_started(1);
    let hidden = pid_of(&stage, "hidden");
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    assert!(is_live(hidden));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(is_live(hidden));
    let said = run.stderr();
    assert_eq!(said.matches("no control group for the daemon").count(), 1, "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

/// In a container nymvisor buries the orphans, and ends what would live on there.
#[test]
fn h05_what_forks_without_end_ends_with_the_first_process_of_a_container() {
    let Some(nest) = Nest::new() else { return };
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(unshare).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no process namespace can be made here (unshare)");
    }
    let stage = Stage::new();
    install(&stage, "chain", CHAIN);
    let inner = stage.run_command(&["run"]);
    let command = crate::support::nest::wrapped(&inner, "unshare", &unshare.map(AsRef::as_ref));
    let mut run = stage.start_command(nest.within(&command));
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_nothing_was_written_beside(&stage, "chain");
    let stats = nymvisor::proc::stats().unwrap();
    let first = stats.iter().find(|stat| stat.parent == run.pid()).unwrap().pid;
    kill(Pid::from_raw(first.cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}
