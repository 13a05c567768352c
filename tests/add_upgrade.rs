//! `add-upgrade`: what it queues, in which order, and what it refuses.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::daemon::FakeDaemon;
use crate::support::site::{Outcome, Site, read_json};

const NAME: &str = "v1.1.0";

/// `add-upgrade` of this version's binary with these flags, separated by blanks.
fn add(site: &Site, version: &str, flags: &str) -> Outcome {
    let binary = site.binary("nym-node", version);
    let mut arguments = vec!["add-upgrade", binary.to_str().unwrap()];
    arguments.extend(flags.split_whitespace());
    site.run(&arguments)
}

fn add_ok(site: &Site, version: &str, flags: &str) -> String {
    let outcome = add(site, version, flags);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    outcome.stdout
}

/// It ends with 1, says why, and changes nothing but the lock's file.
fn refused(site: &Site, version: &str, flags: &str, why: &str) {
    drop(nymvisor::release::PlanLock::acquire(&site.data(".locks/plan")).unwrap());
    let before = site.tree();
    let outcome = add(site, version, flags);
    assert_eq!(outcome.status, 1, "{flags}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
    site.assert_unchanged(&before);
}

fn queue(site: &Site) -> Value {
    read_json(&site.data("upgrade-plan.json"))["queuedUp"].clone()
}

fn due(entry: &Value) -> DateTime<Utc> {
    entry["upgradeTime"].as_str().unwrap().parse().unwrap()
}

/// Queues what a poller would have announced.
fn announce(site: &Site, mut info: Value) {
    let fields = [
        ("manual", json!(false)),
        ("notes", json!("from upstream")),
        ("publishDate", json!(null)),
        ("platforms", json!({})),
        ("upgradeTime", json!("2030-01-01T00:00:00Z")),
    ];
    for (field, value) in fields {
        if info.get(field).is_none() {
            info[field] = value;
        }
    }
    let path = site.data("upgrade-plan.json");
    let mut plan = read_json(&path);
    plan["queuedUp"].as_array_mut().unwrap().push(info);
    fs::write(path, plan.to_string()).unwrap();
}

#[test]
fn it_writes_binary_info_and_plan() {
    let site = Site::new().initialised();
    let before = Utc::now();
    let said = add_ok(&site, "1.1.0", "--upgrade-name v1.1.0");
    assert!(said.starts_with("the upgrade 'v1.1.0' (1.1.0) is queued for 20"), "{said}");
    let binary = site.data("upgrades/v1.1.0/bin/nym-node");
    assert_eq!(fs::read_to_string(&binary).unwrap(), FakeDaemon::new("nym-node", "1.1.0").script());
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o755);

    let mut info = read_json(&site.data("upgrades/v1.1.0/upgrade-info.json"));
    let mut entry = queue(&site)[0].clone();
    assert_eq!(entry["requester"]["by"], "command");
    assert_eq!(entry["requester"]["uid"], nix::unistd::geteuid().as_raw());
    entry.as_object_mut().unwrap().remove("requester");
    assert_eq!(entry, info, "what is ours stands in the plan alone");
    let delay = due(&info) - before;
    assert!(delay > TimeDelta::minutes(14) && delay < TimeDelta::minutes(16), "{delay}");
    for time in ["upgradeTime", "publishDate"] {
        let text = info[time].take();
        assert!(text.as_str().unwrap().ends_with('Z'), "{text}");
    }
    let vouched = info["localBinary"]["sha256"].take();
    assert_eq!(vouched.as_str().unwrap().len(), 64);
    let details = FakeDaemon::new("nym-node", "1.1.0").build_info().clone();
    let expected = json!({
        "manual": false, "name": NAME, "notes": "", "publishDate": null, "version": "1.1.0",
        "platforms": {}, "upgradeTime": null, "binaryDetails": details,
        "localBinary": {"sha256": null},
    });
    assert_eq!(info, expected);
}

