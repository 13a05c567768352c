//! What the engine promises, kept by counting on fingers.

mod hooks;
mod numbers;

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::{
    AfterFailure, Archive, Candidate, Effect, Ending, Event, Observed, Outcome, Phase, PhaseName,
    Policy, Record, Remedy, Row, State, Timer, Upgrade, Window,
};
/// Knows the records and nothing else.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub(crate) struct Oracle {
    failures: u32,
    up: bool,
    asked: bool,
    settled: bool,
    recovering: bool,
    stopping: bool,
    policy: Option<Policy>,
    upgrades: BTreeMap<u64, Upgrade>,
    checked: BTreeSet<u64>,
    locked: BTreeSet<u64>,
    roomy: BTreeSet<u64>,
    backed: BTreeMap<u64, Option<Archive>>,
    /// Roll-backs whose data is settled.
    settled_data: BTreeSet<u64>,
    /// What runs has lived through its startup period since it was committed.
    lived: bool,
    quarantine: BTreeSet<(String, String)>,
    /// A person wants no upgrade to stop the daemon.
    held: bool,
    /// A maintenance window is open.
    open: bool,
    health: hooks::Health,
    /// Upgrades to which the pre-upgrade command has said yes, for the stop that comes next.
    hooked: BTreeSet<u64>,
    /// What it has put off, until the pause is over.
    put_off: BTreeSet<(String, String)>,
}

impl Oracle {
    /// Looks at one record. An error is a broken promise.
    pub(crate) fn see(
        &mut self,
        before: &State,
        record: &Record,
        after: &State,
    ) -> Result<(), String> {
        self.hear(record);
        // Also where a swap that was done could not be finished.
        self.lived &= before.installed == after.installed;
        // A swap that a look has found committed needs its backup.
        if let (Event::Recovered { .. }, Some(attempt)) = (&record.event, before.phase.attempt())
            && before.installed != after.installed
            && after.installed == attempt.upgrade.target()
        {
            self.backed.remove(&attempt.id);
        }
        if self.failures != after.startup_failures {
            return Err(format!(
                "{} startup failures, by the oracle {}: {record:?}",
                after.startup_failures, self.failures
            ));
        }
        let failed = matches!(&after.phase, Phase::Failed(failed)
            if matches!(failed.then, AfterFailure::RollBack(_)));
        // What is recorded before the session's start has no policy yet.
        let switched_on =
            self.policy.as_ref().is_some_and(|policy| policy.rollback_on_failed_upgrade);
        if failed && (self.lived || !switched_on) && before.phase != after.phase {
            return Err(format!("what has lived is rolled back by itself: {record:?}"));
        }
        self.forget_what_was_said(after);
        for effect in &record.effects {
            self.judge(record, effect, after).map_err(|why| format!("{why}: {record:?}"))?;
        }
        // A swap that was found done while nothing could be recorded has no record of its own.
        if let Some(kept) = after.last_performed().and_then(|last| last.backup.as_ref()) {
            self.backed.retain(|_, backed| {
                backed.as_ref().is_none_or(|archive| archive.path != kept.path)
            });
        }
        self.may_begin(before, record, after)?;
        self.may_begin_now(before, record, after)?;
        self.may_stop_for(before, record)
    }

    fn policy(&self) -> &Policy {
        self.policy.as_ref().unwrap()
    }

    /// What persons wish, and the calendar says.
    fn hear_wishes(&mut self, record: &Record) {
        match &record.event {
            Event::HoldRequested { .. } => self.held |= is_granted(record),
            Event::ReleaseRequested { .. } => self.held &= !is_granted(record),
            Event::HoldElapsed { .. } => self.held = false,
            Event::CancelRequested { upgrade, .. } if is_granted(record) => {
                self.quarantine.insert((upgrade.name.clone(), upgrade.digest.clone()));
            }
            Event::RetryRequested { name, .. } => self.put_off.retain(|(held, _)| held != name),
            Event::PauseElapsed { name, digest } => {
                self.put_off.remove(&(name.clone(), digest.clone()));
            }
            Event::WindowOpened { .. } => self.open = true,
            Event::WindowClosed { .. } => self.open = false,
            _ => {}
        }
    }

