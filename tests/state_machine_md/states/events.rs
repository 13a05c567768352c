//! Every event that could meet a state.

use nymvisor::machine::{
    Aftermath, Archive, Code, Ending, Event, Hook, HookEnding, Phase, Queue, State,
};

use super::u1;
use crate::model::values::{
    archive, binary, by_command, daemon, failure, genesis, policy, queue, upgrade,
};

/// The backup of the last upgrade, as it is once it was read.
fn examined(state: &State) -> Archive {
    let backup = state.last_performed().and_then(|last| last.backup.clone());
    Archive { sha256: Some("examined".to_owned()), ..backup.unwrap_or_else(|| archive(1)) }
}

/// A command has ended; the one for failures was told of the end of the run.
fn hooked(hook: Hook, attempt: Option<u64>, status: i32) -> Event {
    Event::HookEnded {
        hook,
        attempt,
        next: (hook == Hook::OnFailure).then_some(Aftermath::GivenUp),
        ending: HookEnding::Exited(status),
        took_ms: 5,
        said: String::new(),
    }
}

/// Every kind of event, about the upgrade that `state` is about.
pub(in crate::state_machine_md) fn events(state: &State) -> Vec<Event> {
    let candidate = state.candidate.as_ref().map(|candidate| candidate.id);
    let attempt = candidate.or(state.phase.attempt().map(|attempt| attempt.id)).unwrap_or(1);
    let name = || "u1".to_owned();
    let requester = by_command(u1()).requester;
    let ended = |ending, uptime_ms| Event::DaemonEnded { ending, uptime_ms };
    let mut performed = state.queue.performed.clone();
    performed.push("other".to_owned());
    let other_plan = Queue { current: state.queue.current.clone(), performed, ..queue(&[u1()]) };
    let mut all = vec![
        Event::SessionStarted { nymvisor: "0.2.0".to_owned(), pid: 7, policy: policy() },
        Event::StopRequested { signal: 15 },
        Event::SignalReceived { signal: 1 },
        Event::DaemonSpawned { daemon: daemon(4) },
        Event::SpawnFailed { failure: failure(Code::Io) },
        Event::StartupPassed,
        ended(Ending::Exited(0), 1),
        ended(Ending::Killed(11), 1),
        Event::GroupGone,
        Event::GraceElapsed,
        Event::DelayElapsed,
        Event::QueueRead { queue: other_plan },
        Event::PlanLost { failure: failure(Code::Io) },
        Event::FileMended { file: "plan".to_owned(), set_aside: None },
        Event::AnnouncementReceived { upgrade: upgrade("u2", "1.2.0", 20) },
        Event::CameDue { attempt, at: u1().due_at },
        Event::PauseElapsed { name: name(), digest: u1().digest },
        Event::RetryRequested { name: name(), requester, request: "r".to_owned() },
        Event::RollBackRequested {
            to: state.last_performed().map_or_else(genesis, |last| last.from.clone()),
            keep_data: false,
            requester: by_command(u1()).requester,
            request: "r".to_owned(),
        },
        Event::HomeRestored { attempt, aside: "aside".to_owned(), moved_aside: 1 },
        Event::RestoreSkipped { attempt },
        Event::BinaryFetched {
            attempt,
            sha256: binary("u1").sha256,
            bytes: 60,
            source: "in place".to_owned(),
        },
        Event::BinaryChecked { attempt, binary: binary("u1") },
        Event::RoomFound { attempt, needed_bytes: 1, free_bytes: 2, by_plan: true },
        Event::HomeCopied { attempt, entries: 1, bytes: 2 },
        Event::CopyRefreshed { attempt, changed: 1, bytes: 2, keeps_up: true },
        Event::BackupExamined { archive: examined(state) },
        Event::BackupDamaged { archive: archive(1), failure: failure(Code::Io) },
        Event::BackupsOutlived { archives: vec![archive(9)] },
        Event::LockTaken { attempt },
        Event::BackupSealed { attempt, archive: archive(1) },
        Event::BackupSkipped { attempt },
        Event::BinaryPresent { attempt },
        Event::SwapCommitted { attempt, left: String::new() },
        Event::StoodDown { attempt },
        Event::WorkFailed { attempt, failure: failure(Code::Io) },
        Event::JournalFailed { failure: failure(Code::Io) },
        Event::JournalRestored,
    ];
    all.extend(of_hooks(state, attempt));
    all.extend(of_wishes());
    all
}

/// What persons wish, and the calendar says.
fn of_wishes() -> [Event; 6] {
    [
        Event::HoldRequested {
            until: None,
            requester: by_command(u1()).requester,
            request: "r".to_owned(),
            run_is_up: Some(true),
        },
        Event::ReleaseRequested { requester: by_command(u1()).requester, request: "r".to_owned() },
        Event::HoldElapsed { until: u1().due_at, at: u1().due_at },
        Event::CancelRequested {
            upgrade: u1().announcement(),
            requester: by_command(u1()).requester,
            request: "r".to_owned(),
        },
        Event::WindowOpened { closes_at: None },
        Event::WindowClosed { opens_at: None },
    ]
}

/// What commands and the check tell.
fn of_hooks(state: &State, attempt: u64) -> Vec<Event> {
    let running = match &state.phase {
        Phase::Running(running) => running.daemon,
        _ => daemon(4),
    };
    vec![
        hooked(Hook::PreUpgrade, Some(attempt), 0),
        hooked(Hook::PreUpgrade, Some(attempt), 30),
        hooked(Hook::PreUpgrade, Some(attempt), 31),
        hooked(Hook::PreStart, None, 1),
        hooked(Hook::PreStart, None, 30),
        hooked(Hook::PreStart, None, 31),
        hooked(Hook::PostUpgrade, None, 0),
        hooked(Hook::OnFailure, Some(attempt), 0),
        Event::HealthPassed { daemon: running, tries: 3 },
        Event::HealthFailed { daemon: running, failure: failure(Code::Unhealthy) },
    ]
}
