//! Names of upgrades, which are names of folders and come from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::Error;

const MAX_NAME_BYTES: usize = 128;
const GENESIS: &str = "genesis";

/// The name of an upgrade, safe to be joined to a path: `v2.1.0`, `2025.3-dorina`.
///
/// Parsing refuses `genesis`; only [`UpgradeName::genesis`] and [`UpgradeName::installed`] give
/// that one, so that nothing from outside can claim to be the first version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UpgradeName(String);

impl UpgradeName {
    /// The name of the version that `init` put in place.
    #[must_use]
    pub fn genesis() -> Self {
        Self(GENESIS.to_owned())
    }

    /// The name of something that is installed: an upgrade, or `genesis`.
    pub fn installed(text: &str) -> Result<Self, Error> {
        if text == GENESIS { Ok(Self::genesis()) } else { text.parse() }
    }

    /// Whether this is the version that `init` put in place.
    #[must_use]
    pub fn is_genesis(&self) -> bool {
        self.0 == GENESIS
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpgradeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::Name { text: text.to_owned(), reason });
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_NAME_BYTES {
            return refuse("it is too long");
        }
        if !text.chars().all(allowed) {
            return refuse("it holds a character that is not allowed");
        }
        if text.starts_with(['.', '-']) {
            return refuse("it starts with '.' or '-'");
        }
        if matches!(text, GENESIS | "current" | "upgrades") {
            return refuse("it is reserved");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for UpgradeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a name that may be `genesis`.
impl<'de> Deserialize<'de> for UpgradeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::installed(&text).map_err(serde::de::Error::custom)
    }
}
