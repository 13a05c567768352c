//! What random stories found, each told once by hand.

use nymvisor::machine::{Code, Ending, Event, Phase, PhaseName, Row, Upgrade};

use crate::model::luck::Luck;
use crate::model::settle::End;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{by_command, failure, policy, upgrade, version};

fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

/// Killed between the check of the binary and the look for room: room is looked for again.
#[test]
fn a_preparation_without_its_look_for_room_is_not_ready() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).work(2).crash().start().work(2);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    binary-fetched #1: Running 1001 | #1 u1 checking
      => check-binary #1 u1
    binary-checked #1: Running 1001 | #1 u1 sizing
      => check-room #1
    (killed)
    session-started: Running 1001, recovering | #1 u1 sizing
      => observe u1 file 2
    recovered DaemonLost: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1003: Running 1003 | #2 u1 fetching
      => start-timer startup 120000ms, watch-due #2 00:10, fetch-binary #2 u1
    ");
}

/// Past the commit point there is no way back, even if the files can't be moved now.
#[test]
fn a_committed_swap_whose_files_cannot_be_moved_does_not_bring_the_old_version_back() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.world.commit(&u1(), None, Luck::Half).unwrap();
    tale.crash().start().work(1).fail(Code::Io).work(1);
    insta::assert_snapshot!(tale, @"
    (killed)
    session-started: Swapping #1 u1 sealed, recovering
      => observe u1 file 2 backup-3.tar.zst
    recovered SwapInterrupted: Swapping #1 u1 sealed committed
      => commit-swap #1 genesis -> u1
    work-failed #1 Io: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    ");
    assert_eq!(tale.engine.settle(), Ok(End::Runs));
    assert_eq!(tale.engine.world.files.history, ["u1"]);
}

/// The plan could not be moved with the version file: the next session moves it.
#[test]
fn what_a_commit_left_behind_is_moved_by_the_next_session() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.finish(0, Luck::Half).unwrap();
    tale.work(1).read_plan().stop().until(PhaseName::Restarting).start().work(2).read_plan();
    insta::assert_snapshot!(tale, @"
    swap-committed #1 the plan: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst
    queue-read genesis [u1]: Running 1004
      => move-shared u1
    stop-requested: Draining asked, then end
      => stop-timer startup, interrupt-daemon 1004, start-timer grace 10000ms
    backup-examined backup-3.tar.zst: Draining asked, then end
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then end
      => stop-timer grace, sweep-group 1004
    group-gone: Restarting (OrderlyEnd) next session
      => exit done
    session-started: Restarting (OrderlyEnd) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon u1 1.1.0
    daemon-spawned 1005: Running 1005
      => start-timer startup 120000ms
    ");
    assert_eq!(tale.engine.world.files.link.as_deref(), Some("u1"));
}

/// The plan's current is a downgrade that this instance has left behind: it is not followed back.
#[test]
fn a_plan_that_is_behind_is_not_followed_back() {
    let back = Upgrade { allow_downgrade: true, ..by_command(upgrade("back", "0.9.0", 5)) };
    let mut tale = Tale::at(policy(), &back, PhaseName::Swapping);
    tale.until(PhaseName::Running).queue(&u1()).work(4).due().until(PhaseName::Swapping);
    tale.engine.finish(0, Luck::Half).unwrap();
    tale.work(1).forget();
    tale.read_plan();
    insta::assert_snapshot!(tale, @"
    queue-read back [u1]: Running 1007
      => move-shared u1
    ");
}

/// A plan that is written anew calls current what is installed, and so does the link.
#[test]
fn link_and_rebuilt_plan_agree() {
    let mut tale = Tale::running(policy());
    let files = &mut tale.crash().engine.world.files;
    files.version = Some(version("hand", "1.0.5"));
    tale.start().work(1).crash().engine.world.files.queue = None;
    tale.start().work(1);
    insta::assert_snapshot!(tale, @"
    (killed)
    session-started: Running 1001, recovering
      => observe
    recovered VersionMovedOutside: Restarting (SessionStart) spawning
      => spawn-daemon hand 1.0.5
    (killed)
    session-started: Restarting (SessionStart) spawning, recovering
      => observe
    recovered DaemonLost: Restarting (SessionStart) spawning
      => rebuild-plan hand 1.0.5, mend-link hand, spawn-daemon hand 1.0.5
    ");
}

/// The version file is believed on the way back from a failure too.
#[test]
fn a_version_moved_by_hand_while_failing_is_accepted() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Locking);
    tale.fail(Code::LockBusy).crash().engine.world.files.version = Some(version("hand", "1.0.5"));
    tale.start().work(1);
    let Event::Recovered { row, .. } = &tale.engine.records.last().unwrap().event else {
        panic!("no recovery");
    };
    assert_eq!(*row, Row::VersionMovedOutside);
    assert_eq!(tale.engine.state.installed.name, "hand");
}