#[test]
fn the_time_is_said_in_three_ways() {
    let table = [
        ("--now", 0),
        ("--upgrade-delay 2h", 7200),
        ("--upgrade-delay=0s --publish-date 2026-01-01T00:00:00+01:00", 0),
    ];
    for (flags, secs) in table {
        let site = Site::new().initialised();
        let flags = format!("--upgrade-name v1.1.0 {flags} -o json");
        let before = Utc::now();
        let entry: Value = serde_json::from_str(&add_ok(&site, "1.1.0", &flags)).unwrap();
        let off = (due(&entry) - Utc::now()).num_seconds() - secs;
        assert!((-60..=0).contains(&off), "{flags}: {off}");
        assert!(due(&entry) >= before + TimeDelta::seconds(secs), "{flags}: it is early");
        assert_eq!(entry, queue(&site)[0]);
        if flags.contains("publish-date") {
            assert_eq!(entry["publishDate"], "2025-12-31T23:00:00Z");
        }
    }
    let site = Site::new().initialised();
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0 --upgrade-time 2031-02-03T04:05:06+02:00");
    assert_eq!(queue(&site)[0]["upgradeTime"], "2031-02-03T02:05:06Z");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let site = Site::new().initialised();
    let before = site.tree();
    let table = [
        "",
        "--upgrade-name ../x",
        "--upgrade-name genesis",
        "--upgrade-name a --now --upgrade-delay 1s",
        "--upgrade-name a --upgrade-time 2031-02-03T04:05:06Z --upgrade-delay 1s",
        "--upgrade-name a --now --upgrade-time 2031-02-03T04:05:06Z",
        "--upgrade-name a --add-binary --now",
        "--upgrade-name a --add-binary --publish-date 2031-02-03T04:05:06Z",
        "--upgrade-name a --upgrade-time tomorrow",
        "--upgrade-name a --upgrade-delay 10",
    ];
    for flags in table {
        let outcome = add(&site, "1.1.0", flags);
        assert_eq!(outcome.status, 2, "{flags}: {}", outcome.stderr);
    }
    site.assert_unchanged(&before);
}

#[test]
fn h26_hostile_names_never_reach_a_path() {
    let site = Site::new().initialised();
    let before = site.tree();
    let binary = site.binary("nym-node", "1.1.0");
    for name in ["..", "/abs", "", "genesis", "current", "upgrades", "a\nb", &"x".repeat(5000)] {
        let name = format!("--upgrade-name={name}");
        let outcome = site.run(&["add-upgrade", binary.to_str().unwrap(), &name]);
        assert_eq!(outcome.status, 2, "{name}");
    }
    site.assert_unchanged(&before);
}

#[test]
fn h27_an_older_version_needs_the_operators_word() {
    let site = Site::new().initialised();
    for version in ["0.9.0", "1.0.0", "1.0.0-rc.1"] {
        refused(&site, version, "--upgrade-name older", "--allow-downgrade");
    }
    add_ok(&site, "0.9.0", "--upgrade-name older --allow-downgrade");
    assert_eq!(queue(&site)[0]["allowDowngrade"], true);
}

#[test]
fn h28_another_daemons_binary_is_refused() {
    let site = Site::new().initialised();
    let binary = site.binary("nym-api", "1.1.0");
    let before = site.tree();
    let outcome = site.run(&["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", "a"]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("is a 'nym-api', and this instance runs a 'nym-node'"));
    site.assert_unchanged(&before);
}

