//! The process of a command: its output, its children, its end.

use super::{FOR_EVER, NOTHING, end, hooked, started, until_noted};
use crate::support::run::process::until_gone;

#[test]
fn its_output_is_in_our_log_and_bounded() {
    let body = "echo to stdout; echo to stderr >&2; printf 'half a line'; printf '\\033[31m\\n'\n\
                head -c 100000 /dev/zero | tr '\\0' x; echo\n\
                i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i + 1)); done\n\
                printf 'the last word'";
    let stage = hooked("pre-upgrade", body);
    let run = started(&stage);
    stage.announce("1.1.0");
    let ended = stage.until_event("hook-ended", 1);
    assert_eq!(ended.data()["said"], "the last word");
    let log = run.stderr();
    for line in ["to stdout", "to stderr", "half a line", "line 900"] {
        assert!(log.contains(&format!("pre-upgrade command: {line}")), "{line}\n{log}");
    }
    assert!(!log.contains("line 1400"), "{log}");
    assert!(log.contains("more than 1000 lines"), "{log}");
    assert!(!log.contains(&"x".repeat(3000)), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    end(&stage, run);
}

#[test]
fn what_it_leaves_behind_in_its_group_is_ended() {
    // It says no: nothing that ends the daemon's processes comes after it.
    let body = "sleep 1000 & echo $! > \"$HOME/child\"; exit 30";
    let stage = hooked("pre-upgrade", body);
    let run = started(&stage);
    stage.announce("1.1.0");
    stage.until_event("hook-ended", 1);
    let child = std::fs::read_to_string(stage.site.path("child")).unwrap();
    until_gone(child.trim().parse().unwrap());
    end(&stage, run);
}

/// The leader goes with its parent; what it started is found by its token.
#[test]
fn nothing_of_it_outlives_a_kill_of_nymvisor() {
    let body = "sleep 1000 & echo $! $$ > \"$HOME/pids\"; wait";
    let stage = hooked("pre-upgrade", body);
    let mut run = started(&stage);
    stage.announce("1.1.0");
    let pids = stage.until("the command's processes", || {
        let pids = std::fs::read_to_string(stage.site.path("pids")).ok()?;
        let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        (pids.len() == 2).then_some(pids)
    });
    run.kill();
    super::script(&stage, "pre-upgrade.sh", "exit 0");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    for pid in pids {
        until_gone(pid);
    }
    stage.until_phase("Running");
    end(&stage, run);
}

/// A command that is under way at a drain is not taken for something that the daemon has started.
#[test]
fn the_end_of_the_daemon_leaves_a_command_alone() {
    let body = "sleep 0.5; echo lived";
    let stage = hooked("post-upgrade", body).with("DAEMON_FAILURE_RESTART_DELAY", "10ms");
    let run = started(&stage);
    stage.announce("1.1.0");
    until_noted(&stage, "post-upgrade", 1);
    stage.kill_daemon();
    stage.until_log("started 1.1.0", 2);
    let ended = stage.until_event("hook-ended", 1);
    assert_eq!(ended.data()["said"], "lived", "{}", stage.story());
    end(&stage, run);
}

#[test]
fn one_that_is_not_there_or_no_program_fails_and_says_so() {
    let stage =
        hooked("on-failure", FOR_EVER).with("DAEMON_PRE_UPGRADE_COMMAND", "/no/such/program");
    let run = started(&stage);
    stage.announce("1.1.0");
    let ended = stage.until_event("hook-ended", 1);
    assert_eq!(ended.data()["ending"], "never-started");
    assert!(ended.data()["said"].as_str().unwrap().contains("/no/such/program"), "{:?}", ended.0);
    end(&stage, run);
}

/// What has left the group may hold on to the output: what was said before counts all the same.
#[test]
fn its_last_line_is_told_though_its_output_stays_open() {
    let stage = hooked("pre-upgrade", "setsid sleep 3 & printf 'the last word'; exit 30");
    let run = started(&stage);
    stage.announce("1.1.0");
    assert_eq!(stage.until_event("hook-ended", 1).data()["said"], "the last word");
    end(&stage, run);
}

/// The daemon is down meanwhile. Of several starts one at least is not slow for other reasons.
#[test]
fn a_start_is_not_held_up_by_who_holds_on_to_the_output() {
    let body = "setsid sh -c 'sleep 2; echo later' & echo now";
    let stage = hooked("pre-start", body).with("DAEMON_FAILURE_RESTART_DELAY", "5ms");
    let run = stage.start(&NOTHING);
    for number in 1..=4 {
        stage.until_log("started", number);
        stage.until_phase("Running");
        stage.kill_daemon();
    }
    let ended: Vec<_> =
        stage.records().into_iter().filter(|it| it.event() == "hook-ended").collect();
    assert!(ended.iter().all(|it| it.data()["said"] == "now"), "{}", stage.story());
    let took = ended.iter().map(|it| it.data()["took_ms"].as_u64().unwrap()).min().unwrap();
    assert!(took < 400, "{took} ms");
    // What is said then is logged all the same.
    stage.until("a later word", || run.stderr().contains("pre-start command: later").then_some(()));
    end(&stage, run);
}
