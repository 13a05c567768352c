//! An upgrade that can't succeed never stops the daemon, and is not tried for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nymvisor::host::lock::HeldLock;
use nymvisor::release::PlanLock;
use serde_json::{Value, json};

use super::{
    add_ok, assert_never_stopped, end, queued, serve, started, until_fails, until_polled,
    until_runs,
};
use crate::support::daemon::FakeDaemon;
use crate::support::run::{ANNOUNCED_AT, Stage};
use crate::support::server::Reply;

/// What makes an announcement one that can't succeed.
type Spoil = fn(&Stage, &mut Value);

/// How many failures there are on the record.
fn failures(stage: &Stage) -> usize {
    stage.events().iter().filter(|event| *event == "work-failed").count()
}

#[test]
fn h12_what_can_be_found_out_while_the_daemon_runs_never_stops_it() {
    let stage = Stage::new().with("DAEMON_MAX_BINARY_SIZE", "1MiB");
    let (run, pid) = started(&stage);
    let cases: [(&str, &str, Spoil); 10] = [
        ("http-status", "404", |stage, _| stage.server.put("/bin/1.1.0", Reply::status(404))),
        ("digest-mismatch", "expected", |_, info| {
            info["platforms"]["any"]["checksum"] = json!("0".repeat(64));
        }),
        ("no-platform", "plan9-mips", |_, info| {
            let any = info["platforms"]["any"].clone();
            info["platforms"] = json!({ "plan9-mips": any });
        }),
        ("bad-url", "ftp", |_, info| {
            info["platforms"]["any"]["url"] = json!("ftp://127.0.0.1/nym-node");
        }),
        ("too-large", "1048577", |stage, _| {
            stage.server.put("/bin/1.5.0", Reply::ok(vec![b'x'; 1024 * 1024 + 1]));
        }),
        ("build-info", "build_version '1.1.0', expected '1.6.0'", |stage, info| {
            serve(stage, info, "/bin/other", &FakeDaemon::new("nym-node", "1.1.0"));
        }),
        ("build-info", "binary_name 'nym-api', expected 'nym-node'", |stage, info| {
            serve(stage, info, "/bin/api", &FakeDaemon::new("nym-api", "1.7.0"));
        }),
        ("build-info", "", |stage, info| {
            let noise = b"\x7fELF and then nothing".to_vec();
            stage.server.put("/bin/noise", Reply::ok(noise.clone()));
            info["platforms"]["any"]["url"] = json!(stage.server.url("/bin/noise"));
            info["platforms"]["any"]["checksum"] = json!(nymvisor::digest::sha256(&noise));
        }),
        ("no-checksum", "md5", |_, info| {
            info["platforms"]["any"]["checksumAlgorithm"] = json!("md5");
        }),
        ("too-large", "", |stage, _| {
            stage.server.put("/bin/1.10.0", Reply::endless(vec![b'x'; 65_536]));
        }),
    ];
    for (index, (code, said, spoil)) in cases.into_iter().enumerate() {
        let version = format!("1.{}.0", index + 1);
        let mut info = stage.announcement(&version);
        spoil(&stage, &mut info);
        stage.publish(&info);
        let record = stage.until_event("work-failed", index + 1);
        let failure = &record.data()["failure"];
        assert_eq!(failure["code"], code, "{version}: {}", stage.story());
        let text = failure["text"].as_str().unwrap();
        assert!(text.contains(said), "{version}: {text}");
        let binary = stage.site.data(&format!("upgrades/v{version}/bin/nym-node"));
        assert!(!binary.exists(), "{version}: it has its final name");
    }
    assert_never_stopped(&stage, pid);
    assert_eq!(stage.assert_consistent(), "genesis");
    end(run);
}

#[test]
fn h12_a_lock_that_another_holds_never_stops_the_daemon() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    let content = r#"{"pid":1,"instance":"other","upgrade":"v1.1.0"}"#;
    let lock = HeldLock::acquire(&stage.site.data("upgrade.lock"), 0o644, content).unwrap();
    stage.announce("1.1.0");
    let text = until_fails(&stage, "lock-busy");
    assert!(text.contains("upgrade.lock") && text.contains("other"), "{text}");
    assert_never_stopped(&stage, pid);
    lock.release_and_remove().unwrap();
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