#[test]
fn h45_force_replaces_what_is_queued() {
    let site = Site::new().initialised();
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0");
    refused(&site, "1.2.0", "--upgrade-name v1.1.0", "--force replaces it");
    refused(&site, "1.1.0", "--upgrade-name v1.1.0 --add-binary", "--force replaces it");
    add_ok(&site, "1.2.0", "--upgrade-name v1.1.0 --force --now");
    let queued = queue(&site);
    assert_eq!((queued.as_array().unwrap().len(), &queued[0]["version"]), (1, &json!("1.2.0")));
    let binary = fs::read_to_string(site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert!(binary.contains("1.2.0"));
}

#[test]
fn h45_a_binary_is_added_to_what_the_poller_announced() {
    let site = Site::new().initialised();
    let announced = json!({"name": NAME, "version": "1.1.0", "sequence": 7,
        "requester": {"by": "upstream", "url": "https://example.com"}});
    announce(&site, announced);
    refused(&site, "1.1.0", "--upgrade-name v1.1.0", "is queued already");
    refused(&site, "1.2.0", "--upgrade-name v1.1.0 --add-binary", "build_version is 1.2.0, not");
    refused(&site, "1.1.0", "--upgrade-name other --add-binary", "no upgrade 'other' is queued");
    let mut before = queue(&site);
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0 --add-binary");
    let mut after = queue(&site);
    assert_eq!(after[0]["localBinary"]["sha256"].as_str().unwrap().len(), 64);
    for queue in [&mut before, &mut after] {
        queue[0].as_object_mut().unwrap().remove("localBinary");
    }
    assert_eq!(after, before, "the entry stays as it was announced");
    let info = read_json(&site.data("upgrades/v1.1.0/upgrade-info.json"));
    assert_eq!((&info["sequence"], &info["notes"]), (&json!(7), &json!("from upstream")));
    assert!(info.get("requester").is_none());
    assert!(site.data("upgrades/v1.1.0/bin/nym-node").is_file());
}

#[test]
fn an_added_binary_may_be_an_own_build_and_must_be_the_announced_one() {
    let flags = "--upgrade-name v1.1.0 --add-binary";
    let site = Site::new().initialised();
    let other =
        json!({"checksum": "0".repeat(64), "checksumAlgorithm": "sha256", "url": "http://x"});
    announce(&site, json!({"name": NAME, "version": "1.1.0", "platforms": {"any": other}}));
    let outcome = add(&site, "1.1.0", flags);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("it is yours to vouch for"), "{}", outcome.stderr);

    let site = Site::new().initialised();
    let details =
        FakeDaemon::new("nym-node", "1.1.0").with("commit_sha", "beef").build_info().clone();
    announce(&site, json!({"name": NAME, "version": "1.1.0", "binaryDetails": details}));
    refused(&site, "1.1.0", flags, "its commit_sha is c0ffee, not beef");
}

#[test]
fn a_name_that_runs_or_ran_is_not_used_for_another_binary() {
    let site = Site::new().initialised();
    FakeDaemon::new("nym-node", "1.1.0").write(&site.data("upgrades/v1.1.0/bin/nym-node"));
    let info = json!({"manual": false, "name": NAME, "notes": "", "version": "1.1.0",
        "platforms": {}, "upgradeTime": "2026-01-01T00:00:00Z"});
    let history = json!({"history": [{"performedAt": "2026-01-01T00:00:00Z", "info": info}]});
    fs::write(site.data("upgrade-history.json"), history.to_string()).unwrap();
    let flags = "--upgrade-name v1.1.0 --force";
    refused(&site, "1.2.0", flags, "was installed before, with another binary");
    add_ok(&site, "1.1.0", flags);

    let path = site.home("nymvisor/current-version-info.json");
    let mut version = read_json(&path);
    version["name"] = json!(NAME);
    fs::write(&path, version.to_string()).unwrap();
    refused(&site, "1.1.0", flags, "is the version that runs");
}

#[test]
fn the_plan_is_always_replaced_so_that_a_running_nymvisor_wakes() {
    let site = Site::new().initialised();
    announce(&site, json!({"name": NAME, "version": "1.1.0"}));
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0 --add-binary");
    let plan = site.data("upgrade-plan.json");
    let before = (fs::read(&plan).unwrap(), fs::metadata(&plan).unwrap().ino());
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0 --add-binary --force");
    let after = (fs::read(&plan).unwrap(), fs::metadata(&plan).unwrap().ino());
    assert_eq!(after.0, before.0);
    assert_ne!(after.1, before.1);
}

#[test]
fn h46_the_plan_comes_last() {
    let site = Site::new().initialised();
    let flags = "--upgrade-name v1.1.0";
    // Neither binary nor plan where the info can't be written: something else has its name.
    fs::create_dir_all(site.data("upgrades/v1.1.0/.upgrade-info.json.new/x")).unwrap();
    let outcome = add(&site, "1.1.0", flags);
    assert_eq!(outcome.status, 3, "{}", outcome.stderr);
    assert!(site.data("upgrades/v1.1.0/bin/nym-node").is_file(), "the binary comes first");
    assert_eq!(queue(&site), json!([]));
    fs::remove_dir_all(site.data("upgrades/v1.1.0")).unwrap();
    fs::write(site.data("upgrades/v1.1.0"), "").unwrap();
    assert_ne!(add(&site, "1.1.0", flags).status, 0);
    assert_eq!(queue(&site), json!([]));
}

