//! What the operator's commands and the health check may do.

use nymvisor::machine::{
    AfterDrain, Event, Hook, HookCall, HookEnding, Phase, Record, Stage, State,
};

use super::Oracle;

/// What is known of the health of what runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Health {
    #[default]
    NotAsked,
    Open,
    /// The startup period is over.
    Late,
    Good,
}

impl Health {
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Late)
    }
}

fn says_yes(ending: HookEnding) -> bool {
    matches!(ending, HookEnding::Exited(0 | 1))
}

impl Oracle {
    pub(super) fn hear_hooks(&mut self, event: &Event) {
        match event {
            Event::HookEnded { hook: Hook::PreStart, ending, .. } => {
                let is_failure = !says_yes(*ending) && *ending != HookEnding::Exited(31);
                self.failures += u32::from(is_failure);
            }
            Event::HookEnded { hook: Hook::PreUpgrade, attempt: Some(id), ending, .. } => {
                if says_yes(*ending) {
                    self.hooked.insert(*id);
                }
                if let (HookEnding::Exited(30), Some(upgrade)) = (ending, self.upgrades.get(id)) {
                    self.quarantine.insert((upgrade.name.clone(), upgrade.digest.clone()));
                }
            }
            Event::HealthPassed { .. } => {
                let is_late = self.health == Health::Late;
                self.health = Health::Good;
                if is_late {
                    self.startup_passed();
                }
            }
            Event::HealthFailed { .. } => {
                self.health = Health::NotAsked;
                self.failures += 1;
            }
            _ => {}
        }
    }

    pub(super) fn startup_passed(&mut self) {
        if self.health.is_open() {
            self.health = Health::Late;
            return;
        }
        self.settled = true;
        self.lived = true;
        self.failures = 0;
    }

    pub(super) fn note_call(&mut self, call: &HookCall) {
        if let (Hook::PreUpgrade, Some(id), Some(upgrade)) =
            (call.hook, call.attempt, &call.upgrade)
        {
            self.upgrades.insert(id, upgrade.clone());
        }
    }

    /// What a command said is of the moment in which it was asked: not for after a wait.
    pub(super) fn forget_what_was_said(&mut self, after: &State) {
        if let Some(candidate) = after.candidate.as_ref().filter(|_| self.held)
            && let Stage::Ready(_) = candidate.stage
        {
            self.hooked.remove(&candidate.id);
        }
    }

    /// A start waits for its command.
    pub(super) fn may_start(&self, record: &Record) -> bool {
        let said_yes = matches!(
            record.event,
            Event::HookEnded { hook: Hook::PreStart, ending, .. } if says_yes(ending)
        );
        said_yes || !self.policy().hooks.pre_start
    }

    /// No attempt begins before its command has said yes.
    pub(super) fn may_begin(
        &self,
        before: &State,
        record: &Record,
        after: &State,
    ) -> Result<(), String> {
        let Phase::Draining(draining) = &after.phase else { return Ok(()) };
        let AfterDrain::Upgrade(attempt) = &draining.then else { return Ok(()) };
        let was_candidate = before.candidate.as_ref().is_some_and(|it| it.id == attempt.id);
        let begins = was_candidate && after.candidate.is_none();
        if begins && self.policy().hooks.pre_upgrade && !self.hooked.contains(&attempt.id) {
            return Err(format!("an upgrade begins before its command said yes: {record:?}"));
        }
        Ok(())
    }
}
