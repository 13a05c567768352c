//! The files of a version that is rolled back.

use chrono::{DateTime, Utc};

use super::{Error, Files};
use crate::machine::{Code, Failure, Hold, State, Trouble, Upgrade, Version};
use crate::release::{self, CurrentVersion, HistoryEntry, Plan, UpgradeInfo, UpgradeName};

impl Files {
    /// What the history says was rolled back, and not performed again since, as it is held back.
    #[must_use]
    pub fn rolled_back(&self) -> Vec<Trouble> {
        let history = self.history().unwrap_or_default();
        let latest = |entry: &&HistoryEntry| history.find(&entry.info.name) == Some(*entry);
        let trouble = |entry: &HistoryEntry| {
            let text = format!("rolled back at {}", entry.rolled_back_at?.to_rfc3339());
            let Upgrade { name, digest, .. } = entry.info.to_upgrade();
            let failure = Failure { code: Code::RolledBack, text };
            Some(Trouble { name, digest, failure, times: 1, hold: Hold::Quarantine })
        };
        let troubles = history.history.iter().rev().filter(latest).filter_map(trouble);
        let mut troubles: Vec<_> = troubles.take(State::TROUBLES_MAX).collect();
        troubles.reverse();
        troubles
    }

    /// Moves the version file back to `to` (the commit point), then history, plan and link.
    ///
    /// An error means that nothing is committed. What could not be moved after the commit point
    /// comes back in words; the next start moves it.
    pub fn roll_back(
        &self,
        upgrade: &Upgrade,
        to: &Version,
        at: DateTime<Utc>,
    ) -> Result<String, Error> {
        let name = UpgradeName::installed(&to.name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        let mut left = Vec::new();
        if self.version().ok().as_ref() == Some(to) {
            // Who moved it may have been killed before its name was durable.
            left.extend(self.sync_version());
        } else {
            let mut version = CurrentVersion::of(&info, self.details_of(&info)?);
            // What it was called when it ran counts, not what its folder may say by now.
            version.version = to.version.parse()?;
            left.extend(self.pass_commit_point(&version)?);
        }
        let moved = self.move_shared_back(upgrade, info, at);
        left.extend(moved.err().map(|error| error.to_string()));
        Ok(left.join("; "))
    }

    /// Where another instance has moved the data folder on meanwhile, it stays as it is.
    fn move_shared_back(
        &self,
        upgrade: &Upgrade,
        to: UpgradeInfo,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        if plan.current.name.as_str() != upgrade.name {
            return self.change_data(|| self.put_link(&plan.current.name));
        }
        let mut history = self.history()?;
        let marked = history.mark_rolled_back(&plan.current.name, at);
        plan = gone_back(plan, to);
        self.change_data(|| {
            if marked {
                release::put(&*self.disk, &self.paths.history(), &history)?;
            }
            release::put(&*self.disk, &self.paths.plan(), &plan)?;
            self.put_link(&plan.current.name)
        })
    }
}

/// The plan as it was before its current version; that one is queued again, where its quarantine
/// holds it back until it is to be tried again. What was queued under its name or for its version
/// since counts more.
fn gone_back(mut plan: Plan, to: UpgradeInfo) -> Plan {
    let failed = std::mem::replace(&mut plan.current, to);
    let is_like =
        |queued: &UpgradeInfo| queued.name == failed.name || queued.version == failed.version;
    if plan.queued_up.iter().any(is_like) { plan } else { plan.with(failed) }
}
