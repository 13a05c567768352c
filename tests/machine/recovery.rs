//! Every row of the recovery table, each with the history that leads there.

use nymvisor::machine::{Code, Event, Phase, PhaseName, Policy, Row, Upgrade};

use crate::model::files::Plan;
use crate::model::luck::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade, version};

fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

/// The row that the next session finds.
fn row_of(tale: &mut Tale) -> Row {
    tale.forget();
    tale.start().work(1);
    let rows = tale.engine.records.iter().rev().map(|record| match &record.event {
        Event::Recovered { row, .. } => Some(*row),
        _ => None,
    });
    rows.flatten().next().unwrap()
}

#[test]
fn at_rest() {
    let mut tale = Tale::running(policy());
    tale.stop().until(PhaseName::Restarting);
    assert_eq!(row_of(&mut tale), Row::AtRest);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (OrderlyEnd) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn daemon_lost() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Status, 5).crash();
    assert_eq!(row_of(&mut tale), Row::DaemonLost);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (DaemonEnded) delay, recovering | failures 1
      => observe
    recovered DaemonLost: Restarting (SessionStart) spawning | failures 1
      => spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn h06_a_daemon_left_behind_is_ended_first() {
    let mut tale = Tale::running(policy());
    tale.crash_with(0, true);
    assert_eq!(row_of(&mut tale), Row::DaemonLeftBehind);
    tale.daemon_ends(How::Well, 5).work(3);
    insta::assert_snapshot!(tale, @"
    session-started: Running 1001, recovering
      => observe
    recovered DaemonLeftBehind: Draining asked, then recover from Running 1001, recovering
      => interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 5ms: Draining sweeping, then recover from Running 1001,
          recovering
      => stop-timer grace, sweep-group 1001
    group-gone: Draining sweeping, then recover from Running 1001, recovering
      => observe
    recovered DaemonLost: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1002: Running 1002
      => start-timer startup 120000ms
    ");
}

#[test]
fn h06_a_daemon_that_no_record_knows_is_found_too() {
    let mut tale = Tale::new(policy());
    tale.start().work(1).crash_with(0b11, false);
    assert_eq!(row_of(&mut tale), Row::DaemonLeftBehind);
    tale.stop();
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) spawning, recovering
      => observe
    recovered DaemonLeftBehind: Draining asked, then recover from Restarting (SessionStart)
          spawning, recovering
      => interrupt-daemon 1001, start-timer grace 10000ms
    stop-requested: Draining asked, then recover from Restarting (SessionStart) spawning,
          recovering
    ");
}

#[test]
fn gave_up() {
    let mut tale =
        Tale::running(nymvisor::machine::Policy { restart_on_failure: false, ..policy() });
    tale.daemon_ends(How::Status, 5).work(1);
    assert_eq!(row_of(&mut tale), Row::GaveUp);
    insta::assert_snapshot!(tale, @"
    session-started: Failed in Running by DaemonCrashed, given up, Exited(3), recovering |
          failures 1
      => observe
    recovered GaveUp: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn was_failing() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Locking);
    tale.fail(Code::LockBusy).crash();
    assert_eq!(row_of(&mut tale), Row::WasFailing);
    insta::assert_snapshot!(tale, @"
    session-started: Failed in Locking by LockBusy, old version after #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered WasFailing: Restarting (SessionStart) spawning
      => discard-backup backup-3.tar.zst, spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn attempt_taken_up() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Locking);
    tale.stop();
    assert_eq!(row_of(&mut tale), Row::AttemptTakenUp);
    tale.work(1);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (OrderlyEnd) next session, resume #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptTakenUp: Draining sweeping, then upgrade #1 u1 sealed
      => sweep-group
    group-gone: BackingUp #1 u1 sealed
      => seal-backup #1 u1 backup-3.tar.zst
    ");
}

/// Three times counted from the drain, then the old version runs and the upgrade is held.
#[test]
fn attempt_resumed_and_given_up() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    for _ in 0..3 {
        tale.crash();
        assert_eq!(row_of(&mut tale), Row::AttemptResumed);
        tale.until(PhaseName::Verifying);
    }
    tale.crash();
    assert_eq!(row_of(&mut tale), Row::AttemptGivenUp);
    tale.work(1);
    insta::assert_snapshot!(tale, @"
    session-started: Verifying #1 u1 sealed resumed 3, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptGivenUp: Restarting (SessionStart) spawning | u1 quarantined (1)
      => discard-backup backup-3.tar.zst, spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn attempt_withdrawn() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Verifying);
    tale.crash().engine.world.files.queue.as_mut().unwrap().entries.clear();
    assert_eq!(row_of(&mut tale), Row::AttemptWithdrawn);
    insta::assert_snapshot!(tale, @"
    session-started: Verifying #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptWithdrawn: Restarting (SessionStart) spawning
      => discard-backup backup-3.tar.zst, spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn h19_attempt_unprepared() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Locking);
    tale.crash().engine.world.files.binaries.clear();
    assert_eq!(row_of(&mut tale), Row::AttemptUnprepared);
    insta::assert_snapshot!(tale, @"
    session-started: Locking #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered AttemptUnprepared: Restarting (SessionStart) spawning
      => discard-backup backup-3.tar.zst, spawn-daemon genesis 1.0.0
    ");
}

