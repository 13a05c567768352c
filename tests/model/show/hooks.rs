//! The operator's commands and the health check in a few words.

use nymvisor::machine::{Aftermath, Effect, Health, Hook, HookCall, HookEnding, Notice, Running};

pub(super) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::RunHook(called) => call(called),
        Effect::CheckHealth { daemon, within_ms } => {
            format!("{} of {} within {within_ms}ms", effect.name(), daemon.pid)
        }
        _ => String::new(),
    }
}

fn call(call: &HookCall) -> String {
    let mut text = format!("run {}", about(call.hook, call.attempt, call.next));
    if let Some(from) = &call.from {
        text.push_str(&format!(" {} ->", from.name));
    }
    text.push_str(&format!(" {} in {}", call.to.name, call.phase));
    if let Some(backup) = &call.backup {
        text.push_str(&format!(" {}", backup.path));
    }
    if let Some(failure) = &call.failure {
        text.push_str(&format!(" {:?}", failure.code));
    }
    text
}

pub(super) fn ended(
    hook: Hook,
    attempt: Option<u64>,
    next: Option<Aftermath>,
    ending: HookEnding,
) -> String {
    format!("{} ended, {ending:?}", about(hook, attempt, next))
}

fn about(hook: Hook, attempt: Option<u64>, next: Option<Aftermath>) -> String {
    let attempt = attempt.map(|attempt| format!(" #{attempt}")).unwrap_or_default();
    let next = next.map(|next| format!(", {} next", next.name())).unwrap_or_default();
    format!("{}{attempt}{next}", hook.name())
}

pub(super) fn running(running: &Running) -> String {
    let settled = if running.settled { " settled" } else { "" };
    format!("{}{settled}{}", running.daemon.pid, health(running.health))
}

fn health(health: Option<Health>) -> &'static str {
    match health {
        None => "",
        Some(Health::Awaited) => ", health awaited",
        Some(Health::Overdue) => ", health overdue",
        Some(Health::Passed) => ", healthy",
    }
}

pub(super) fn notice(notice: Option<Notice>) -> &'static str {
    match notice {
        None => "",
        Some(Notice::Sweeping) => ", told meanwhile",
        Some(Notice::Swept) => ", told at last",
    }
}
