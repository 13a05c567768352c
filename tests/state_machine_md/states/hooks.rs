//! States in which a command of the operator's runs, or a new version's health is checked.

use nymvisor::machine::{Code, Event, Health, PhaseName, Policy, Running, Timer};

use super::u1;
use crate::model::luck::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade, with_hooks};

pub(super) fn health(running: &Running) -> Option<&'static str> {
    match running.health {
        Some(Health::Awaited) => Some("health awaited"),
        Some(Health::Overdue) => Some("health overdue"),
        Some(Health::Passed) | None => None,
    }
}

/// One startup failure is one too many.
fn once() -> Policy {
    with_hooks(Policy { max_startup_failures: 1, ..policy() })
}

fn upgraded(policy: Policy) -> Tale {
    Tale::asked(policy, &u1())
}

fn unhealthy(policy: Policy) -> Tale {
    let mut tale = upgraded(policy);
    tale.finish("check-health", Luck::Bad(0));
    tale
}

pub(super) fn take_all(take: &mut impl FnMut(&Tale)) {
    before_a_start(take);
    before_an_upgrade(take);
    of_health(take);
    unhealthy_while_another_is_prepared(take);
    after_failures(take);
}

fn before_a_start(take: &mut impl FnMut(&Tale)) {
    for policy in [with_hooks(policy()), once()] {
        let mut tale = Tale::new(policy);
        take(tale.start().work(1));
    }
    let mut tale = Tale::hooked(with_hooks(policy()), &u1());
    take(tale.daemon_ends(How::Status, 600_000).work(1).fire(&Timer::RestartDelay));
    // The upgrade is due and ready, and its command was not asked.
    let mut tale = Tale::hooked(with_hooks(policy()), &u1());
    take(tale.daemon_ends(How::Status, 600_000).due());
    let rolls_back = Policy { rollback_on_failed_upgrade: true, ..once() };
    let mut tale = Tale::hooked(rolls_back, &u1());
    take(tale.due().until(PhaseName::Swapping).until(PhaseName::Restarting));
}

fn before_an_upgrade(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::hooked(with_hooks(policy()), &u1());
    take(tale.due());
    take(tale.daemon_ends(How::Status, 600_000));
    let unprepared = Policy { prepare_ahead: false, ..with_hooks(policy()) };
    let mut tale = Tale::hooked(unprepared, &u1());
    take(tale.due());
    let bare = Policy { skip_backup: true, ..with_hooks(policy()) };
    let mut tale = Tale::hooked(bare, &u1());
    take(tale.due());
    let mut tale = Tale::hooked(with_hooks(policy()), &u1());
    take(tale.event(journal_fails()).due());
}

fn journal_fails() -> Event {
    Event::JournalFailed { failure: crate::model::values::failure(Code::Io) }
}

fn of_health(take: &mut impl FnMut(&Tale)) {
    for policy in [with_hooks(policy()), once()] {
        let mut tale = upgraded(policy.clone());
        take(&tale);
        take(tale.fire(&Timer::Startup));
        let mut tale = unhealthy(policy.clone());
        take(&tale);
        take(tale.fire(&Timer::Grace));
        take(tale.daemon_ends(How::Well, 1));
        let rolls_back = Policy { rollback_on_failed_upgrade: true, ..policy.clone() };
        let mut tale = unhealthy(rolls_back);
        take(tale.daemon_ends(How::Well, 1));
        let mut tale = upgraded(policy);
        tale.finish("check-health", Luck::Good);
        take(&tale);
    }
}

fn unhealthy_while_another_is_prepared(take: &mut impl FnMut(&Tale)) {
    let next = upgrade("u2", "1.2.0", 5);
    for steps in 0..7 {
        take(&Tale::unhealthy_while(with_hooks(policy()), &u1(), &next, steps));
    }
    let mut tale = Tale::unhealthy_while(with_hooks(policy()), &u1(), &next, 6);
    take(tale.finish("take-lock", Luck::Good));
    take(tale.daemon_ends(How::Well, 1));
}

fn after_failures(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::hooked_start(once());
    take(tale.daemon_ends(How::Status, 1));
    take(tale.finish("sweep-group", Luck::Good));
    let mut tale = unhealthy(once());
    take(tale.daemon_ends(How::Well, 1).finish("sweep-group", Luck::Good));
    let rolls_back = Policy { rollback_on_failed_upgrade: true, ..once() };
    let mut tale = unhealthy(rolls_back);
    take(tale.daemon_ends(How::Well, 1).finish("sweep-group", Luck::Good));
    take(tale.finish("sweep-group", Luck::Good));
    take(tale.finish("restore-home", Luck::Bad(0)));
    let mut tale = Tale::hooked(with_hooks(policy()), &u1());
    take(tale.due().until(PhaseName::BackingUp));
    take(tale.fail(Code::Io));
}
