//! `build-info`.

use serde_json::Map;

use crate::release::BuildInfo;

/// What this program was built from.
pub(super) fn own() -> BuildInfo {
    BuildInfo {
        binary_name: env!("CARGO_PKG_NAME").to_owned(),
        build_timestamp: env!("NYMVISOR_BUILD_TIMESTAMP").to_owned(),
        build_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit_sha: env!("NYMVISOR_BUILD_COMMIT_SHA").to_owned(),
        commit_timestamp: env!("NYMVISOR_BUILD_COMMIT_TIMESTAMP").to_owned(),
        commit_branch: env!("NYMVISOR_BUILD_COMMIT_BRANCH").to_owned(),
        rustc_version: env!("NYMVISOR_BUILD_RUSTC_VERSION").to_owned(),
        rustc_channel: env!("NYMVISOR_BUILD_RUSTC_CHANNEL").to_owned(),
        cargo_profile: env!("NYMVISOR_BUILD_PROFILE").to_owned(),
        cargo_triple: env!("NYMVISOR_BUILD_TRIPLE").to_owned(),
        extra: Map::new(),
    }
}
