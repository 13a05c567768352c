//! What upstream says is not trusted, and never disturbs the daemon.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    add_ok, assert_never_stopped, end, queued, serve, started, until_fails, until_polled,
    until_runs,
};
use crate::support::daemon::FakeDaemon;
use crate::support::run::{ANNOUNCED_AT, Run, Stage};
use crate::support::server::Reply;
use crate::support::site::read_json;

/// Waits until this was said, and checks that it was said once only, however often it is polled.
fn until_said_once(stage: &Stage, run: &Run, text: &str) {
    stage.until(&format!("{text:?} on stderr"), || run.stderr().contains(text).then_some(()));
    until_polled(stage, 3);
    assert_eq!(run.stderr().matches(text).count(), 1, "{}", run.stderr());
}

fn in_an_hour() -> Value {
    json!((Utc::now() + TimeDelta::hours(1)).to_rfc3339())
}

#[test]
fn h26_hostile_names_are_ignored_logged_once_and_reach_no_path() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    let long = "v".repeat(5000);
    let names = [
        "",
        ".",
        "..",
        "../../evil",
        "/abs",
        "a/b",
        "genesis",
        "current",
        "upgrades",
        "-rf",
        ".hidden",
        "a b",
        "a\nb",
        "a\0b",
        "v1\u{202e}",
        "é",
        &long,
    ];
    // Made when the feeds are opened, a moment after the daemon is up.
    let requests = ".nym/nymvisors/instances/nym-node-default/data/requests";
    stage.until("its feeds", || stage.site.path(requests).exists().then_some(()));
    let mut before = stage.site.tree();
    let keep = |path: &std::path::Path| {
        !path.to_string_lossy().contains("/logs/") && !path.to_string_lossy().contains("run-")
    };
    before.retain(|path, _| keep(path));
    for (index, name) in names.iter().enumerate() {
        let mut info = stage.announcement(&format!("1.{}.0", index + 1));
        info["name"] = json!(name);
        stage.publish(&info);
        stage.until(&format!("a word about {name:?}"), || {
            let said = run.stderr().matches("something that can't be used").count();
            (said == index + 1).then_some(())
        });
    }
    until_polled(&stage, 2);
    let said = run.stderr();
    assert_eq!(said.matches("something that can't be used").count(), names.len(), "{said}");
    assert!(said.lines().all(|line| line.len() < 1000), "{said}");
    let mut after = stage.site.tree();
    after.retain(|path, _| keep(path));
    assert_eq!(after, before);
    assert_never_stopped(&stage, pid);
    stage.announce("2.0.0");
    until_runs(&stage, "2.0.0");
    end(run);
}

#[test]
fn upstream_answers_everything_but_an_announcement() {
    let stage = Stage::new();
    let good = stage.announcement("1.1.0").to_string();
    let half = good.len() as u64 / 2;
    stage.server.put(ANNOUNCED_AT, Reply::status(500));
    let (run, pid) = started(&stage);
    let cases = [
        ("answered 500", Reply::status(500)),
        ("an announcement page", Reply::ok("<!DOCTYPE html><title>hello</title>")),
        ("answered 404", Reply::status(404)),
        ("EOF while parsing", Reply::ok("")),
    ];
    for (said, reply) in cases {
        stage.server.put(ANNOUNCED_AT, reply);
        let said = if said.starts_with("an ") { "expected value" } else { said };
        until_said_once(&stage, &run, said);
    }
    // What upstream has not said to its end is nothing it has said.
    let cases = [
        Reply::ok(good.clone()).cut_after(half),
        Reply::ok(good.clone()).content_length(half),
        Reply::endless(" ".repeat(65_536)),
        Reply::ok(format!("{good}{}", " ".repeat(1024 * 1024))),
    ];
    for reply in cases {
        stage.server.put(ANNOUNCED_AT, reply);
        until_polled(&stage, 3);
    }
    assert!(run.stderr().contains("1048576"), "h24: {}", run.stderr());
    assert_never_stopped(&stage, pid);
    assert_eq!(queued(&stage), [] as [&str; 0]);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    assert!(run.stderr().contains("answers again"), "{}", run.stderr());
    end(run);
}

