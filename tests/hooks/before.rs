//! Before an upgrade, and before a start.

use nix::sys::signal::Signal;

use super::{FOR_EVER, NOTHING, SOON, end, hooked, noted, script, started, until_noted};
use crate::support::run::Stage;

/// What a pre-upgrade command does, and the code of the failure that comes of it.
const SAYS_NO: [(&str, &str); 6] = [
    ("exit 30", "hook-aborted"),
    ("exit 31", "hook-postponed"),
    ("exit 7", "hook-failed"),
    ("kill -KILL $$", "hook-failed"),
    (FOR_EVER, "hook-failed"),
    ("trap '' TERM; while :; do sleep 0.1; done", "hook-failed"),
];

#[test]
fn zero_and_one_let_the_upgrade_go_on() {
    for status in [0, 1] {
        let stage = hooked("pre-upgrade", &format!("echo ready; exit {status}"));
        let run = started(&stage);
        stage.announce("1.1.0");
        stage.until_log("started 1.1.0", 1);
        stage.until_phase("Running");
        assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
        let noted = noted(&stage);
        let note = "pre-upgrade in=Running upgrade=v1.1.0 from=genesis/1.0.0 to=v1.1.0/1.1.0 \
                    code= next=";
        assert_eq!(noted, [note]);
        let ended = stage.until_event("hook-ended", 1);
        assert_eq!(ended.data()["ending"]["exited"], status);
        assert_eq!(ended.data()["said"], "ready");
        // It ran beside the old daemon, which was asked to end only afterwards.
        assert_eq!((ended.from(), ended.to()), ("Running", "Running"));
        let drawn = stage.site.ok(&["journal", "timeline"]);
        assert!(drawn.contains("\n  command "), "{drawn}");
        end(&stage, run);
    }
}

