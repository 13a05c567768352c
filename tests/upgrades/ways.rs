//! Every way an upgrade comes: upstream, command, plan.

use std::fs;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    ALL_PHASES, add, add_binary, add_ok, end, files, requester, started, until_fails, until_runs,
};
use crate::support::daemon::FakeDaemon;
use crate::support::run::{ANNOUNCED_AT, Stage};
use crate::support::server::Reply;
use crate::support::site::read_json;

/// Whoever runs the tests.
fn me() -> Value {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).unwrap().map(|user| user.name);
    let user = user.unwrap_or_else(|| uid.to_string());
    json!({ "by": "command", "uid": uid.as_raw(), "user": user })
}

#[test]
fn the_poller_finds_one_and_all_phases_are_on_the_record() {
    let stage = Stage::new();
    fs::write(stage.site.home("keys.pem"), "secret").unwrap();
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    let phases = stage.phases();
    assert_eq!(phases[phases.len() - 8..], ALL_PHASES, "{phases:?}");
    assert_eq!(phases[..phases.len() - 8], ["Restarting", "Running"], "{phases:?}");
    let url = stage.server.url(ANNOUNCED_AT);
    assert_eq!(requester(&stage, "v1.1.0"), json!({ "by": "upstream", "url": url }));
    // In this order, whatever else stands between them.
    let wanted = [
        "announcement-received",
        "queue-read",
        "binary-fetched",
        "binary-checked",
        "room-found",
        "lock-taken",
        "daemon-ended",
        "group-gone",
        "backup-sealed",
        "lock-taken",
        "binary-present",
        "binary-checked",
        "swap-committed",
        "daemon-spawned",
    ];
    let mut events = stage.events().into_iter();
    for name in wanted {
        assert!(events.any(|event| event == name), "{name}\n{}", stage.story());
    }
    end(run);
    // What is on disk is what formats.md says, and 0.1.x would find all it demands.
    let version = read_json(&stage.site.home("nymvisor/current-version-info.json"));
    let details = FakeDaemon::new("nym-node", "1.1.0").build_info().clone();
    assert_eq!(version["binaryDetails"], details);
    assert_eq!(version["upgradeTime"], "2026-01-01T00:00:00Z");
    let history = read_json(&stage.site.data("upgrade-history.json"));
    let entry = &history["history"][0];
    let at = entry["performedAt"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.parse::<chrono::DateTime<Utc>>().is_ok(), "{at}");
    assert!(entry["info"].as_object().unwrap().contains_key("publishDate"));
    let archive = &super::archives(&stage.site.home("nymvisor/backups/v1.1.0"))[0];
    let names = super::names_in(archive);
    assert!(names.iter().any(|name| name.ends_with("keys.pem")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("nymvisor/")), "{names:?}");
    assert!(!stage.site.data("upgrade.lock").exists());
}

#[test]
fn a_command_queues_one_for_now_after_a_delay_or_at_a_time() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--now");
    until_runs(&stage, "1.1.0");
    add_ok(&stage, "1.2.0", "--upgrade-delay 2s");
    let at = Utc::now();
    until_runs(&stage, "1.2.0");
    assert!(Utc::now() - at > TimeDelta::milliseconds(100));
    let time = Utc::now() + TimeDelta::seconds(1);
    add_ok(&stage, "1.3.0", &format!("--upgrade-time {}", time.to_rfc3339()));
    until_runs(&stage, "1.3.0");
    let begun = stage.records().into_iter().rfind(|record| record.event() == "came-due").unwrap();
    assert!(begun.at() >= time, "{begun:?}");
    for name in ["v1.1.0", "v1.2.0", "v1.3.0"] {
        assert_eq!(requester(&stage, name), me());
    }
    assert_eq!(stage.history(), ["v1.1.0", "v1.2.0", "v1.3.0"]);
    end(run);
}