#[test]
fn h47_the_operators_own_file_keeps_its_mode() {
    let site = Site::new().initialised();
    let binary = site.binary("nym-node", "1.1.0");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o500)).unwrap();
    site.ok(&["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", NAME]);
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o500);
}

#[test]
fn h17_nothing_is_replaced_while_an_upgrade_is_performed() {
    let site = Site::new().initialised();
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0");
    let path = site.data("upgrade.lock");
    let mut lock = fs::File::create(&path).unwrap();
    write!(lock, "{}", json!({"pid": 4711, "instance": "i", "upgrade": NAME})).unwrap();
    lock.lock().unwrap();
    let force = "--upgrade-name v1.1.0 --force";
    refused(&site, "1.2.0", force, "process 4711 of the instance 'i' for the upgrade 'v1.1.0'");
    add_ok(&site, "1.3.0", "--upgrade-name v1.3.0");
    fs::write(&path, "unreadable").unwrap();
    refused(&site, "1.2.0", force, "held by another process");
    drop(lock);
    add_ok(&site, "1.2.0", force);
    assert!(!path.exists(), "it was taken, and removed while it was held");
}

/// While it replaces what is there, no engine can begin to use it.
#[test]
fn h17_it_holds_the_upgrade_lock_while_it_replaces() {
    let site = Site::new().initialised();
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0");
    let path = site.data("upgrade.lock");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut held = None;
    for round in 0.. {
        let version = if round % 2 == 0 { "1.2.0" } else { "1.3.0" };
        let binary = site.binary("nym-node", version);
        let arguments =
            ["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", NAME, "--force"];
        let mut command = site.command(&arguments);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            held = held.or_else(|| serde_json::from_slice::<Value>(&fs::read(&path).ok()?).ok());
        }
        assert!(!path.exists());
        if let Some(content) = held {
            let pid = child.id();
            let instance = "nym-node-default";
            assert_eq!(content, json!({"pid": pid, "instance": instance, "upgrade": NAME}));
            return;
        }
        assert!(Instant::now() < deadline, "it never held the lock");
    }
}

#[test]
fn sudo_is_seen_through() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let site = Site::new().initialised().with_env("SUDO_UID", "1234").with_env("SUDO_USER", "ann");
    add_ok(&site, "1.1.0", "--upgrade-name v1.1.0");
    let requester = json!({"by": "command", "uid": 1234, "user": "ann"});
    assert_eq!(queue(&site)[0]["requester"], requester);
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let damage = |path: &Path, site: &Site| {
        drop(nymvisor::release::PlanLock::acquire(&site.data(".locks/plan")).unwrap());
        fs::write(path, "{\"current\":").unwrap();
        let before = site.tree();
        let outcome = add(site, "1.1.0", "--upgrade-name v1.1.0");
        assert_eq!(outcome.status, 3, "{}", outcome.stderr);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(outcome.stderr.contains(&format!("{name}, line 1, ")), "{}", outcome.stderr);
        site.assert_unchanged(&before);
    };
    let site = Site::new().initialised();
    damage(&site.data("upgrade-plan.json"), &site);
    let site = Site::new().initialised();
    damage(&site.data("upgrade-history.json"), &site);
    let site = Site::new().initialised();
    damage(&site.home("nymvisor/current-version-info.json"), &site);
}

#[test]
fn h17_commands_at_the_same_time_lose_nothing() {
    let site = Site::new().initialised();
    let versions: Vec<String> = (1..=8).map(|minor| format!("1.{minor}.0")).collect();
    let children: Vec<_> = versions
        .iter()
        .map(|version| {
            let binary = site.binary("nym-node", version);
            let name = format!("v{version}");
            let arguments = ["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", &name];
            site.command(&arguments).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let queue = queue(&site);
    let mut queued: Vec<_> =
        queue.as_array().unwrap().iter().map(|e| e["version"].as_str().unwrap()).collect();
    queued.sort_unstable();
    assert_eq!(queued, versions);
}
