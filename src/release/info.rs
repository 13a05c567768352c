//! The announcement of an upgrade, on disk and on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::platform::ANY;
use super::{
    BuildInfo, Checksum, Error, MAX_ANNOUNCEMENT_BYTES, Platform, ReleaseVersion, Spread,
    UpgradeName, json_problem, platform_key,
};
use crate::digest;
use crate::machine::{self, Requester, Upgrade};

/// The announcement of an upgrade: `upgrade-info.json`, and an entry of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeInfo {
    /// After it the run ends, and the operator starts the daemon.
    pub manual: bool,
    /// Its name, which is also its folder's.
    pub name: UpgradeName,
    /// For people; may be empty.
    pub notes: String,
    /// When it was published. Always written: 0.1.x demands the key.
    #[serde(default)]
    pub publish_date: Option<DateTime<Utc>>,
    /// What its binary must report as `build_version`.
    pub version: ReleaseVersion,
    /// Binaries by platform key.
    pub platforms: BTreeMap<String, Platform>,
    /// When it is to be performed.
    pub upgrade_time: DateTime<Utc>,
    /// What its binary must say about its build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_details: Option<BuildInfo>,
    /// Who asked for it; ours, only in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub requester: Option<Requester>,
    /// The operator allows it to be older than what runs; ours, only in the plan.
    #[serde(default, skip_serializing_if = "is_false", deserialize_with = "lenient")]
    pub allow_downgrade: bool,
    /// The binary that a person put in place, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub local_binary: Option<LocalBinary>,
    /// Another time that a person has set; ours, only in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub rescheduled: Option<Rescheduled>,
    /// Whatever else was announced.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A binary that a person vouches for, whatever checksum is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalBinary {
    /// SHA-256 (hex) of the file.
    pub sha256: String,
}

/// The time that counts instead of the announced one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rescheduled {
    /// When it is to be performed.
    pub at: DateTime<Utc>,
    /// Who has set it.
    pub requester: Requester,
    /// It doesn't wait for a maintenance window.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignores_windows: bool,
}

/// Upstream may use the names of our own fields for something else: that must not break a file.
fn lenient<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + serde::de::DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(switch: &bool) -> bool {
    !switch
}

impl UpgradeInfo {
    /// Reads an announcement from the network.
    ///
    /// Nobody but the operator may allow a downgrade or say who asked: such fields are dropped.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_ANNOUNCEMENT_BYTES {
            return Err(Error::TooLarge { bytes: bytes.len() });
        }
        let info: Self = serde_json::from_slice(bytes).map_err(|error| {
            let (line, column, problem) = json_problem(&error);
            Error::Malformed { line, column, problem }
        })?;
        let _: UpgradeName = info.name.as_str().parse()?;
        Ok(info.announced())
    }

    /// The entry of the version that `init` puts in place.
    pub fn genesis(details: BuildInfo) -> Result<Self, Error> {
        Ok(Self {
            manual: true,
            name: UpgradeName::genesis(),
            notes: String::new(),
            publish_date: None,
            version: details.build_version.parse()?,
            platforms: BTreeMap::new(),
            upgrade_time: DateTime::UNIX_EPOCH,
            binary_details: Some(details),
            requester: None,
            allow_downgrade: false,
            local_binary: None,
            rescheduled: None,
            extra: Map::new(),
        })
    }

    /// The announcement without our own fields, as it stands in `upgrade-info.json`.
    #[must_use]
    pub fn announced(&self) -> Self {
        Self { requester: None, allow_downgrade: false, rescheduled: None, ..self.clone() }
    }

    /// SHA-256 (hex) of the announcement with sorted keys, our own fields left out.
    ///
    /// The same name with another digest is another upgrade.
    #[must_use]
    pub fn digest(&self) -> String {
        // The fallback is never taken: all keys are text, which is all that JSON demands.
        let mut value = serde_json::to_value(self.announced()).unwrap_or_default();
        value.sort_all_objects();
        digest::sha256(value.to_string().as_bytes())
    }

    /// The binary for the platform this program runs on, or the one for any.
    #[must_use]
    pub fn platform(&self) -> Option<&Platform> {
        self.platforms.get(&platform_key()).or_else(|| self.platforms.get(ANY))
    }

    /// What a binary that lies in place is compared with: what a person vouched for, else what is
    /// announced for this platform.
    pub fn expected_in_place(&self) -> Result<Option<Checksum>, Error> {
        match (&self.local_binary, self.platform()) {
            (Some(local), _) => Checksum::parse(&local.sha256, "sha256"),
            (None, Some(platform)) => platform.checksum(),
            (None, None) => Ok(None),
        }
    }

    /// In what a daemon's binary that says this of itself is not the announced one: which detail,
    /// what is expected, what was found. Name and version must be right, and, where they are
    /// announced, all other details.
    #[must_use]
    pub fn contradicted_by<'a>(
        &'a self,
        daemon: &'a str,
        is: &'a BuildInfo,
    ) -> Option<(&'static str, String, &'a str)> {
        if is.binary_name != daemon {
            return Some(("binary_name", daemon.to_owned(), &is.binary_name));
        }
        let version = self.version.to_string();
        if is.build_version != version {
            return Some(("build_version", version, &is.build_version));
        }
        let announced = self.binary_details.as_ref()?;
        let (what, announced, found) = is.differs_from(announced)?;
        Some((what, announced.to_owned(), found))
    }

    /// Whether `other` announces the same, whatever was added to either here.
    #[must_use]
    pub fn announces_the_same(&self, other: &Self) -> bool {
        let bare = |info: &Self| Self { local_binary: None, ..info.clone() }.digest();
        bare(self) == bare(other)
    }

    /// When it is to be performed, spread apart: as announced, unless a person wishes otherwise.
    #[must_use]
    pub fn wanted_at(&self) -> DateTime<Utc> {
        self.rescheduled.as_ref().map_or(self.upgrade_time, |wish| wish.at)
    }

    /// What decisions need to know of it, spread apart.
    #[must_use]
    pub fn to_upgrade(&self) -> Upgrade {
        self.to_spread_upgrade(None)
    }

    /// What decisions need to know of it. What upstream announces is spread, unless a person has
    /// set its time.
    #[must_use]
    pub fn to_spread_upgrade(&self, spread: Option<&Spread>) -> Upgrade {
        let digest = self.digest();
        let is_upstreams = matches!(self.requester, Some(Requester::Upstream { .. }));
        let is_spread = is_upstreams && self.rescheduled.is_none();
        let due_at = match spread.filter(|_| is_spread) {
            Some(spread) => spread.later(self.upgrade_time, &digest),
            None => self.wanted_at(),
        };
        Upgrade {
            name: self.name.to_string(),
            version: self.version.to_string(),
            digest,
            due_at,
            manual: self.manual,
            allow_downgrade: self.allow_downgrade,
            requester: self.requester.clone().unwrap_or(Requester::Plan),
            announced_for: (due_at != self.upgrade_time).then_some(self.upgrade_time),
            rescheduled: self.rescheduled.as_ref().map(|wish| machine::Rescheduled {
                requester: wish.requester.clone(),
                ignores_windows: wish.ignores_windows,
            }),
        }
    }
}
