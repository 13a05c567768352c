//! Signals: a stop request wins in any phase, the daemon is asked once, others are passed on.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::support::run::Stage;
use crate::support::run::process::until_gone;

const NOTHING: [&str; 0] = [];

fn group(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

#[test]
fn each_stop_signal_asks_the_daemon_once_and_ends_with_0() {
    let stage = Stage::new();
    for (count, signal) in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT].iter().enumerate() {
        let mut run = stage.start(&NOTHING);
        stage.until_started(count + 1);
        let end = run.stop(*signal);
        assert_eq!(end.status, Some(0), "{}", end.stderr);
        assert_eq!(stage.logged("signal INT"), count + 1, "{:?}", stage.log());
        assert_eq!(stage.logged("signal"), count + 1, "{:?}", stage.log());
        assert!(stage.daemons().is_empty());
    }
    stage.assert_consistent();
}

#[test]
fn a_daemon_that_answers_the_request_with_a_failure_is_no_failure() {
    let stage = Stage::new();
    stage.install_script(
        "trap 'exit 3' INT; echo started >> $home/events.log
        while :; do sleep 0.02; done",
    );
    let mut run = stage.start(&NOTHING);
    stage.until_log("started", 1);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.until_event("daemon-ended", 1).data()["ending"]["exited"], 3);
    assert_eq!(stage.logged("started"), 1);
}

#[test]
fn h07_ctrl_c_on_a_terminal_reaches_the_daemon_once() {
    // A terminal sends its signal to the whole foreground group, which is that of the run.
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "500ms");
    stage.switch("ignore-int", "");
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    killpg(group(run.pid()), Signal::SIGINT).unwrap();
    let end = run.wait();
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal INT"), 1, "{:?}", stage.log());
    until_gone(daemon);
}

#[test]
fn the_grace_period_is_given_and_then_the_whole_group_is_killed() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "400ms");
    stage.switch("ignore-int", "");
    stage.switch("helper", "");
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    let helper: u32 = stage.until_log("helper", 1).rsplit(' ').next().unwrap().parse().unwrap();
    let end = run.stop(Signal::SIGTERM);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    until_gone(daemon);
    until_gone(helper);
    let asked = stage.until_event("stop-requested", 1).at();
    let ended = stage.until_event("daemon-ended", 1);
    assert_eq!(ended.data()["ending"]["killed"], 9);
    assert!((ended.at() - asked).num_milliseconds() >= 400, "{}", stage.story());
    assert!(stage.events().contains(&"grace-elapsed".to_owned()));
}

#[test]
fn a_second_request_skips_the_grace_period() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "1h");
    stage.switch("ignore-int", "");
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    run.signal(Signal::SIGINT);
    stage.until_log("signal INT", 1);
    between_requests();
    let end = run.stop(Signal::SIGTERM);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    assert!(stage.daemons().is_empty());
}

/// Signals that come closer to each other are one request.
pub(super) fn between_requests() {
    std::thread::sleep(std::time::Duration::from_millis(400));
}

#[test]
fn h07_a_stop_that_comes_as_two_signals_is_one_request() {
    let stage = Stage::new();
    stage.install_script(
        "trap 'echo asked >> $home/events.log; sleep 0.5; echo flushed >> $home/events.log
               exit 0' INT
        echo started 1.0.0 $$ >> $home/events.log
        while :; do sleep 0.02; done",
    );
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    run.signal(Signal::SIGTERM);
    run.signal(Signal::SIGINT);
    let end = run.wait();
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("flushed"), 1, "it has its grace period: {:?}", stage.log());
}

#[test]
fn hup_usr1_and_usr2_are_passed_on() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    for (signal, name) in
        [(Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1"), (Signal::SIGUSR2, "USR2")]
    {
        for count in 1..=2 {
            run.signal(signal);
            stage.until_log(&format!("signal {name}"), count);
        }
    }
    assert!(!run.is_over());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.logged("signal"), 7, "{:?}", stage.log());
}

#[test]
fn signals_for_a_daemon_that_is_down_end_nothing() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1s");
    stage.install_script(
        "echo started 1.0.0 $$ >> $home/events.log
        [ -e $home/again ] || { touch $home/again; exit 1; }
        trap 'exit 0' INT; while :; do sleep 0.02; done",
    );
    let mut run = stage.start(&NOTHING);
    stage.until_phase("Restarting");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        run.signal(signal);
    }
    stage.until_started(2);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn h08_a_stop_request_ends_the_restart_delay() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1h");
    stage.switch("exit-at-start", "1");
    let mut run = stage.start(&NOTHING);
    stage.until_event("daemon-ended", 1);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("started"), 1);
    stage.assert_consistent();
}

#[test]
fn h08_a_stop_request_during_a_download_leaves_a_part_that_is_taken_up() {
    use crate::support::daemon::FakeDaemon;
    use crate::support::server::Reply;

    let stage = Stage::new();
    stage.announce("1.1.0");
    let binary = FakeDaemon::new("nym-node", "1.1.0").script().into_bytes();
    let whole = Reply::ok(binary).etag("\"1\"").ranges();
    let slow = whole.clone().drip(200, Duration::from_millis(400));
    stage.server.put_each("/bin/1.1.0", [slow, whole]);
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    let part = stage.site.data("upgrades/v1.1.0/bin/.nym-node.part");
    stage.until("the first bytes", || part.metadata().ok().filter(|meta| meta.len() > 0));
    let end = run.stop(Signal::SIGTERM);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal INT"), 1);
    assert!(part.metadata().unwrap().len() > 0);
    assert_eq!(stage.assert_consistent(), "genesis");

    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    let asked = stage.server.requests("/bin/1.1.0");
    assert!(asked[1].header("range").is_some(), "{asked:?}");
}

#[test]
fn h08_a_stop_request_while_the_daemon_is_down_for_a_download() {
    use crate::support::server::Reply;

    // The guide's literal order: the daemon is down while the binary is fetched.
    let stage = Stage::new().with("DAEMON_PREPARE_AHEAD", "false");
    let announcement = stage.announcement("1.1.0");
    let good = stage.server.url("/bin/1.1.0");
    assert_eq!(announcement["platforms"]["any"]["url"], good.as_str());
    stage.server.put("/bin/1.1.0", Reply::never());
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    stage.until_phase("Downloading");
    assert!(stage.daemons().is_empty());
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal INT"), 1);
    assert_eq!(stage.assert_consistent(), "genesis");

    stage.announce("1.1.0");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.rows().last().unwrap(), "attempt-taken-up");
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    assert_eq!(stage.logged("started 1.0.0"), 1, "the old one need not start in between");
}

#[test]
fn h11_a_binary_whose_build_info_hangs_blocks_nothing() {
    use crate::support::server::Reply;

    let stage = Stage::new();
    let mut announcement = stage.announcement("1.1.0");
    let mark = stage.site.home("hangs");
    let hanging = format!("#!/bin/sh\necho $$ > {}; exec sleep 1000\n", mark.display());
    announcement["platforms"]["any"]["checksum"] =
        nymvisor::digest::sha256(hanging.as_bytes()).into();
    stage.server.put("/bin/1.1.0", Reply::ok(hanging));
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    let prober = crate::support::helper::number_in(&mark);
    run.signal(Signal::SIGHUP);
    stage.until_log("signal HUP", 1);
    let asked = Instant::now();
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    // Far below what a binary may take to answer, and what the end may wait for.
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    until_gone(prober);
    assert_eq!(stage.assert_consistent(), "genesis");
    assert!(!stage.site.data("upgrades/v1.1.0/bin/nym-node").exists());
}
