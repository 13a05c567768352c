//! Holds, cancellations, windows and new times: prepared all the same, and nothing stopped.

use nymvisor::machine::{
    Code, Effect, Event, Hold, KeptBack, PhaseName, Policy, Stage, State, Upgrade, Window,
};

use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{at, policy, upgrade};
use crate::model::wishes::{cancel, hold, release, rescheduled, window};

pub(super) fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

fn windows() -> Policy {
    Policy { keeps_windows: true, ..policy() }
}

pub(super) fn state(tale: &Tale) -> &State {
    &tale.engine.state
}

pub(super) fn stage(tale: &Tale) -> Stage {
    state(tale).candidate.as_ref().unwrap().stage.clone()
}

pub(super) fn orders(tale: &Tale) -> Vec<&'static str> {
    tale.engine.records.last().unwrap().effects.iter().map(Effect::name).collect()
}

/// The answer to the last request.
pub(super) fn answer(tale: &Tale) -> (bool, String) {
    let found = tale.engine.records.iter().rev().flat_map(|record| &record.effects);
    let mut answers = found.filter_map(|effect| match effect {
        Effect::Answer { granted, text, .. } => Some((*granted, text.clone())),
        _ => None,
    });
    answers.next().unwrap()
}

fn plan_has(tale: &mut Tale, entry: &Upgrade) {
    tale.engine.world.files.queue.as_mut().unwrap().entries = vec![entry.clone()];
    tale.read_plan();
}

#[test]
fn what_is_held_is_prepared_and_stops_nothing_until_it_is_released() {
    let mut tale = Tale::running(policy());
    tale.event(hold(None));
    assert_eq!(orders(&tale), ["watch-hold", "keep-wishes", "answer"]);
    tale.queue(&u1()).work(4).due();
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    assert_eq!(state(&tale).kept_back(&u1()), Some(KeptBack::Hold));
    assert_eq!(state(&tale).phase.name(), PhaseName::Running);
    tale.event(release());
    assert!(matches!(stage(&tale), Stage::Refreshing(_)), "{tale}");
    assert_eq!(orders(&tale), ["watch-hold", "keep-wishes", "answer", "refresh-copy"]);
    tale.until(PhaseName::Swapping);
}

#[test]
fn a_hold_ends_by_the_clock_and_one_that_was_replaced_does_not() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.event(hold(Some(20))).due();
    tale.event(hold(Some(30)));
    assert!(answer(&tale).1.contains("replaces the hold of the user nym"), "{:?}", answer(&tale));
    tale.event(Event::HoldElapsed { until: at(20), at: at(20) });
    assert!(state(&tale).holding.is_some(), "{tale}");
    tale.event(Event::HoldElapsed { until: at(30), at: at(31) });
    assert!(state(&tale).holding.is_none());
    assert_eq!(orders(&tale), ["keep-wishes", "refresh-copy"]);
    tale.event(release());
    assert_eq!(answer(&tale), (false, "upgrades are not held".to_owned()));
}

/// For how long it is held nobody knows: others need the upgrade lock meanwhile.
#[test]
fn who_is_held_on_the_last_steps_gives_back_the_lock() {
    // While the changes are copied: the lock is not even taken.
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().event(hold(None)).work(1);
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    assert!(!tale.engine.world.lock);
    // While it is being taken: it is given back.
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().work(1).event(hold(None)).work(1);
    assert_eq!(orders(&tale), ["release-lock"]);
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    assert!(!tale.engine.world.lock);
    // What is copied stays copied: only what changed since is next.
    tale.event(release());
    assert!(matches!(stage(&tale), Stage::Refreshing(_)), "{tale}");
    tale.until(PhaseName::BackingUp);
}

