//! Events, states and orders in a few words, with everything that tells them apart.

use nymvisor::machine::{
    AfterDrain, AfterFailure, Attempt, DrainStep, Effect, Event, Hold, Outcome, Phase, Stage,
    State, Timer, Wait, Window,
};

mod hooks;

pub(crate) fn effects(effects: &[Effect]) -> String {
    effects.iter().map(effect).collect::<Vec<_>>().join(", ")
}

/// An order with all that it carries.
pub(crate) fn effect(effect: &Effect) -> String {
    let name = effect.name();
    match effect {
        Effect::Observe { upgrade, binary, backup } => {
            let upgrade = upgrade.iter().map(|upgrade| upgrade.name.clone());
            let binary = binary.iter().map(|binary| binary.identity.clone());
            let backup = backup.iter().map(|archive| archive.path.clone());
            words(name, upgrade.chain(binary).chain(backup))
        }
        Effect::SpawnDaemon(version) | Effect::RestoreVersionFile(version) => {
            format!("{name} {} {}", version.name, version.version)
        }
        Effect::RebuildPlan { current, queued } => {
            let queued = queued.iter().map(|upgrade| upgrade.name.clone());
            words(name, [current.name.clone(), current.version.clone()].into_iter().chain(queued))
        }
        Effect::InterruptDaemon(of) | Effect::KillGroup(of) => format!("{name} {}", of.pid),
        Effect::ForwardSignal { daemon, signal } => format!("{name} {signal} to {}", daemon.pid),
        Effect::SweepGroup(of) => words(name, of.iter().map(|daemon| daemon.pid.to_string())),
        Effect::StartTimer { timer: of, after_ms } => format!("{name} {} {after_ms}ms", timer(of)),
        Effect::StopTimer(of) => format!("{name} {}", timer(of)),
        Effect::WatchDue { attempt, at } => format!("{name} #{attempt} {}", at.format("%H:%M")),
        Effect::WatchHold { .. } | Effect::KeepWishes(_) | Effect::WatchWindows(_) => wish(effect),
        Effect::FetchBinary { attempt, upgrade }
        | Effect::CheckBinary { attempt, upgrade }
        | Effect::TakeLock { attempt, upgrade }
        | Effect::CopyHome { attempt, upgrade }
        | Effect::LockRollBack { attempt, upgrade } => {
            format!("{name} #{attempt} {}", upgrade.name)
        }
        Effect::RefreshCopy { attempt }
        | Effect::CheckRoom { attempt }
        | Effect::CancelPreparation { attempt }
        | Effect::SkipBackup { attempt } => format!("{name} #{attempt}"),
        Effect::StandDown { attempt, in_doubt } => {
            let in_doubt = in_doubt.iter().map(|upgrade| format!("unless {}", upgrade.name));
            words(&format!("{name} #{attempt}"), in_doubt)
        }
        Effect::SealBackup { attempt, upgrade, sealed } => {
            let sealed = sealed.iter().map(|archive| archive.path.clone());
            words(&format!("{name} #{attempt} {}", upgrade.name), sealed)
        }
        Effect::DiscardBackup(archive) | Effect::ExamineBackup { archive, .. } => {
            format!("{name} {}", archive.path)
        }
        Effect::ConfirmBinary { attempt, upgrade, binary }
        | Effect::ConfirmCheck { attempt, upgrade, binary } => {
            format!("{name} #{attempt} {} {}", upgrade.name, binary.identity)
        }
        Effect::CommitSwap { attempt, upgrade, from, .. } => {
            format!("{name} #{attempt} {} -> {}", from.name, upgrade.name)
        }
        Effect::RestoreHome { attempt, to, archive, .. } => {
            format!("{name} #{attempt} {} {}", to.name, archive.path)
        }
        Effect::SkipRestore { attempt, to } | Effect::CommitRollBack { attempt, to, .. } => {
            format!("{name} #{attempt} {}", to.name)
        }
        Effect::MoveSharedBack { upgrade, to } => format!("{name} {} -> {}", upgrade.name, to.name),
        Effect::ReleaseLock | Effect::ReviewBackups | Effect::EndHealthCheck => name.to_owned(),
        Effect::RunHook(_) | Effect::CheckHealth { .. } => hooks::effect(effect),
        Effect::QueueAnnouncement(upgrade) | Effect::MoveShared { upgrade, .. } => {
            format!("{name} {}", upgrade.name)
        }
        Effect::DropFromQueue(names) => format!("{name} {}", names.join(" ")),
        Effect::MendLink(to) => format!("{name} {to}"),
        Effect::Answer { request, granted, text } => format!("{name} {request} {granted}: {text}"),
        Effect::Exit(of) => format!("{name} {}", outcome(*of)),
    }
}

