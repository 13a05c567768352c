//! What an operator is told: it is true, it names the thing, and it says what to do.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::run::{ANNOUNCED_AT, Run, Stage};
use crate::support::server::Reply;

const NOTHING: [&str; 0] = [];

/// A stage with a run that has been through an upgrade to 1.1.0.
fn upgraded() -> (Stage, Run) {
    let stage = Stage::new();
    let run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    (stage, run)
}

#[test]
fn a_roll_back_is_called_one_in_the_log_and_in_the_journal() {
    let (stage, mut run) = upgraded();
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    let shown = stage.site.ok(&["journal", "show"]);
    let end = run.stop(Signal::SIGINT);
    for text in [&end.stderr, &shown] {
        for rest in ["the data is as", "the upgrade lock is held", "committed, the version before"]
        {
            let wanted = format!("roll-back of v1.1.0 (1.1.0) to genesis (1.0.0): {rest}");
            assert!(text.contains(&wanted), "{wanted}\n{text}");
        }
        assert!(text.contains("upgrade 1: committed, the new version holds"), "{text}");
        assert!(!text.contains("upgrade 2"), "{text}");
    }
}

#[test]
fn a_roll_back_that_fails_is_called_one() {
    let (stage, mut run) = upgraded();
    run.stop(Signal::SIGINT);
    stage.site.ok(&["rollback"]);
    fs::remove_file(stage.site.data("genesis/bin/nym-node")).unwrap();
    let end = stage.run_to_end(&NOTHING);
    let wanted = "roll-back of v1.1.0 (1.1.0) to genesis (1.0.0) failed: ";
    assert!(end.stderr.contains(wanted), "{}", end.stderr);
}

#[test]
fn nothing_is_said_of_a_daemon_that_is_down() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1h");
    stage.switch("exit-at-start.1.0.0", "3");
    stage.server.put(ANNOUNCED_AT, Reply::status(503));
    let mut run = stage.start(&NOTHING);
    stage.until("a word about upstream", || {
        run.stderr().contains("upstream can't be asked").then_some(())
    });
    stage.until_phase("Restarting");
    let end = run.stop(Signal::SIGINT);
    assert!(!end.stderr.contains("runs on"), "{}", end.stderr);
}