/// A roll-back is no upgrade; it is not held, and doesn't wait for a window.
#[test]
fn a_roll_back_is_not_held() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Restarting);
    tale.work(1).event(hold(None));
    assert!(answer(&tale).0);
    tale.roll_back();
    assert_eq!(state(&tale).phase.name(), PhaseName::Draining, "{tale}");
    tale.until(PhaseName::Restarting);
    assert_eq!(state(&tale).installed.name, "genesis");
    assert!(state(&tale).holding.is_some());
}

#[test]
fn a_daemon_that_ends_while_its_upgrade_is_held_is_treated_as_if_none_were_due() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.event(hold(None)).due().daemon_ends(How::Status, 600_000).work(1);
    assert_eq!(state(&tale).phase.name(), PhaseName::Restarting, "{tale}");
    tale.event(release());
    assert_eq!(orders(&tale), ["watch-hold", "keep-wishes", "answer", "refresh-copy"]);
    // A second one crashes for good: what is held is no help that is near.
    let mut tale = Tale::ready(Policy { restart_on_failure: false, ..policy() }, &u1());
    tale.event(hold(None)).due().daemon_ends(How::Status, 600_000);
    assert_eq!(state(&tale).phase.name(), PhaseName::Failed, "{tale}");
    // And one that ends in order ends the run.
    let mut tale = Tale::ready(policy(), &u1());
    tale.event(hold(None)).due().daemon_ends(How::Well, 600_000).work(1);
    assert!(tale.engine.world.exit.is_some(), "{tale}");
}

#[test]
fn a_hold_outlives_crashes_and_orderly_ends_and_is_watched_again() {
    let mut tale = Tale::ready(Policy { skip_backup: true, ..policy() }, &u1());
    tale.event(hold(Some(60))).due().crash().start().work(1);
    // Due, ready and without a backup: it would be performed before the daemon is started.
    assert_eq!(state(&tale).phase.name(), PhaseName::Restarting, "{tale}");
    let orders = orders(&tale);
    assert_eq!(orders[..2], ["watch-hold", "keep-wishes"], "{orders:?}");
    tale.work(1).stop().daemon_ends(How::Well, 1).work(1).start().work(2);
    assert!(state(&tale).holding.is_some());
    assert_eq!(state(&tale).phase.name(), PhaseName::Running, "{tale}");
    tale.event(release());
    tale.until(PhaseName::Swapping);
}

#[test]
fn what_cannot_be_recorded_is_not_promised() {
    let mut tale = Tale::ready(policy(), &u1());
    let failure = crate::model::values::failure(Code::Io);
    tale.event(Event::JournalFailed { failure });
    for wish in [hold(None), cancel(&u1())] {
        tale.event(wish);
        let (granted, text) = answer(&tale);
        assert!(!granted && text.contains("the journal can't be written"), "{text}");
    }
}

#[test]
fn what_is_cancelled_is_prepared_no_longer_and_a_retry_takes_that_back() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).work(1);
    tale.event(cancel(&u1()));
    assert_eq!(orders(&tale), ["cancel-preparation", "keep-wishes", "answer"]);
    assert!(state(&tale).candidate.is_none());
    let trouble = state(&tale).trouble_with(&u1()).unwrap();
    assert_eq!((trouble.failure.code, trouble.hold), (Code::Cancelled, Hold::Quarantine));
    assert_eq!(state(&tale).wishes().cancelled.len(), 1);
    tale.event(cancel(&u1()));
    assert_eq!(answer(&tale), (false, "u1 is cancelled already".to_owned()));
    tale.crash().start().work(2).read_plan();
    assert!(state(&tale).candidate.is_none(), "{tale}");
    let requester = crate::model::wishes::person();
    let request = "r".to_owned();
    tale.event(Event::RetryRequested { name: "u1".to_owned(), requester, request });
    assert!(orders(&tale).starts_with(&["answer", "keep-wishes"]), "{:?}", orders(&tale));
    assert!(state(&tale).wishes().are_none());
    tale.work(4).due().until(PhaseName::Swapping);
}

