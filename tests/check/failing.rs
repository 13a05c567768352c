//! Each point that can stand in the way of an upgrade.

use std::fs;

use nix::sys::signal::Signal;
use nymvisor::host::lock::HeldLock;
use nymvisor::release::PlanLock;
use serde_json::{Value, json};

use super::{NOTHING, check, check_file, later};
use crate::support::daemon::FakeDaemon;
use crate::support::run::Stage;
use crate::support::server::Reply;

/// Name, what is wrong with the announcement, the point that fails, and a word of what is said.
type Case = (&'static str, fn(&Stage, &mut Value), &'static str, &'static str);

fn binary(stage: &Stage, announcement: &mut Value, daemon: &FakeDaemon) {
    let script = daemon.script();
    let platform = &mut announcement["platforms"]["any"];
    platform["checksum"] = json!(nymvisor::digest::sha256(script.as_bytes()));
    stage.server.put("/bin/1.1.0", Reply::ok(script.into_bytes()));
}

#[test]
fn what_is_wrong_with_an_announcement_is_named() {
    let cases: Vec<Case> = vec![
        ("older", |_, a| a["version"] = json!("0.9.0"), "version", "--allow-downgrade"),
        ("the same", |_, a| a["version"] = json!("1.0.0"), "version", "not newer than 1.0.0"),
        ("malformed", |_, a| a["platforms"] = json!(3), "announcement", "can't be used"),
        ("a bad name", |_, a| a["name"] = json!("../x"), "announcement", "can't be used"),
        (
            "no platform",
            |_, a| a["platforms"] = json!({"plan9-pdp11": a["platforms"]["any"]}),
            "platform",
            "'plan9-pdp11'",
        ),
        (
            "no checksum",
            |_, a| a["platforms"]["any"]["checksum"] = json!(""),
            "checksum",
            "enforce_download_checksum",
        ),
        (
            "a checksum of another kind",
            |_, a| a["platforms"]["any"]["checksumAlgorithm"] = json!("md5"),
            "checksum",
            "md5",
        ),
        (
            "gone",
            |stage, _| stage.server.put("/bin/1.1.0", Reply::status(404)),
            "download",
            "answered 404",
        ),
        (
            "no URL",
            |_, a| a["platforms"]["any"]["url"] = json!("ftp://u:hunter2@example.org"),
            "download",
            "neither http nor https",
        ),
        (
            "no room",
            |stage, _| {
                stage.server.put("/bin/1.1.0", Reply::ok("x").content_length(1 << 59));
            },
            "room",
            "must fit on one file system",
        ),
    ];
    for (name, spoil, what, word) in cases {
        let stage = Stage::new().with("DAEMON_MAX_BINARY_SIZE", "4096000000GiB");
        let mut announcement = stage.announcement("1.1.0");
        spoil(&stage, &mut announcement);
        let said = check_file(&stage, &announcement, &[]);
        let text = said.assert_fails(what);
        assert!(text.contains(word), "{name}: {text}");
        assert!(!said.json.to_string().contains("hunter2"));
        assert!(!text.ends_with("-> "), "{name}: what is there to do?");
    }
}

#[test]
fn what_is_wrong_with_a_binary_is_found_by_fetching_it() {
    let cases: Vec<Case> = vec![
        (
            "other bytes",
            |stage, _| stage.server.put("/bin/1.1.0", Reply::ok("something else")),
            "fetch",
            "it was thrown away",
        ),
        (
            "another daemon",
            |stage, a| binary(stage, a, &FakeDaemon::new("nym-api", "1.1.0")),
            "build-info",
            "expected 'nym-node'",
        ),
        (
            "another version",
            |stage, a| binary(stage, a, &FakeDaemon::new("nym-node", "1.1.1")),
            "build-info",
            "expected '1.1.0'",
        ),
    ];
    for (name, spoil, what, word) in cases {
        let stage = Stage::new();
        let mut announcement = stage.announcement("1.1.0");
        spoil(&stage, &mut announcement);
        check_file(&stage, &announcement, &[]).assert_ok();
        let text = check_file(&stage, &announcement, &["--fetch"]).assert_fails(what);
        assert!(text.contains(word), "{name}: {text}");
    }
}

#[test]
fn settings_and_files_that_stand_in_the_way_are_named() {
    let stage = Stage::new().with("DAEMON_ALLOW_BINARIES_DOWNLOAD", "false");
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("binary");
    assert!(text.contains("--add-binary --upgrade-name v1.1.0"), "{text}");

    let stage = Stage::new().with("DAEMON_MAX_BINARY_SIZE", "10");
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("size");
    assert!(text.contains("max_binary_size"), "{text}");

    let stage = Stage::new();
    let file = stage.site.path("a-file");
    fs::write(&file, "").unwrap();
    let stage = stage.with("DAEMON_BACKUP_DATA_DIRECTORY", file.to_str().unwrap());
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("folders");
    assert!(text.contains("is a file, where a folder is needed"), "{text}");

    let stage = Stage::new();
    fs::write(stage.site.home("nymvisor/current-version-info.json"), "{").unwrap();
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("version");
    assert!(text.contains("current-version-info.json"), "{text}");

    let stage = Stage::new();
    fs::write(stage.site.data("upgrade-plan.json"), "{\"current\": 3").unwrap();
    let text = check(&stage, &[]).assert_fails("announcement");
    assert!(text.contains("upgrade-plan.json"), "{text}");
}

#[test]
fn where_nothing_is_queued_there_is_nothing_that_would_succeed() {
    let stage = Stage::new();
    let said = check(&stage, &[]);
    let text = said.assert_fails("announcement");
    assert!(text.contains("no upgrade is queued") && text.contains("check --url http"), "{text}");
    assert!(said.json["upgrade"].is_null());
    let text = check(&stage, &["v9"]).assert_fails("announcement");
    assert!(text.contains("there is no upgrade 'v9' in the queue; nothing is queued"), "{text}");
    assert!(!text.contains("nothing to do"), "{text}");
    assert_eq!(stage.site.run(&["check", "v9", "--url", "x"]).status, 2);
    assert_eq!(stage.site.run(&["check", "../x"]).status, 2);
}

#[test]
fn locks_that_others_hold_are_named_with_their_holders() {
    let stage = Stage::new();
    let announcement = stage.announcement("1.1.0");
    let us = std::process::id().to_string();
    let content = json!({"pid": 1, "instance": "other", "upgrade": "v7"}).to_string();
    let path = stage.site.data("upgrade.lock");
    let lock = HeldLock::acquire(&path, 0o644, &content).unwrap();
    let text = check_file(&stage, &announcement, &[]).assert_fails("upgrade-lock");
    for word in [&us, "'other'", "'v7'"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    drop(lock);
    // A file that nobody holds is no lock.
    assert!(path.exists());
    check_file(&stage, &announcement, &[]).assert_ok();

    let lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    let text = check_file(&stage, &announcement, &[]).assert_fails("plan-lock");
    assert!(text.contains(&us), "{text}");
    drop(lock);

    let lock = HeldLock::acquire(&stage.site.home("nymvisor/run.lock"), 0o600, &us).unwrap();
    let text = check_file(&stage, &announcement, &[]).assert_fails("run");
    assert!(text.contains("another instance") && text.contains(&us), "{text}");
    drop(lock);
}

#[test]
fn a_daemon_that_runs_without_us_is_named() {
    let stage = Stage::new();
    let binary = stage.site.data("genesis/bin/nym-node");
    let home = stage.site.home("");
    let mut stranger = std::process::Command::new(binary)
        .arg("--home")
        .arg(home.to_str().unwrap().trim_end_matches('/'))
        .spawn()
        .unwrap();
    stage.until_log("started", 1);
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("run");
    assert!(text.contains(&stranger.id().to_string()), "{text}");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn what_an_engine_holds_back_is_told_with_what_lets_it_go() {
    let stage = Stage::new();
    let mut announcement = later(&stage, "1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!("0".repeat(64));
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    stage.until_event("work-failed", 1);
    let said = check(&stage, &["v1.1.0"]);
    let text = said.assert_fails("hold");
    assert!(text.contains("[digest-mismatch]") && text.contains("nymvisor retry v1.1.0"), "{text}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    check(&stage, &["v1.1.0"]).assert_fails("hold");
    // Another announcement of that name isn't the one that failed.
    check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_ok();
}

/// The next one is what would be performed next, as `status` says.
#[test]
fn what_is_held_back_hides_nothing_that_comes_after_it() {
    let stage = Stage::new();
    stage.publish(&later(&stage, "1.1.0"));
    let mut run = stage.start(&NOTHING);
    stage.until_event("home-copied", 1);
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    check(&stage, &[]).assert_fails("hold");
    stage.publish(&later(&stage, "1.2.0"));
    stage.until_event("home-copied", 2);
    let said = check(&stage, &[]);
    said.assert_ok();
    assert_eq!(said.json["upgrade"]["name"], "v1.2.0");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn what_waits_after_a_failure_that_may_pass_would_still_succeed_once_it_has_passed() {
    let stage = Stage::new();
    let announcement = later(&stage, "1.1.0");
    stage.server.put("/bin/1.1.0", Reply::status(404));
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    stage.until_event("work-failed", 1);
    check(&stage, &[]).assert_fails("download");
    // The first failure is over.
    let _ = stage.announcement("1.1.0");
    let said = check(&stage, &[]);
    said.assert_ok();
    let (verdict, text) = &said.about("hold")[0];
    assert_eq!(verdict, "warn");
    assert!(text.contains("[http-status]"), "{text}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn what_was_installed_before_is_not_taken_again() {
    let stage = Stage::new();
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let text = check(&stage, &["v1.1.0"]).assert_fails("version");
    assert!(text.contains("is installed"), "{text}");
    let mut again = stage.announcement("1.2.0");
    again["name"] = json!("v1.1.0");
    let said = check_file(&stage, &again, &[]);
    assert_eq!(said.status, 1);
    assert!(said.failing().contains(&"version"), "{:#}", said.json);
    drop(run);
}

#[test]
fn a_damaged_journal_is_no_basis_for_an_upgrade() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    let segment = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some()).max().unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&segment, format!("{before}\n{}\n{last}\n", last.replace("Running", "Walking")))
        .unwrap();
    let text = check_file(&stage, &stage.announcement("1.1.0"), &[]).assert_fails("journal");
    assert!(text.contains("journal verify"), "{text}");
}

#[test]
fn a_binary_in_its_place_has_to_be_right_too() {
    let stage = Stage::new();
    let binary = stage.site.binary("nym-node", "1.1.0");
    let queue = [
        "add-upgrade",
        binary.to_str().unwrap(),
        "--upgrade-name",
        "mine",
        "--upgrade-delay",
        "1h",
    ];
    stage.site.ok(&queue);
    check(&stage, &[]).assert_ok();
    fs::write(stage.site.data("upgrades/mine/bin/nym-node"), "#!/bin/sh\n").unwrap();
    let text = check(&stage, &[]).assert_fails("binary");
    assert!(text.contains("--add-binary --force"), "{text}");
}

#[test]
fn a_roll_back_that_is_pending_is_done_first_and_told() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let next = stage.announcement("1.2.0");
    check_file(&stage, &next, &[]).assert_ok();
    stage.site.ok(&["rollback"]);
    let said = check_file(&stage, &next, &[]).about("phase");
    let [(verdict, text)] = &said[..] else { panic!("{said:?}") };
    assert!(text.contains("the roll-back of v1.1.0 to genesis is pending, and is done first"));
    assert!(verdict == "warn" && text.contains("start `nymvisor run`"), "{verdict}: {text}");
    let text =
        stage.site.ok(&["check", "--url", stage.site.path("announced.json").to_str().unwrap()]);
    assert!(text.ends_with("It would succeed, once the pending roll-back is done.\n"), "{text}");
}