    fn hear(&mut self, record: &Record) {
        self.hear_wishes(record);
        match &record.event {
            Event::SessionStarted { policy, .. } => {
                self.policy = Some(policy.clone());
                self.recovering = true;
                self.stopping = false;
                self.up = false;
                self.open = false;
                self.locked.clear();
                self.hooked.clear();
                self.put_off.clear();
            }
            Event::StopRequested { .. } => self.stopping = true,
            Event::Recovered { row, observed } => self.recovered(*row, observed),
            Event::DaemonSpawned { .. } => {
                self.health = hooks::Health::NotAsked;
                self.up = true;
                self.settled = false;
                self.asked = false;
            }
            Event::StartupPassed => self.startup_passed(),
            Event::DaemonEnded { ending, uptime_ms } => self.ended(*ending, *uptime_ms),
            Event::SpawnFailed { .. } => self.failures += 1,
            Event::HookEnded { .. } | Event::HealthPassed { .. } | Event::HealthFailed { .. } => {
                self.hear_hooks(&record.event);
            }
            Event::SwapCommitted { attempt, .. } => {
                self.failures = 0;
                self.lived = false;
                self.backed.remove(attempt);
            }
            Event::HomeRestored { attempt, .. } | Event::RestoreSkipped { attempt } => {
                self.settled_data.insert(*attempt);
            }
            Event::BinaryChecked { attempt, .. } => drop(self.checked.insert(*attempt)),
            Event::RoomFound { attempt, .. } => drop(self.roomy.insert(*attempt)),
            Event::LockTaken { attempt } => drop(self.locked.insert(*attempt)),
            Event::BackupSealed { attempt, archive } => {
                self.backed.insert(*attempt, Some(archive.clone()));
            }
            Event::BackupSkipped { attempt } if self.policy().skip_backup => {
                self.backed.insert(*attempt, None);
            }
            // Past the commit point: what could not be moved is left to the next session.
            Event::WorkFailed { attempt, .. }
                if record.from == PhaseName::Swapping && record.to == PhaseName::Restarting =>
            {
                self.failures = 0;
                self.backed.remove(attempt);
            }
            // Whether it is committed can't be told: what it sealed may be needed yet.
            Event::WorkFailed { attempt, .. } if record.from == PhaseName::Failed => {
                self.backed.remove(attempt);
            }
            Event::WorkFailed { attempt, failure } => {
                if let (Remedy::Quarantine, Some(upgrade)) =
                    (failure.code.remedy(), self.upgrades.get(attempt))
                {
                    self.quarantine.insert((upgrade.name.clone(), upgrade.digest.clone()));
                }
            }
            Event::RetryRequested { name, .. } => self.quarantine.retain(|(held, _)| held != name),
            _ => {}
        }
        if ends_in_order(record) && !self.recovering {
            self.failures = 0;
        }
    }

    fn recovered(&mut self, row: Row, observed: &Observed) {
        self.recovering = row == Row::DaemonLeftBehind || self.stopping;
        if matches!(row, Row::AtRest | Row::GaveUp) && !self.recovering {
            self.failures = 0;
        }
        // Somebody has been at work by hand: nothing is removed behind that person's back. Nor is
        // it where what a swap that failed had moved can't be told any more.
        let in_doubt = row == Row::WasFailing && observed.version.is_none();
        if row == Row::VersionMovedOutside || in_doubt {
            self.backed.clear();
        }
    }

    fn ended(&mut self, ending: Ending, uptime_ms: u64) {
        if self.up && !self.asked {
            let within = uptime_ms < self.policy().startup_period_ms;
            let early = !self.settled && (within || self.health.is_open());
            self.failures =
                if ending != Ending::Exited(0) && early { self.failures + 1 } else { 0 };
        }
        self.up = false;
    }

