//! Where the numbers stand that are drawn one after the other: of attempts and processes, and in
//! the names of binaries and archives. No wildcard: a new variant has to say what it carries.

use nymvisor::machine::{
    AfterDrain, AfterFailure, Archive, Attempt, Binary, Daemon, Effect, Event, HookCall, Phase,
    Stage, State, Wait,
};

use super::engine::Engine;

/// One of them.
pub(crate) enum Number<'a> {
    Attempt(&'a mut u64),
    Daemon(&'a mut Daemon),
    Archive(&'a mut Archive),
    Binary(&'a mut Binary),
}

type See<'a> = dyn FnMut(Number<'_>) + 'a;

impl Engine {
    /// All but those of the backups and of the oracle, which may be of no more use.
    pub(crate) fn numbers(&mut self, see: &mut See<'_>) {
        of_state(&mut self.state, see);
        if let Some(durable) = &mut self.durable {
            of_state(&mut durable.state, see);
        }
        self.waiting.iter_mut().for_each(|event| of_event(event, see));
        let world = &mut self.world;
        world.work.iter_mut().for_each(|effect| of_effect(effect, see));
        world.files.binaries.values_mut().for_each(|binary| see(Number::Binary(binary)));
        if let Some(process) = &mut world.process {
            see(Number::Daemon(&mut process.daemon));
        }
        if let Some(attempt) = &mut world.copied {
            see(Number::Attempt(attempt));
        }
        if let Some((attempt, _)) = &mut world.due {
            see(Number::Attempt(attempt));
        }
    }
}

fn of_state(state: &mut State, see: &mut See<'_>) {
    of_phase(&mut state.phase, see);
    if let Some(candidate) = &mut state.candidate {
        see(Number::Attempt(&mut candidate.id));
        match &mut candidate.stage {
            Stage::Sizing(Some(binary))
            | Stage::Copying(binary)
            | Stage::Refreshing(binary)
            | Stage::Ready(Some(binary))
            | Stage::Hooking(Some(binary))
            | Stage::Locking(binary)
            | Stage::Locked(binary) => see(Number::Binary(binary)),
            Stage::Fetching
            | Stage::Checking
            | Stage::Sizing(None)
            | Stage::Ready(None)
            | Stage::Hooking(None) => {}
        }
    }
    for archive in &mut state.unneeded {
        see(Number::Archive(archive));
    }
    let performed = state.performed.as_mut();
    if let Some(archive) = performed.and_then(|last| last.backup.as_mut()) {
        see(Number::Archive(archive));
    }
}

fn of_phase(phase: &mut Phase, see: &mut See<'_>) {
    match phase {
        Phase::Running(running) => see(Number::Daemon(&mut running.daemon)),
        Phase::Draining(draining) => {
            if let Some(daemon) = &mut draining.daemon {
                see(Number::Daemon(daemon));
            }
            match &mut draining.then {
                AfterDrain::Upgrade(attempt) | AfterDrain::End(Some(attempt)) => {
                    of_attempt(attempt, see);
                }
                AfterDrain::FailedStart(_) | AfterDrain::End(None) => {}
                AfterDrain::Recover { before, .. } => of_phase(before, see),
            }
        }
        Phase::BackingUp(attempt)
        | Phase::Locking(attempt)
        | Phase::Downloading(attempt)
        | Phase::Verifying(attempt) => of_attempt(attempt, see),
        Phase::Swapping(swapping) => of_attempt(&mut swapping.attempt, see),
        Phase::Restarting(restarting) => match &mut restarting.wait {
            Wait::Session { resume: Some(attempt) } => of_attempt(attempt, see),
            Wait::Session { resume: None }
            | Wait::Delay { .. }
            | Wait::PreStart
            | Wait::Spawning { .. } => {}
        },
        Phase::Failed(failed) => match &mut failed.then {
            AfterFailure::OldVersion { attempt, .. }
            | AfterFailure::RollBack(attempt)
            | AfterFailure::RollBackFailed(attempt) => of_attempt(attempt, see),
            AfterFailure::GivenUp { .. } => {}
        },
    }
}

fn of_attempt(attempt: &mut Attempt, see: &mut See<'_>) {
    see(Number::Attempt(&mut attempt.id));
    if let Some(binary) = &mut attempt.binary {
        see(Number::Binary(binary));
    }
    if let Some(archive) = &mut attempt.backup {
        see(Number::Archive(archive));
    }
    if let Some(archive) = attempt.back.as_mut().and_then(|back| back.restore.as_mut()) {
        see(Number::Archive(archive));
    }
}

fn of_effect(effect: &mut Effect, see: &mut See<'_>) {
    match effect {
        Effect::Observe { binary, backup, .. } => {
            if let Some(binary) = binary {
                see(Number::Binary(binary));
            }
            if let Some(archive) = backup {
                see(Number::Archive(archive));
            }
        }
        Effect::InterruptDaemon(daemon)
        | Effect::ForwardSignal { daemon, .. }
        | Effect::KillGroup(daemon)
        | Effect::CheckHealth { daemon, .. }
        | Effect::SweepGroup(Some(daemon)) => see(Number::Daemon(daemon)),
        Effect::WatchDue { attempt, .. }
        | Effect::FetchBinary { attempt, .. }
        | Effect::CheckBinary { attempt, .. }
        | Effect::CheckRoom { attempt }
        | Effect::CopyHome { attempt, .. }
        | Effect::RefreshCopy { attempt }
        | Effect::TakeLock { attempt, .. }
        | Effect::CancelPreparation { attempt }
        | Effect::SkipBackup { attempt }
        | Effect::CommitSwap { attempt, .. }
        | Effect::SkipRestore { attempt, .. }
        | Effect::LockRollBack { attempt, .. }
        | Effect::CommitRollBack { attempt, .. }
        | Effect::StandDown { attempt, .. } => see(Number::Attempt(attempt)),
        Effect::RunHook(call) => of_call(call, see),
        Effect::SealBackup { attempt, sealed, .. } => {
            see(Number::Attempt(attempt));
            if let Some(archive) = sealed {
                see(Number::Archive(archive));
            }
        }
        Effect::RestoreHome { attempt, archive, .. } => {
            see(Number::Attempt(attempt));
            see(Number::Archive(archive));
        }
        Effect::ConfirmBinary { attempt, binary, .. }
        | Effect::ConfirmCheck { attempt, binary, .. } => {
            see(Number::Attempt(attempt));
            see(Number::Binary(binary));
        }
        Effect::DiscardBackup(archive) | Effect::ExamineBackup { archive, .. } => {
            see(Number::Archive(archive));
        }
        Effect::SpawnDaemon(_)
        | Effect::SweepGroup(None)
        | Effect::WatchHold { .. }
        | Effect::KeepWishes(_)
        | Effect::WatchWindows(_)
        | Effect::StartTimer { .. }
        | Effect::StopTimer(_)
        | Effect::ReleaseLock
        | Effect::ReviewBackups
        | Effect::QueueAnnouncement(_)
        | Effect::DropFromQueue(_)
        | Effect::MoveShared { .. }
        | Effect::MoveSharedBack { .. }
        | Effect::RestoreVersionFile(_)
        | Effect::RebuildPlan { .. }
        | Effect::MendLink(_)
        | Effect::EndHealthCheck
        | Effect::Answer { .. }
        | Effect::Exit(_) => {}
    }
}

fn of_call(call: &mut HookCall, see: &mut See<'_>) {
    if let Some(attempt) = &mut call.attempt {
        see(Number::Attempt(attempt));
    }
    if let Some(archive) = &mut call.backup {
        see(Number::Archive(archive));
    }
}

fn of_event(event: &mut Event, see: &mut See<'_>) {
    match event {
        Event::Recovered { observed, .. } => {
            if let Some(daemon) = &mut observed.daemon {
                see(Number::Daemon(daemon));
            }
            if let Some(binary) = &mut observed.binary {
                see(Number::Binary(binary));
            }
        }
        Event::DaemonSpawned { daemon }
        | Event::HealthPassed { daemon, .. }
        | Event::HealthFailed { daemon, .. } => see(Number::Daemon(daemon)),
        Event::CameDue { attempt, .. }
        | Event::HookEnded { attempt: Some(attempt), .. }
        | Event::HomeRestored { attempt, .. }
        | Event::RestoreSkipped { attempt }
        | Event::BinaryFetched { attempt, .. }
        | Event::RoomFound { attempt, .. }
        | Event::HomeCopied { attempt, .. }
        | Event::CopyRefreshed { attempt, .. }
        | Event::LockTaken { attempt }
        | Event::BackupSkipped { attempt }
        | Event::BinaryPresent { attempt }
        | Event::SwapCommitted { attempt, .. }
        | Event::StoodDown { attempt }
        | Event::WorkFailed { attempt, .. } => see(Number::Attempt(attempt)),
        Event::BinaryChecked { attempt, binary } => {
            see(Number::Attempt(attempt));
            see(Number::Binary(binary));
        }
        Event::BackupSealed { attempt, archive } => {
            see(Number::Attempt(attempt));
            see(Number::Archive(archive));
        }
        Event::BackupExamined { archive } | Event::BackupDamaged { archive, .. } => {
            see(Number::Archive(archive));
        }
        Event::BackupsOutlived { archives } => {
            for archive in archives {
                see(Number::Archive(archive));
            }
        }
        Event::SessionStarted { .. }
        | Event::HookEnded { attempt: None, .. }
        | Event::StopRequested { .. }
        | Event::SignalReceived { .. }
        | Event::SpawnFailed { .. }
        | Event::StartupPassed
        | Event::DaemonEnded { .. }
        | Event::GroupGone
        | Event::GraceElapsed
        | Event::DelayElapsed
        | Event::QueueRead { .. }
        | Event::PlanLost { .. }
        | Event::FileMended { .. }
        | Event::AnnouncementReceived { .. }
        | Event::HoldRequested { .. }
        | Event::ReleaseRequested { .. }
        | Event::HoldElapsed { .. }
        | Event::CancelRequested { .. }
        | Event::WindowOpened { .. }
        | Event::WindowClosed { .. }
        | Event::PauseElapsed { .. }
        | Event::RetryRequested { .. }
        | Event::RollBackRequested { .. }
        | Event::JournalFailed { .. }
        | Event::JournalRestored => {}
    }
}
