//! Upgrades that fail, and what becomes of them.

use nymvisor::machine::{Code, Event, Phase, PhaseName, Policy, Timer, Upgrade};

use crate::model::luck::Luck;
use crate::model::show;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{CODES, by_command, policy, upgrade};

fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

/// The daemon runs on, whatever fails in a preparation; the code decides what is waited for.
#[test]
fn h12_a_preparation_that_fails_leaves_the_daemon_alone() {
    let mut table = String::new();
    for code in CODES {
        let mut tale = Tale::running(policy());
        tale.queue(&u1()).forget();
        tale.fail(code);
        assert!(matches!(tale.engine.state.phase, Phase::Running(_)), "{code:?}");
        table.push_str(&format!("{tale}\n"));
    }
    insta::assert_snapshot!(table, @"
    work-failed #1 Network: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 HttpStatus: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 NoRoom: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 LockBusy: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 Io: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 AnnouncementChanged: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 BinaryChanged: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 DigestMismatch: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 NoChecksum: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 NoPlatform: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 BadUrl: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 TooLarge: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 BuildInfo: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 Downgrade: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 NoBinary: Running 1001 | u1 awaits its binary (1)
      => cancel-preparation #1
    work-failed #1 ResumedTooOften: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 DaemonCrashed: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 FailedStart: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 RolledBack: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 Cancelled: Running 1001 | u1 cancelled (1)
      => cancel-preparation #1
    work-failed #1 HookAborted: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    work-failed #1 HookPostponed: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 HookFailed: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    work-failed #1 Unhealthy: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    ");
}

/// Whatever fails once the daemon is down: the old version is up again at once.
#[test]
fn h13_an_attempt_that_fails_brings_the_old_version_back() {
    let mut table = String::new();
    let phases = [
        PhaseName::BackingUp,
        PhaseName::Locking,
        PhaseName::Downloading,
        PhaseName::Verifying,
        PhaseName::Swapping,
    ];
    for phase in phases {
        let mut tale = Tale::at(policy(), &u1(), phase);
        tale.fail(Code::Io).work(3);
        assert!(matches!(tale.engine.state.phase, Phase::Running(_)), "{phase}");
        table.push_str(&format!("{tale}\n\n"));
    }
    insta::assert_snapshot!(table, @"
    work-failed #1 Io: Failed in BackingUp by Io, old version after #1 u1 | u1 paused (1)
      => start-timer pause of u1 60000ms, stand-down #1
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1003: Running 1003 | u1 paused (1)
      => start-timer startup 120000ms

    work-failed #1 Io: Failed in Locking by Io, old version after #1 u1 sealed | u1 paused (1)
      => start-timer pause of u1 60000ms, discard-backup backup-3.tar.zst, stand-down #1
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms

    work-failed #1 Io: Failed in Downloading by Io, old version after #1 u1 sealed | u1 paused
          (1)
      => start-timer pause of u1 60000ms, discard-backup backup-3.tar.zst, stand-down #1
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms

    work-failed #1 Io: Failed in Verifying by Io, old version after #1 u1 sealed | u1 paused
          (1)
      => start-timer pause of u1 60000ms, discard-backup backup-3.tar.zst, stand-down #1
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms

    work-failed #1 Io: Failed in Swapping by Io, old version after #1 u1 sealed | u1 paused
          (1)
      => start-timer pause of u1 60000ms, stand-down #1 unless u1
    stood-down #1: Restarting (AttemptFailed) spawning | u1 paused (1)
      => discard-backup backup-3.tar.zst, spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms
    ");
}

/// A swap that fails may be past the commit point all the same: nothing is undone before a second
/// look at the version file, and where that names the new version there is no way back.
#[test]
fn h14_a_swap_that_failed_after_the_commit_point_is_committed() {
    for stop in [false, true] {
        let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
        tale.engine.world.commit(&u1(), None, Luck::Bad(1)).unwrap_err();
        if stop {
            tale.stop();
        }
        tale.fail(Code::Io).work(1);
        assert_eq!(tale.engine.state.installed, u1().target());
        let world = &tale.engine.world;
        assert_eq!((world.files.backups.len(), world.exit.is_some()), (1, stop), "{tale}");
        if !stop {
            insta::assert_snapshot!(tale, @"
            work-failed #1 Io: Failed in Swapping by Io, old version after #1 u1 sealed | u1 paused
                  (1)
              => start-timer pause of u1 60000ms, stand-down #1 unless u1
            swap-committed #1 all but the version file: Restarting (Upgraded) spawning
              => move-shared u1, spawn-daemon u1 1.1.0, release-lock
            ");
        }
    }
}

/// Where it can't be told, the old version comes back, and the backup stays.
#[test]
fn h14_a_swap_in_doubt_keeps_its_backup() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.fail(Code::Io).fail(Code::Io).work(1);
    assert_eq!(tale.engine.world.files.backups.len(), 1);
    insta::assert_snapshot!(tale, @"
    work-failed #1 Io: Failed in Swapping by Io, old version after #1 u1 sealed | u1 paused
          (1)
      => start-timer pause of u1 60000ms, stand-down #1 unless u1
    work-failed #1 Io: Restarting (AttemptFailed) spawning | u1 paused (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1004: Running 1004 | u1 paused (1)
      => start-timer startup 120000ms
    ");
}

#[test]
fn a_lock_that_is_busy_is_found_out_before_the_drain() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().fail(Code::LockBusy);
    insta::assert_snapshot!(tale, @"
    came-due #1: Running 1001 | #1 u1 refreshing due
      => refresh-copy #1
    work-failed #1 LockBusy: Running 1001 | u1 paused (1)
      => cancel-preparation #1, start-timer pause of u1 60000ms
    ");
}

/// 1, 2, 4 … minutes, an hour at most; a new session begins anew.
#[test]
fn pauses_grow_up_to_an_hour() {
    let mut pauses = Vec::new();
    let mut tale = Tale::running(policy());
    tale.queue(&u1());
    for _ in 0..9 {
        tale.fail(Code::Network);
        let effects = &tale.engine.records.last().unwrap().effects;
        pauses.push(show::effects(&effects[1..]));
        let timer = Timer::Pause { name: "u1".to_owned(), digest: u1().digest };
        tale.fire(&timer);
    }
    tale.fail(Code::Network).stop().until(PhaseName::Restarting).start().work(2).fail(Code::Io);
    let effects = &tale.engine.records.last().unwrap().effects;
    pauses.push(show::effects(&effects[1..]));
    insta::assert_snapshot!(pauses.join("\n"), @"
    start-timer pause of u1 60000ms
    start-timer pause of u1 120000ms
    start-timer pause of u1 240000ms
    start-timer pause of u1 480000ms
    start-timer pause of u1 960000ms
    start-timer pause of u1 1920000ms
    start-timer pause of u1 3600000ms
    start-timer pause of u1 3600000ms
    start-timer pause of u1 3600000ms
    start-timer pause of u1 60000ms
    ");
}

#[test]
fn h29_quarantine_ends_with_other_content() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).fail(Code::DigestMismatch);
    tale.event(Event::AnnouncementReceived { upgrade: u1() });
    tale.stop().until(PhaseName::Restarting).start().work(2);
    let corrected = Upgrade { digest: "corrected".to_owned(), ..u1() };
    tale.event(Event::AnnouncementReceived { upgrade: corrected }).work(1).read_plan();
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    work-failed #1 DigestMismatch: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    announcement-received u1: refused
    stop-requested: Draining asked, then end | u1 quarantined (1)
      => stop-timer startup, interrupt-daemon 1001, start-timer grace 10000ms
    daemon-ended Exited(0) after 1000000ms: Draining sweeping, then end | u1 quarantined (1)
      => stop-timer grace, sweep-group 1001
    group-gone: Restarting (OrderlyEnd) next session | u1 quarantined (1)
      => exit done
    session-started: Restarting (OrderlyEnd) next session, recovering | u1 quarantined (1)
      => observe
    recovered AtRest: Restarting (SessionStart) spawning | u1 quarantined (1)
      => spawn-daemon genesis 1.0.0
    daemon-spawned 1002: Running 1002 | u1 quarantined (1)
      => start-timer startup 120000ms
    announcement-received u1: Running 1002 | u1 quarantined (1)
      => queue-announcement u1
    queue-read genesis [u1]: Running 1002 | #2 u1 fetching | u1 quarantined (1)
      => watch-due #2 00:10, fetch-binary #2 u1
    ");
}

fn retry(name: &str) -> Event {
    let requester = by_command(u1()).requester;
    Event::RetryRequested { name: name.to_owned(), requester, request: "r1".to_owned() }
}

#[test]
fn retry_ends_quarantine() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).fail(Code::BuildInfo).event(retry("u2")).event(retry("u1"));
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    work-failed #1 BuildInfo: Running 1001 | u1 quarantined (1)
      => cancel-preparation #1
    retry-requested u2: Running 1001 | u1 quarantined (1)
      => answer r1 false: nothing holds u2 back
    retry-requested u1: Running 1001 | #2 u1 fetching
      => answer r1 true: u1 is tried again, watch-due #2 00:10, fetch-binary #2 u1
    ");
}