fn wish(effect: &Effect) -> String {
    let name = effect.name();
    match effect {
        Effect::WatchHold { until } => {
            words(name, until.iter().map(|until| until.format("%H:%M").to_string()))
        }
        Effect::KeepWishes(wishes) => {
            let held = wishes.holding.iter().map(|_| "hold".to_owned());
            words(name, held.chain(wishes.cancelled.iter().map(|trouble| trouble.name.clone())))
        }
        Effect::WatchWindows(on) => format!("{name} {on}"),
        _ => name.to_owned(),
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::RollBackFailed => "roll-back failed".to_owned(),
        Outcome::DaemonFailed(ending) => format!("{ending:?}"),
    }
}

fn words(first: &str, rest: impl Iterator<Item = String>) -> String {
    std::iter::once(first.to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}

fn timer(timer: &Timer) -> String {
    match timer {
        Timer::Grace => "grace".to_owned(),
        Timer::RestartDelay => "restart-delay".to_owned(),
        Timer::Startup => "startup".to_owned(),
        Timer::Pause { name, .. } => format!("pause of {name}"),
    }
}

/// An event with what tells it from another of its kind.
pub(crate) fn event(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::Recovered { row, .. } => format!("{name} {row:?}"),
        Event::SignalReceived { signal } => format!("{name} {signal}"),
        Event::SpawnFailed { failure }
        | Event::PlanLost { failure }
        | Event::JournalFailed { failure } => format!("{name} {:?}", failure.code),
        Event::DaemonEnded { ending, uptime_ms } => {
            format!("{name} {ending:?} after {uptime_ms}ms")
        }
        Event::QueueRead { queue } => {
            let names: Vec<&str> = queue.entries.iter().map(|entry| entry.name.as_str()).collect();
            let current = queue.current.as_ref().map_or("nothing", |current| &current.name);
            format!("{name} {current} [{}]", names.join(" "))
        }
        Event::FileMended { file, .. } => format!("{name} {file}"),
        Event::AnnouncementReceived { upgrade } => format!("{name} {}", upgrade.name),
        Event::PauseElapsed { name: of, .. } | Event::RetryRequested { name: of, .. } => {
            format!("{name} {of}")
        }
        Event::CancelRequested { upgrade, .. } => format!("{name} {}", upgrade.name),
        Event::RollBackRequested { to, keep_data, .. } => {
            let data = if *keep_data { ", data kept" } else { "" };
            format!("{name} {}{data}", to.name)
        }
        Event::HomeRestored { attempt, aside, .. } => format!("{name} #{attempt} {aside}"),
        Event::WorkFailed { attempt, failure } => format!("{name} #{attempt} {:?}", failure.code),
        Event::CameDue { attempt, .. }
        | Event::BinaryFetched { attempt, .. }
        | Event::BinaryChecked { attempt, .. }
        | Event::RoomFound { attempt, .. }
        | Event::HomeCopied { attempt, .. }
        | Event::CopyRefreshed { attempt, .. }
        | Event::LockTaken { attempt }
        | Event::BackupSkipped { attempt }
        | Event::RestoreSkipped { attempt }
        | Event::BinaryPresent { attempt }
        | Event::StoodDown { attempt } => format!("{name} #{attempt}"),
        Event::BackupExamined { archive } | Event::BackupDamaged { archive, .. } => {
            format!("{name} {}", archive.path)
        }
        Event::BackupsOutlived { archives } => {
            words(name, archives.iter().map(|archive| archive.path.clone()))
        }
        Event::BackupSealed { attempt, archive } => format!("{name} #{attempt} {}", archive.path),
        Event::SwapCommitted { attempt, left } => words(
            &format!("{name} #{attempt}"),
            (!left.is_empty()).then(|| left.clone()).into_iter(),
        ),
        Event::HookEnded { hook, attempt, next, ending, .. } => {
            hooks::ended(*hook, *attempt, *next, *ending)
        }
        Event::DaemonSpawned { daemon }
        | Event::HealthPassed { daemon, .. }
        | Event::HealthFailed { daemon, .. } => format!("{name} {}", daemon.pid),
        Event::SessionStarted { .. }
        | Event::HoldRequested { .. }
        | Event::ReleaseRequested { .. }
        | Event::HoldElapsed { .. }
        | Event::WindowOpened { .. }
        | Event::WindowClosed { .. }
        | Event::StopRequested { .. }
        | Event::StartupPassed
        | Event::JournalRestored
        | Event::GroupGone
        | Event::GraceElapsed
        | Event::DelayElapsed => name.to_owned(),
    }
}

/// The phase with what it carries, then what else of the state is not at its beginning.
pub(crate) fn state(state: &State) -> String {
    let mut text = phase(&state.phase);
    if state.recovering {
        text.push_str(", recovering");
    }
    if !state.recording {
        text.push_str(", unrecorded");
    }
    if let Some(candidate) = &state.candidate {
        let due = if candidate.due { " due" } else { "" };
        let stage = stage(&candidate.stage);
        text.push_str(&format!(" | #{} {} {stage}{due}", candidate.id, candidate.upgrade.name));
    }
    if state.holding.is_some() {
        text.push_str(" | held");
    }
    match state.window {
        None => {}
        Some(Window::Asked) => text.push_str(" | window asked for"),
        Some(Window::Open { .. }) => text.push_str(" | window open"),
        Some(Window::Closed { .. }) => text.push_str(" | window closed"),
    }
    if state.startup_failures > 0 {
        text.push_str(&format!(" | failures {}", state.startup_failures));
    }
    for trouble in &state.troubles {
        let hold = match trouble.hold {
            Hold::Free => "free",
            Hold::Pause => "paused",
            Hold::Quarantine if trouble.is_cancelled() => "cancelled",
            Hold::Quarantine => "quarantined",
            Hold::AwaitBinary => "awaits its binary",
        };
        text.push_str(&format!(" | {} {hold} ({})", trouble.name, trouble.times));
    }
    text
}