/// A stop during recovery kills a left-over daemon once, and never by an old session's word.
#[test]
fn a_stop_during_recovery_kills_nobody_who_is_gone() {
    let mut tale = Tale::running(policy());
    tale.crash_with(0, true).start().work(1).stop().start().stop();
    insta::assert_snapshot!(tale, @"
    (killed)
    session-started: Running 1001, recovering
      => observe
    recovered DaemonLeftBehind: Draining asked, then recover from Running 1001, recovering
      => interrupt-daemon 1001, start-timer grace 10000ms
    stop-requested: Draining asked, then recover from Running 1001, recovering
    session-started: Running 1001, recovering
      => observe
    stop-requested: Running 1001, recovering
      => exit done
    ");
}

/// It is asked once; a second request skips its grace period, and its end ends the run.
#[test]
fn a_left_over_daemon_has_its_grace_before_the_run_ends() {
    let mut tale = Tale::running(policy());
    tale.crash_with(0, true).start().work(1).stop().stop();
    tale.event(Event::DaemonEnded { ending: Ending::Unseen, uptime_ms: 0 });
    tale.event(Event::GroupGone);
    insta::assert_snapshot!(tale, @"
    (killed)
    session-started: Running 1001, recovering
      => observe
    recovered DaemonLeftBehind: Draining asked, then recover from Running 1001, recovering
      => interrupt-daemon 1001, start-timer grace 10000ms
    stop-requested: Draining asked, then recover from Running 1001, recovering
    stop-requested: Draining killing, then recover from Running 1001, recovering
      => stop-timer grace, kill-group 1001
    daemon-ended Unseen after 0ms: Draining sweeping, then recover from Running 1001,
          recovering
      => stop-timer grace, sweep-group 1001
    group-gone: Draining sweeping, then recover from Running 1001, recovering
      => exit done
    ");
}

/// An old version that can't be started any more doesn't keep the upgrade from being prepared.
#[test]
fn a_daemon_that_cannot_be_started_makes_way_for_an_upgrade() {
    let mut tale = Tale::new(policy());
    let queue = tale.engine.world.files.queue.as_mut().unwrap();
    queue.entries.push(upgrade("u1", "1.1.0", 0));
    tale.start().work(1).fail(Code::Io).due().work(4).until(PhaseName::Swapping);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => spawn-daemon genesis 1.0.0
    spawn-failed Io: Restarting (DaemonEnded) delay, swept | #1 u1 fetching | failures 1
      => start-timer restart-delay 10000ms, watch-due #1 00:00, fetch-binary #1 u1
    came-due #1: Restarting (DaemonEnded) delay, swept | #1 u1 fetching due | failures 1
    binary-fetched #1: Restarting (DaemonEnded) delay, swept | #1 u1 checking due | failures 1
      => check-binary #1 u1
    binary-checked #1: Restarting (DaemonEnded) delay, swept | #1 u1 sizing due | failures 1
      => check-room #1
    room-found #1: Restarting (DaemonEnded) delay, swept | #1 u1 copying due | failures 1
      => copy-home #1 u1
    home-copied #1: Restarting (DaemonEnded) delay, swept | #1 u1 refreshing due | failures 1
      => refresh-copy #1
    copy-refreshed #1: Restarting (DaemonEnded) delay, swept | #1 u1 locking due | failures 1
      => take-lock #1 u1
    lock-taken #1: Draining sweeping, then upgrade #1 u1 | failures 1
      => stop-timer restart-delay, sweep-group
    group-gone: BackingUp #1 u1 | failures 1
      => seal-backup #1 u1
    backup-sealed #1 backup-2.tar.zst: Locking #1 u1 sealed | failures 1
      => take-lock #1 u1
    lock-taken #1: Downloading #1 u1 sealed | failures 1
      => confirm-binary #1 u1 file 1
    binary-present #1: Verifying #1 u1 sealed | failures 1
      => confirm-check #1 u1 file 1
    binary-checked #1: Swapping #1 u1 sealed | failures 1
      => commit-swap #1 genesis -> u1
    ");
    assert!(matches!(tale.engine.state.phase, Phase::Swapping(_)));
}

/// A stop that comes between the end of a left-over daemon and what is found then still wins.
#[test]
fn a_stop_during_the_second_look_is_not_lost() {
    let mut tale = Tale::running(policy());
    tale.crash_with(0, true).start().work(1).daemon_ends(How::Well, 1).work(1).stop().work(1);
    insta::assert_snapshot!(tale, @"
    (killed)
    session-started: Running 1001, recovering
      => observe
    recovered DaemonLeftBehind: Draining asked, then recover from Running 1001, recovering
      => interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1ms: Draining sweeping, then recover from Running 1001,
          recovering
      => stop-timer grace, sweep-group 1001
    group-gone: Draining sweeping, then recover from Running 1001, recovering
      => observe
    stop-requested: Draining sweeping, then recover from Running 1001, recovering
    recovered DaemonLost: Draining sweeping, then recover from Running 1001, recovering
      => exit done
    ");
}

/// Sealed in the moment in which the journal failed: it is removed once a record can order that.
#[test]
fn a_backup_that_nobody_needs_is_removed_once_that_can_be_recorded() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    let archive = tale.engine.world.seal(None, Luck::Good).unwrap();
    let failure = failure(Code::Io);
    tale.event(Event::JournalFailed { failure });
    tale.event(Event::BackupSealed { attempt: 1, archive: archive.clone() });
    assert!(tale.engine.world.files.has(&archive));
    tale.event(Event::JournalRestored).work(4);
    insta::assert_snapshot!(tale, @"
    journal-failed Io: Failed in BackingUp by Io, old version after #1 u1, unrecorded | u1
          paused (1)
      => start-timer pause of u1 60000ms, stand-down #1
    backup-sealed #1 backup-3.tar.zst: Failed in BackingUp by Io, old version after #1 u1,
          unrecorded | u1 paused (1)
    journal-restored: Failed in BackingUp by Io, old version after #1 u1 | u1 paused (1)
      => discard-backup backup-3.tar.zst
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms
    ");
    assert!(!tale.engine.world.files.has(&archive));
    assert_eq!(tale.engine.settle(), Ok(End::Runs));
}

/// What an attempt sealed that the journal's own failure ended goes the same way.
#[test]
fn a_backup_of_an_attempt_that_the_journal_ended_is_removed() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Verifying);
    let archive = tale.engine.world.files.backups[0].0.clone();
    tale.event(Event::JournalFailed { failure: failure(Code::Io) }).work(2);
    assert!(tale.engine.world.files.has(&archive));
    tale.event(Event::JournalRestored);
    assert_eq!(tale.engine.settle(), Ok(End::Runs));
    assert!(!tale.engine.world.files.has(&archive));
}

/// Before a swap is ordered, nobody but a person moves the version file: no upgrade is counted.
#[test]
fn a_version_file_moved_by_hand_during_the_backup_is_no_swap_of_ours() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    tale.crash();
    tale.engine.world.files.version = Some(u1().target());
    tale.forget();
    tale.start().work(1);
    insta::assert_snapshot!(tale, @"
    session-started: BackingUp #1 u1, recovering
      => observe u1 file 2
    recovered VersionMovedOutside: Restarting (SessionStart) spawning
      => move-shared u1, spawn-daemon u1 1.1.0
    ");
}

/// The history has it and the plan still queues it: it is not performed again after a downgrade.
#[test]
fn what_a_swap_left_in_the_plan_is_moved_before_the_next_upgrade_begins() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.engine.finish(0, Luck::Half).unwrap();
    tale.engine.world.files.history.push("u1".to_owned());
    let down = Upgrade { allow_downgrade: true, ..by_command(upgrade("down", "0.9.0", 0)) };
    tale.until(PhaseName::Running).queue(&down);
    assert_eq!(tale.engine.settle(), Ok(End::Runs));
    assert_eq!(tale.engine.state.installed, down.target());
    assert_eq!(tale.engine.world.files.history, ["u1", "down"]);
}