/// The swap needs the plan as well: who sits on it is found out while the daemon runs.
#[test]
fn h12_a_plan_that_another_holds_never_stops_the_daemon() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 3s");
    stage.until_event("room-found", 1);
    let lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    let text = until_fails(&stage, "lock-busy");
    assert!(text.contains(".locks/plan"), "{text}");
    assert_never_stopped(&stage, pid);
    drop(lock);
    assert!(!stage.site.data("upgrade.lock").exists());
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

/// A command gives a binary its name and changes the plan under the plan's lock. Between the two
/// no engine takes the one for the other's, nor puts its own in the place.
#[test]
fn h17_no_binary_gets_its_name_while_a_command_changes_the_plan() {
    let stage = Stage::new();
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    let lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    let (run, pid) = started(&stage);
    until_fails(&stage, "lock-busy");
    let events = stage.events();
    assert!(events.contains(&"binary-fetched".to_owned()), "{events:?}");
    assert!(!events.contains(&"binary-checked".to_owned()), "{events:?}");
    drop(lock);
    stage.site.ok(&["retry", "v1.1.0"]);
    stage.until_event("room-found", 1);
    assert_never_stopped(&stage, pid);
    end(run);
}

/// A command holds them for moments: that is waited for, with the daemon up.
#[test]
fn h12_locks_that_are_held_for_moments_hold_nothing_up() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let lock = HeldLock::acquire(&stage.site.data("upgrade.lock"), 0o644, "{}").unwrap();
    add_ok(&stage, "1.1.0", "--now");
    stage.until_event("came-due", 1);
    std::thread::sleep(Duration::from_millis(300));
    lock.release_and_remove().unwrap();
    until_runs(&stage, "1.1.0");
    assert_eq!(failures(&stage), 0, "{}", stage.story());
    end(run);
}

#[test]
fn h13_what_failed_for_good_waits_for_other_content_or_retry() {
    let stage = Stage::new();
    let mut info = stage.announcement("1.1.0");
    let right = info.clone();
    info["platforms"]["any"]["checksum"] = json!("0".repeat(64));
    stage.publish(&info);
    let (run, pid) = started(&stage);
    until_fails(&stage, "digest-mismatch");
    until_polled(&stage, 5);
    assert_eq!((stage.server.count("/bin/1.1.0"), failures(&stage)), (1, 1));
    let unknown = stage.site.run(&["retry", "v9.9.9"]);
    assert_eq!((unknown.status, unknown.stderr.contains("nothing holds v9.9.9 back")), (1, true));
    assert!(stage.site.ok(&["retry", "v1.1.0"]).contains("v1.1.0 is tried again"));
    stage.until_event("work-failed", 2);
    assert_eq!(stage.server.count("/bin/1.1.0"), 2);
    assert_never_stopped(&stage, pid);
    end(run);

    // A new session knows it still, and is not asked to try.
    let run = stage.start(&["run"]);
    stage.until_started(2);
    until_polled(&stage, 3);
    assert_eq!((stage.server.count("/bin/1.1.0"), failures(&stage)), (2, 2));
    assert_eq!(queued(&stage), ["v1.1.0"]);
    // What upstream corrects is another announcement under the same name.
    stage.publish(&right);
    until_runs(&stage, "1.1.0");
    assert_eq!(stage.history(), ["v1.1.0"]);
    end(run);
}

#[test]
fn h13_retry_without_a_run_is_on_the_record_for_the_next_one() {
    let stage = Stage::new();
    let mut info = stage.announcement("1.1.0");
    info["platforms"]["any"]["checksum"] = json!("0".repeat(64));
    stage.publish(&info);
    let (run, _) = started(&stage);
    until_fails(&stage, "digest-mismatch");
    end(run);
    assert!(stage.site.ok(&["retry", "v1.1.0"]).contains("v1.1.0"));
    let run = stage.start(&["run"]);
    stage.until_event("work-failed", 2);
    end(run);
}

