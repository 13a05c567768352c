//! Stop requests and ends of the daemon around an upgrade.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::daemon::FakeDaemon;
use crate::support::nest::read_only;
use crate::support::run::{Run, Stage};
use crate::support::server::Reply;

const NOTHING: [&str; 0] = [];

/// Fills the home with so many MiB that don't compress.
fn fill(stage: &Stage, mib: usize) {
    // Longer than the window of the compressor, so that the repetition isn't seen.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()
    });
    let block: Vec<u8> = words.take(16 << 17).flatten().collect();
    let mut file = File::create(stage.site.home("big")).unwrap();
    for _ in 0..mib / 16 {
        file.write_all(&block).unwrap();
    }
}

/// Everything in the folder of backups.
fn backups(stage: &Stage) -> Vec<String> {
    let folder = stage.site.home("nymvisor/backups/v1.1.0");
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn h08_a_stop_request_during_a_backup_wins_and_the_next_run_finishes_the_upgrade() {
    // With nothing copied ahead, it takes its time.
    let stage = Stage::new().with("DAEMON_PREPARE_AHEAD", "false");
    fill(&stage, 256);
    stage.announce("1.1.0");
    let mut run = stage.start(&NOTHING);
    stage.until_phase("BackingUp");
    // Nothing to be passed on to, and no reason to end.
    run.signal(Signal::SIGHUP);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert!(!stage.events().contains(&"backup-sealed".to_owned()), "{}", stage.story());
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    assert_eq!(stage.assert_consistent(), "genesis");

    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.rows().last().unwrap(), "attempt-taken-up");
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    let left = backups(&stage);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].ends_with("-preupgrade.tar.zst"), "{left:?}");
}

#[test]
fn h06_a_kill_during_a_backup_is_recovered_from() {
    // With nothing copied ahead, it takes its time.
    let stage = Stage::new().with("DAEMON_PREPARE_AHEAD", "false");
    fill(&stage, 256);
    stage.announce("1.1.0");
    let mut run = stage.start(&NOTHING);
    stage.until_phase("BackingUp");
    run.kill();
    assert_eq!(stage.assert_consistent(), "genesis");

    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.rows().last().unwrap(), "attempt-resumed");
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    assert_eq!(stage.history(), ["v1.1.0"]);
    assert_eq!(backups(&stage).len(), 1, "{:?}", backups(&stage));
}

#[test]
fn a_stop_request_while_an_upgrade_drains_doesnt_ask_the_daemon_again() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "1s");
    stage.switch("ignore-int", "");
    stage.announce("1.1.0");
    let mut run = stage.start(&NOTHING);
    stage.until_log("signal INT", 1);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    assert!(stage.events().contains(&"grace-elapsed".to_owned()), "{}", stage.story());
    assert_eq!(stage.assert_consistent(), "genesis");

    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    let end = {
        run.signal(Signal::SIGINT);
        run.stop(Signal::SIGINT)
    };
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    assert_eq!(stage.history(), ["v1.1.0"]);
}

#[test]
fn two_stop_requests_while_an_upgrade_drains_skip_the_grace_period() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "1h");
    stage.switch("ignore-int", "");
    stage.announce("1.1.0");
    let mut run = stage.start(&NOTHING);
    stage.until_log("signal INT", 1);
    run.signal(Signal::SIGINT);
    stage.until_event("stop-requested", 1);
    super::signals::between_requests();
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    assert_eq!(stage.assert_consistent(), "genesis");
}

#[test]
fn h04_a_daemon_that_ends_by_itself_while_an_upgrade_is_due_is_upgraded_all_the_same() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1h");
    stage.announce("1.1.0");
    let binary = FakeDaemon::new("nym-node", "1.1.0").script().into_bytes();
    // Due, but not fetched before the daemon has ended.
    stage.server.put("/bin/1.1.0", Reply::ok(binary).drip(300, Duration::from_millis(150)));
    stage.install_script(
        "echo started 1.0.0 $$ >> $home/events.log
        while ! [ -e $home/end ]; do sleep 0.02; done; exit 0",
    );
    let mut run = stage.start(&NOTHING);
    stage.until_event("came-due", 1);
    stage.switch("end", "");
    stage.until_log("started 1.1.0", 1);
    assert_eq!(stage.logged("started 1.0.0"), 1, "{}", stage.story());
    let order = stage.events();
    let at = |name: &str| order.iter().position(|event| event == name).unwrap();
    assert!(at("daemon-ended") < at("binary-fetched"), "{order:?}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn h04_a_daemon_that_crashes_at_the_upgrades_time_is_upgraded_whatever_its_status() {
    for status in [0, 3] {
        // Restarts are off: the end would be the run's, were there no upgrade.
        let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
        stage.announce("1.1.0");
        stage.install_script(&format!(
            "trap 'echo asked >> $home/events.log; exit {status}' INT
            echo started 1.0.0 $$ >> $home/events.log
            while :; do sleep 0.02; done"
        ));
        let mut run = stage.start(&NOTHING);
        stage.until_log("started 1.1.0", 1);
        assert_eq!(stage.logged("asked"), 1);
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert_eq!(stage.assert_consistent(), "v1.1.0");
    }
}

