//! Upgrades that succeed, line by line: event, state, orders.

use nymvisor::machine::{PhaseName, Policy, Timer, Upgrade};

use crate::model::tale::Tale;
use crate::model::values::{by_command, policy, upgrade};

#[test]
fn the_first_start() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).fire(&Timer::Startup);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1001: Running 1001
      => start-timer startup 120000ms
    startup-passed: Running 1001 settled
    ");
}

#[test]
fn an_upgrade_is_prepared_and_then_due() {
    let mut tale = Tale::running(policy());
    let u1 = upgrade("u1", "1.1.0", 10);
    tale.event(nymvisor::machine::Event::AnnouncementReceived { upgrade: u1 });
    tale.work(1).read_plan().work(4).due().until(PhaseName::Restarting).work(1);
    insta::assert_snapshot!(tale, @"
    announcement-received u1: Running 1001
      => queue-announcement u1
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    binary-fetched #1: Running 1001 | #1 u1 checking
      => check-binary #1 u1
    binary-checked #1: Running 1001 | #1 u1 sizing
      => check-room #1
    room-found #1: Running 1001 | #1 u1 copying
      => copy-home #1 u1
    home-copied #1: Running 1001 | #1 u1 ready
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    copy-refreshed #1: Running 1001 | #1 u1 locking due
      => take-lock #1 u1
    lock-taken #1: Draining asked, then upgrade #1 u1
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then upgrade #1 u1
      => stop-timer grace, sweep-group 1001
    group-gone: BackingUp #1 u1
      => seal-backup #1 u1
    backup-sealed #1 backup-3.tar.zst: Locking #1 u1 sealed
      => take-lock #1 u1
    lock-taken #1: Downloading #1 u1 sealed
      => confirm-binary #1 u1 file 2
    binary-present #1: Verifying #1 u1 sealed
      => confirm-check #1 u1 file 2
    binary-checked #1: Swapping #1 u1 sealed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    ");
}

#[test]
fn an_upgrade_is_due_before_it_is_ready() {
    let mut tale = Tale::running(policy());
    tale.queue(&by_command(upgrade("u1", "1.1.0", 0))).due().work(4);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:00, fetch-binary #1 u1
    came-due #1: Running 1001 | #1 u1 fetching due
    binary-fetched #1: Running 1001 | #1 u1 checking due
      => check-binary #1 u1
    binary-checked #1: Running 1001 | #1 u1 sizing due
      => check-room #1
    room-found #1: Running 1001 | #1 u1 copying due
      => copy-home #1 u1
    home-copied #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    ");
}

#[test]
fn after_a_manual_upgrade_the_run_ends() {
    let manual = Upgrade { manual: true, ..upgrade("u1", "1.1.0", 10) };
    let mut tale = Tale::at(policy(), &manual, PhaseName::Swapping);
    tale.work(1).start().work(2);
    insta::assert_snapshot!(tale, @"
    swap-committed #1: Restarting (OrderlyEnd) next session
      => release-lock, exit done
    session-started: Restarting (OrderlyEnd) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon u1 1.1.0
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    ");
}

#[test]
fn without_restart_after_upgrade_the_run_ends() {
    let policy = Policy { restart_after_upgrade: false, ..policy() };
    let mut tale = Tale::at(policy, &upgrade("u1", "1.1.0", 10), PhaseName::Swapping);
    tale.work(1);
    insta::assert_snapshot!(tale, @"
    swap-committed #1: Restarting (OrderlyEnd) next session
      => release-lock, exit done
    ");
}

#[test]
fn a_backup_is_skipped_where_that_is_configured() {
    let policy = Policy { skip_backup: true, ..policy() };
    let mut tale = Tale::ready(policy, &upgrade("u1", "1.1.0", 10));
    tale.due().until(PhaseName::Locking);
    insta::assert_snapshot!(tale, @"
    came-due #1: Running 1001 | #1 u1 locking due
      => take-lock #1 u1
    lock-taken #1: Draining asked, then upgrade #1 u1
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then upgrade #1 u1
      => stop-timer grace, sweep-group 1001
    group-gone: BackingUp #1 u1
      => skip-backup #1
    backup-skipped #1: Locking #1 u1
      => take-lock #1 u1
    ");
}

#[test]
fn unprepared_the_phases_do_the_work_in_the_guides_order() {
    let mut tale = Tale::running(Policy { prepare_ahead: false, ..policy() });
    tale.queue(&upgrade("u1", "1.1.0", 10)).due().until(PhaseName::Restarting);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 unprepared
      => watch-due #1 00:10
    came-due #1: Running 1001 | #1 u1 sizing due
      => check-room #1
    room-found #1: Draining asked, then upgrade #1 u1 unchecked
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then upgrade #1 u1 unchecked
      => stop-timer grace, sweep-group 1001
    group-gone: BackingUp #1 u1 unchecked
      => seal-backup #1 u1
    backup-sealed #1 backup-2.tar.zst: Locking #1 u1 unchecked sealed
      => take-lock #1 u1
    lock-taken #1: Downloading #1 u1 unchecked sealed
      => fetch-binary #1 u1
    binary-fetched #1: Verifying #1 u1 unchecked sealed
      => check-binary #1 u1
    binary-checked #1: Swapping #1 u1 sealed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    ");
}

#[test]
fn another_instance_is_ahead_and_this_one_follows() {
    use crate::model::files::Plan;
    let mut tale = Tale::running(policy());
    let u1 = upgrade("u1", "1.1.0", 10);
    let files = &mut tale.engine.world.files;
    files.queue.as_mut().unwrap().make_current(&u1);
    files.history.push("u1".to_owned());
    files.link = Some("u1".to_owned());
    tale.read_plan().work(4).due().until(PhaseName::Restarting).work(1);
    insta::assert_snapshot!(tale, @"
    queue-read u1 []: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    binary-fetched #1: Running 1001 | #1 u1 checking
      => check-binary #1 u1
    binary-checked #1: Running 1001 | #1 u1 sizing
      => check-room #1
    room-found #1: Running 1001 | #1 u1 copying
      => copy-home #1 u1
    home-copied #1: Running 1001 | #1 u1 ready
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    copy-refreshed #1: Running 1001 | #1 u1 locking due
      => take-lock #1 u1
    lock-taken #1: Draining asked, then upgrade #1 u1
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then upgrade #1 u1
      => stop-timer grace, sweep-group 1001
    group-gone: BackingUp #1 u1
      => seal-backup #1 u1
    backup-sealed #1 backup-3.tar.zst: Locking #1 u1 sealed
      => take-lock #1 u1
    lock-taken #1: Downloading #1 u1 sealed
      => confirm-binary #1 u1 file 2
    binary-present #1: Verifying #1 u1 sealed
      => confirm-check #1 u1 file 2
    binary-checked #1: Swapping #1 u1 sealed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    ");
    assert_eq!(tale.engine.world.files.history, ["u1"], "one entry for both instances");
}

#[test]
fn h18_two_upgrades_in_a_row_each_at_its_time() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10)).queue(&upgrade("u2", "1.2.0", 20));
    tale.work(4).due().until(PhaseName::Restarting).work(1);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    queue-read genesis [u1 u2]: Running 1001 | #1 u1 fetching
    binary-fetched #1: Running 1001 | #1 u1 checking
      => check-binary #1 u1
    binary-checked #1: Running 1001 | #1 u1 sizing
      => check-room #1
    room-found #1: Running 1001 | #1 u1 copying
      => copy-home #1 u1
    home-copied #1: Running 1001 | #1 u1 ready
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    copy-refreshed #1: Running 1001 | #1 u1 locking due
      => take-lock #1 u1
    lock-taken #1: Draining asked, then upgrade #1 u1
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then upgrade #1 u1
      => stop-timer grace, sweep-group 1001
    group-gone: BackingUp #1 u1
      => seal-backup #1 u1
    backup-sealed #1 backup-3.tar.zst: Locking #1 u1 sealed
      => take-lock #1 u1
    lock-taken #1: Downloading #1 u1 sealed
      => confirm-binary #1 u1 file 2
    binary-present #1: Verifying #1 u1 sealed
      => confirm-check #1 u1 file 2
    binary-checked #1: Swapping #1 u1 sealed
      => commit-swap #1 genesis -> u1
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004 | #2 u2 fetching
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst, watch-due #2 00:20,
          fetch-binary #2 u2
    ");
}

/// Old backups go once the new version has lived, and the newest is known to be whole; never the
/// one that a roll-back would need.
#[test]
fn the_retention_waits_for_a_version_that_lived_and_a_backup_that_is_whole() {
    let policy = Policy { prunes_backups: true, ..policy() };
    let mut tale = Tale::ready(policy, &upgrade("u1", "1.1.0", 10));
    tale.due().until(PhaseName::Restarting).work(1).forget();
    tale.fire(&Timer::Startup).work(2);
    insta::assert_snapshot!(tale, @"
    startup-passed: Running 1004 settled
    backup-examined backup-3.tar.zst: Running 1004 settled
      => review-backups
    backups-outlived backup-3.tar.zst: Running 1004 settled
    ");
}
