//! The plan changes while the engine runs: nothing is lost, and nothing outdated is done.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nymvisor::release::PlanLock;
use serde_json::{Value, json};

use super::{add_ok, end, queued, started, until_polled, until_runs};
use crate::support::run::Stage;
use crate::support::site::read_json;

fn plan_path(stage: &Stage) -> PathBuf {
    stage.site.data("upgrade-plan.json")
}

/// Changes the plan as a careful person does: under its lock, by rename.
fn edit(stage: &Stage, change: impl FnOnce(&mut Value)) {
    let _lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    let mut plan = read_json(&plan_path(stage));
    change(&mut plan);
    let beside = stage.site.path("edited.json");
    fs::write(&beside, plan.to_string()).unwrap();
    fs::rename(&beside, plan_path(stage)).unwrap();
}

fn until_queued(stage: &Stage, names: &[&str]) {
    stage.until(&format!("{names:?} in the queue on the record"), || {
        let mut records = stage.records();
        records.retain(|record| record.event() == "queue-read");
        let last = records.last()?.data()["queue"]["entries"].as_array().unwrap().clone();
        let found: Vec<_> = last.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        (found == names).then_some(())
    });
}

#[test]
fn h17_what_is_queued_while_an_upgrade_is_performed_is_not_lost() {
    let stage = Stage::new().with("DAEMON_SHUTDOWN_GRACE_PERIOD", "1500ms");
    stage.switch("ignore-int.1.0.0", "");
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--now");
    stage.until_phase("Draining");
    add_ok(&stage, "1.2.0", "--upgrade-delay 1h");
    until_runs(&stage, "1.1.0");
    assert_eq!(queued(&stage), ["v1.2.0"]);
    // It is prepared, as if nothing had been under way.
    stage.until_event("room-found", 2);
    end(run);
}

#[test]
fn what_is_past_its_preparation_is_not_replaced() {
    let stage = Stage::new();
    stage.switch("ignore-int.1.0.0", "");
    let (mut run, pid) = started(&stage);
    add_ok(&stage, "1.1.0", "--now");
    stage.until_phase("Draining");
    for flags in ["--force --now", "--add-binary --force"] {
        let refused = super::add(&stage, "1.1.0", flags);
        assert_eq!(refused.status, 1, "{}", refused.stderr);
        for said in ["Draining", &run.pid().to_string()] {
            assert!(refused.stderr.contains(said), "{}", refused.stderr);
        }
    }
    let leader = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGKILL).unwrap();
    until_runs(&stage, "1.1.0");
    assert!(!run.is_over());
    end(run);
}

#[test]
fn h18_an_upgrade_that_was_put_off_is_not_performed_at_its_former_time() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    // Far enough away for a slow machine to put it off in time.
    add_ok(&stage, "1.1.0", "--upgrade-delay 6s");
    until_queued(&stage, &["v1.1.0"]);
    let later = Utc::now() + TimeDelta::hours(1);
    edit(&stage, |plan| plan["queuedUp"][0]["upgradeTime"] = json!(later.to_rfc3339()));
    // This one is due after the former time of the other.
    add_ok(&stage, "1.2.0", "--upgrade-delay 7s");
    until_runs(&stage, "1.2.0");
    assert_eq!(stage.history(), ["v1.2.0"]);
    end(run);
}

#[test]
fn an_upgrade_that_is_taken_out_of_the_plan_is_not_performed() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 5s");
    stage.until_event("room-found", 1);
    edit(&stage, |plan| plan["queuedUp"] = json!([]));
    until_queued(&stage, &[]);
    add_ok(&stage, "1.2.0", "--upgrade-delay 6s");
    until_runs(&stage, "1.2.0");
    assert_eq!(stage.history(), ["v1.2.0"]);
    end(run);
}

#[test]
fn h31_changes_in_quick_succession_are_all_seen() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    for round in 1..=8 {
        let entry = |minor: u32| {
            let mut entry = stage.announcement(&format!("1.{minor}.0"));
            entry["upgradeTime"] = json!((Utc::now() + TimeDelta::hours(1)).to_rfc3339());
            entry
        };
        edit(&stage, |plan| plan["queuedUp"] = json!([entry(round)]));
        std::thread::sleep(std::time::Duration::from_millis(10 * u64::from(round)));
        edit(&stage, |plan| plan["queuedUp"] = json!([entry(round), entry(round + 1)]));
        let (first, second) = (format!("v1.{round}.0"), format!("v1.{}.0", round + 1));
        until_queued(&stage, &[first.as_str(), second.as_str()]);
    }
    end(run);
}

#[test]
fn h32_after_a_rename_over_the_next_change_is_seen_too() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    for minor in 1..=3 {
        let mut info = stage.announcement(&format!("1.{minor}.0"));
        info["upgradeTime"] = json!((Utc::now() + TimeDelta::hours(1)).to_rfc3339());
        edit(&stage, |plan| plan["queuedUp"] = json!([info]));
        until_queued(&stage, &[&format!("v1.{minor}.0")]);
    }
    // And in place, after all the renames.
    let mut plan = read_json(&plan_path(&stage));
    plan["queuedUp"] = json!([]);
    fs::write(plan_path(&stage), plan.to_string()).unwrap();
    until_queued(&stage, &[]);
    end(run);
}

