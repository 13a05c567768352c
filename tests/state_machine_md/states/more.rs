//! States of kinds that others stand for already, in which an event leads elsewhere.

use nymvisor::machine::{Code, Event, PhaseName, Policy};

use super::u1;
use crate::model::host::Luck;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{failure, policy};

pub(super) fn take_all(take: &mut impl FnMut(&Tale)) {
    while_the_restart_waits(take);
    while_nothing_is_recorded(take);

    let mut tale = Tale::running(policy());
    take(tale.queue(&u1()).fail(Code::Network));
    take(tale.daemon_ends(How::Status, 1));
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().until(PhaseName::Restarting).work(1);
    take(tale.daemon_ends(How::Status, 1));
}

/// The daemon is down for a while, and the preparation goes on.
fn while_the_restart_waits(take: &mut impl FnMut(&Tale)) {
    let mut tale = Tale::running(policy());
    take(tale.queue(&u1()).daemon_ends(How::Status, 1));
    take(tale.work(1));
    take(tale.work(2));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.daemon_ends(How::Status, 1).due());
    tale.engine.finish(1, Luck::Good).unwrap();
    take(&tale);
    let unprepared = Policy { prepare_ahead: false, ..policy() };
    let mut tale = Tale::running(unprepared);
    take(tale.queue(&u1()).daemon_ends(How::Status, 1));
    take(tale.due());
}

/// The journal fails somewhere.
fn while_nothing_is_recorded(take: &mut impl FnMut(&Tale)) {
    let fails = || Event::JournalFailed { failure: failure(Code::Io) };
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().event(fails()));
    take(tale.work(1));
    let mut tale = Tale::ready(policy(), &u1());
    take(tale.due().work(1).event(fails()));
    take(tale.daemon_ends(How::Well, 1));
    for phase in [PhaseName::Verifying, PhaseName::Swapping] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        take(tale.event(fails()));
    }
    let mut tale = Tale::running(policy());
    take(tale.daemon_ends(How::Status, 1).event(fails()));
}