/// While the plan can't be read nothing is chosen: its preparation fails, and must not count.
#[test]
fn what_is_cancelled_while_the_plan_is_lost_stays_cancelled() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1());
    tale.event(Event::PlanLost { failure: crate::model::values::failure(Code::Io) });
    tale.event(cancel(&u1()));
    assert!(state(&tale).candidate.is_none(), "{tale}");
    assert!(tale.engine.world.work.is_empty());
    tale.read_plan();
    assert!(state(&tale).candidate.is_none(), "{tale}");
}

#[test]
fn other_content_under_a_cancelled_name_is_another_upgrade_and_the_next_one_is_prepared() {
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).event(cancel(&u1()));
    let corrected = Upgrade { digest: "corrected".to_owned(), ..u1() };
    tale.event(Event::AnnouncementReceived { upgrade: corrected.clone() });
    assert_eq!(orders(&tale), ["queue-announcement"]);
    plan_has(&mut tale, &corrected);
    assert_eq!(state(&tale).candidate.as_ref().unwrap().upgrade, corrected);
    let mut tale = Tale::running(policy());
    tale.queue(&u1()).queue(&upgrade("u2", "1.2.0", 20)).event(cancel(&u1()));
    assert_eq!(state(&tale).candidate.as_ref().unwrap().upgrade.name, "u2");
}

#[test]
fn a_candidate_at_another_time_keeps_its_preparation() {
    let mut tale = Tale::ready(policy(), &u1());
    let id = state(&tale).candidate.as_ref().unwrap().id;
    plan_has(&mut tale, &rescheduled(&u1(), 30, false));
    assert_eq!(orders(&tale), ["watch-due"]);
    let candidate = state(&tale).candidate.clone().unwrap();
    assert_eq!((candidate.id, candidate.upgrade.due_at), (id, at(30)));
    assert!(matches!(candidate.stage, Stage::Ready(Some(_))));
    // Who was due, and is to wait, waits; the clock's word on the time before is of no use.
    tale.due();
    assert_eq!(tale.engine.world.minutes, 30);
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().work(1);
    plan_has(&mut tale, &rescheduled(&u1(), 40, false));
    assert!(!state(&tale).candidate.as_ref().unwrap().due);
    tale.work(1);
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    assert!(!tale.engine.world.lock, "{tale}");
    tale.due().until(PhaseName::Swapping);
}

#[test]
fn a_new_time_counts_in_the_next_session_as_well() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().stop().until(PhaseName::Restarting);
    let queue = tale.engine.world.files.queue.as_mut().unwrap();
    queue.entries = vec![rescheduled(&u1(), 50, false)];
    tale.start().work(2);
    let candidate = state(&tale).candidate.clone().unwrap();
    assert_eq!((candidate.due, candidate.upgrade.due_at), (false, at(50)), "{tale}");
}

#[test]
fn the_calendar_is_asked_for_while_there_is_something_to_wait_for() {
    let mut tale = Tale::running(windows());
    assert_eq!(tale.engine.world.calendar.window, None);
    tale.event(window(true));
    assert_eq!(state(&tale).window, None, "nobody has asked");
    tale.queue(&u1());
    assert!(orders(&tale).contains(&"watch-windows"), "{tale}");
    assert_eq!(state(&tale).window, Some(Window::Asked));
    tale.work(4).due();
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    assert_eq!(state(&tale).kept_back(&u1()), Some(KeptBack::Window));
    tale.event(window(false));
    assert_eq!(orders(&tale), [] as [&str; 0]);
    tale.event(window(true));
    assert_eq!(orders(&tale), ["refresh-copy"]);
    tale.until(PhaseName::Draining);
    assert_eq!(*orders(&tale).last().unwrap(), "watch-windows");
    assert_eq!((state(&tale).window, tale.engine.world.calendar.window), (None, None));
    // What began within a window goes on.
    tale.until(PhaseName::Swapping);
}