#[test]
fn without_downloads_an_upgrade_waits_for_its_binary() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).fail(Code::NoBinary);
    let queue = tale.engine.world.files.queue.as_mut().unwrap();
    queue.in_place.push("u1".to_owned());
    tale.read_plan();
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    work-failed #1 NoBinary: Running 1001 | u1 awaits its binary (1)
      => cancel-preparation #1
    queue-read genesis [u1]: Running 1001 | #2 u1 fetching
      => watch-due #2 00:10, fetch-binary #2 u1
    ");
}

#[test]
fn another_upgrade_is_prepared_while_one_is_held() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).queue(&upgrade("u2", "1.2.0", 20)).fail(Code::NoPlatform);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1]: Running 1001 | #1 u1 fetching
      => watch-due #1 00:10, fetch-binary #1 u1
    queue-read genesis [u1 u2]: Running 1001 | #1 u1 fetching
    work-failed #1 NoPlatform: Running 1001 | #2 u2 fetching | u1 quarantined (1)
      => cancel-preparation #1, watch-due #2 00:20, fetch-binary #2 u2
    ");
}

/// What is due and still being prepared may be the way back from a version that does not start.
#[test]
fn a_daemon_is_not_given_up_while_what_is_due_is_being_prepared() {
    let policy = Policy { max_startup_failures: 1, ..policy() };
    let mut tale = Tale::running(policy);
    tale.queue(&upgrade("u1", "1.1.0", 10)).due();
    tale.daemon_ends(How::Status, 1);
    assert_eq!(tale.engine.state.phase.name(), PhaseName::Restarting, "{tale}");
    // It is held back, and no help any more.
    tale.fail(Code::DigestMismatch).work(1).fire(&Timer::RestartDelay).until(PhaseName::Running);
    tale.daemon_ends(How::Status, 1);
    assert_eq!(tale.engine.state.phase.name(), PhaseName::Failed, "{tale}");
}
