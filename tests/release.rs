//! The formats of releases and their checks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use nymvisor::disk::RealDisk;
use nymvisor::machine::Requester;
use nymvisor::release::{
    Checksum, CurrentVersion, Error, History, Plan, PlanLock, UpgradeInfo, UpgradeName, load,
    load_current_version, save,
};
use serde_json::{Value, json};

fn announcement(name: &str, version: &str, time: &str) -> Value {
    json!({
        "manual": false, "name": name, "notes": "", "publishDate": null, "version": version,
        "platforms": {}, "upgradeTime": time,
    })
}

fn info(name: &str, version: &str, time: &str) -> UpgradeInfo {
    UpgradeInfo::parse(announcement(name, version, time).to_string().as_bytes()).unwrap()
}

fn build_info() -> Value {
    json!({
        "binary_name": "nym-node", "build_timestamp": "t", "build_version": "1.1.0",
        "commit_sha": "c", "commit_timestamp": "t", "commit_branch": "b",
        "rustc_version": "1.80.0", "rustc_channel": "stable", "cargo_profile": "release",
    })
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn h26_hostile_names_are_refused() {
    let long = "a".repeat(129);
    let hostile = [
        "", ".", "..", "../x", "/abs", "a/b", "a\\b", "a\0b", "a\n", "a b", "-x", ".x", "ä",
        "genesis", "current", "upgrades", &long,
    ];
    for name in hostile {
        assert!(name.parse::<UpgradeName>().is_err(), "{name:?}");
        let wire = announcement(name, "1.0.0", "2026-01-01T00:00:00Z").to_string();
        assert!(UpgradeInfo::parse(wire.as_bytes()).is_err(), "{name:?} on the wire");
    }
    let longest = "a".repeat(128);
    for name in ["v1.1.0", "2025.3-dorina", "a", "A_b+c", "Genesis", &longest] {
        assert_eq!(name.parse::<UpgradeName>().unwrap().as_str(), name);
    }
}

#[test]
fn a_hostile_name_is_shown_short_and_escaped() {
    let name = format!("\u{1b}[31m{}", "x".repeat(5000));
    let text = name.parse::<UpgradeName>().unwrap_err().to_string();
    assert!(!text.contains('\u{1b}') && text.len() < 500, "{text}");
}

#[test]
fn an_announcement_is_refused_with_its_place() {
    let wire = "{\n  \"manual\": 1,\n  \"name\": \"a\"}";
    let refused = UpgradeInfo::parse(wire.as_bytes()).unwrap_err();
    let Error::Malformed { line, column, problem } = refused else { panic!("{refused}") };
    assert_eq!((line, column), (2, 13));
    assert!(problem.contains("expected a boolean"), "{problem}");
    for broken in ["", "<html>", "{}", "[1", "null", "{\"manual\":true}"] {
        let refused = UpgradeInfo::parse(broken.as_bytes()).unwrap_err();
        assert!(matches!(refused, Error::Malformed { .. }), "{broken}: {refused}");
    }
    let wire = announcement("a", "v1", "2026-01-01T00:00:00Z").to_string();
    let text = UpgradeInfo::parse(wire.as_bytes()).unwrap_err().to_string();
    assert!(text.contains("'v1' is no version"), "{text}");
}

#[test]
fn h24_a_large_announcement_is_refused() {
    let bytes = vec![b' '; 1024 * 1024 + 1];
    assert!(matches!(UpgradeInfo::parse(&bytes), Err(Error::TooLarge { .. })));
}

#[test]
fn the_wire_can_neither_allow_a_downgrade_nor_claim_a_requester() {
    let mut wire = announcement("a", "1.0.0", "2026-01-01T00:00:00Z");
    let honest = UpgradeInfo::parse(wire.to_string().as_bytes()).unwrap();
    wire["allowDowngrade"] = json!(true);
    wire["requester"] = json!({"by": "command", "uid": 0, "user": "root"});
    let info = UpgradeInfo::parse(wire.to_string().as_bytes()).unwrap();
    assert!(!info.allow_downgrade && info.requester.is_none());
    wire["requester"] = json!("someone");
    let odd = UpgradeInfo::parse(wire.to_string().as_bytes()).unwrap();
    assert_eq!((&info, &odd), (&honest, &honest));
}

#[test]
fn the_digest_is_of_the_announcement_alone() {
    let plain = info("a", "1.0.0", "2026-01-01T00:00:00Z");
    let mut ours = plain.clone();
    ours.requester = Some(Requester::Plan);
    ours.allow_downgrade = true;
    assert_eq!(plain.digest(), ours.digest());
    assert_eq!(plain.digest().len(), 64);
    let mut other = plain.clone();
    other.extra.insert("size".into(), json!(1));
    assert_ne!(plain.digest(), other.digest());

    let reordered = r#"{"upgradeTime":"2026-01-01T01:00:00+01:00","platforms":{},"notes":"",
        "version":"1.0.0","name":"a","manual":false}"#;
    assert_eq!(UpgradeInfo::parse(reordered.as_bytes()).unwrap().digest(), plain.digest());

    let upgrade = ours.to_upgrade();
    assert_eq!((upgrade.due_at, upgrade.allow_downgrade), (at("2026-01-01T00:00:00Z"), true));
    assert_eq!(plain.to_upgrade().requester, Requester::Plan);
}

