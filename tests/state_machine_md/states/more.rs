//! States of kinds that others stand for already, in which an event leads elsewhere.

use nymvisor::machine::{Code, Event, PhaseName, Policy, Timer};

use super::u1;
use crate::model::luck::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{failure, policy, upgrade};

pub(super) fn take_all(take: &mut impl FnMut(&Tale)) {
    while_the_restart_waits(take);
    while_nothing_is_recorded(take);

    while_another_pauses(take);
    while_the_last_backup_is_unread(take);
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().event(plan_lost()).work(1));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().until(PhaseName::Restarting).work(1);
    take(tale.daemon_ends(How::Status, 1));
}

fn fails() -> Event {
    Event::JournalFailed { failure: failure(Code::Io) }
}

fn plan_lost() -> Event {
    Event::PlanLost { failure: failure(Code::Io) }
}

/// What is ready stays the candidate while the run ends.
pub(super) fn while_the_run_ends(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.stop());
    take(tale.daemon_ends(How::Well, 1));
    let mut tale = Tale::ready(Policy { restart_on_failure: false, ..policy() }, &u1());
    take(tale.daemon_ends(How::Status, 600_000));
}

/// One upgrade has failed and pauses, while the next is performed.
fn while_another_pauses(take: &mut impl FnMut(&Tale)) {
    let paused = || {
        let mut tale = Tale::running(policy());
        tale.queue(&u1()).fail(Code::Network);
        tale
    };
    take(&paused());
    take(paused().daemon_ends(How::Status, 1));
    for phase in PhaseName::ALL {
        let mut tale = paused();
        tale.queue(&upgrade("u2", "1.2.0", 5)).work(4).due();
        take(tale.until(phase));
        if phase == PhaseName::Swapping {
            take(tale.fail(Code::Io));
        }
        if phase == PhaseName::Restarting {
            break;
        }
    }
}

/// The last upgrade's backup can't be read, while the next is performed.
fn while_the_last_backup_is_unread(take: &mut impl FnMut(&Tale)) {
    for phase in PhaseName::ALL {
        let mut tale = Tale::ready(policy(), &u1());
        tale.due().until(PhaseName::Restarting).work(1);
        tale.engine.finish(0, Luck::Bad(0)).unwrap();
        tale.queue(&upgrade("u2", "1.2.0", 5)).work(4).due();
        take(tale.until(phase));
        if phase == PhaseName::Restarting {
            break;
        }
    }
}

/// The daemon is down for a while, and the preparation goes on.
fn while_the_restart_waits(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::running(policy());
    take(tale.queue(&u1()).daemon_ends(How::Status, 1));
    take(tale.work(1));
    take(tale.work(2));
    take(tale.work(1));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.daemon_ends(How::Status, 1).due());
    for _ in 0..2 {
        tale.engine.finish(1, Luck::Good).unwrap();
        take(&tale);
    }
    let unprepared = Policy { prepare_ahead: false, ..policy() };
    let mut tale = Tale::running(unprepared);
    take(tale.queue(&u1()).daemon_ends(How::Status, 1));
    take(tale.due());
    let mut tale = Tale::running(Policy { prepare_ahead: false, ..policy() });
    take(tale.queue(&u1()).daemon_ends(How::Status, 1).work(1));
    take(tale.due());
    // The start that was due fails, and the upgrade takes its place.
    let mut tale = Tale::running(Policy { prepare_ahead: false, ..policy() });
    tale.queue(&u1()).daemon_ends(How::Status, 1).fire(&Timer::RestartDelay);
    take(tale.work(1).due());
    for stops in [plan_lost(), fails()] {
        let mut tale = Tale::ready(policy(), &u1());
        tale.daemon_ends(How::Status, 1).due();
        tale.engine.finish(1, Luck::Good).unwrap();
        take(tale.event(stops).work(2));
    }
}

/// The journal fails somewhere.
fn while_nothing_is_recorded(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().work(1).event(fails()));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().work(2).event(fails()));
    take(tale.daemon_ends(How::Well, 1));
    for phase in [PhaseName::Verifying, PhaseName::Swapping] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        take(tale.event(fails()));
    }
    let mut tale = Tale::running(policy());
    take(tale.daemon_ends(How::Status, 1).event(fails()));
    let once = Policy { rollback_on_failed_upgrade: true, max_startup_failures: 1, ..policy() };
    for work in 0..4 {
        let mut tale = Tale::ready(once.clone(), &u1());
        tale.due().until(PhaseName::Restarting).work(1);
        tale.daemon_ends(How::Status, 1).work(work);
        take(tale.event(fails()));
    }
}