    fn judge(&mut self, record: &Record, effect: &Effect, after: &State) -> Result<(), String> {
        match effect {
            Effect::SpawnDaemon(_) if !self.may_start(record) => {
                return Err("a start before the command said yes".to_owned());
            }
            Effect::RunHook(call) => return self.note_call(call),
            Effect::CheckHealth { .. } => self.health = hooks::Health::Open,
            Effect::SpawnDaemon(_) if self.up => return Err("a second daemon".to_owned()),
            Effect::SpawnDaemon(_) if self.stopping => {
                return Err("a stop request is lost".to_owned());
            }
            Effect::InterruptDaemon(_) => self.asked = true,
            Effect::FetchBinary { attempt, upgrade } => {
                self.upgrades.insert(*attempt, upgrade.clone());
                let key = (upgrade.name.clone(), upgrade.digest.clone());
                if self.quarantine.contains(&key) {
                    return Err("what is in quarantine is tried".to_owned());
                }
            }
            Effect::TakeLock { attempt, upgrade } | Effect::SealBackup { attempt, upgrade, .. } => {
                self.upgrades.insert(*attempt, upgrade.clone());
            }
            Effect::WatchWindows(_) => self.open = false,
            Effect::DiscardBackup(archive) => {
                // What a failed attempt made itself is of no use.
                let is_own = after.phase.name() == PhaseName::Failed
                    && after.phase.attempt().is_some_and(|it| it.backup.as_ref() == Some(archive));
                if !is_own && after.needed_backups().any(|needed| needed.path == archive.path) {
                    return Err(format!("{} goes, and a roll-back may need it", archive.path));
                }
                self.backed.retain(|_, backed| backed.as_ref() != Some(archive));
            }
            Effect::Exit(_) => {
                let at_rest =
                    matches!(after.phase.name(), PhaseName::Restarting | PhaseName::Failed);
                if !at_rest && !after.recovering {
                    return Err("an exit in a phase that does not rest".to_owned());
                }
                if record.effects.last() != Some(effect) {
                    return Err("orders after the exit".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing begins before its time, or that a person holds, or outside of a window.
    fn may_begin_now(&self, before: &State, record: &Record, after: &State) -> Result<(), String> {
        let Some(attempt) = after.phase.attempt().filter(|attempt| attempt.back.is_none()) else {
            return Ok(());
        };
        let is_candidate = |candidate: &&Candidate| candidate.id == attempt.id;
        let Some(candidate) = before.candidate.as_ref().filter(is_candidate) else {
            return Ok(());
        };
        // What the plan says was not heard by sessions on record that didn't ask for it.
        let comes_due = matches!(
            record.event,
            Event::CameDue { .. }
                | Event::Recovered { .. }
                | Event::RoomFound { by_plan: false, .. }
        );
        if !candidate.due && !comes_due {
            return Err(format!("an upgrade begins before its time: {record:?}"));
        }
        let upgrade = &attempt.upgrade;
        let ignores = upgrade.rescheduled.as_ref().is_some_and(|wish| wish.ignores_windows);
        // The window in which it begins is left by then.
        let was_open = matches!(before.window, Some(Window::Open { .. })) || self.open;
        if self.held {
            return Err(format!("what is held begins: {record:?}"));
        }
        if self.policy().keeps_windows && !ignores && !was_open {
            return Err(format!("an upgrade begins outside of a window: {record:?}"));
        }
        Ok(())
    }

    /// With preparation ahead, a daemon is stopped only for what can't fail any more.
    fn may_stop_for(&self, before: &State, record: &Record) -> Result<(), String> {
        let asks = record.effects.iter().any(|effect| matches!(effect, Effect::InterruptDaemon(_)));
        let by_other = matches!(
            record.event,
            Event::StopRequested { .. }
                | Event::Recovered { .. }
                | Event::DaemonSpawned { .. }
                | Event::HealthFailed { .. }
                | Event::RollBackRequested { .. }
        );
        if !asks || by_other || !self.policy().prepare_ahead {
            return Ok(());
        }
        let id = before.candidate.as_ref().map(|candidate| candidate.id).unwrap_or_default();
        let prepared = self.checked.contains(&id) && self.locked.contains(&id);
        // Room is looked for once in a preparation, which outlives a session.
        if prepared && self.roomy.contains(&id) {
            Ok(())
        } else {
            Err(format!("the daemon is stopped for an upgrade that is not ready: {record:?}"))
        }
    }

    /// Whether a roll-back may pass its commit point now.
    pub(crate) fn may_roll_back(&self, attempt: u64, half_restored: bool) -> Result<(), String> {
        if half_restored {
            return Err("the version moves back on half a home".to_owned());
        }
        let settled = self.settled_data.contains(&attempt);
        settled.then_some(()).ok_or_else(|| format!("#{attempt} is rolled back, data unsettled"))
    }

    /// Archives of attempts that changed nothing.
    pub(crate) fn unneeded(&self) -> impl Iterator<Item = &Archive> {
        self.backed.values().flatten()
    }

    /// Whether the commit of an attempt may pass the commit point now.
    pub(crate) fn may_commit(
        &self,
        attempt: u64,
        is_done: bool,
        backups: &[(Archive, u64)],
        home: u64,
    ) -> Result<(), String> {
        if is_done {
            return Ok(());
        }
        if !self.checked.contains(&attempt) {
            return Err(format!("#{attempt} is committed unchecked"));
        }
        match self.backed.get(&attempt) {
            None => Err(format!("#{attempt} is committed without a backup")),
            Some(None) => Ok(()),
            Some(Some(archive)) if backups.contains(&(archive.clone(), home)) => Ok(()),
            Some(Some(archive)) => Err(format!("{} is not of this home", archive.path)),
        }
    }
}

fn is_granted(record: &Record) -> bool {
    record.effects.iter().any(|effect| matches!(effect, Effect::Answer { granted: true, .. }))
}

/// A person wants the run to end, or it has come to an end in order.
fn ends_in_order(record: &Record) -> bool {
    let ended_in_order = record.effects.contains(&Effect::Exit(Outcome::Done));
    let delay_cut = matches!(record.event, Event::StopRequested { .. })
        && record.effects.contains(&Effect::StopTimer(Timer::RestartDelay));
    let sweep_cut = matches!(record.event, Event::StopRequested { .. })
        && (record.from, record.to) == (PhaseName::Failed, PhaseName::Restarting);
    let rests_instead = matches!(record.event, Event::RollBackRequested { .. })
        && (record.from, record.to) == (PhaseName::Failed, PhaseName::Restarting);
    ended_in_order || delay_cut || sweep_cut || rests_instead
}
