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
                } else if let Some(upgrade) = self.upgrades.get(id) {
                    let key = (upgrade.name.clone(), upgrade.digest.clone());
                    let is_for_good = *ending == HookEnding::Exited(30);
                    let held = if is_for_good { &mut self.quarantine } else { &mut self.put_off };
                    held.insert(key);
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

    pub(super) fn note_call(&mut self, call: &HookCall) -> Result<(), String> {
        let (Hook::PreUpgrade, Some(id), Some(upgrade)) = (call.hook, call.attempt, &call.upgrade)
        else {
            return Ok(());
        };
        self.upgrades.insert(id, upgrade.clone());
        if self.put_off.contains(&(upgrade.name.clone(), upgrade.digest.clone())) {
            return Err("what was put off is asked about before the pause is over".to_owned());
        }
        Ok(())
    }

    /// What a command said is of the stop that comes next: not for one after a wait, however short.
    pub(super) fn forget_what_was_said(&mut self, after: &State) {
        let (Some(candidate), Some(policy)) = (&after.candidate, &self.policy) else { return };
        let wish = candidate.upgrade.rescheduled.as_ref();
        let ignores = wish.is_some_and(|wish| wish.ignores_windows);
        let closed = policy.keeps_windows && !ignores && !self.open;
        let can_be_known = after.recording && after.plan_reads;
        let waits = self.held || closed || !candidate.due || !can_be_known;
        // Sessions on record may have asked anew only where no last step had begun.
        let counts = policy.hooks.per_stop || matches!(candidate.stage, Stage::Ready(_));
        if waits && counts {
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