#[test]
fn h05_helpers_of_the_old_version_are_gone_before_the_backup() {
    let stage = Stage::new();
    stage.switch("helper.1.0.0", "");
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    let helper: u32 = stage.until_log("helper", 1).rsplit(' ').next().unwrap().parse().unwrap();
    stage.announce("1.1.0");
    stage.until_event("backup-sealed", 1);
    assert!(!crate::support::helper::is_live(helper));
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

/// One that is the daemon's child still, and one that is an orphan already, both of sessions of
/// their own. They write for as long as they live.
const STRAYS: &str = r#"
setsid sh -c 'while :; do echo x >> "$DAEMON_HOME/by-child"; sleep 0.01; done' &
setsid -f sh -c 'while :; do echo x >> "$DAEMON_HOME/by-orphan"; sleep 0.01; done'
trap 'exit 0' INT
while ! [ -s "$home/by-child" -a -s "$home/by-orphan" ]; do sleep 0.01; done
echo "started 1.0.0 $$" >> "$home/events.log"
while :; do sleep 0.01; done
"#;

/// A `run`; one that may have no control group for the daemon, where this can be made so.
fn start(stage: &Stage, may_have_a_group: bool) -> Option<Run> {
    if may_have_a_group {
        return Some(stage.start(&NOTHING));
    }
    Some(stage.start_command(read_only(&stage.run_command(&NOTHING))?))
}

#[test]
fn h05_helpers_that_left_the_group_are_gone_before_the_backup() {
    for may_have_a_group in [true, false] {
        helpers_are_gone_before_the_backup(may_have_a_group);
    }
}

fn helpers_are_gone_before_the_backup(may_have_a_group: bool) {
    let stage = Stage::new();
    stage.install_script(STRAYS);
    let Some(mut run) = start(&stage, may_have_a_group) else { return };
    stage.until_started(1);
    assert_eq!(stage.daemons().len(), 3);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.site.ok(&["backups", "restore", "v1.1.0", "--to", "out"]);
    for name in ["by-child", "by-orphan"] {
        let now = fs::read(stage.site.home(name)).unwrap();
        assert_eq!(fs::read(stage.site.path("out").join(name)).unwrap().len(), now.len(), "{name}");
    }
}

#[test]
fn h05_helpers_that_left_the_group_end_with_the_run_and_with_a_crash() {
    let ways = [("asked", true), ("crashed", true), ("asked", false), ("crashed", false)];
    for (end, may_have_a_group) in ways {
        let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
        stage.install_script(STRAYS);
        let Some(mut run) = start(&stage, may_have_a_group) else { return };
        let daemon = stage.until_started(1);
        assert_eq!(stage.daemons().len(), 3);
        if end == "asked" {
            assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        } else {
            kill(Pid::from_raw(daemon.cast_signed()), Signal::SIGKILL).unwrap();
            assert_eq!(run.wait().status, Some(4));
        }
        assert!(stage.daemons().is_empty(), "{end}: {}", stage.story());
    }
}

#[test]
fn h03_a_new_version_that_crashes_at_start_is_given_up_at_the_limit() {
    let stage = Stage::new()
        .with("DAEMON_MAX_STARTUP_FAILURES", "3")
        .with("DAEMON_FAILURE_RESTART_DELAY", "5ms");
    stage.switch("exit-at-start.1.1.0", "8");
    stage.announce("1.1.0");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert!(end.last_line().contains("exited with status 8"), "{end:?}");
    assert_eq!(stage.logged("started 1.1.0"), 3);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

/// An orphan of a session of its own that starts writers as long as it lives, and a daemon that
/// takes its time to end: most of them are started after it was asked.
const FORKING: &str = r#"
setsid -f sh -c 'while :; do
    (n=0; while [ $n -lt 100 ]; do echo x >> "$DAEMON_HOME/late"; sleep 0.1; n=$((n+1)); done) &
    sleep 0.1
done'
trap 'sleep 0.6; exit 0' INT
while ! [ -s "$home/late" ]; do sleep 0.01; done
echo "started 1.0.0 $$" >> "$home/events.log"
while :; do sleep 0.01; done
"#;

#[test]
fn h05_what_a_helper_started_while_the_daemon_ended_is_gone_before_the_backup() {
    for may_have_a_group in [true, false] {
        what_a_helper_started_is_gone_before_the_backup(may_have_a_group);
    }
}

fn what_a_helper_started_is_gone_before_the_backup(may_have_a_group: bool) {
    let stage = Stage::new();
    stage.install_script(FORKING);
    let Some(mut run) = start(&stage, may_have_a_group) else { return };
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.site.ok(&["backups", "restore", "v1.1.0", "--to", "out"]);
    let then = fs::read(stage.site.path("out").join("late")).unwrap();
    assert_eq!(then.len(), fs::read(stage.site.home("late")).unwrap().len());
}

/// One in the daemon's group, two of sessions of their own, and none ends for being asked.
const STUBBORN: &str = r#"
sh -c 'trap "" INT; while :; do sleep 0.05; done' &
for n in 1 2; do setsid sh -c 'trap "" INT; while :; do sleep 0.05; done' & done
echo "started 1.0.0 $$" >> "$home/events.log"
while :; do sleep 0.01; done
"#;

#[test]
fn h05_what_an_earlier_session_left_has_one_grace_period_together() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "400ms");
    stage.install_script(STUBBORN);
    let mut killed = stage.start(&NOTHING);
    stage.until_started(1);
    stage.until("its helpers", || (stage.daemons().len() >= 3).then_some(()));
    kill(Pid::from_raw(killed.pid().cast_signed()), Signal::SIGKILL).unwrap();
    let _ = killed.wait();
    FakeDaemon::new("nym-node", "1.0.0").write(&stage.site.data("genesis/bin/nym-node"));
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    let events = stage.events();
    let elapsed = events.iter().filter(|event| *event == "grace-elapsed").count();
    assert_eq!(elapsed, 1, "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}