#[test]
fn a_failing_upstream_and_its_recovery_are_told_once() {
    let stage = Stage::new();
    stage.server.put(ANNOUNCED_AT, Reply::status(503));
    let (run, _) = started(&stage);
    until_said_once(&stage, &run, "upstream can't be asked now, and will be asked again");
    let mut old = stage.announcement("0.9.0");
    old["name"] = json!("v0.9.0");
    stage.publish(&old);
    until_said_once(&stage, &run, "answers again");
    end(run);
}

#[test]
fn h27_an_older_version_is_no_upgrade() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    for version in ["0.9.0", "1.0.0", "1.0.0-rc.1", "1.0.0+build.7"] {
        stage.announce(version);
        until_said_once(&stage, &run, &format!("announces v{version} (version {version})"));
    }
    // In the plan, by hand, it is dropped.
    let path = stage.site.data("upgrade-plan.json");
    let mut plan = read_json(&path);
    plan["queuedUp"] = json!([stage.announcement("0.9.0")]);
    std::fs::write(&path, plan.to_string()).unwrap();
    stage.until("an empty queue", || queued(&stage).is_empty().then_some(()));
    assert_never_stopped(&stage, pid);
    // Nor may upstream allow itself one.
    let mut info = stage.announcement("0.8.0");
    info["allowDowngrade"] = json!(true);
    stage.publish(&info);
    until_said_once(&stage, &run, "announces v0.8.0");
    assert_never_stopped(&stage, pid);
    end(run);
}

#[test]
fn h27_only_the_operator_goes_back() {
    let stage = Stage::new();
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    let binary = stage.site.binary("nym-node", "1.0.0");
    let outcome = super::add_binary(&stage, &binary, "back", "--now --allow-downgrade");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    stage.until_log("started 1.0.0", 2);
    stage.until("the record of the start", || {
        stage.records().last().filter(|record| record.to() == "Running").map(drop)
    });
    assert_eq!(stage.assert_consistent(), "back");
    // What runs no more is not announced anew.
    until_polled(&stage, 3);
    assert_eq!(stage.history(), ["v1.1.0", "back"]);
    end(run);
}

#[test]
fn h29_upstream_corrects_what_is_not_due_yet() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let mut info = stage.announcement("1.1.0");
    info["upgradeTime"] = in_an_hour();
    stage.publish(&info);
    stage.until_event("room-found", 1);
    // Another binary of the same version under the same name, then another name, then now.
    let patched = FakeDaemon::new("nym-node", "1.1.0").with("commit_sha", "f00d");
    serve(&stage, &mut info, "/bin/patched", &patched);
    stage.publish(&info);
    stage.until_event("room-found", 2);
    assert_eq!(queued(&stage), ["v1.1.0"]);
    info["name"] = json!("v1.1.0-2");
    stage.publish(&info);
    stage.until("the other name", || (queued(&stage) == ["v1.1.0-2"]).then_some(()));
    info["name"] = json!("v1.1.0");
    info["upgradeTime"] = json!("2026-01-01T00:00:00Z");
    stage.publish(&info);
    until_runs(&stage, "1.1.0");
    let installed = std::fs::read(stage.site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert_eq!(installed, patched.script().as_bytes());
    assert_eq!((stage.history(), queued(&stage)), (vec!["v1.1.0".to_owned()], vec![]));
    end(run);
}

#[test]
fn h29_upstream_takes_back_and_replaces_what_is_not_due_yet() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let mut bad = stage.announcement("1.2.0");
    bad["upgradeTime"] = in_an_hour();
    stage.publish(&bad);
    stage.until("the first", || (queued(&stage) == ["v1.2.0"]).then_some(()));
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    assert_eq!(queued(&stage), [] as [&str; 0]);
    // A later version beside one that waits: both come, in their order.
    let mut next = stage.announcement("1.3.0");
    next["upgradeTime"] = in_an_hour();
    stage.publish(&next);
    stage.until("the next", || (queued(&stage) == ["v1.3.0"]).then_some(()));
    stage.announce("1.4.0");
    until_runs(&stage, "1.4.0");
    assert_eq!(stage.history(), ["v1.1.0", "v1.4.0"]);
    stage.until("the superseded to go", || queued(&stage).is_empty().then_some(()));
    end(run);
}