#[test]
fn h33_a_plan_that_does_not_parse_changes_nothing_until_it_does() {
    let broken: [fn(&Stage); 4] = [
        |stage| fs::write(plan_path(stage), "").unwrap(),
        |stage| fs::write(plan_path(stage), r#"{"current": {"#).unwrap(),
        |stage| fs::write(plan_path(stage), "[1]").unwrap(),
        |stage| fs::remove_file(plan_path(stage)).unwrap(),
    ];
    // Each waits for its time.
    std::thread::scope(|scope| {
        for damage in broken {
            scope.spawn(move || holds_until_it_parses(damage));
        }
    });
}

fn holds_until_it_parses(damage: fn(&Stage)) {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 3s");
    stage.until_event("room-found", 1);
    let good = fs::read(plan_path(&stage)).unwrap();
    damage(&stage);
    stage.until("a word about the plan", || {
        run.stderr().contains("the plan can't be used").then_some(())
    });
    assert!(run.stderr().contains("upgrade-plan.json"), "{}", run.stderr());
    // Past its time: the old daemon runs.
    stage.until_event("came-due", 1);
    until_polled(&stage, 2);
    assert_eq!(run.stderr().matches("the plan can't be used").count(), 1, "{}", run.stderr());
    super::assert_never_stopped(&stage, pid);
    fs::write(plan_path(&stage), good).unwrap();
    stage.until("a word about its recovery", || {
        run.stderr().contains("the plan can be read again").then_some(())
    });
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h33_what_upstream_announces_while_the_plan_is_broken_is_queued_later() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let good = fs::read(plan_path(&stage)).unwrap();
    fs::write(plan_path(&stage), "{").unwrap();
    stage.announce("1.1.0");
    stage.until_event("announcement-received", 1);
    until_polled(&stage, 2);
    fs::write(plan_path(&stage), good).unwrap();
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn unknown_fields_of_the_plan_and_of_its_entries_are_kept() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    edit(&stage, |plan| {
        plan["colour"] = json!("green");
        let mut info = stage.announcement("1.1.0");
        info["weight"] = json!({ "kg": 3 });
        plan["queuedUp"] = json!([info]);
    });
    until_runs(&stage, "1.1.0");
    end(run);
    let plan = read_json(&plan_path(&stage));
    assert_eq!((&plan["colour"], &plan["current"]["weight"]), (&json!("green"), &json!({"kg": 3})));
    let history = read_json(&stage.site.data("upgrade-history.json"));
    assert_eq!(history["history"][0]["info"]["weight"], json!({ "kg": 3 }));
}

#[test]
fn what_could_not_be_moved_after_the_commit_is_moved_by_the_next_run() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    // Nothing can be written over a folder.
    let history = stage.site.data("upgrade-history.json");
    add_ok(&stage, "1.1.0", "--upgrade-delay 4s");
    stage.until_event("room-found", 1);
    fs::create_dir(&history).unwrap();
    stage.until_log("started 1.1.0", 1);
    let committed = stage.until_event("swap-committed", 1);
    assert!(committed.data()["left"].as_str().unwrap().contains("upgrade-history.json"));
    end(run);
    fs::remove_dir(&history).unwrap();
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 2);
    stage.until("plan, history and link", || {
        (stage.history() == ["v1.1.0"] && queued(&stage).is_empty()).then_some(())
    });
    stage.until("the link", || {
        let link = fs::read_link(stage.site.data("current")).unwrap();
        (link.to_str() == Some("upgrades/v1.1.0")).then_some(())
    });
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    end(run);
}

#[test]
fn a_lost_plan_is_written_anew_with_what_was_queued() {
    let stage = Stage::new();
    let run = stage.start(&["run"]);
    stage.until_started(1);
    add_ok(&stage, "1.1.0", "--upgrade-delay=3h");
    stage.publish(&{
        let mut later = stage.announcement("1.2.0");
        later["upgradeTime"] = json!("2999-01-01T00:00:00Z");
        later
    });
    let plan = stage.site.data("upgrade-plan.json");
    stage.until("both to be queued", || (queued(&stage).len() == 2).then_some(()));
    stage.until("both to be known", || {
        let records = stage.records();
        let last = records.iter().rfind(|record| record.event() == "queue-read")?;
        (last.data()["queue"]["entries"].as_array()?.len() == 2).then_some(())
    });
    // The binary's details are added to the announcement's own file.
    stage.until_event("room-found", 1);
    end(run);
    let before = read_json(&plan);
    for (damage, set_aside) in [(Some("{\"cur"), true), (None, false)] {
        match damage {
            Some(text) => std::fs::write(&plan, text).unwrap(),
            None => std::fs::remove_file(&plan).unwrap(),
        }
        let mended = stage.events().iter().filter(|event| *event == "file-mended").count();
        let run = stage.start(&["run"]);
        let record = stage.until_event("file-mended", mended + 1);
        end(run);
        assert_eq!(read_json(&plan), before);
        assert_eq!(record.data()["file"], plan.to_str().unwrap());
        let aside = record.data()["set_aside"].as_str();
        assert_eq!(aside.is_some(), set_aside);
        if let (Some(aside), Some(text)) = (aside, damage) {
            assert_eq!(std::fs::read_to_string(aside).unwrap(), text);
        }
    }
}

/// The version file alone was moved: history, plan and link agree with it before a start, however
/// long another one holds the plan's lock.
#[test]
fn the_files_agree_before_the_daemon_is_started() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let mut plan = read_json(&plan_path(&stage));
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    end(run);
    plan["queuedUp"] = json!([read_json(&plan_path(&stage))["current"]]);
    edit(&stage, |now| *now = plan);
    fs::remove_file(stage.site.data("upgrade-history.json")).unwrap();

    let lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    let sessions = stage.rows().len();
    let run = stage.start::<&str>(&[]);
    stage.until("the recovery", || (stage.rows().len() > sessions).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stage.logged("started 1.1.0"), 1, "{}", stage.story());
    drop(lock);
    stage.until_log("started 1.1.0", 2);
    assert_eq!(read_json(&plan_path(&stage))["current"]["name"], "v1.1.0");
    end(run);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}