fn stage(stage: &Stage) -> &'static str {
    match stage {
        Stage::Fetching => "fetching",
        Stage::Checking => "checking",
        Stage::Sizing(_) => "sizing",
        Stage::Copying(_) => "copying",
        Stage::Hooking(_) => "pre-upgrade command",
        Stage::Refreshing(_) => "refreshing",
        Stage::Ready(Some(_)) => "ready",
        Stage::Ready(None) => "unprepared",
        Stage::Locking(_) => "locking",
        Stage::Locked(_) => "locked",
    }
}

/// The phase with what it carries.
pub(crate) fn phase(phase: &Phase) -> String {
    let name = phase.name();
    match phase {
        Phase::Running(running) => format!("{name} {}", hooks::running(running)),
        Phase::Draining(draining) => {
            let step = match draining.step {
                DrainStep::Asked => "asked",
                DrainStep::Killing => "killing",
                DrainStep::Sweeping => "sweeping",
            };
            let then = match &draining.then {
                AfterDrain::Upgrade(attempt) => format!("upgrade {}", self::attempt(attempt)),
                AfterDrain::FailedStart(failure) => format!("start failed {:?}", failure.code),
                AfterDrain::End(None) => "end".to_owned(),
                AfterDrain::End(Some(attempt)) => format!("end, resume {}", self::attempt(attempt)),
                AfterDrain::Recover { before, .. } => {
                    format!("recover from {}", self::phase(before))
                }
            };
            format!("{name} {step}, then {then}")
        }
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt) => format!("{name} {}", self::attempt(attempt)),
        Phase::Swapping(swapping) => {
            let committed = if swapping.committed { " committed" } else { "" };
            let stop = if swapping.stop { ", then stop" } else { "" };
            format!("{name} {}{committed}{stop}", attempt(&swapping.attempt))
        }
        Phase::Restarting(restarting) => {
            let wait = match &restarting.wait {
                Wait::Delay { swept, elapsed } => {
                    let swept = if *swept { ", swept" } else { "" };
                    let elapsed = if *elapsed { ", elapsed" } else { "" };
                    format!("delay{swept}{elapsed}")
                }
                Wait::PreStart => "pre-start command".to_owned(),
                Wait::Spawning { stop: false } => "spawning".to_owned(),
                Wait::Spawning { stop: true } => "spawning, then stop".to_owned(),
                Wait::Session { resume: None } => "next session".to_owned(),
                Wait::Session { resume: Some(attempt) } => {
                    format!("next session, resume {}", self::attempt(attempt))
                }
            };
            format!("{name} ({:?}) {wait}", restarting.why)
        }
        Phase::Failed(failed) => {
            let then = match &failed.then {
                AfterFailure::OldVersion { attempt, stop: false } => {
                    format!("old version after {}", self::attempt(attempt))
                }
                AfterFailure::OldVersion { attempt, stop: true } => {
                    format!("stop after {}", self::attempt(attempt))
                }
                AfterFailure::RollBack(attempt) => {
                    format!("roll back {}", self::attempt(attempt))
                }
                AfterFailure::RollBackFailed(attempt) => {
                    format!("stuck in {}", self::attempt(attempt))
                }
                AfterFailure::GivenUp { ending } => format!("given up, {ending:?}"),
            };
            let notice = hooks::notice(failed.notice);
            format!("{name} in {} by {:?}, {then}{notice}", failed.phase, failed.failure.code)
        }
    }
}

fn attempt(attempt: &Attempt) -> String {
    let mut text = format!("#{} {}", attempt.id, attempt.upgrade.name);
    if let Some(back) = &attempt.back {
        let data = if back.restore.is_some() { " with its data" } else { "" };
        text.push_str(&format!(" back to {}{data}", back.to.name));
    } else if attempt.binary.is_none() {
        text.push_str(" unchecked");
    }
    if attempt.backup.is_some() {
        text.push_str(" sealed");
    }
    if attempt.resumed > 0 {
        text.push_str(&format!(" resumed {}", attempt.resumed));
    }
    text
}

/// A line that fits beside others in a source file; what is too long goes on below.
pub(crate) fn wrapped(line: &str) -> String {
    const WIDTH: usize = 90;
    let indent = line.len() - line.trim_start().len();
    let mut lines = vec![" ".repeat(indent)];
    for word in line.split_whitespace() {
        let last = lines.last_mut().unwrap();
        if last.len() + 1 + word.len() > WIDTH {
            lines.push(format!("      {word}"));
        } else {
            if !last.trim().is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}
