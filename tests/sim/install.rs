//! What `init` leaves, on a simulated medium, and what upstream and operators add to it.

use std::path::PathBuf;
use std::sync::LazyLock;

use nymvisor::config::{self, Env, Paths};
use nymvisor::machine::{Requester, Upgrade, Version};
use nymvisor::release::{
    BuildInfo, CurrentVersion, Plan, Platform, UpgradeInfo, UpgradeName, platform_key,
};
use serde::Serialize;
use serde_json::Map;

use super::disk::SimDisk;

pub(crate) const DAEMON: &str = "nym-node";
pub(crate) const INSTANCE: &str = "nym-node-default";

/// An installation that has never run, and its paths; made once and copied.
static INSTALLED: LazyLock<(SimDisk, Paths)> = LazyLock::new(|| {
    let disk = SimDisk::new();
    let root = PathBuf::from("/user/.nym/nymvisors");
    let config = format!("[daemon]\nname = \"{DAEMON}\"\nhome = \"/node\"\n");
    disk.put(&root.join("instances").join(INSTANCE).join("config/config.toml"), config.as_bytes());
    let env = Env::of([("HOME".into(), "/user".into())]);
    let (_, paths) = config::load(&disk, &env).unwrap();
    let genesis = UpgradeInfo::genesis(details("1.0.0")).unwrap();
    put_version(&disk, &paths, &genesis);
    put_json(&disk, &paths.plan(), &Plan::new(genesis.clone()));
    put_json(&disk, &paths.current_version(), &CurrentVersion::of(&genesis, details("1.0.0")));
    disk.put_link(&paths.current(), &Paths::link_target(&genesis.name));
    disk.put_folder(&paths.instance_data());
    (disk, paths)
});

pub(crate) fn installed() -> (SimDisk, Paths) {
    (INSTALLED.0.copy(), INSTALLED.1.clone())
}

/// A version's folder, with its binary and what it says of itself.
pub(crate) fn put_version(disk: &SimDisk, paths: &Paths, info: &UpgradeInfo) {
    let version = Version { name: info.name.to_string(), version: info.version.to_string() };
    disk.put(&paths.binary(&info.name), &binary_of(&version));
    let mut info = info.clone();
    info.binary_details = Some(details(&version.version));
    put_json(disk, &paths.upgrade_info(&info.name), &info.announced());
}

pub(crate) fn put_json<T: Serialize>(disk: &SimDisk, path: &std::path::Path, value: &T) {
    disk.put(path, &serde_json::to_vec_pretty(value).unwrap());
}

/// What a whole binary holds. A torn one lacks its end, or has a hole.
pub(crate) fn binary_of(version: &Version) -> Vec<u8> {
    format!("{DAEMON} {} {}, {}\n", version.name, version.version, "code ".repeat(8)).into_bytes()
}

pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    bytes.last() == Some(&b'\n') && !bytes.contains(&0)
}

pub(crate) fn details(version: &str) -> BuildInfo {
    let some = || "some".to_owned();
    BuildInfo {
        binary_name: DAEMON.to_owned(),
        build_timestamp: some(),
        build_version: version.to_owned(),
        commit_sha: some(),
        commit_timestamp: some(),
        commit_branch: some(),
        rustc_version: some(),
        rustc_channel: some(),
        cargo_profile: some(),
        cargo_triple: some(),
        extra: Map::new(),
    }
}

/// The announcement that stands for one of the model's catalogue.
pub(crate) fn announcement(of: &Upgrade) -> UpgradeInfo {
    let digest = nymvisor::digest::sha256(&binary_of(&of.target()));
    let platform = Platform {
        checksum: digest,
        checksum_algorithm: "sha256".to_owned(),
        url: "https://dl.example/binary".to_owned(),
        extra: Map::new(),
    };
    UpgradeInfo {
        manual: of.manual,
        name: of.name.parse::<UpgradeName>().unwrap(),
        notes: of.digest.clone(),
        publish_date: None,
        version: of.version.parse().unwrap(),
        platforms: [(platform_key(), platform)].into(),
        upgrade_time: of.due_at,
        binary_details: None,
        requester: Some(of.requester.clone()).filter(|by| *by != Requester::Plan),
        allow_downgrade: of.allow_downgrade,
        local_binary: None,
        rescheduled: None,
        extra: Map::new(),
    }
}
