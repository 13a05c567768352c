//! The stories with names. Each is told with everything that can go wrong in it.

mod hooks;

use super::story::{Mishap, Step, Story, usual};
use crate::model::luck::Luck;
use crate::model::stimulus::{How, Settings, Stimulus, Tamper};
use Step::{Do, Jump, Rest, Until};
use Stimulus::{Announce, Cancel, DaemonEnds, Finish, Hold, Retry, RollBack, Stop};

/// A story with the name of the version that runs in the end.
pub(super) type Named = (&'static str, &'static str, Story);

/// The first of the catalogue: `u1`, due after ten minutes.
const U1: u8 = 0;
const U2: u8 = 1;
const MANUAL: u8 = 3;
const BACK: u8 = 4;

const WITH_DATA: u8 = 1;
const DATA_KEPT: u8 = 0;

const KILLED: Step = Do(Stimulus::Crash { done: 0, daemon_survives: false });
const LEFT: Step = Do(Stimulus::Crash { done: 0, daemon_survives: true });

fn of(settings: Settings, steps: &[Step]) -> Story {
    Story { settings, steps: steps.to_vec(), mishaps: Vec::<Mishap>::new() }
}

fn queue(pick: u8) -> Step {
    Do(Stimulus::Tamper(Tamper::Queue(pick)))
}

/// All of them.
pub(super) fn all() -> Vec<Named> {
    let mut all = ways();
    all.extend(settings());
    all.extend(failures());
    all.extend(interruptions());
    all.extend(hands());
    all.extend(roll_backs());
    all.extend(wishes());
    all.extend(hooks::hooked());
    all
}

/// Where upgrades come from.
fn ways() -> Vec<Named> {
    let usual = |steps: &[Step]| of(usual(), steps);
    vec![
        ("by poll", "u1", usual(&[Do(Announce(U1)), Rest])),
        ("by a plan edited by hand", "u1", usual(&[Rest, queue(U1), Rest])),
        ("by add-upgrade", "m3", usual(&[Rest, queue(MANUAL), Rest])),
        ("two in a row", "u2", usual(&[Do(Announce(U1)), Rest, Do(Announce(U2)), Rest])),
        ("two at once", "u2", usual(&[queue(U1), queue(U2), Rest])),
        ("back to an older version", "back", usual(&[queue(BACK), Rest])),
        (
            "the clock jumps",
            "u1",
            usual(&[
                Do(Announce(U1)),
                Jump(-60),
                Until("check-room"),
                Jump(525_600),
                Until("commit-swap"),
                Jump(-525_600),
                Rest,
            ]),
        ),
    ]
}

/// The switches of the configuration.
fn settings() -> Vec<Named> {
    let upgrade = [Do(Announce(U1)), Rest];
    let no_restart = Settings { restart_after_upgrade: false, ..usual() };
    let not_ahead = Settings { prepare_ahead: false, ..usual() };
    let no_backup = Settings { skip_backup: true, ..usual() };
    vec![
        ("no restart after an upgrade", "u1", of(no_restart, &upgrade)),
        ("nothing is prepared ahead", "u1", of(not_ahead, &upgrade)),
        ("without a backup", "u1", of(no_backup, &upgrade)),
    ]
}