#[test]
fn anything_else_holds_the_upgrade_back_and_the_daemon_runs_on() {
    for (body, code) in SAYS_NO {
        let stage = hooked("pre-upgrade", body).with("DAEMON_HOOK_TIMEOUT", "300ms");
        let run = started(&stage);
        let daemons = stage.daemons();
        stage.announce("1.1.0");
        stage.until_event("hook-ended", 1);
        let status = stage.site.run(&["status", "--output", "json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let last = &status["last_failure"];
        assert_eq!((&last["code"], &last["upgrade"]), (&code.into(), &"v1.1.0".into()), "{body}");
        assert_eq!(status["held"][0]["code"], code, "{body}: {status:#}");
        assert_eq!(stage.daemons(), daemons, "{body}");
        assert_eq!(stage.logged("signal"), 0, "{body}");
        assert_eq!(stage.history(), [""; 0], "{body}");
        assert_eq!(stage.archives().len(), 0, "{body}");
        end(&stage, run);
    }
}

/// The copy of the home may be of any size: it is made once.
#[test]
fn what_is_put_off_stays_prepared() {
    let stage = hooked("pre-upgrade", "exit 31");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_event("hook-ended", 1);
    let status = || -> serde_json::Value {
        serde_json::from_str(&stage.site.run(&["status", "--output", "json"]).stdout).unwrap()
    };
    let (status, queued) = (status(), &status()["queue"][0]);
    assert_eq!((&queued["stage"], &queued["next"]), (&"paused".into(), &true.into()), "{status:#}");
    assert!(queued["until"].is_string(), "{status:#}");
    assert_eq!(queued["waits_for"][0]["what"], "pause");
    assert_eq!(status["verdict"], "ok", "{status:#}");
    let asked_again = |times| {
        stage.site.ok(&["retry", "v1.1.0"]);
        stage.until_event("hook-ended", times);
    };
    asked_again(2);
    script(&stage, "pre-upgrade.sh", "echo late > \"$DAEMON_HOME/late\"; exit 0");
    asked_again(3);
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let count = |name: &str| stage.events().iter().filter(|event| *event == name).count();
    assert_eq!((count("home-copied"), count("binary-fetched")), (1, 1), "{}", stage.story());
    assert_eq!(count("copy-refreshed"), 1, "{}", stage.story());
    // What came since is in it.
    let backup = &stage.archives()[0];
    let tar = std::process::Command::new("tar").arg("--zstd").arg("-tf").arg(backup).output();
    assert!(String::from_utf8(tar.unwrap().stdout).unwrap().lines().any(|it| it.ends_with("late")));
    assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
    end(&stage, run);
}

#[test]
fn retry_asks_a_command_again_that_said_abort() {
    let stage = hooked("pre-upgrade", "exit 30");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_event("hook-ended", 1);
    script(&stage, "pre-upgrade.sh", "exit 0");
    stage.site.ok(&["retry", "v1.1.0"]);
    stage.until_log("started 1.1.0", 1);
    end(&stage, run);
}

#[test]
fn what_it_changes_in_the_home_is_in_the_backup() {
    let stage = hooked("pre-upgrade", "echo changed > \"$DAEMON_HOME/by-the-command\"");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let archive = stage.archives().pop().unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.args(["-I", "zstd", "-tf"]).arg(&archive);
    let listed = tar.output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("by-the-command"), "{listed:?}");
    end(&stage, run);
}

#[test]
fn it_comes_first_without_preparation_and_without_backup_too() {
    for (variable, value) in
        [("DAEMON_PREPARE_AHEAD", "false"), ("DAEMON_UNSAFE_SKIP_BACKUP", "true")]
    {
        let stage = hooked("pre-upgrade", "exit 0").with(variable, value);
        let run = started(&stage);
        stage.announce("1.1.0");
        stage.until_log("started 1.1.0", 1);
        stage.until_phase("Running");
        let events = stage.events();
        let at = |name: &str| events.iter().position(|event| event == name).unwrap();
        assert!(at("hook-ended") < at("daemon-ended"), "{events:?}");
        end(&stage, run);
    }
}

#[test]
fn a_stop_request_ends_it_and_the_next_session_asks_again() {
    let stage = hooked("pre-upgrade", FOR_EVER);
    let run = started(&stage);
    stage.announce("1.1.0");
    until_noted(&stage, "pre-upgrade", 1);
    end(&stage, run);
    assert_eq!(stage.history(), [""; 0]);
    script(&stage, "pre-upgrade.sh", "exit 0");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    // By way of Running: the command wants the old daemon.
    assert_eq!(stage.logged("started 1.0.0"), 2);
    assert_eq!(noted(&stage).len(), 2);
    stage.until_phase("Running");
    end(&stage, run);
}

#[test]
fn the_pre_start_command_comes_before_every_start() {
    let stage = hooked("pre-start", "exit 1").with("DAEMON_FAILURE_RESTART_DELAY", "10ms");
    let run = started(&stage);
    stage.kill_daemon();
    stage.until_log("started 1.0.0", 2);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let noted = noted(&stage);
    let of_old = "pre-start in=Restarting upgrade= from=/ to=genesis/1.0.0 code= next=";
    let of_new = "pre-start in=Restarting upgrade= from=/ to=v1.1.0/1.1.0 code= next=";
    assert_eq!(noted, [of_old, of_old, of_new]);
    end(&stage, run);
}

#[test]
fn a_pre_start_command_that_fails_is_a_failed_start() {
    for body in ["exit 30", "exit 3", "kill -KILL $$", FOR_EVER] {
        let stage = hooked("pre-start", body)
            .with("DAEMON_HOOK_TIMEOUT", "200ms")
            .with("DAEMON_FAILURE_RESTART_DELAY", "10ms")
            .with("DAEMON_MAX_STARTUP_FAILURES", "2");
        let end = stage.run_to_end(&NOTHING);
        assert_eq!(end.status, Some(4), "{body}: {}", end.stderr);
        assert_eq!(noted(&stage).len(), 2, "{body}");
        assert_eq!(stage.logged("started"), 0, "{body}");
    }
}

#[test]
fn a_pre_start_command_may_wait_as_long_as_it_says_so() {
    let stage = hooked("pre-start", "[ -f \"$HOME/go\" ] || exit 31")
        .with("DAEMON_FAILURE_RESTART_DELAY", "10ms")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1");
    let run = stage.start(&NOTHING);
    until_noted(&stage, "pre-start", 4);
    std::fs::write(stage.site.path("go"), "").unwrap();
    stage.until_log("started 1.0.0", 1);
    stage.until_phase("Running");
    end(&stage, run);
}

#[test]
fn a_new_version_whose_pre_start_command_fails_is_rolled_back() {
    let stage = hooked("pre-start", "[ \"$NYMVISOR_TO_NAME\" = genesis ]; exit $(($? * 3))")
        .with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1");
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
    assert_eq!(stage.logged("started 1.1.0"), 0);
    end(&stage, run);
}

#[test]
fn a_stop_request_ends_a_pre_start_command() {
    let stage = hooked("pre-start", FOR_EVER);
    let mut run = stage.start(&NOTHING);
    until_noted(&stage, "pre-start", 1);
    let since = std::time::Instant::now();
    let end = run.stop(Signal::SIGTERM);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert!(since.elapsed() < SOON);
    assert_eq!(stage.logged("started"), 0);
}

/// Another instance knows nothing of these commands.
#[test]
fn a_stage_without_commands_runs_none() {
    let stage = Stage::new();
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert!(!stage.events().iter().any(|event| event == "hook-ended"));
    end(&stage, run);
}
