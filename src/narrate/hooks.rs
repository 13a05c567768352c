//! The operator's commands and the health check in words.

use crate::machine::{Event, Hook, HookEnding, Verdict};

use super::{Severity, failure, seconds, signal_name};

/// What a command or the check has told.
pub(super) fn text(event: &Event) -> String {
    if let Event::HookEnded { hook, ending, took_ms, said, .. } = event {
        return ended(*hook, *ending, *took_ms, said);
    }
    if let Event::HealthFailed { failure: why, .. } = event {
        return failure(why);
    }
    let Event::HealthPassed { tries, .. } = event else { return event.name().to_owned() };
    healthy(*tries)
}

/// What a command did, how long it took and what it said last.
fn ended(hook: Hook, ending: HookEnding, took_ms: u64, said: &str) -> String {
    let how = match ending {
        HookEnding::Killed(signal) => format!("was ended by {}", signal_name(signal)),
        HookEnding::Exited(_) | HookEnding::TimedOut | HookEnding::NeverStarted => {
            ending.to_string()
        }
    };
    let means = match ending.verdict() {
        Verdict::GoOn if ending == HookEnding::Exited(1) => " (not supported)",
        Verdict::GoOn | Verdict::Fail => "",
        Verdict::Abort => " (abort)",
        Verdict::Postpone => " (not now)",
    };
    let text = format!("the {} command {how}{means} after {}", hook.name(), seconds(took_ms));
    if said.is_empty() { text } else { format!("{text}: {said}") }
}

pub(super) fn severity(ending: HookEnding) -> Severity {
    match ending.verdict() {
        Verdict::GoOn => Severity::Normal,
        Verdict::Abort | Verdict::Postpone | Verdict::Fail => Severity::Odd,
    }
}

fn healthy(tries: u32) -> String {
    let times = if tries == 1 { "at the first try".to_owned() } else { format!("at try {tries}") };
    format!("the new version has passed its health check {times}")
}