/// Killed in the swap, and nothing can be recorded when that is found: the backup is the one that
/// a roll-back needs. Earlier, the old version comes back, and the backup goes once.
#[test]
fn a_backup_of_an_attempt_that_is_recovered_unrecorded_is_kept_or_removed_once() {
    for (phase, kept) in [(PhaseName::Verifying, 0), (PhaseName::Swapping, 1)] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        tale.crash_with(2, false).start();
        tale.event(Event::JournalFailed { failure: failure(Code::Io) }).work(1);
        tale.event(Event::JournalRestored);
        let discards = |record: &nymvisor::machine::Record| {
            record.effects.iter().filter(|effect| effect.name() == "discard-backup").count()
        };
        let discarded: usize = tale.engine.records.iter().map(discards).sum();
        assert_eq!(discarded, 1 - kept, "{tale}");
        let backups = tale.engine.world.files.backups.len();
        assert_eq!((tale.engine.settle(), backups), (Ok(End::Runs), 1), "{tale}");
    }
}

/// The plan is read back while a roll-back moves it: nothing is moved on again under its hands.
#[test]
fn a_plan_that_a_roll_back_has_just_moved_back_is_not_moved_on_again() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.until(PhaseName::Running).roll_back().until(PhaseName::Swapping).forget();
    let left = tale.engine.world.files.roll_back(&u1(), &version("genesis", "1.0.0"), true);
    assert_eq!(left, "");
    tale.read_plan();
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Swapping #2 u1 back to genesis with its data
    ");
}
