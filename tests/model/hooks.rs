//! The operator's commands and the health check on the simulated machine.

use nymvisor::machine::{Code, Daemon, Effect, Event, Hook, HookCall, HookEnding};

use super::luck::Luck;
use super::values;

/// With bad luck one of these, with half of it "not supported".
pub(crate) const ENDINGS: [HookEnding; 6] = [
    HookEnding::Exited(30),
    HookEnding::Exited(31),
    HookEnding::Exited(3),
    HookEnding::Killed(9),
    HookEnding::TimedOut,
    HookEnding::NeverStarted,
];

/// What comes of an order that concerns them.
pub(super) fn outcome(effect: &Effect, luck: Luck) -> Option<Event> {
    match effect {
        Effect::RunHook(call) => Some(ended(call, luck)),
        Effect::CheckHealth { daemon, .. } => Some(checked(*daemon, luck)),
        _ => None,
    }
}

fn ended(call: &HookCall, luck: Luck) -> Event {
    let ending = match luck {
        Luck::Good => HookEnding::Exited(0),
        Luck::Half => HookEnding::Exited(1),
        Luck::Bad(pick) => ENDINGS[usize::from(pick) % ENDINGS.len()],
    };
    ended_so(call, ending)
}

pub(crate) fn ended_so(call: &HookCall, ending: HookEnding) -> Event {
    let (hook, attempt, next) = (call.hook, call.attempt, call.next);
    Event::HookEnded { hook, attempt, next, ending, took_ms: 5, said: "last words".to_owned() }
}

pub(super) fn end_check(work: &mut Vec<Effect>) {
    work.retain(|work| !matches!(work, Effect::CheckHealth { .. }));
}

fn checked(daemon: Daemon, luck: Luck) -> Event {
    match luck {
        Luck::Good | Luck::Half => Event::HealthPassed { daemon, tries: 2 },
        Luck::Bad(_) => Event::HealthFailed { daemon, failure: values::failure(Code::Unhealthy) },
    }
}

/// Nothing waits for what it says.
pub(crate) fn is_only_told(call: &HookCall) -> bool {
    match call.hook {
        Hook::PreUpgrade | Hook::PreStart => false,
        Hook::PostUpgrade => true,
        Hook::OnFailure => !call.next.is_some_and(nymvisor::machine::Aftermath::ends_the_run),
    }
}
