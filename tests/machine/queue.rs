//! What is queued, and what never is.

use nymvisor::machine::{Code, Effect, Event, Failure, PhaseName, State, Timer, Upgrade};

use crate::model::tale::Tale;
use crate::model::values::{by_command, failure, policy, upgrade};
use crate::model::wishes::cancel;

#[test]
fn h27_what_is_not_newer_is_dropped_from_the_queue() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("old", "0.9.0", 10)).queue(&upgrade("same", "1.0.0", 10));
    insta::assert_snapshot!(tale, @"
    queue-read genesis [old]: Running 1001
      => drop-from-queue old
    queue-read genesis [old same]: Running 1001
      => drop-from-queue old same
    ");
}

#[test]
fn what_a_commit_supersedes_is_dropped() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u2", "1.2.0", 10)).queue(&upgrade("u1", "1.1.0", 20)).work(4).due();
    tale.until(PhaseName::Swapping).forget();
    tale.work(1);
    insta::assert_snapshot!(tale, @"
    swap-committed #1: Restarting (Upgraded) spawning
      => drop-from-queue u1, spawn-daemon u2 1.2.0, release-lock
    ");
}

#[test]
fn what_was_superseded_meanwhile_is_dropped_at_the_start() {
    let mut tale = Tale::new(policy());
    let queue = tale.engine.world.files.queue.as_mut().unwrap();
    queue.entries.push(upgrade("old", "0.9.0", 10));
    tale.start().work(1);
    insta::assert_snapshot!(tale, @"
    session-started: Restarting (SessionStart) next session, recovering
      => observe
    recovered AtRest: Restarting (SessionStart) spawning
      => drop-from-queue old, spawn-daemon genesis 1.0.0
    ");
}

#[test]
fn a_downgrade_needs_the_operators_word() {
    let mut tale = Tale::running(policy());
    let back = by_command(upgrade("back", "0.9.0", 10));
    tale.queue(&Upgrade { allow_downgrade: true, ..back });
    insta::assert_snapshot!(tale, @"
    queue-read genesis [back]: Running 1001 | #1 back fetching
      => watch-due #1 00:10, fetch-binary #1 back
    ");
}

#[test]
fn h29_an_announcement_counts_if_it_is_news_or_takes_something_back() {
    let mut tale = Tale::running(policy());
    let announce = |upgrade: Upgrade| Event::AnnouncementReceived { upgrade };
    let by_hand = by_command(upgrade("hand", "1.3.0", 10));
    tale.queue(&upgrade("u1", "1.1.0", 10)).queue(&by_hand).forget();
    tale.event(announce(upgrade("u1", "1.1.0", 10)));
    tale.event(announce(upgrade("genesis", "2.0.0", 10)));
    tale.event(announce(upgrade("older", "0.9.0", 10)));
    tale.event(announce(upgrade("odd", "not-a-version", 10)));
    tale.event(announce(upgrade("hand", "1.4.0", 10)));
    tale.event(announce(upgrade("other-name", "1.3.0", 10)));
    tale.event(announce(Upgrade { digest: "new".to_owned(), ..upgrade("u1", "1.1.0", 10) }));
    insta::assert_snapshot!(tale, @"
    announcement-received u1: refused
    announcement-received genesis: refused
    announcement-received older: Running 1001 | #1 u1 fetching
      => drop-from-queue u1
    announcement-received odd: refused
    announcement-received hand: refused
    announcement-received other-name: refused
    announcement-received u1: Running 1001 | #1 u1 fetching
      => queue-announcement u1
    ");
}

#[test]
fn h17_an_upgrade_that_is_queued_meanwhile_is_not_lost() {
    let mut tale = Tale::at(policy(), &upgrade("u1", "1.1.0", 10), PhaseName::Swapping);
    tale.queue(&upgrade("u2", "1.2.0", 20)).work(2);
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1 u2]: Swapping #1 u1 sealed
    swap-committed #1: Restarting (Upgraded) spawning
      => spawn-daemon u1 1.1.0, release-lock
    daemon-spawned 1004: Running 1004 | #2 u2 fetching
      => start-timer startup 120000ms, examine-backup backup-3.tar.zst, watch-due #2 00:20,
          fetch-binary #2 u2
    ");
}

#[test]
fn what_leaves_the_plan_is_prepared_no_longer() {
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.engine.world.files.queue.as_mut().unwrap().entries.clear();
    tale.read_plan();
    insta::assert_snapshot!(tale, @"
    queue-read genesis []: Running 1001
      => cancel-preparation #1
    ");
}

#[test]
fn an_earlier_upgrade_takes_the_place_of_a_later_one() {
    let mut tale = Tale::ready(policy(), &upgrade("u2", "1.2.0", 20));
    tale.queue(&upgrade("u1", "1.1.0", 10));
    insta::assert_snapshot!(tale, @"
    queue-read genesis [u1 u2]: Running 1001 | #2 u1 fetching
      => cancel-preparation #1, watch-due #2 00:10, fetch-binary #2 u1
    ");
}

#[test]
fn nothing_is_fetched_for_a_plan_that_cannot_be_read() {
    let u1 = upgrade("u1", "1.1.0", 10);
    let pause = Timer::Pause { name: u1.name.clone(), digest: u1.digest.clone() };
    let mut tale = Tale::running(policy());
    tale.queue(&u1).fail(Code::Network).forget();
    tale.event(Event::PlanLost { failure: failure(Code::Io) }).fire(&pause).read_plan();
    insta::assert_snapshot!(tale, @"
    plan-lost Io: Running 1001 | u1 paused (1)
    pause-elapsed u1: Running 1001 | u1 free (1)
    queue-read genesis [u1]: Running 1001 | #2 u1 fetching | u1 free (1)
      => watch-due #2 00:10, fetch-binary #2 u1
    ");
}

fn fails_for_good(number: usize) -> Failure {
    Failure { code: Code::DigestMismatch, text: format!("the {number}th") }
}

/// So many upgrades that failed for good are on record.
fn with_failures(tale: &mut Tale, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let failed = upgrade(&format!("f{number}"), &format!("2.{number}.0"), 10);
        tale.queue(&failed);
        let attempt = tale.engine.state.last_attempt;
        tale.event(Event::WorkFailed { attempt, failure: fails_for_good(number) });
        tale.engine.world.files.queue.as_mut().unwrap().entries.clear();
        tale.engine.world.work.clear();
    }
    tale.read_plan();
}

fn is_remembered(tale: &Tale, name: &str) -> bool {
    tale.engine.state.troubles.iter().any(|trouble| trouble.name == name)
}

/// Else an upgrade that a person doesn't want would be performed.
#[test]
fn what_a_person_has_cancelled_is_never_pushed_out_by_failures() {
    let mut tale = Tale::running(policy());
    let unwanted = upgrade("unwanted", "1.1.0", 10);
    tale.queue(&unwanted).event(cancel(&unwanted));
    tale.engine.world.files.queue.as_mut().unwrap().entries.clear();
    with_failures(&mut tale, 0..State::TROUBLES_MAX + 6);
    assert_eq!(tale.engine.state.troubles.len(), State::TROUBLES_MAX);
    assert!(is_remembered(&tale, "unwanted"));
    // Of failures the oldest go, and the last word counts.
    assert!(!is_remembered(&tale, "f6") && is_remembered(&tale, "f7"));
    tale.queue(&unwanted);
    assert!(tale.engine.state.candidate.is_none(), "{tale}");
}

#[test]
fn what_cannot_be_remembered_is_not_cancelled_and_failures_keep_their_pauses() {
    let mut tale = Tale::running(policy());
    let number = |number: usize| upgrade(&format!("c{number}"), &format!("1.{number}.0"), 10);
    for at in 0..State::TROUBLES_MAX {
        tale.event(cancel(&number(at)));
    }
    with_failures(&mut tale, 0..State::FAILURES_MIN + 3);
    let troubles = &tale.engine.state.troubles;
    assert_eq!(troubles.len(), State::TROUBLES_MAX + State::FAILURES_MIN);
    assert!(!is_remembered(&tale, "f2") && is_remembered(&tale, "f3"));
    let answered = |tale: &Tale| {
        let last = tale.engine.records.last().unwrap();
        last.effects.iter().find_map(|effect| match effect {
            Effect::Answer { granted, text, .. } => Some((*granted, text.clone())),
            _ => None,
        })
    };
    tale.event(cancel(&number(State::TROUBLES_MAX)));
    let (granted, text) = answered(&tale).unwrap();
    assert!(!granted && text.contains("64 upgrades were cancelled"), "{text}");
    assert!(text.contains("nymvisor retry c0"), "{text}");
    let (requester, request) = (by_command(number(0)).requester, "r".to_owned());
    tale.event(Event::RetryRequested { name: "c0".to_owned(), requester, request });
    tale.event(cancel(&number(State::TROUBLES_MAX)));
    assert!(answered(&tale).unwrap().0);
}
