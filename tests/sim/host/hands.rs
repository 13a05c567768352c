//! What other hands do to the files: commands, persons, another instance of the data folder.

use nymvisor::config::Paths;
use nymvisor::machine::Requester;
use nymvisor::release::{CurrentVersion, History, Plan, Rescheduled, UpgradeInfo, load};

use super::super::install::{announcement, binary_of, details, put_json, put_version};
use super::Machine;
use crate::model::stimulus::{Tamper, catalogue};
use crate::model::{values, wishes};

impl Machine {
    pub(crate) fn tamper(&mut self, tamper: Tamper) {
        match tamper {
            Tamper::Queue(pick) => self.queue_by_hand(pick),
            Tamper::Unqueue(pick) => {
                let Some(mut plan) = self.plan() else { return };
                plan.queued_up.retain(|info| info.name.as_str() != catalogue(pick).name);
                put_json(&self.medium, &self.paths.plan(), &plan);
            }
            Tamper::Reschedule(pick, later) => self.reschedule(pick, later),
            Tamper::PutBinary(pick) | Tamper::ChangeBinary(pick) => {
                let info = announcement(&catalogue(pick));
                let version = self.medium.quietly(|| self.files.version());
                if version.is_ok_and(|version| version.name != info.name.as_str()) {
                    let bytes = binary_of(&catalogue(pick).target());
                    self.medium.put(&self.paths.binary(&info.name), &bytes);
                }
            }
            Tamper::OtherInstance(pick) => self.move_by_other(&catalogue(pick).name),
            Tamper::Lock(busy) => self.world.lock_busy = busy && !self.world.lock,
            Tamper::LoseVersion | Tamper::LosePlan | Tamper::LoseLink | Tamper::MoveVersion => {
                self.while_down.push(tamper);
            }
        }
    }

    /// `upgrades reschedule`.
    fn reschedule(&mut self, pick: u8, later: bool) {
        let Some(plan) = self.plan() else { return };
        let name = announcement(&catalogue(pick)).name;
        let Some(entry) = plan.queued(&name).cloned() else { return };
        let minutes = if later { self.world.minutes + 15 } else { self.world.minutes };
        let wish = Rescheduled {
            at: values::at(minutes),
            requester: wishes::person(),
            ignores_windows: pick.is_multiple_of(2),
        };
        let plan = plan.amended(&UpgradeInfo { rescheduled: Some(wish), ..entry });
        put_json(&self.medium, &self.paths.plan(), &plan);
    }

    /// What happens to files while nothing runs.
    pub(crate) fn tamper_while_down(&mut self) {
        for tamper in std::mem::take(&mut self.while_down) {
            match tamper {
                Tamper::LoseVersion => self.medium.take_away(&self.paths.current_version()),
                Tamper::LosePlan => self.medium.take_away(&self.paths.plan()),
                Tamper::LoseLink => self.medium.take_away(&self.paths.current()),
                Tamper::MoveVersion if !self.world.files.half_restored => {
                    let upgrade = values::upgrade("hand", "1.0.5", 0);
                    let info = announcement(&upgrade);
                    put_version(&self.medium, &self.paths, &info);
                    let version = CurrentVersion::of(&info, details("1.0.5"));
                    put_json(&self.medium, &self.paths.current_version(), &version);
                    self.by_hand = true;
                }
                _ => {}
            }
        }
    }

    /// A person edits the plan; `add-upgrade` puts binary and announcement in place first.
    fn queue_by_hand(&mut self, pick: u8) {
        let upgrade = catalogue(pick);
        let info = announcement(&upgrade);
        let Some(plan) = self.plan() else { return };
        let used = self.history().standing().any(|entry| entry.info.name == info.name);
        if used || plan.current.name == info.name {
            return;
        }
        if let Requester::Command { .. } = upgrade.requester {
            put_version(&self.medium, &self.paths, &info);
        }
        put_json(&self.medium, &self.paths.plan(), &plan.with(info));
    }

    fn history(&self) -> History {
        let history = || load(&self.medium, &self.paths.history()).unwrap_or_default();
        self.medium.quietly(history)
    }

    fn plan(&self) -> Option<Plan> {
        self.medium.quietly(|| load(&self.medium, &self.paths.plan()).ok())
    }

    /// Another instance performs what is queued, and moves history, plan and link.
    fn move_by_other(&mut self, name: &str) {
        let Some(plan) = self.plan() else { return };
        let history = self.history();
        let is = |info: &&UpgradeInfo| info.name.as_str() == name;
        let used = history.standing().any(|entry| is(&&entry.info));
        let queued = plan.queued_up.iter().find(is).cloned();
        // The lock keeps the two apart.
        let Some(info) = queued.filter(|_| !self.world.lock && !used) else { return };
        put_version(&self.medium, &self.paths, &info);
        let at = self.now();
        put_json(&self.medium, &self.paths.history(), &history.with(at, info.clone()));
        put_json(&self.medium, &self.paths.plan(), &plan.committed(info.clone()));
        self.medium.put_link(&self.paths.current(), &Paths::link_target(&info.name));
        self.by_hand = true;
    }
}
