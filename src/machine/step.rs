//! `step`: one fact in, the next state and the orders out.
#![expect(clippy::unnecessary_wraps, reason = "what handles a fact has one shape")]

use super::effect::Effect;
use super::event::Event;
use super::phase::{Phase, PhaseName};
use super::state::State;

mod attempt;
mod backups;
mod daemon;
mod health;
mod hooks;
mod journal;
mod prepare;
mod queue;
mod rollback;
mod session;
mod stop;
mod wishes;

/// What a fact leads to.
#[must_use = "a transition has no effect until it is committed to the journal"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The phase before.
    pub from: PhaseName,
    /// The state after.
    pub state: State,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
}

/// Why a fact leads nowhere. The state is as it was, and nothing is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The phase has no place for it.
    Unexpected,
    /// It answers a question that is no longer open.
    Stale,
    /// It says nothing new.
    Unchanged,
}

/// What follows from `event` in `state`.
pub fn step(state: &State, event: &Event) -> Result<Transition, Rejected> {
    let mut next = Next { state: state.clone(), effects: Vec::new() };
    if state.recovering {
        session::while_recovering(&mut next, event)?;
    } else {
        dispatch(&mut next, event)?;
    }
    if !next.state.recovering {
        wishes::settle(&mut next);
    }
    Ok(Transition { from: state.phase.name(), state: next.state, effects: next.effects })
}

/// The transition in the making.
struct Next {
    state: State,
    effects: Vec<Effect>,
}

impl Next {
    fn order(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn enter(&mut self, phase: Phase) {
        self.state.phase = phase;
    }
}

type Step = Result<(), Rejected>;

fn dispatch(next: &mut Next, event: &Event) -> Step {
    match event {
        Event::SessionStarted { policy, .. } => session::started(next, policy),
        Event::Recovered { .. } => Err(Rejected::Unexpected),
        Event::StopRequested { .. } => stop::requested(next),
        Event::SignalReceived { signal } => daemon::signal_received(next, *signal),
        Event::DaemonSpawned { daemon } => daemon::spawned(next, *daemon),
        Event::SpawnFailed { failure } => daemon::spawn_failed(next, failure),
        Event::StartupPassed => health::startup_passed(next),
        Event::DaemonEnded { ending, uptime_ms } => daemon::ended(next, *ending, *uptime_ms),
        Event::GroupGone => daemon::group_gone(next),
        Event::GraceElapsed => daemon::grace_elapsed(next),
        Event::DelayElapsed => daemon::delay_elapsed(next),
        Event::QueueRead { queue } => queue::read(next, queue),
        Event::PlanLost { .. } => queue::plan_lost(next),
        // For the record: what is in a file now comes as any other content of it, and a restore
        // finds out for itself what of a backup it can use.
        Event::FileMended { .. } | Event::BackupDamaged { .. } => Ok(()),
        Event::AnnouncementReceived { upgrade } => queue::announced(next, upgrade),
        Event::PauseElapsed { name, digest } => queue::pause_elapsed(next, name, digest),
        Event::RetryRequested { name, request, .. } => queue::retry(next, name, request),
        Event::HoldRequested { .. }
        | Event::ReleaseRequested { .. }
        | Event::HoldElapsed { .. }
        | Event::CancelRequested { .. }
        | Event::WindowOpened { .. }
        | Event::WindowClosed { .. } => wishes::heard(next, event),
        Event::RollBackRequested { to, keep_data, requester, request } => {
            rollback::requested(next, to, *keep_data, requester, request)
        }
        Event::HomeRestored { attempt, .. } | Event::RestoreSkipped { attempt } => {
            rollback::data_settled(next, *attempt)
        }
        Event::CameDue { attempt, .. } => prepare::came_due(next, *attempt),
        Event::RoomFound { attempt, by_plan, .. } => prepare::room_found(next, *attempt, *by_plan),
        Event::HomeCopied { attempt, .. } => prepare::home_copied(next, *attempt),
        Event::CopyRefreshed { attempt, .. } => prepare::copy_refreshed(next, *attempt),
        Event::BackupExamined { archive } => backups::examined(next, archive),
        Event::BackupsOutlived { archives } => backups::outlived(next, archives),
        Event::BinaryFetched { attempt, .. } => attempt::binary_fetched(next, *attempt),
        Event::BinaryChecked { attempt, binary } => attempt::binary_checked(next, *attempt, binary),
        Event::LockTaken { attempt } => attempt::lock_taken(next, *attempt),
        Event::BackupSealed { attempt, archive } => {
            attempt::backed_up(next, *attempt, Some(archive))
        }
        Event::BackupSkipped { attempt } => attempt::backed_up(next, *attempt, None),
        Event::BinaryPresent { attempt } => attempt::binary_present(next, *attempt),
        Event::SwapCommitted { attempt, .. } => attempt::swap_committed(next, *attempt),
        Event::StoodDown { attempt } => attempt::stood_down(next, *attempt),
        Event::JournalFailed { failure } => journal::failed(next, failure),
        Event::JournalRestored => journal::restored(next),
        Event::HookEnded { hook, attempt, next: aftermath, ending, said, .. } => {
            hooks::ended(next, *hook, *attempt, *aftermath, *ending, said)
        }
        Event::HealthPassed { daemon, .. } => health::passed(next, *daemon),
        Event::HealthFailed { daemon, failure } => health::failed(next, *daemon, failure),
        Event::WorkFailed { attempt, failure } => attempt::work_failed(next, *attempt, failure),
    }
}