#[test]
fn what_was_queued_while_nothing_ran_is_performed_by_the_next_run() {
    let stage = Stage::new();
    add_ok(&stage, "1.1.0", "--now");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    assert_eq!(requester(&stage, "v1.1.0"), me());
}

#[test]
fn h45_a_binary_is_added_to_what_waits_for_one() {
    let stage = Stage::new().with("DAEMON_ALLOW_BINARIES_DOWNLOAD", "false");
    let (run, pid) = started(&stage);
    stage.announce("1.1.0");
    let text = until_fails(&stage, "no-binary");
    assert!(text.contains("--add-binary --upgrade-name v1.1.0"), "{text}");
    super::assert_never_stopped(&stage, pid);
    assert_eq!(stage.server.count("/bin/1.1.0"), 0);
    add_ok(&stage, "1.1.0", "--add-binary");
    until_runs(&stage, "1.1.0");
    assert_eq!(requester(&stage, "v1.1.0")["by"], "upstream");
    assert_eq!(stage.server.count("/bin/1.1.0"), 0);
    end(run);
}

#[test]
fn a_binary_that_is_put_in_place_by_hand_is_found_by_the_next_run() {
    let stage = Stage::new().with("DAEMON_ALLOW_BINARIES_DOWNLOAD", "false");
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    until_fails(&stage, "no-binary");
    FakeDaemon::new("nym-node", "1.1.0").write(&stage.site.data("upgrades/v1.1.0/bin/nym-node"));
    end(run);
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h45_a_binary_is_added_while_the_announced_one_is_fetched() {
    let stage = Stage::new();
    let announcement = stage.announcement("1.1.0");
    let whole = FakeDaemon::new("nym-node", "1.1.0").script();
    stage.server.put("/bin/1.1.0", Reply::ok(whole).stall_after(100));
    stage.publish(&announcement);
    let (run, _) = started(&stage);
    stage.until("a fetch", || (stage.server.count("/bin/1.1.0") > 0).then_some(()));
    // Own builds have other bytes than what is announced.
    let own = FakeDaemon::new("nym-node", "1.1.0").with("commit_branch", "own");
    let path = stage.site.path("built/own");
    own.write(&path);
    let outcome = add_binary(&stage, &path, "v1.1.0", "--add-binary");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("it is yours to vouch for"), "{}", outcome.stderr);
    until_runs(&stage, "1.1.0");
    let installed = fs::read(stage.site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert_eq!(installed, own.script().as_bytes());
    let bin = files(&stage.site.data("upgrades/v1.1.0/bin"));
    assert_eq!(bin, [stage.site.data("upgrades/v1.1.0/bin/nym-node")], "parts are left");
    end(run);
}

#[test]
fn h45_force_replaces_what_is_queued_prepared_or_being_fetched() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    stage.until_event("room-found", 1);
    let refused = add(&stage, "1.1.0", "--now");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let patched = FakeDaemon::new("nym-node", "1.1.0").with("commit_sha", "bad5eed");
    let path = stage.site.path("built/patched");
    patched.write(&path);
    let outcome = add_binary(&stage, &path, "v1.1.0", "--force --now");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    until_runs(&stage, "1.1.0");
    let installed = fs::read(stage.site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert_eq!(installed, patched.script().as_bytes());

    // One that upstream announces, and whose fetch doesn't get on.
    let announcement = stage.announcement("1.2.0");
    stage.server.put("/bin/1.2.0", Reply::ok("x".repeat(1000)).stall_after(100));
    stage.publish(&announcement);
    stage.until("a fetch", || (stage.server.count("/bin/1.2.0") > 0).then_some(()));
    add_ok(&stage, "1.2.0", "--force --now");
    until_runs(&stage, "1.2.0");
    let version = read_json(&stage.site.data("upgrade-plan.json"));
    assert_eq!(version["current"]["requester"], me());
    end(run);
}

#[test]
fn a_plan_that_is_edited_by_hand_is_followed() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let path = stage.site.data("upgrade-plan.json");
    let mut plan = read_json(&path);
    plan["queuedUp"] = json!([stage.announcement("1.1.0")]);
    // In place, as some editors do.
    fs::write(&path, plan.to_string()).unwrap();
    until_runs(&stage, "1.1.0");
    assert_eq!(requester(&stage, "v1.1.0"), json!({ "by": "plan" }));

    // Renamed over, as the others do; more than once.
    for version in ["1.2.0", "1.3.0"] {
        let mut plan = read_json(&path);
        plan["queuedUp"] = json!([stage.announcement(version)]);
        let beside = path.with_extension("swp");
        fs::write(&beside, plan.to_string()).unwrap();
        fs::rename(&beside, &path).unwrap();
        until_runs(&stage, version);
    }
    end(run);
}