/// Each phase fails once.
fn failures() -> Vec<Named> {
    let fails = |order, pick| {
        let bad = Do(Finish(0, Luck::Bad(pick)));
        of(usual(), &[Do(Announce(U1)), Until(order), bad, Rest])
    };
    let changed = |order| {
        let change = Do(Stimulus::Tamper(Tamper::ChangeBinary(U1)));
        of(usual(), &[Do(Announce(U1)), Until(order), change, Rest])
    };
    let held = [Do(Announce(U1)), Until("fetch-binary"), Do(Finish(0, Luck::Bad(2)))];
    let retried = [&held[..], &[Rest, Do(Retry(U1)), Rest]].concat();
    vec![
        ("the fetch fails", "u1", fails("fetch-binary", 0)),
        ("the check fails", "u1", fails("check-binary", 1)),
        ("there is no room", "u1", fails("check-room", 0)),
        ("the lock is busy", "u1", fails("take-lock", 0)),
        ("the copy fails", "u1", fails("copy-home", 0)),
        ("the copy can't be brought up to date", "u1", fails("refresh-copy", 0)),
        ("the backup fails", "u1", fails("seal-backup", 0)),
        ("the backup can't be read", "u1", fails("examine-backup", 0)),
        ("the binary is changed before it is confirmed", "u1", changed("confirm-binary")),
        ("the binary is changed before the swap", "u1", changed("confirm-check")),
        ("the swap fails early", "u1", fails("commit-swap", 4)),
        ("the swap fails late", "u1", fails("commit-swap", 12)),
        ("held back, and tried again", "u1", of(usual(), &retried)),
        ("held back for good", "genesis", of(usual(), &held)),
    ]
}

/// Killed, stopped, or left by the daemon, and taken up again.
fn interruptions() -> Vec<Named> {
    let at = |order, what: Step| of(usual(), &[Do(Announce(U1)), Until(order), what, Rest]);
    let seal = || [Until("seal-backup"), KILLED];
    let resumed = [&[Do(Announce(U1))][..], &seal(), &[Rest]].concat();
    let given_up = [&[Do(Announce(U1))][..], &seal(), &seal(), &seal(), &seal(), &[Rest]].concat();
    let crash = || Do(DaemonEnds(How::Status, 50));
    vec![
        ("resumed", "u1", of(usual(), &resumed)),
        ("resumed too often", "genesis", of(usual(), &given_up)),
        ("killed, and the daemon lives on", "u1", at("fetch-binary", LEFT)),
        (
            "killed between fork and record",
            "u1",
            of(usual(), &[Do(Announce(U1)), Until("spawn-daemon"), LEFT, Rest]),
        ),
        ("the daemon crashes meanwhile", "u1", at("fetch-binary", crash())),
        ("the daemon crashes before the drain", "u1", at("take-lock", crash())),
        ("killed while the home is copied", "u1", at("copy-home", KILLED)),
        ("the daemon crashes while the home is copied", "u1", at("copy-home", crash())),
        ("the daemon crashes while the copy is refreshed", "u1", at("refresh-copy", crash())),
        ("killed while the backup is read", "u1", at("examine-backup", KILLED)),
        ("stopped while it is prepared", "u1", at("check-binary", Do(Stop))),
        ("stopped in the backup", "u1", at("seal-backup", Do(Stop))),
        ("stopped in the swap", "u1", at("commit-swap", Do(Stop))),
        ("stopped twice", "genesis", of(usual(), &[Rest, Do(Stop), Do(Stop), Rest])),
    ]
}

/// Files are lost, or moved by others.
fn hands() -> Vec<Named> {
    let loses = |tamper| {
        let tamper = Do(Stimulus::Tamper(tamper));
        of(usual(), &[Do(Announce(U1)), Rest, tamper, KILLED, Rest])
    };
    let other = Do(Stimulus::Tamper(Tamper::OtherInstance(U1)));
    vec![
        ("the version file is lost", "u1", loses(Tamper::LoseVersion)),
        ("the plan is lost", "u1", loses(Tamper::LosePlan)),
        ("the link is lost", "u1", loses(Tamper::LoseLink)),
        ("another instance is faster", "u1", of(usual(), &[queue(U1), Rest, other, Rest])),
    ]
}

