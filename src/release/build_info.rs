//! What a binary says about its own build.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const UNKNOWN: &str = "unknown";

/// What a binary says about its own build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// Name of the program: `nym-node`.
    pub binary_name: String,
    /// RFC 3339.
    pub build_timestamp: String,
    /// Semver: `1.1.0`.
    pub build_version: String,
    /// Hash of the commit.
    pub commit_sha: String,
    /// RFC 3339.
    pub commit_timestamp: String,
    /// Branch that was built.
    pub commit_branch: String,
    /// `1.80.0`.
    pub rustc_version: String,
    /// `stable`, `beta` or `nightly`.
    pub rustc_channel: String,
    /// `release` or `debug`.
    pub cargo_profile: String,
    /// Target triple, `unknown` where the binary doesn't say.
    #[serde(default = "unknown")]
    pub cargo_triple: String,
    /// Whatever else it says.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

impl BuildInfo {
    /// The first field in which this build is not the announced one: name, announced, found.
    ///
    /// A triple that one side doesn't know, and fields we don't know, are not compared.
    #[must_use]
    pub fn differs_from<'a>(
        &'a self,
        announced: &'a Self,
    ) -> Option<(&'static str, &'a str, &'a str)> {
        let triple_known = self.cargo_triple != UNKNOWN && announced.cargo_triple != UNKNOWN;
        let pairs = [
            ("binary_name", &announced.binary_name, &self.binary_name),
            ("build_version", &announced.build_version, &self.build_version),
            ("build_timestamp", &announced.build_timestamp, &self.build_timestamp),
            ("commit_sha", &announced.commit_sha, &self.commit_sha),
            ("commit_timestamp", &announced.commit_timestamp, &self.commit_timestamp),
            ("commit_branch", &announced.commit_branch, &self.commit_branch),
            ("rustc_version", &announced.rustc_version, &self.rustc_version),
            ("rustc_channel", &announced.rustc_channel, &self.rustc_channel),
            ("cargo_profile", &announced.cargo_profile, &self.cargo_profile),
        ];
        let triple = ("cargo_triple", &announced.cargo_triple, &self.cargo_triple);
        pairs
            .into_iter()
            .chain(triple_known.then_some(triple))
            .find(|(_, announced, found)| announced != found)
            .map(|(field, announced, found)| (field, announced.as_str(), found.as_str()))
    }

    /// Nine lines of label and value, as operators know them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = [
            ("Binary Name:", &self.binary_name),
            ("Build Timestamp:", &self.build_timestamp),
            ("Build Version:", &self.build_version),
            ("Commit SHA:", &self.commit_sha),
            ("Commit Date:", &self.commit_timestamp),
            ("Commit Branch:", &self.commit_branch),
            ("rustc Version:", &self.rustc_version),
            ("rustc Channel:", &self.rustc_channel),
            ("cargo Profile:", &self.cargo_profile),
        ];
        lines
            .iter()
            .fold(String::new(), |text, (label, value)| text + &format!("{label:<20}{value}\n"))
    }
}
