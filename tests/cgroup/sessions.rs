//! What a session that was killed has left is found by the next one, wherever that is.

use super::{
    CHAIN, HIDDEN, Nest, Signal, Stage, fs, install, is_live, length, pid_of, read_only, start_in,
};
use crate::support::daemon::FakeDaemon;
use crate::support::run::process::until_gone;

#[test]
fn h06_what_forks_without_end_and_outlived_nymvisor_ends_before_the_next_start() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    install(&stage, "chain", CHAIN);
    let mut run = start_in(&nest, &stage);
    let daemon = stage.until_started(1);
    run.kill();
    until_gone(daemon);
    let before = length(&stage, "chain");
    stage.until("the chain lives on", || (length(&stage, "chain") > before).then_some(()));
    assert_eq!(nest.groups().len(), 1);

    FakeDaemon::new("nym-node", "1.0.0").write(&stage.site.data("genesis/bin/nym-node"));
    let mut run = start_in(&nest, &stage);
    stage.until_started(2);
    let then = length(&stage, "chain");
    stage.until_phase("Running");
    stage.until("only the new group", || (nest.groups().len() == 1).then_some(()));
    assert_eq!(length(&stage, "chain"), then);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(length(&stage, "chain"), then);
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    stage.assert_consistent();
}

/// It is asked first, as whatever outlived its session is.
#[test]
fn h06_what_hid_and_outlived_nymvisor_is_asked_and_then_killed_wherever_the_next_session_is() {
    let Some(nest) = Nest::new() else { return };
    let Some(elsewhere) = Nest::new() else { return };
    for next in ["the same group", "another group", "no groups"] {
        let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "300ms");
        install(&stage, "hidden", HIDDEN);
        let mut run = start_in(&nest, &stage);
        let daemon = stage.until_started(1);
        let hidden = pid_of(&stage, "hidden");
        run.kill();
        until_gone(daemon);
        assert!(is_live(hidden));
        FakeDaemon::new("nym-node", "1.0.0").write(&stage.site.data("genesis/bin/nym-node"));
        let mut run = match next {
            "the same group" => start_in(&nest, &stage),
            "another group" => start_in(&elsewhere, &stage),
            _ => {
                // Where they can't be written a signal can still be sent.
                let Some(command) = read_only(&stage.run_command(&["run"])) else { return };
                stage.start_command(command)
            }
        };
        stage.until_started(2);
        assert!(!is_live(hidden), "{next}: {}", stage.story());
        assert_eq!(stage.logged("hidden asked"), 1, "{next}");
        assert_eq!(stage.rows()[1], "daemon-left-behind", "{next}");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{next}");
        if next == "no groups" {
            assert_eq!(nest.groups().len(), 1, "nobody could remove it");
            let mut run = start_in(&elsewhere, &stage);
            stage.until_started(3);
            assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        }
        assert!(nest.groups().is_empty(), "{next}: {:?}", nest.groups());
        assert!(elsewhere.groups().is_empty(), "{next}: {:?}", elsewhere.groups());
    }
}

#[test]
fn h21_of_two_instances_in_one_group_neither_touches_the_others() {
    let Some(nest) = Nest::new() else { return };
    let stage = || Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "300ms");
    let (one, other) = (stage(), stage());
    for stage in [&one, &other] {
        install(stage, "hidden", HIDDEN);
    }
    let mut first = start_in(&nest, &one);
    let mut second = start_in(&nest, &other);
    let daemon = one.until_started(1);
    other.until_started(1);
    let (ones, others) = (pid_of(&one, "hidden"), pid_of(&other, "hidden"));
    assert_eq!(nest.groups().len(), 2);
    // One is killed, and another session follows; then that is stopped.
    first.kill();
    until_gone(daemon);
    let mut first = start_in(&nest, &one);
    one.until_started(2);
    assert!(!is_live(ones) && is_live(others), "{}", one.story());
    assert_eq!(first.stop(Signal::SIGINT).status, Some(0));
    assert!(is_live(others));
    assert_eq!(nest.groups().len(), 1);
    assert_eq!(other.logged("hidden asked"), 0);
    assert_eq!(second.stop(Signal::SIGINT).status, Some(0));
    assert!(!is_live(others));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}

#[test]
fn h06_a_restore_waits_for_what_outlived_nymvisor() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    install(&stage, "hidden", HIDDEN);
    let mut run = start_in(&nest, &stage);
    stage.until_started(1);
    let hidden = pid_of(&stage, "hidden");
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert!(!is_live(hidden));
    fs::remove_file(stage.site.home("hidden")).unwrap();
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.site.ok(&["rollback", "--keep-data"]);
    let mut run = start_in(&nest, &stage);
    stage.until_log("started 1.0.0", 2);
    let daemon = stage.until_log("started 1.0.0", 2);
    let hidden = stage.until_log("hidden", 2);
    run.kill();
    until_gone(daemon.rsplit(' ').next().unwrap().parse().unwrap());
    let hidden: u32 = hidden.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(is_live(hidden));
    let told = format!("process {hidden} was started by a daemon");
    // The daemon's own `sleep` outlives it for some milliseconds, and is told of until then.
    stage.until("what hides is told of", || {
        let refused = stage.site.run(&["backups", "restore", "v1.1.0"]);
        assert_eq!(refused.status, 5, "{}", refused.stderr);
        refused.stderr.contains(&told).then_some(())
    });
}