#[test]
fn unknown_fields_survive_a_rewrite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upgrade-plan.json");
    let mut current = announcement("genesis", "1.0.0", "1970-01-01T00:00:00Z");
    current["binaryDetails"] = build_info();
    current["binaryDetails"]["cargo_triple"] = json!("unknown");
    current["binaryDetails"]["new"] = json!([1]);
    current["platforms"]["any"] =
        json!({"checksum": "", "checksumAlgorithm": "md5", "url": "x", "size": 3});
    let written = json!({"current": current, "queuedUp": [], "more": {"a": 1}});
    fs::write(&path, written.to_string()).unwrap();
    let plan: Plan = load(&RealDisk, &path).unwrap();
    save(&RealDisk, &path, &plan).unwrap();
    let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(read, written);
}

#[test]
fn a_file_is_absent_unreadable_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upgrade-history.json");
    let read = || load::<History>(&RealDisk, &path).unwrap_err();
    assert!(matches!(read(), Error::Absent { .. }));
    fs::create_dir(&path).unwrap();
    assert!(matches!(read(), Error::NoFile { .. }));
    fs::remove_dir(&path).unwrap();
    let whole = json!({"history": [{
        "performedAt": "2026-01-01T00:00:00Z",
        "info": announcement("a", "1.0.0", "2026-01-01T00:00:00Z"),
    }]})
    .to_string();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(matches!(read(), Error::Damaged { .. }), "cut at {len}");
    }
    fs::write(&path, "{\n\"history\": 3}").unwrap();
    let text = read().to_string();
    assert!(text.contains("upgrade-history.json, line 2, column 12: invalid type"), "{text}");
}

#[test]
fn the_older_name_of_the_version_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("current-version-info.json");
    let version = |name: &str| {
        json!({"name": name, "version": "1.1.0", "upgradeTime": "2026-01-01T00:00:00Z",
            "binaryDetails": build_info()})
        .to_string()
    };
    let read = || load_current_version(&RealDisk, &path);
    assert!(matches!(read(), Err(Error::Absent { path: ref p }) if *p == path));
    fs::write(folder.path().join("current-version.json"), version("old")).unwrap();
    let old: CurrentVersion = read().unwrap();
    assert_eq!((old.name.as_str(), old.binary_details.cargo_triple.as_str()), ("old", "unknown"));
    fs::write(&path, version("genesis")).unwrap();
    assert!(read().unwrap().name.is_genesis());
    fs::write(&path, "{").unwrap();
    assert!(matches!(read(), Err(Error::Damaged { .. })), "damage never falls back");
}