#[test]
fn h13_a_transient_failure_pauses_and_does_not_flood() {
    let stage = Stage::new();
    let announcement = stage.announcement("1.1.0");
    stage.server.put("/bin/1.1.0", Reply::status(503));
    stage.publish(&announcement);
    let (run, pid) = started(&stage);
    stage.until_event("work-failed", 1);
    let asked = stage.server.count("/bin/1.1.0");
    assert!((1..=4).contains(&asked), "{asked}");
    until_polled(&stage, 5);
    assert_eq!(stage.server.count("/bin/1.1.0"), asked);
    assert_never_stopped(&stage, pid);
    end(run);
    // A new session is a new try.
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h19_a_binary_that_lies_ready_is_digested_before_it_is_used() {
    let stage = Stage::new();
    let place = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let trap = stage.site.path("was-executed");
    fs::write(&place, format!("#!/bin/sh\ntouch '{}'\n", trap.display())).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let (run, pid) = started(&stage);
    let announcement = stage.announcement("1.1.0");
    // Nothing better can be had.
    stage.server.put("/bin/1.1.0", Reply::status(404));
    stage.publish(&announcement);
    stage.until_event("work-failed", 1);
    assert_never_stopped(&stage, pid);
    end(run);
    // With downloads it gives way to what is announced, and is kept aside.
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    assert!(!trap.exists());
}

#[test]
fn h19_without_downloads_a_wrong_binary_in_place_is_refused() {
    let stage = Stage::new().with("DAEMON_ALLOW_BINARIES_DOWNLOAD", "false");
    FakeDaemon::new("nym-node", "1.1.0")
        .with("commit_sha", "evil")
        .write(&stage.site.data("upgrades/v1.1.0/bin/nym-node"));
    stage.announce("1.1.0");
    let (run, pid) = started(&stage);
    let text = until_fails(&stage, "digest-mismatch");
    assert!(text.contains("--add-binary --force --upgrade-name v1.1.0"), "{text}");
    assert_never_stopped(&stage, pid);
    // The operator vouches for it, as the message says.
    let place = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    let outcome = super::add_binary(&stage, &place, "v1.1.0", "--add-binary --force");
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h22_a_silent_upstream_and_a_silent_download_hold_nothing_up() {
    let stage = Stage::new();
    stage.server.put(ANNOUNCED_AT, Reply::never());
    let (mut run, pid) = started(&stage);
    stage.until("a poll", || (stage.server.count(ANNOUNCED_AT) > 0).then_some(()));
    assert_never_stopped(&stage, pid);
    let begun = std::time::Instant::now();
    assert_eq!(run.stop(nix::sys::signal::Signal::SIGTERM).status, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let announcement = stage.announcement("1.1.0");
    stage.server.put("/bin/1.1.0", Reply::never());
    stage.publish(&announcement);
    let (mut run, _) = started(&stage);
    stage.until("a fetch", || (stage.server.count("/bin/1.1.0") > 0).then_some(()));
    let begun = std::time::Instant::now();
    assert_eq!(run.stop(nix::sys::signal::Signal::SIGTERM).status, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn h23_no_page_becomes_a_binary_even_without_checksums() {
    let stage = Stage::new().with("DAEMON_ENFORCE_DOWNLOAD_CHECKSUM", "false");
    let (run, pid) = started(&stage);
    for (index, (status, code)) in [(404, "http-status"), (200, "build-info")].iter().enumerate() {
        let version = format!("1.{}.0", index + 1);
        let mut info = stage.announcement(&version);
        info["platforms"]["any"]["checksum"] = json!("");
        stage.server.put(&format!("/bin/{version}"), Reply::status(*status));
        stage.publish(&info);
        let record = stage.until_event("work-failed", index + 1);
        assert_eq!(record.data()["failure"]["code"], *code, "{}", stage.story());
        assert!(!stage.site.data(&format!("upgrades/v{version}/bin/nym-node")).exists());
    }
    assert_never_stopped(&stage, pid);
    end(run);
}

#[test]
fn h20_init_again_after_an_upgrade_changes_nothing() {
    let stage = Stage::new();
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    for version in ["1.0.0", "1.1.0"] {
        stage.site.ok(&stage.site.init_arguments(version));
        assert_eq!(stage.assert_consistent(), "v1.1.0");
    }
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 2);
    assert_eq!(stage.logged("started 1.0.0"), 1);
    end(run);
}

#[test]
fn a_lock_file_that_is_none_is_told_as_what_it_is() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.site.data("upgrade.lock")).unwrap();
    let (run, pid) = started(&stage);
    stage.announce("1.1.0");
    until_fails(&stage, "io");
    assert_never_stopped(&stage, pid);
    let said = run.stderr();
    assert!(said.contains("upgrade.lock") && !said.contains("another instance"), "{said}");
    end(run);
}
