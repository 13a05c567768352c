//! What was installed before, and what an instance runs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BuildInfo, UpgradeInfo, UpgradeName};
use crate::machine::Version;

/// `upgrade-history.json`: every upgrade of a data folder, oldest first, without genesis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The upgrades.
    pub history: Vec<HistoryEntry>,
    /// Whatever else stands in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One performed upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When it was committed.
    pub performed_at: DateTime<Utc>,
    /// What was announced.
    pub info: UpgradeInfo,
    /// When it was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_at: Option<DateTime<Utc>>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl History {
    /// The latest entry with this name.
    #[must_use]
    pub fn find(&self, name: &UpgradeName) -> Option<&HistoryEntry> {
        self.history.iter().rev().find(|entry| entry.info.name == *name)
    }

    /// Adds an upgrade at the end.
    #[must_use]
    pub fn with(mut self, performed_at: DateTime<Utc>, info: UpgradeInfo) -> Self {
        self.history.push(HistoryEntry {
            performed_at,
            info,
            rolled_back_at: None,
            extra: Map::new(),
        });
        self
    }

    /// Marks the latest entry with this name as rolled back. `false`: nothing was to be marked.
    #[must_use]
    pub fn mark_rolled_back(&mut self, name: &UpgradeName, at: DateTime<Utc>) -> bool {
        let latest = self.history.iter_mut().rev().find(|entry| entry.info.name == *name);
        let Some(entry) = latest.filter(|entry| entry.rolled_back_at.is_none()) else {
            return false;
        };
        entry.rolled_back_at = Some(at);
        true
    }

    /// The entries that were not rolled back, oldest first.
    pub fn standing(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.history.iter().filter(|entry| entry.rolled_back_at.is_none())
    }
}

/// `current-version-info.json`: what one instance runs. Its rename is an upgrade's commit point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentVersion {
    /// Name of the upgrade, or `genesis`.
    pub name: UpgradeName,
    /// Build version of its binary.
    pub version: super::ReleaseVersion,
    /// The time the upgrade was announced for.
    pub upgrade_time: DateTime<Utc>,
    /// What its binary said about its build.
    pub binary_details: BuildInfo,
    /// Whatever else stands in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CurrentVersion {
    /// What an instance runs once this upgrade, with this binary, is committed.
    #[must_use]
    pub fn of(info: &UpgradeInfo, binary_details: BuildInfo) -> Self {
        Self {
            name: info.name.clone(),
            version: info.version.clone(),
            upgrade_time: info.upgrade_time,
            binary_details,
            extra: Map::new(),
        }
    }

    /// What decisions need to know of it.
    #[must_use]
    pub fn to_version(&self) -> Version {
        Version { name: self.name.to_string(), version: self.version.to_string() }
    }
}