#[test]
fn what_a_person_queued_is_not_replaced_by_an_announcement() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    let before = read_json(&stage.site.data("upgrade-plan.json"));
    stage.announce("1.1.0");
    until_said_once(&stage, &run, "announces v1.1.0");
    assert_eq!(read_json(&stage.site.data("upgrade-plan.json")), before);
    end(run);
}

#[test]
fn h30_and_h23_a_body_that_breaks_off_is_taken_up_again_or_fails() {
    let stage = Stage::new();
    let info = stage.announcement("1.1.0");
    let whole = FakeDaemon::new("nym-node", "1.1.0").script();
    let reply = Reply::ok(whole).etag("\"1\"").ranges();
    stage.server.put_each("/bin/1.1.0", [reply.clone().cut_after(100), reply]);
    stage.publish(&info);
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    let asked = stage.server.requests("/bin/1.1.0");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("range"), Some("bytes=100-"));
    end(run);
}

#[test]
fn plain_http_beyond_loopback_is_warned_of() {
    let url = "http://me:secret@upstream.invalid/nym?key=secret";
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", url);
    let (run, pid) = started(&stage);
    let shown = "http://upstream.invalid/nym/nym-node/upgrade-info.json?…";
    stage.until("the warning", || {
        run.stderr().contains(&format!("{shown} is polled over plain http")).then_some(())
    });
    // The binary as well; a credential is shown nowhere.
    let path = stage.site.data("upgrade-plan.json");
    let mut plan = read_json(&path);
    let mut info = stage.announcement("1.1.0");
    info["platforms"]["any"]["url"] =
        json!("http://me:secret@binaries.invalid/nym-node?key=secret");
    plan["queuedUp"] = json!([info]);
    std::fs::write(&path, plan.to_string()).unwrap();
    stage.until("the other warning", || {
        let said = "http://binaries.invalid/nym-node?… is fetched over plain http";
        run.stderr().contains(said).then_some(())
    });
    until_fails(&stage, "network");
    assert_never_stopped(&stage, pid);
    let said = run.stderr();
    end(run);
    assert!(!said.contains("secret"), "{said}");
    for path in super::files(&stage.site.path(".nym/nymvisors/instances")) {
        let content = std::fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains("secret"), "{}: {content}", path.display());
    }
}

#[test]
fn the_query_of_upstream_stands_in_the_configuration_alone() {
    let mut stage = Stage::new();
    let base = format!("{}?key=sekrit", stage.server.url("/up"));
    stage.set("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", &base);
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    let plan = read_json(&stage.site.data("upgrade-plan.json"));
    let shown = format!("{}/nym-node/upgrade-info.json?…", stage.server.url("/up"));
    assert_eq!(plan["current"]["requester"]["url"], *shown);
    for path in super::files(&stage.site.path(".nym")) {
        let content = std::fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains("sekrit"), "{}: {content}", path.display());
    }
}

#[test]
fn an_announcement_with_unknown_fields_and_a_local_time_is_understood() {
    let stage = Stage::new();
    let mut info = stage.announcement("1.1.0");
    info["severity"] = json!({ "level": 3 });
    info["upgradeTime"] = json!("2026-01-01T02:00:00.25+02:00");
    info["notes"] = json!("<b>&'\"\u{1f600}");
    stage.publish(&info);
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    let kept = read_json(&stage.site.data("upgrades/v1.1.0/upgrade-info.json"));
    assert_eq!((&kept["severity"], &kept["notes"]), (&info["severity"], &info["notes"]));
    assert_eq!(kept["upgradeTime"], "2026-01-01T00:00:00.250Z");
}