/// Held, cancelled, rescheduled, and in windows: what is at rest releases and opens.
fn wishes() -> Vec<Named> {
    let announced = |order, what: Step| [Do(Announce(U1)), Until(order), what, Rest];
    let windows = Settings { keeps_windows: true, ..usual() };
    let no_backup = Settings { skip_backup: true, ..windows };
    let later = Do(Stimulus::Tamper(Tamper::Reschedule(U1, true)));
    let held = || Do(Hold(true));
    let under_way = [Do(Announce(U1)), Until("seal-backup"), held()];
    let not_ahead = Settings { prepare_ahead: false, ..usual() };
    let cancelled = [Do(Announce(U1)), Until("check-binary"), Do(Cancel(U1)), Rest];
    let retried = [&cancelled[..], &[Do(Retry(U1)), Rest]].concat();
    vec![
        ("held before it is queued", "u1", of(usual(), &[Do(Hold(false)), Do(Announce(U1)), Rest])),
        ("held on its last steps", "u1", of(usual(), &announced("take-lock", Do(Hold(true))))),
        ("held while it is under way", "u1", of(usual(), &announced("seal-backup", held()))),
        (
            "held while it is under way, and killed",
            "u1",
            of(usual(), &[&under_way[..], &[KILLED, Rest]].concat()),
        ),
        (
            "held while it is under way, and stopped",
            "u1",
            of(usual(), &[&under_way[..], &[Do(Stop), Rest]].concat()),
        ),
        (
            "rescheduled, and not prepared",
            "u1",
            of(not_ahead, &announced("check-room", later.clone())),
        ),
        ("held until a time", "u1", of(usual(), &[Do(Hold(true)), Do(Announce(U1)), Rest])),
        ("cancelled, and tried again", "u1", of(usual(), &retried)),
        ("rescheduled while it is copied", "u1", of(usual(), &announced("copy-home", later))),
        ("within a window", "u1", of(windows, &[Do(Announce(U1)), Rest])),
        ("within a window, no backup", "u1", of(no_backup, &[Do(Announce(U1)), Rest])),
        (
            "the window closes too early",
            "u1",
            of(windows, &announced("take-lock", Do(Stimulus::Window(false)))),
        ),
    ]
}

/// Back to the version before, by itself and by hand.
fn roll_backs() -> Vec<Named> {
    let crash = Do(DaemonEnds(How::Status, 50));
    let fails_its_start = [
        Do(Announce(U1)),
        Until("commit-swap"),
        Until("spawn-daemon"),
        Do(Finish(0, Luck::Good)),
        crash,
        Rest,
    ];
    let by_itself = Settings { rolls_back: true, max_failures: 1, ..usual() };
    let keeps = Settings { restores_data: false, ..by_itself };
    let no_restarts = Settings { restarts: false, ..by_itself };
    let by_hand = |more: &[Step]| of(usual(), &[&[Do(Announce(U1)), Rest][..], more].concat());
    let at = |order, what: Step| by_hand(&[Do(RollBack(WITH_DATA)), Until(order), what, Rest]);
    let fails = || Do(Finish(0, Luck::Bad(3)));
    vec![
        ("rolled back by itself", "genesis", of(by_itself, &fails_its_start)),
        ("rolled back by itself, data kept", "genesis", of(keeps, &fails_its_start)),
        ("rolled back by itself, no restarts", "genesis", of(no_restarts, &fails_its_start)),
        ("rolled back by hand", "genesis", by_hand(&[Do(RollBack(WITH_DATA)), Rest])),
        (
            "rolled back while the backup is read",
            "genesis",
            of(
                usual(),
                &[Do(Announce(U1)), Until("examine-backup"), Do(RollBack(WITH_DATA)), Rest],
            ),
        ),
        ("rolled back by hand, data kept", "genesis", by_hand(&[Do(RollBack(DATA_KEPT)), Rest])),
        ("the restore is interrupted", "genesis", at("restore-home", KILLED)),
        ("the restore fails", "genesis", at("restore-home", fails())),
        ("stopped in the restore", "genesis", at("restore-home", Do(Stop))),
        ("interrupted before the files move back", "genesis", at("commit-roll-back", KILLED)),
        ("the files can't be moved back", "genesis", at("commit-roll-back", fails())),
        (
            "rolled back, and tried again",
            "u1",
            by_hand(&[Do(RollBack(WITH_DATA)), Rest, Do(Retry(U1)), Rest]),
        ),
        (
            "rolled back, and upgraded further",
            "u2",
            by_hand(&[Do(RollBack(WITH_DATA)), Rest, Do(Announce(U2)), Rest]),
        ),
    ]
}
