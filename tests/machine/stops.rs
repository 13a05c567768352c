//! A stop request wins.

use nymvisor::machine::{Code, Phase, PhaseName, Policy, Timer, Upgrade};

use crate::model::luck::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{genesis, policy, upgrade};

fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

#[test]
fn a_running_daemon_is_asked_once_and_the_run_ends_with_it() {
    let mut tale = Tale::running(policy());
    tale.stop().daemon_ends(How::Status, 50).work(1);
    insta::assert_snapshot!(tale, @"
    stop-requested: Draining asked, then end
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(3) after 50ms: Draining sweeping, then end
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn a_second_request_skips_the_grace_period() {
    let mut tale = Tale::running(policy());
    tale.stop().stop().stop().daemon_ends(How::Well, 50).stop().work(1);
    insta::assert_snapshot!(tale, @"
    stop-requested: Draining asked, then end
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    stop-requested: Draining killing, then end
      => stop-timer grace, kill-group 1001
    stop-requested: refused
    daemon-ended Killed(9) after 50ms: Draining sweeping, then end
      => stop-timer grace, sweep-group 1001
    stop-requested: refused
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn a_daemon_that_does_not_end_is_killed_after_the_grace_period() {
    let mut tale = Tale::running(policy());
    tale.stop().fire(&Timer::Grace).daemon_ends(How::Well, 50).work(1);
    insta::assert_snapshot!(tale, @"
    stop-requested: Draining asked, then end
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    grace-elapsed: Draining killing, then end
      => kill-group 1001
    daemon-ended Killed(9) after 50ms: Draining sweeping, then end
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn h07_a_stop_while_it_drains_for_an_upgrade_does_not_ask_twice() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().work(1).stop().daemon_ends(How::Well, 50).work(1);
    insta::assert_snapshot!(tale, @"
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    copy-refreshed #1: Running 1001 | #1 u1 locking due
      => take-lock #1 u1
    stop-requested: Draining asked, then end | #1 u1 ready due
      => cancel-preparation #1, stop-timer startup, interrupt-daemon 1001, start-timer grace
          10000ms
    daemon-ended Exited(0) after 50ms: Draining sweeping, then end | #1 u1 ready due
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session | #1 u1 ready due
      => exit done
    ");
}

/// What is half-done stays resumable, and an orderly stop doesn't count against it.
#[test]
fn h08_a_stop_in_the_middle_of_an_attempt_ends_at_once_and_is_taken_up() {
    let mut table = String::new();
    let phases =
        [PhaseName::BackingUp, PhaseName::Locking, PhaseName::Downloading, PhaseName::Verifying];
    for phase in phases {
        let mut tale = Tale::at(policy(), &u1(), phase);
        tale.stop().start().work(1);
        table.push_str(&format!("{tale}\n\n"));
        assert_eq!(tale.engine.state.phase.attempt().unwrap().resumed, 0);
        tale.until(PhaseName::Running);
        assert_eq!(tale.engine.state.installed.name, "u1", "{phase}");
    }
    insta::assert_snapshot!(table, @"
    stop-requested: Restarting (OrderlyEnd) next session, resume #1 u1
      => exit done
    session-started: Restarting (OrderlyEnd) next session, resume #1 u1, recovering
      => observe u1 file 2
    recovered AttemptTakenUp: Draining sweeping, then upgrade #1 u1
      => sweep-group

    stop-requested: Restarting (OrderlyEnd) next session, resume #1 u1 sealed
      => exit done
    session-started: Restarting (OrderlyEnd) next session, resume #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptTakenUp: Draining sweeping, then upgrade #1 u1 sealed
      => sweep-group

    stop-requested: Restarting (OrderlyEnd) next session, resume #1 u1 sealed
      => exit done
    session-started: Restarting (OrderlyEnd) next session, resume #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptTakenUp: Draining sweeping, then upgrade #1 u1 sealed
      => sweep-group

    stop-requested: Restarting (OrderlyEnd) next session, resume #1 u1 sealed
      => exit done
    session-started: Restarting (OrderlyEnd) next session, resume #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptTakenUp: Draining sweeping, then upgrade #1 u1 sealed
      => sweep-group
    ");
}

#[test]
fn a_stop_while_it_swaps_lets_the_swap_be_finished() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.stop().stop().work(1);
    insta::assert_snapshot!(tale, @"
    stop-requested: Swapping #1 u1 sealed, then stop
    stop-requested: refused
    swap-committed #1: Restarting (OrderlyEnd) next session
      => release-lock, exit done
    ");
}

#[test]
fn a_stop_while_a_swap_fails_ends_the_run() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.stop().fail(Code::Io).work(2);
    insta::assert_snapshot!(tale, @"
    stop-requested: Swapping #1 u1 sealed, then stop
    work-failed #1 Io: Failed in Swapping by Io, stop after #1 u1 sealed | u1 paused (1)
      => start-timer pause of u1 60000ms, stand-down #1 unless u1
    stood-down #1: Restarting (OrderlyEnd) next session | u1 paused (1)
      => discard-backup backup-3.tar.zst, exit done
    ");
}

#[test]
fn h08_a_stop_during_the_restart_delay_ends_the_run() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Status, 50).work(1).stop();
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Restarting (DaemonEnded) delay | failures 1
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    group-gone: Restarting (DaemonEnded) delay, swept | failures 1
    stop-requested: Restarting (OrderlyEnd) next session
      => stop-timer restart-delay, exit done
    ");
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Status, 50).stop().work(1);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Restarting (DaemonEnded) delay | failures 1
      => stop-timer startup, start-timer restart-delay 10000ms, sweep-group 1001
    stop-requested: Restarting (OrderlyEnd) next session
      => stop-timer restart-delay
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn a_stop_while_the_daemon_is_being_started_waits_for_it() {
    let mut tale = Tale::new(policy());
    tale.start().work(1).stop().stop().work(1).daemon_ends(How::Well, 5).work(1);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    stop-requested: Restarting (SessionStart) spawning, then stop
    stop-requested: refused
    daemon-spawned 1001: Draining asked, then end
      => interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 5ms: Draining sweeping, then end
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    ");
}

#[test]
fn a_stop_while_it_goes_back_to_the_old_version_ends_the_run() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    tale.fail(Code::NoRoom).stop().stop().work(1);
    insta::assert_snapshot!(tale, @"
    work-failed #1 NoRoom: Failed in BackingUp by NoRoom, old version after #1 u1 | u1 paused
          (1)
      => start-timer pause of u1 60000ms, stand-down #1
    stop-requested: Failed in BackingUp by NoRoom, stop after #1 u1 | u1 paused (1)
    stop-requested: refused
    stood-down #1: Restarting (OrderlyEnd) next session | u1 paused (1)
      => exit done
    ");
}

#[test]
fn a_stop_before_anything_is_known_ends_at_once() {
    let mut tale = Tale::new(policy());
    tale.start().stop();
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    stop-requested: Restarting (SessionStart) next session, recovering
      => exit done
    ");
    assert!(matches!(tale.engine.state.phase, Phase::Restarting(_)));
}

#[test]
fn what_is_ready_stays_ready_over_a_stop() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.stop().until(PhaseName::Restarting).start().work(2);
    insta::assert_snapshot!(tale, @"
    stop-requested: Draining asked, then end | #1 u1 ready
      => cancel-preparation #1, stop-timer startup, interrupt-daemon 1001, start-timer grace
          10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then end | #1 u1 ready
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session | #1 u1 ready
      => exit done
    session-started: Restarting (OrderlyEnd) next session, recovering | #1 u1 ready
      => observe u1 file 2
    recovered AtRest: Restarting (SessionStart) spawning | #1 u1 copying
      => spawn-daemon genesis 1.0.0, watch-due #1 00:10, copy-home #1 u1
    daemon-spawned 1003: Running 1003 | #1 u1 copying
      => start-timer startup 120000ms
    ");
}

/// The daemon of an upgrade, up.
fn upgraded(policy: Policy) -> Tale {
    let mut tale = Tale::ready(policy, &u1());
    tale.due().until(PhaseName::Restarting).work(1).forget();
    tale
}

/// Moving history, plan and link to a version writes the version file where it names another.
#[test]
fn a_plan_that_is_behind_is_not_moved_once_a_roll_back_is_ordered() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.finish(0, Luck::Half).unwrap();
    tale.work(1).roll_back().until(PhaseName::Swapping).read_plan().until(PhaseName::Running);
    let files = &tale.engine.world.files;
    assert_eq!(files.version.as_ref(), Some(&genesis()));
    assert_eq!(files.link.as_deref(), Some("genesis"));
    assert!(tale.engine.world.work.is_empty(), "{:?}", tale.engine.world.work);
}

#[test]
fn a_roll_back_asked_for_while_the_run_gives_up_leaves_an_end_in_order() {
    let mut tale = upgraded(Policy { restart_on_failure: false, ..policy() });
    tale.daemon_ends(How::Status, 50).roll_back().work(1);
    assert_eq!(tale.engine.state.startup_failures, 0);
    insta::assert_snapshot!(tale, @"
    daemon-ended Exited(3) after 50ms: Failed in Running by DaemonCrashed, given up, Exited(3)
          | failures 1
      => stop-timer startup, sweep-group 1004
    roll-back-requested genesis: Restarting (OrderlyEnd) next session, resume #2 u1 back to
          genesis with its data
      => answer r2 true: the next `nymvisor run` rolls u1 back to genesis before it starts the
          daemon; the data comes from backup-3.tar.zst
    backup-examined backup-3.tar.zst: Restarting (OrderlyEnd) next session, resume #2 u1 back
          to genesis with its data
    ");
}

#[test]
fn a_roll_back_that_fails_after_a_stop_request_leaves_an_end_in_order() {
    let automatic =
        Policy { rollback_on_failed_upgrade: true, max_startup_failures: 1, ..policy() };
    let mut tale = upgraded(automatic);
    tale.daemon_ends(How::Status, 50).until(PhaseName::Swapping).forget();
    tale.stop().fail(Code::Io);
    assert_eq!(tale.engine.state.startup_failures, 0);
    insta::assert_snapshot!(tale, @"
    stop-requested: Swapping #2 u1 back to genesis with its data, then stop | failures 1
    work-failed #2 Io: Failed in Swapping by Io, stuck in #2 u1 back to genesis with its data
      => cancel-preparation #2, exit done
    ");
}
