//! Nymvisor is killed, panics or is starved: never two daemons, and never one without it.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::daemon::FakeDaemon;
use crate::support::helper::{Guarded, is_live, number_in};
use crate::support::run::Stage;
use crate::support::run::process::until_gone;
use crate::support::server::Reply;

const NOTHING: [&str; 0] = [];

#[test]
fn h06_a_kill_of_nymvisor_takes_the_daemon_along_and_the_next_run_recovers() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    let first = stage.until_started(1);
    run.kill();
    until_gone(first);
    let mut run = stage.start(&NOTHING);
    let second = stage.until_started(2);
    // The killed daemon's own helper may have been seen in between.
    let rows: Vec<_> = stage.rows();
    assert_eq!(rows.first().unwrap(), "at-rest");
    assert_eq!(rows.last().unwrap(), "daemon-lost", "{rows:?}");
    assert_eq!(stage.daemons(), [second]);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.assert_consistent();
}

#[test]
fn h06_killed_again_and_again_there_is_never_more_than_one_daemon() {
    let stage = Stage::new();
    for kills in 0..8 {
        let mut run = stage.start(&NOTHING);
        // At another instant each time, some of them before the daemon is up.
        std::thread::sleep(Duration::from_millis(7 * kills));
        run.kill();
    }
    let mut run = stage.start(&NOTHING);
    let started = stage.logged("started");
    let last = stage.until_started(started.max(1));
    stage.until("one daemon", || {
        (stage.daemons() == [last])
            .then_some(())
            .or_else(|| (stage.daemons().len() == 1).then_some(()))
    });
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(stage.daemons().is_empty());
    stage.assert_consistent();
}

/// A daemon one process of which has left its group and its parent, so that nothing takes it along
/// when nymvisor is killed. It carries the session's token all the same.
fn with_survivor(on_int: &str) -> String {
    format!(
        "[ -e $home/once ] || touch $home/once $home/now
        [ -e $home/now ] && rm $home/now && setsid -f sh -c '
            trap \"{on_int}\" INT
            echo survivor $$ >> $DAEMON_HOME/events.log
            while :; do sleep 0.02; done'
        trap 'exit 0' INT
        echo started 1.0.0 $$ >> $home/events.log
        while :; do sleep 0.02; done"
    )
}

#[test]
fn h06_what_outlived_its_session_is_asked_to_end_before_a_new_start() {
    let stage = Stage::new();
    stage.install_script(&with_survivor(
        "echo asked >> $DAEMON_HOME/events.log; sleep 0.3
         echo gone >> $DAEMON_HOME/events.log; exit 0",
    ));
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    let survivor = stage.until_log("survivor", 1);
    let survivor: u32 = survivor.rsplit(' ').next().unwrap().parse().unwrap();
    run.kill();
    until_gone(daemon);
    assert!(is_live(survivor));

    let mut run = stage.start(&NOTHING);
    stage.until_started(2);
    assert!(!is_live(survivor));
    let words: Vec<_> =
        stage.log().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let before: Vec<_> = words.iter().filter(|word| *word != "survivor").collect();
    assert_eq!(before, ["started", "asked", "gone", "started"]);
    assert_eq!(stage.rows()[1], "daemon-left-behind");
    assert_eq!(stage.rows().last().unwrap(), "daemon-lost");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.assert_consistent();
}