#[test]
fn a_window_that_closes_before_the_stop_keeps_it_back() {
    let mut tale = Tale::ready(windows(), &u1());
    tale.event(window(true)).due().work(1).event(window(false)).work(1);
    assert_eq!(orders(&tale), ["release-lock"]);
    assert_eq!(state(&tale).phase.name(), PhaseName::Running, "{tale}");
    tale.daemon_ends(How::Status, 600_000).work(1);
    assert_eq!(state(&tale).phase.name(), PhaseName::Restarting, "{tale}");
    tale.event(window(true)).until(PhaseName::Swapping);
}

/// The old version starts, and the upgrade waits: also where all was prepared before.
#[test]
fn a_session_begins_with_the_windows_closed_until_it_is_told() {
    let mut tale = Tale::ready(Policy { skip_backup: true, ..windows() }, &u1());
    tale.event(window(true));
    tale.engine.world.minutes = 11;
    tale.crash().start().work(1);
    assert!(orders(&tale).contains(&"spawn-daemon"), "{tale}");
    assert!(orders(&tale).contains(&"watch-windows"), "{tale}");
    tale.work(1).event(window(true)).until(PhaseName::Swapping);
}

#[test]
fn a_security_fix_may_ignore_the_windows_but_not_a_hold() {
    let mut tale = Tale::ready(windows(), &u1());
    tale.event(window(false));
    plan_has(&mut tale, &rescheduled(&u1(), 0, true));
    tale.event(hold(None)).due();
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    tale.event(release());
    assert_eq!(*orders(&tale).last().unwrap(), "refresh-copy");
    tale.until(PhaseName::Swapping);
}

/// Without preparation ahead, room is looked for only once the daemon may be stopped.
#[test]
fn what_is_not_prepared_ahead_waits_as_well() {
    let mut tale = Tale::running(Policy { prepare_ahead: false, ..windows() });
    tale.queue(&u1()).due();
    assert!(matches!(stage(&tale), Stage::Ready(None)), "{tale}");
    tale.event(window(true)).event(window(false)).work(1);
    assert!(matches!(stage(&tale), Stage::Ready(None)), "{tale}");
    tale.event(window(true)).until(PhaseName::Downloading);
}

/// What a person sets for later while room is looked for is heard before the daemon is stopped.
#[test]
fn another_time_that_comes_with_the_room_counts_also_where_nothing_is_prepared() {
    let unprepared = Policy { prepare_ahead: false, ..policy() };
    let mut tale = Tale::running(unprepared.clone());
    tale.queue(&u1()).due();
    plan_has(&mut tale, &rescheduled(&u1(), 30, false));
    tale.work(1);
    assert!(matches!(stage(&tale), Stage::Ready(None)), "{tale}");
    assert_eq!(state(&tale).phase.name(), PhaseName::Running);
    tale.due().until(PhaseName::Downloading);
    // Records of before, by which nobody looked at the plan, lead where they led.
    let mut tale = Tale::running(unprepared);
    tale.queue(&u1()).due();
    plan_has(&mut tale, &rescheduled(&u1(), 30, false));
    let (attempt, needed_bytes, free_bytes) = (state(&tale).last_attempt, 10, 100);
    tale.event(Event::RoomFound { attempt, needed_bytes, free_bytes, by_plan: false });
    assert_eq!(state(&tale).phase.name(), PhaseName::Draining, "{tale}");
}

/// A journal of before must replay to the letter: nothing of all this is written where nobody
/// asked for it.
#[test]
fn with_nothing_wished_nothing_of_it_is_in_the_records() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().until(PhaseName::Restarting).work(1);
    let records = serde_json::to_string(&tale.engine.records).unwrap();
    let state = serde_json::to_string(state(&tale)).unwrap();
    for word in ["wish", "window", "holding", "-hold", "announced_for", "rescheduled"] {
        assert!(!records.contains(word), "{word}: {records}");
        assert!(!state.contains(word), "{word}: {state}");
    }
}
