//! After an upgrade, and after a failure.

use nix::sys::signal::Signal;

use super::{FOR_EVER, NOTHING, end, hooked, noted, script, started, until_noted, with_command};

#[test]
fn the_post_upgrade_command_runs_once_and_stops_nothing() {
    for body in ["exit 0", "exit 30", "exit 9"] {
        let stage = hooked("post-upgrade", body)
            .with("DAEMON_FAILURE_RESTART_DELAY", "10ms")
            .with("DAEMON_STARTUP_PERIOD_DURATION", "1h");
        let run = started(&stage);
        stage.announce("1.1.0");
        let note = until_noted(&stage, "post-upgrade", 1);
        assert_eq!(
            note,
            "post-upgrade in=Running upgrade=v1.1.0 from=genesis/1.0.0 to=v1.1.0/1.1.0 code= next="
        );
        stage.until_event("hook-ended", 1);
        stage.until_log("started 1.1.0", 1);
        // It has not lived through its startup period, and was told of all the same.
        stage.kill_daemon();
        stage.until_log("started 1.1.0", 2);
        stage.until_phase("Running");
        assert_eq!(noted(&stage).len(), 1, "{body}");
        end(&stage, run);
    }
}

#[test]
fn it_is_told_the_backup_the_binary_and_the_instance() {
    let body = "echo \"$NYMVISOR_BACKUP $NYMVISOR_BINARY $NYMVISOR_UPGRADE_INFO\"\n\
                ls \"$NYMVISOR_BACKUP\" \"$NYMVISOR_BINARY\" \"$NYMVISOR_UPGRADE_INFO\" || exit 5\n\
                [ \"$NYMVISOR_INSTANCE\" = nym-node-default ] || exit 6\n\
                [ \"$DAEMON_NAME\" = nym-node ] && [ -d \"$DAEMON_HOME\" ] || exit 7\n\
                [ \"$GIVEN_TO_ALL\" = yes ] || exit 8";
    let stage = hooked("post-upgrade", body).with("GIVEN_TO_ALL", "yes");
    let run = started(&stage);
    stage.announce("1.1.0");
    let ended = stage.until_event("hook-ended", 1);
    assert_eq!(ended.data()["ending"]["exited"], 0, "{}", stage.story());
    end(&stage, run);
}

#[test]
fn a_preparation_that_fails_for_good_is_told() {
    let stage = hooked("on-failure", "exit 0");
    let run = started(&stage);
    let mut announced = stage.announcement("1.1.0");
    announced["platforms"]["any"]["checksum"] = "00".repeat(32).into();
    stage.publish(&announced);
    let note = until_noted(&stage, "on-failure", 1);
    assert_eq!(
        note,
        "on-failure in=Running upgrade=v1.1.0 from=genesis/1.0.0 to=v1.1.0/1.1.0 \
         code=digest-mismatch next=held"
    );
    stage.until_event("hook-ended", 1);
    end(&stage, run);
}

#[test]
fn the_end_of_a_run_that_gives_up_waits_for_its_command() {
    let stage =
        hooked("on-failure", "sleep 0.3; echo told").with("DAEMON_RESTART_ON_FAILURE", "false");
    stage.switch("exit-at-start", "3");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    let note = "on-failure in=Running upgrade= from=/ to=genesis/1.0.0 code=daemon-crashed \
                next=given-up";
    assert_eq!(noted(&stage), [note]);
    let ended = stage.until_event("hook-ended", 1);
    assert_eq!(ended.data()["said"], "told");
    assert_eq!((ended.from(), ended.to()), ("Failed", "Failed"));
}

#[test]
fn its_timeout_and_a_stop_request_end_that_wait() {
    let stage = hooked("on-failure", FOR_EVER)
        .with("DAEMON_RESTART_ON_FAILURE", "false")
        .with("DAEMON_HOOK_TIMEOUT", "200ms");
    stage.switch("exit-at-start", "3");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert_eq!(stage.until_event("hook-ended", 1).data()["ending"], "timed-out");

    let stage = hooked("on-failure", FOR_EVER).with("DAEMON_RESTART_ON_FAILURE", "false");
    stage.switch("exit-at-start", "3");
    let mut run = stage.start(&NOTHING);
    until_noted(&stage, "on-failure", 1);
    let end = run.stop(Signal::SIGTERM);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
}

#[test]
fn a_roll_back_is_told_before_it_begins() {
    let stage = hooked("on-failure", "exit 0")
        .with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1");
    stage.switch("exit-at-start.1.1.0", "3");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_log("started 1.0.0", 1);
    let note = until_noted(&stage, "on-failure", 1);
    assert_eq!(
        note,
        "on-failure in=Running upgrade=v1.1.0 from=v1.1.0/1.1.0 to=genesis/1.0.0 \
         code=failed-start next=roll-back"
    );
    stage.until_event("swap-committed", 2);
    stage.until_phase("Running");
    end(&stage, run);
}

/// A command that calls nymvisor means this instance, and doesn't wait for itself.
#[test]
fn commands_may_call_nymvisor() {
    let nymvisor = env!("CARGO_BIN_EXE_nymvisor");
    let body = format!(
        "'{nymvisor}' status > \"$HOME/status.txt\" || exit 5\n\
         '{nymvisor}' retry v1.1.0 > \"$HOME/retry.txt\" 2>&1\n\
         '{nymvisor}' check > /dev/null 2>&1\nexit 0"
    );
    let stage = hooked("pre-upgrade", &body);
    let stage = with_command(stage, "on-failure", "exit 0");
    script(&stage, "unused.sh", "exit 0");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let status = std::fs::read_to_string(stage.site.path("status.txt")).unwrap();
    assert!(status.contains("pre-upgrade command runs"), "{status}");
    let retry = std::fs::read_to_string(stage.site.path("retry.txt")).unwrap();
    assert!(retry.contains("nothing holds v1.1.0 back"), "{retry}");
    end(&stage, run);
}

/// What a command is told counts from then on, also where it says yes in the same breath.
#[test]
fn a_command_may_give_its_upgrade_another_time() {
    let nymvisor = env!("CARGO_BIN_EXE_nymvisor");
    let body = format!(
        "'{nymvisor}' upgrades reschedule v1.1.0 --delay 1h > \"$HOME/said.txt\" 2>&1; exit 0"
    );
    let stage = hooked("pre-upgrade", &body);
    let run = started(&stage);
    let daemons = stage.daemons();
    stage.announce("1.1.0");
    stage.until_event("hook-ended", 1);
    let queued = || {
        let list = stage.site.ok(&["upgrades", "list", "--output", "json"]);
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list["upgrades"][0].clone()
    };
    stage.until("the upgrade to wait for its new time", || {
        (queued()["stage"] == "ready" && queued()["due"] == false).then_some(())
    });
    assert_eq!(stage.daemons(), daemons, "{}", stage.story());
    assert_eq!(stage.logged("signal"), 0, "{}", stage.story());
    let said = std::fs::read_to_string(stage.site.path("said.txt")).unwrap();
    assert!(said.contains("the daemon is stopped for it at"), "{said}");
    end(&stage, run);
}
