//! The plan: what is installed and what is queued.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Spread, UpgradeInfo, UpgradeName};
use crate::machine::Upgrade;

/// `upgrade-plan.json`: what is installed and what is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version that was committed last on this data folder.
    pub current: UpgradeInfo,
    /// What is to come, sorted by time, then by version.
    #[serde(deserialize_with = "queue")]
    pub queued_up: Vec<UpgradeInfo>,
    /// Whatever else stands in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whoever wrote the file may have sorted it otherwise, or queued what can't be.
fn queue<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<UpgradeInfo>, D::Error> {
    let mut queued = Vec::<UpgradeInfo>::deserialize(from)?;
    if queued.iter().any(|info| info.name.is_genesis()) {
        return Err(serde::de::Error::custom("'genesis' can't be queued"));
    }
    sort(&mut queued);
    Ok(queued)
}

fn sort(queued: &mut [UpgradeInfo]) {
    queued.sort_by(|a, b| (a.wanted_at(), &a.version).cmp(&(b.wanted_at(), &b.version)));
}

impl Plan {
    /// A plan with an empty queue.
    #[must_use]
    pub fn new(current: UpgradeInfo) -> Self {
        Self { current, queued_up: Vec::new(), extra: Map::new() }
    }

    /// Queues an upgrade in its place; it replaces what has its name or its version.
    #[must_use]
    pub fn with(mut self, info: UpgradeInfo) -> Self {
        self.queued_up.retain(|queued| queued.name != info.name && queued.version != info.version);
        self.queued_up.push(info);
        sort(&mut self.queued_up);
        self
    }

    /// The plan with the entry of this name replaced, and nothing else changed.
    #[must_use]
    pub fn amended(mut self, info: &UpgradeInfo) -> Self {
        for queued in self.queued_up.iter_mut().filter(|queued| queued.name == info.name) {
            *queued = info.clone();
        }
        sort(&mut self.queued_up);
        self
    }

    /// Takes an upgrade out of the queue; that it isn't there is no error.
    #[must_use]
    pub fn without(mut self, name: &UpgradeName) -> Self {
        self.queued_up.retain(|queued| queued.name != *name);
        self
    }

    /// Makes an upgrade the installed one and takes it out of the queue.
    #[must_use]
    pub fn committed(self, info: UpgradeInfo) -> Self {
        let rest = self.without(&info.name);
        Self { current: info, ..rest }
    }

    /// What is queued, as decisions need to know it: by time, spread, and then by version.
    #[must_use]
    pub fn to_come(&self, spread: Option<&Spread>) -> Vec<Upgrade> {
        let mut queued: Vec<_> = self
            .queued_up
            .iter()
            .map(|info| (info.to_spread_upgrade(spread), &info.version))
            .collect();
        queued.sort_by(|(a, of_a), (b, of_b)| (a.due_at, of_a).cmp(&(b.due_at, of_b)));
        queued.into_iter().map(|(upgrade, _)| upgrade).collect()
    }

    /// The queued upgrade of this name.
    #[must_use]
    pub fn queued(&self, name: &UpgradeName) -> Option<&UpgradeInfo> {
        self.queued_up.iter().find(|queued| queued.name == *name)
    }
}
