//! The daemon comes, goes and crashes.

use nymvisor::machine::{Code, Event, PhaseName, Policy, Timer};

use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade};

#[test]
fn h02_a_crash_is_followed_by_a_restart_after_the_delay() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Signal, 50).work(1).fire(&Timer::RestartDelay).work(1);
    tale.fire(&Timer::Startup).daemon_ends(How::Status, 600_000);
    insta::assert_snapshot!(tale, @"
    daemon-ended Killed(11) after 50ms: Restarting (DaemonEnded) delay | failures 1
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    group-gone: Restarting (DaemonEnded) delay, swept | failures 1
    delay-elapsed: Restarting (DaemonEnded) spawning | failures 1
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1002: Running 1002 | failures 1
      => start-timer startup 120000ms
    startup-passed: Running 1002 settled
    daemon-ended Exited(3) after 600000ms: Restarting (DaemonEnded) delay
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1002
    ");
}

#[test]
fn the_delay_may_be_over_before_the_group_is_gone() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Status, 50).fire(&Timer::RestartDelay).work(1);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Restarting (DaemonEnded) delay | failures 1
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    delay-elapsed: Restarting (DaemonEnded) delay, elapsed | failures 1
    group-gone: Restarting (DaemonEnded) spawning | failures 1
      => spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn h01_too_many_startup_failures_end_the_run_as_a_failure() {
    let mut tale = Tale::running(Policy { max_startup_failures: 2, ..policy() });
    tale.daemon_ends(How::Status, 50).work(1).fire(&Timer::RestartDelay).work(1);
    tale.daemon_ends(How::Status, 119_999).work(1);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Restarting (DaemonEnded) delay | failures 1
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    group-gone: Restarting (DaemonEnded) delay, swept | failures 1
    delay-elapsed: Restarting (DaemonEnded) spawning | failures 1
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1002: Running 1002 | failures 1
      => start-timer startup 120000ms
    daemon-ended Exited(3) after 119999ms: Failed in Running by DaemonCrashed, given up,
          Exited(3) | failures 2
      => stop-timer startup, sweep-group 1002
    group-gone: Failed in Running by DaemonCrashed, given up, Exited(3) | failures 2
      => exit Exited(3)
    ");
}

#[test]
fn a_limit_of_none_acts_as_one() {
    let mut tale = Tale::running(Policy { max_startup_failures: 0, ..policy() });
    tale.daemon_ends(How::Signal, 50);
    insta::assert_snapshot!(tale, @"
    daemon-ended Killed(11) after 50ms: Failed in Running by DaemonCrashed, given up,
          Killed(11) | failures 1
      => stop-timer startup, sweep-group 1001
    ");
}

#[test]
fn with_restarts_off_the_first_crash_ends_the_run() {
    let mut tale = Tale::running(Policy { restart_on_failure: false, ..policy() });
    tale.daemon_ends(How::Signal, 600_000).work(1);
    insta::assert_snapshot!(tale, @"
    daemon-ended Killed(11) after 600000ms: Failed in Running by DaemonCrashed, given up,
          Killed(11)
      => stop-timer startup, sweep-group 1001
    group-gone: Failed in Running by DaemonCrashed, given up, Killed(11)
      => exit Killed(11)
    ");
}

#[test]
fn a_daemon_that_ends_well_ends_the_run() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Well, 50).work(1);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(0) after 50ms: Restarting (OrderlyEnd) next session
      => stop-timer startup, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn a_daemon_that_cannot_be_started_is_tried_again_up_to_the_limit() {
    let mut tale = Tale::new(Policy { max_startup_failures: 2, ..policy() });
    tale.start().work(1).fail(Code::Io).fire(&Timer::RestartDelay).fail(Code::Io);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    spawn-failed Io: Restarting (DaemonEnded) delay, swept | failures 1
      => start-timer restart-delay 10000ms
    delay-elapsed: Restarting (DaemonEnded) spawning | failures 1
      => spawn-daemon genesis 1.0.0
    spawn-failed Io: Failed in Restarting by Io, given up, NeverStarted | failures 2
      => exit NeverStarted
    ");
}

/// Neither status nor signal keeps a due upgrade from going on, nor do restarts that are off.
#[test]
fn h04_a_daemon_that_ends_when_an_upgrade_is_due_makes_way_for_it() {
    for how in [How::Well, How::Status, How::Signal] {
        for restart_on_failure in [true, false] {
            let policy = Policy { restart_on_failure, ..policy() };
            let mut tale = Tale::ready(policy, &upgrade("u1", "1.1.0", 10));
            tale.due();
            tale.daemon_ends(how, 50).until(PhaseName::Swapping);
            assert_eq!(tale.engine.state.phase.name(), PhaseName::Swapping, "{how:?}");
        }
    }
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.due().daemon_ends(How::Well, 50).work(2);
    insta::assert_snapshot!(tale, @"
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    daemon-ended Exited(0) after 50ms: Draining sweeping, then upgrade #1 u1
      => stop-timer startup, sweep-group 1001
    group-gone: BackingUp #1 u1
      => seal-backup #1 u1
    ");
}

#[test]
fn a_daemon_that_ends_well_while_a_due_upgrade_is_prepared_is_started_again() {
    let mut tale = Tale::running(Policy { restart_on_failure: false, ..policy() });
    tale.queue(&upgrade("u1", "1.1.0", 0)).due().daemon_ends(How::Well, 50);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:00, fetch-binary #1 u1
    came-due #1: Running 1001 | #1 u1 fetching due
    daemon-ended Exited(0) after 50ms: Restarting (DaemonEnded) delay | #1 u1 fetching due
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    ");
}

#[test]
fn h03_a_slow_backup_does_not_reset_the_count_of_failures() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Status, 50).work(1).fire(&Timer::RestartDelay).work(1);
    tale.queue(&upgrade("u1", "1.1.0", 0)).work(4).due().until(PhaseName::BackingUp);
    tale.fail(Code::NoRoom).until(PhaseName::Running).forget();
    tale.daemon_ends(How::Status, 50);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Restarting (DaemonEnded) delay | failures 2 | u1 paused
          (1)
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1004
    ");
}

#[test]
fn signals_are_passed_on_only_to_a_daemon_that_is_up() {
    let mut tale = Tale::new(policy());
    let hup = || Event::SignalReceived { signal: 1 };
    tale.start().event(hup()).work(1).event(hup()).work(1).event(hup());
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    signal-received 1: refused
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    signal-received 1: refused
    daemon-spawned 1001: Running 1001
      => start-timer startup 120000ms
    signal-received 1: Running 1001
      => forward-signal 1 to 1001
    ");
}