#[test]
fn the_queue_is_sorted_by_time_then_version() {
    let genesis = load_plan_with(&[
        announcement("late", "1.1.0", "2026-03-01T00:00:00Z"),
        announcement("b", "1.10.0", "2026-01-01T00:00:00Z"),
        announcement("a", "1.9.0", "2026-01-01T02:00:00+02:00"),
    ]);
    let names = |plan: &Plan| plan.queued_up.iter().map(|i| i.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&genesis), ["a", "b", "late"]);
    let plan = genesis.with(info("c", "1.9.5", "2026-01-01T00:00:00Z"));
    assert_eq!(names(&plan), ["a", "c", "b", "late"]);
    let plan = plan.with(info("a", "1.9.1", "2026-04-01T00:00:00Z"));
    assert_eq!(names(&plan), ["c", "b", "late", "a"], "the same name is replaced");
    let plan = plan.with(info("other", "1.10.0", "2026-01-01T00:00:00Z"));
    assert_eq!(names(&plan), ["c", "other", "late", "a"], "the same version is replaced");
    let plan = plan.without(&"late".parse().unwrap()).without(&"late".parse().unwrap());
    assert_eq!(names(&plan), ["c", "other", "a"]);
    let c = plan.queued(&"c".parse().unwrap()).unwrap().clone();
    let plan = plan.committed(c);
    assert_eq!((names(&plan), plan.current.name.as_str()), (vec!["other".into(), "a".into()], "c"));
}

fn load_plan_with(queue: &[Value]) -> Plan {
    let current = announcement("genesis", "1.0.0", "1970-01-01T00:00:00Z");
    serde_json::from_value(json!({"current": current, "queuedUp": queue})).unwrap()
}

#[test]
fn genesis_is_never_queued() {
    let genesis = announcement("genesis", "1.0.0", "1970-01-01T00:00:00Z");
    let plan = json!({"current": genesis, "queuedUp": [genesis]});
    assert!(serde_json::from_value::<Plan>(plan).is_err());
}

#[test]
fn checksums_are_hex_of_the_right_length() {
    let sha256 = "AB".repeat(32);
    let known = Checksum::parse(&sha256, "sha256").unwrap().unwrap();
    assert_eq!(known.hex, sha256.to_ascii_lowercase());
    assert!(Checksum::parse(&"0".repeat(128), "SHA512").unwrap().is_some());
    assert_eq!(Checksum::parse("", "").unwrap(), None);
    for (text, algorithm) in
        [("ab", "sha256"), (&*sha256, "sha512"), (&"zz".repeat(32), "sha256"), (&sha256, "md5")]
    {
        assert!(Checksum::parse(text, algorithm).is_err(), "{text} {algorithm}");
    }
}

#[test]
fn the_platform_falls_back_to_any() {
    let mut wire = announcement("a", "1.0.0", "2026-01-01T00:00:00Z");
    let entry = |url| json!({"checksum": "", "checksumAlgorithm": "sha256", "url": url});
    let url = |wire: &Value| {
        let info = UpgradeInfo::parse(wire.to_string().as_bytes()).unwrap();
        info.platform().map(|p| p.url.clone())
    };
    wire["platforms"]["plan9-mips"] = entry("other");
    assert_eq!(url(&wire), None);
    wire["platforms"]["any"] = entry("any");
    assert_eq!(url(&wire).unwrap(), "any");
    wire["platforms"][nymvisor::release::platform_key()] = entry("own");
    assert_eq!(url(&wire).unwrap(), "own");
}

#[test]
fn the_plan_is_locked_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("new/.locks/plan");
    let held = PlanLock::acquire(path).unwrap();
    let refused = PlanLock::acquire_within(path, Duration::from_millis(30)).unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    drop(held);
    let again = PlanLock::acquire_within(path, Duration::ZERO);
    assert!(again.is_ok() && path.exists(), "the file stays");
}