/// Interrupted after the version file was moved, before plan, history and link were.
#[test]
fn h16_swap_interrupted() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
    tale.crash();
    assert_eq!(row_of(&mut tale), Row::SwapInterrupted);
    tale.work(2);
    insta::assert_snapshot!(tale, @"
    session-started: Swapping #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered SwapInterrupted: Swapping #1 u1 sealed committed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    ");
    assert_eq!(tale.engine.world.files.history, ["u1"]);
}

/// Another instance has performed the same upgrade, and the next one, before the interrupted one
/// came back: history, plan and link stay where that one has moved them, and are followed.
#[test]
fn h21_a_late_finish_of_a_swap_puts_nothing_back() {
    let u2 = upgrade("u2", "1.2.0", 10);
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
    let files = &mut tale.crash().engine.world.files;
    let queue = files.queue.as_mut().unwrap();
    for upgrade in [u1(), u2] {
        queue.make_current(&upgrade);
        files.link = Some(upgrade.name.clone());
        files.history.push(upgrade.name);
    }
    assert_eq!(row_of(&mut tale), Row::SwapInterrupted);
    tale.work(2);
    insta::assert_snapshot!(tale, @"
    session-started: Swapping #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered SwapInterrupted: Swapping #1 u1 sealed committed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004 | #2 u2 fetching
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst, watch-due #2 00:10,
          fetch-binary #2 u2
    ");
    let files = &tale.engine.world.files;
    assert_eq!((files.link.as_deref(), files.history.len()), (Some("u2"), 2));
    tale.work(4).due().until(PhaseName::Swapping).until(PhaseName::Running);
    assert_eq!(tale.engine.state.installed.name, "u2");
    assert_eq!(tale.engine.world.files.history, ["u1", "u2"]);
}

/// The same with nothing known of what the plan called current: it was lost, and written anew.
#[test]
fn h16_a_swap_is_finished_on_a_plan_that_is_written_anew() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
    tale.crash().engine.world.files.queue = None;
    assert_eq!(row_of(&mut tale), Row::SwapInterrupted);
    tale.until(PhaseName::Running);
    let files = &tale.engine.world.files;
    assert_eq!((files.link.as_deref(), files.history.len()), (Some("u1"), 1));
    assert_eq!(files.queue.as_ref().unwrap().current.as_ref().unwrap().name, "u1");
}

#[test]
fn version_moved_outside() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Locking);
    tale.crash().engine.world.files.version = Some(version("hand", "1.0.5"));
    assert_eq!(row_of(&mut tale), Row::VersionMovedOutside);
    insta::assert_snapshot!(tale, @"
    session-started: Locking #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered VersionMovedOutside: Restarting (SessionStart) spawning
      => spawn-daemon hand 1.0.5
    ");
}

/// Files that vanished are written anew, from what the journal knows.
#[test]
fn h15_lost_files_are_made_again() {
    let mut tale = Tale::running(policy());
    let files = &mut tale.crash().engine.world.files;
    files.version = None;
    files.queue = None;
    files.link = None;
    assert_eq!(row_of(&mut tale), Row::DaemonLost);
    insta::assert_snapshot!(tale, @"
    session-started: Running 1001, recovering
      => observe
    recovered DaemonLost: Restarting (SessionStart) spawning
      => restore-version-file genesis 1.0.0, rebuild-plan genesis 1.0.0, mend-link genesis,
          spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn what_is_due_and_ready_is_performed_before_the_daemon_is_started() {
    let mut tale = Tale::running(Policy { skip_backup: true, ..policy() });
    tale.queue(&u1()).work(3).forget();
    tale.crash().engine.world.minutes = 11;
    assert_eq!(row_of(&mut tale), Row::DaemonLost);
    tale.work(1);
    assert!(matches!(tale.engine.state.phase, Phase::BackingUp(_)));
}

/// A copy goes with its session, and the daemon is not kept down for another.
#[test]
fn what_is_due_and_has_no_copy_is_copied_with_the_old_daemon_running() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.crash().engine.world.minutes = 11;
    assert_eq!(row_of(&mut tale), Row::DaemonLost);
    tale.work(1);
    insta::assert_snapshot!(tale, @"
    session-started: Running 1001, recovering | #1 u1 ready
      => observe u1 file 2
    recovered DaemonLost: Restarting (SessionStart) spawning | #1 u1 copying due
      => spawn-daemon genesis 1.0.0, watch-due #1 00:10, copy-home #1 u1
    daemon-spawned 1003: Running 1003 | #1 u1 copying due
      => start-timer startup 120000ms
    ");
}

/// A crash inside recovery is nothing special: any number of them end in the same place.
#[test]
fn crashes_during_recovery_lead_to_the_same_end() {
    for crashes in 0..5 {
        let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
        tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
        tale.crash();
        for _ in 0..crashes {
            assert_eq!(row_of(&mut tale), Row::SwapInterrupted);
            tale.crash();
        }
        assert_eq!(row_of(&mut tale), Row::SwapInterrupted);
        tale.until(PhaseName::Running);
        assert_eq!(tale.engine.world.files.history, ["u1"]);
    }
}