#[test]
fn h06_what_outlived_its_session_and_is_deaf_is_killed_after_the_grace_period() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "300ms");
    stage.install_script(&with_survivor("echo asked >> $DAEMON_HOME/events.log"));
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    let survivor = stage.until_log("survivor", 1);
    let survivor: u32 = survivor.rsplit(' ').next().unwrap().parse().unwrap();
    run.kill();
    until_gone(daemon);

    let mut run = stage.start(&NOTHING);
    stage.until_started(2);
    assert!(!is_live(survivor));
    assert_eq!(stage.logged("asked"), 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn h09_a_panic_ends_the_daemon_politely_and_is_no_success() {
    // It polls, so it doesn't wait for long before it is to wait anew.
    let stage = Stage::new();
    stage.install_script(
        "trap 'echo asked >> $home/events.log; sleep 0.2; echo flushed >> $home/events.log
               exit 0' INT
        echo started 1.0.0 $$ >> $home/events.log
        while :; do sleep 0.02; done",
    );
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    // The runtime panics where the kernel doesn't let it wait.
    let pid = run.pid().to_string();
    let _tracer = Guarded(
        Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-p", &pid, "-e", "trace=epoll_wait"])
            .args(["-e", "inject=epoll_wait:error=EBADF"])
            .spawn()
            .unwrap(),
    );
    let end = run.wait();
    assert_eq!(end.status, Some(1), "{}", end.stderr);
    assert_eq!(stage.logged("asked"), 1, "{}", end.stderr);
    assert_eq!(stage.logged("flushed"), 1, "it has its grace period: {}", end.stderr);
    assert!(stage.daemons().is_empty());
}

#[test]
fn h09_a_step_of_a_preparation_that_panics_is_a_failure_and_the_daemon_runs_on() {
    let stage = Stage::new().with(STACKS.0, STACKS.1);
    let mut announcement = stage.announcement("1.1.0");
    let info = FakeDaemon::new("nym-node", "1.1.0").build_info().to_string();
    let (asked, answer) = (stage.site.home("asked"), stage.site.home("answer"));
    let (mark, gate) = (asked.display(), answer.display());
    let slow = format!(
        "#!/bin/sh\necho $$ > {mark}; while ! [ -e {gate} ]; do sleep 0.02; done; echo '{info}'"
    );
    announcement["platforms"]["any"]["checksum"] = nymvisor::digest::sha256(slow.as_bytes()).into();
    stage.server.put("/bin/1.1.0", Reply::ok(slow));
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    number_in(&asked);
    stage.until("idle threads to go", || idle_threads(run.pid()).is_empty().then_some(()));
    starve(run.pid());
    stage.switch("answer", "");
    let failed = stage.until_event("work-failed", 1);
    assert_eq!(failed.data()["failure"]["code"], "io", "{failed:?}");
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal INT"), 1, "{}", stage.story());
    assert_eq!(stage.assert_consistent(), "genesis");
}

/// Not one more file can be opened: what needs none goes on, and the rest once there are some.
#[test]
fn h30_without_file_descriptors_the_daemon_runs_on() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.until("the first poll", || run.stderr().contains("can't be asked").then_some(()));
    // What is open stays open.
    limit_files(run.pid(), 3);
    stage.announce("1.1.0");
    stage.until("a word about it", || run.stderr().contains("Too many open files").then_some(()));
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    assert_eq!(stage.logged("signal"), 0, "{}", stage.story());
    limit_files(run.pid(), 1024);
    stage.until("the upgrade", || {
        // What failed meanwhile pauses for a minute.
        stage.site.command(&["retry", "v1.1.0"]).output().unwrap();
        (stage.logged("started 1.1.0") == 1).then_some(())
    });
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

fn limit_files(pid: u32, most: u32) {
    let limit = format!("--nofile={most}:1024");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_stop_request_at_any_instant_of_the_start_leaves_no_daemon() {
    let stage = Stage::new();
    for pause in 0..14 {
        let mut command = stage.run_command(&NOTHING);
        command.process_group(0);
        let mut child = Guarded(command.stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(2 * pause));
        let pid = nix::unistd::Pid::from_raw(child.0.id().cast_signed());
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        let status = child.0.wait().unwrap();
        // Before it listens, the system's own answer to the signal holds.
        assert!(status.code() == Some(0) || status.signal() == Some(15), "{status} at {pause}");
        assert!(stage.daemons().is_empty(), "{}", stage.story());
    }
    let started = stage.logged("started");
    let mut run = stage.start(&NOTHING);
    stage.until_started(started + 1);
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    stage.assert_consistent();
}

/// Threads that the runtime keeps for what comes next.
fn idle_threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = tasks.flat_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    names.filter(|name| name.starts_with("tokio")).collect()
}

/// The C library would keep the stack of a thread that has ended, for the next one.
const STACKS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.pthread.stack_cache_size=0");

/// Leaves a process too little address space for the stack of another thread.
fn starve(pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = format!("--as={}", (kib + 1024) * 1024);
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap();
    assert!(done.success());
}