#[test]
fn after_a_manual_upgrade_the_run_ends_with_0() {
    let stage = Stage::new();
    let (mut run, _) = started(&stage);
    let mut announcement = stage.announcement("1.1.0");
    announcement["manual"] = json!(true);
    stage.publish(&announcement);
    let over = run.wait();
    assert_eq!(over.status, Some(0), "{}", over.stderr);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    assert_eq!(stage.daemons(), [] as [u32; 0]);
    assert_eq!(stage.logged("started 1.1.0"), 0);
    assert_eq!(stage.logged("signal INT"), 1);
    assert!(!stage.site.data("upgrade.lock").exists());
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn without_restart_after_an_upgrade_the_run_ends_with_0() {
    let stage = Stage::new().with("DAEMON_RESTART_AFTER_UPGRADE", "false");
    stage.announce("1.1.0");
    let over = stage.run_to_end(&["run"]);
    assert_eq!(over.status, Some(0), "{}", over.stderr);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    assert_eq!((stage.logged("started 1.0.0"), stage.logged("started 1.1.0")), (1, 0));
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h04_a_daemon_that_ends_when_an_upgrade_is_due_and_ready_is_upgraded() {
    let stage = Stage::new();
    stage.install_script(
        "trap 'exit 0' INT\necho started 1.0.0 $$ >> $home/events.log\n\
         while ! [ -e $home/go ]; do sleep 0.02; done; exit 0",
    );
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1s");
    stage.until_event("room-found", 1);
    stage.until_event("came-due", 1);
    fs::write(stage.site.home("go"), "").unwrap();
    until_runs(&stage, "1.1.0");
    end(run);
}

/// Whatever the moment: either the command is refused, or what it queued last is what runs, and no
/// attempt finds another file than the one that was checked.
#[test]
fn h45_force_at_the_moment_of_the_upgrade_replaces_all_of_it_or_nothing() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1s");
    let mut last = String::new();
    for round in 0.. {
        let commit = format!("{round:040}");
        let path = stage.site.path(&format!("built/{commit}"));
        FakeDaemon::new("nym-node", "1.1.0").with("commit_sha", &commit).write(&path);
        let outcome = super::add_binary(&stage, &path, "v1.1.0", "--force --now");
        if outcome.status == 0 {
            last = commit;
        } else if outcome.stderr.contains("is the version that runs") {
            break;
        } else {
            let held = ["is being performed", "is being fetched or checked", "installed before"];
            let known = held.iter().any(|held| outcome.stderr.contains(held));
            assert!(known, "{}", outcome.stderr);
        }
        // Longer than a preparation takes, now and then.
        std::thread::sleep(std::time::Duration::from_millis(round % 8 * 40));
    }
    until_runs(&stage, "1.1.0");
    assert!(!stage.phases().iter().any(|phase| phase == "Failed"), "{}", stage.story());
    let version = read_json(&stage.site.home("nymvisor/current-version-info.json"));
    assert_eq!(version["binaryDetails"]["commit_sha"], last.as_str(), "{}", stage.story());
    let binary = fs::read_to_string(stage.site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert!(binary.contains(&last));
    end(run);
}
