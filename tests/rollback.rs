//! Roll-back, by itself and by hand, with real processes.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::run::{Run, Stage};
use crate::support::site::read_json;

const NOTHING: [&str; 0] = [];

/// One on which 1.1.0 fails at its start, if it is to.
fn stage(fails: bool) -> Stage {
    let stage = Stage::new();
    if fails {
        stage.switch("exit-at-start.1.1.0", "3");
    }
    stage.switch("precious", "old");
    stage
}

/// The same with roll-backs switched on, at the first failure.
fn automatic() -> Stage {
    stage(true)
        .with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1")
}

/// Runs until 1.1.0 is up, which then changes the data.
fn upgraded(stage: &Stage) -> Run {
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    stage.switch("precious", "new");
    stage.switch("added", "new");
    run
}

fn read(stage: &Stage, name: &str) -> String {
    fs::read_to_string(stage.site.home(name)).unwrap_or_else(|error| format!("{name}: {error}"))
}

/// Everything that a roll-back moved aside lies in one folder.
fn aside(stage: &Stage) -> String {
    let mut folders = fs::read_dir(stage.site.home("nymvisor/rollbacks")).unwrap();
    let folder = folders.next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(folders.next().is_none());
    format!("nymvisor/rollbacks/{folder}/aside")
}

fn entries(stage: &Stage) -> Vec<Value> {
    read_json(&stage.site.data("upgrade-history.json"))["history"].as_array().unwrap().clone()
}

/// The old version runs on the old data, what was there lies aside, and all files agree.
fn assert_back_with_data(stage: &Stage) {
    assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
    assert_eq!(read(stage, "precious"), "old");
    assert!(!read(stage, "events.log").contains("started 1.1.0"));
    let aside = aside(stage);
    assert!(stage.site.home(&format!("{aside}/precious")).is_file());
    assert!(entries(stage).last().unwrap()["rolledBackAt"].is_string());
}

fn end(stage: &Stage, mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}\n{}", end.stderr, stage.story());
    stage.site.ok(&["journal", "verify"]);
}

#[test]
fn a_version_that_fails_its_start_too_often_is_rolled_back_and_retry_performs_it_again() {
    let stage = automatic().with("DAEMON_MAX_STARTUP_FAILURES", "2");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_event("swap-committed", 2);
    stage.until_log("started 1.0.0", 2);
    assert_back_with_data(&stage);
    let failed = read(&stage, &format!("{}/events.log", aside(&stage)));
    assert_eq!(failed.matches("started 1.1.0").count(), 2, "{failed}");
    let phases = stage.phases();
    let way = ["Failed", "BackingUp", "Locking", "Swapping", "Restarting", "Running"];
    assert!(phases.windows(way.len()).any(|phases| phases == way), "{phases:?}");
    // It is announced still, and due, and held back.
    let plan = read_json(&stage.site.data("upgrade-plan.json"));
    assert_eq!(plan["queuedUp"][0]["name"], "v1.1.0");

    fs::remove_file(stage.site.home("exit-at-start.1.1.0")).unwrap();
    let said = stage.site.ok(&["retry", "v1.1.0"]);
    assert!(said.contains("v1.1.0 is tried again"), "{said}");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
    let entries = entries(&stage);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(entries[1].get("rolledBackAt").is_none(), "{entries:?}");
    end(&stage, run);
}

#[test]
fn with_restarts_off_the_first_crash_rolls_back_and_the_data_may_stay() {
    let stage = automatic()
        .with("DAEMON_RESTART_ON_FAILURE", "false")
        .with("DAEMON_ROLLBACK_RESTORES_DATA", "false");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.0.0", 2);
    assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
    assert_eq!(stage.logged("started 1.1.0"), 1);
    assert!(!stage.site.home("nymvisor/rollbacks").exists());
    assert!(stage.events().contains(&"restore-skipped".to_owned()), "{}", stage.story());
    end(&stage, run);
}

#[test]
fn by_default_nothing_is_rolled_back_and_the_daemon_is_given_up() {
    let stage = stage(true).with("DAEMON_MAX_STARTUP_FAILURES", "1");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    let end = run.wait();
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn what_has_once_lived_through_its_startup_period_is_never_rolled_back_by_itself() {
    let stage = stage(false)
        .with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true")
        .with("DAEMON_RESTART_ON_FAILURE", "false")
        .with("DAEMON_STARTUP_PERIOD_DURATION", "100ms");
    let run = upgraded(&stage);
    stage.until_event("startup-passed", 2);
    end(&stage, run);
    // That it lived in an earlier session counts.
    let stage = stage.with("DAEMON_STARTUP_PERIOD_DURATION", "60s");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    stage.until_phase("Running");
    let daemon = i32::try_from(stage.daemons()[0]).unwrap();
    kill(Pid::from_raw(daemon), Signal::SIGKILL).unwrap();
    let end = run.wait();
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn by_hand_it_goes_back_while_the_daemon_runs() {
    let stage = stage(false);
    let run = upgraded(&stage);
    let said = stage.site.ok(&["rollback"]);
    assert!(said.contains("v1.1.0 is rolled back to genesis"), "{said}");
    stage.until_log("started 1.0.0", 2);
    assert_back_with_data(&stage);
    let aside = aside(&stage);
    assert_eq!(read(&stage, &format!("{aside}/precious")), "new");
    assert_eq!(read(&stage, &format!("{aside}/added")), "new");
    assert!(!stage.site.home("added").exists());
    // There is no upgrade any more that could be undone.
    let again = stage.site.run(&["rollback"]);
    assert_eq!(again.status, 1, "{}", again.stderr);
    end(&stage, run);
}

#[test]
fn by_hand_the_data_may_stay() {
    let stage = stage(false);
    let run = upgraded(&stage);
    stage.site.ok(&["rollback", "--keep-data"]);
    stage.until_log("started 1.0.0", 2);
    assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
    assert_eq!(read(&stage, "precious"), "new");
    end(&stage, run);
}

#[test]
fn by_hand_at_rest_the_next_run_goes_back_before_it_starts_the_daemon() {
    let stage = stage(false);
    let run = upgraded(&stage);
    end(&stage, run);
    let said = stage.site.ok(&["rollback"]);
    assert!(said.contains("the next `nymvisor run` rolls v1.1.0 back to genesis"), "{said}");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 2);
    assert_back_with_data(&stage);
    assert_eq!(stage.rows().last().unwrap(), "roll-back-resumed");
    end(&stage, run);
}

#[test]
fn killed_at_any_instant_of_a_roll_back_the_next_start_finishes_it() {
    for pause_ms in [20, 60, 100, 140, 180, 240] {
        let stage = stage(false);
        let run = upgraded(&stage);
        end(&stage, run);
        stage.site.ok(&["rollback"]);
        let mut run = stage.start(&NOTHING);
        std::thread::sleep(Duration::from_millis(pause_ms));
        run.kill();
        let run = stage.start(&NOTHING);
        stage.until("the old version", || {
            let up = stage.daemons().len() == 1 && read(&stage, "daemon.version") == "1.0.0";
            (up && stage.records().last()?.to() == "Running").then_some(())
        });
        assert_back_with_data(&stage);
        assert_eq!(entries(&stage).len(), 1, "{}", stage.story());
        end(&stage, run);
    }
}

#[test]
fn a_roll_back_that_cannot_go_on_starts_nothing_and_is_finished_once_it_can() {
    let stage = stage(false);
    let run = upgraded(&stage);
    end(&stage, run);
    stage.site.ok(&["rollback"]);
    let binary = stage.site.data("genesis/bin/nym-node");
    let hidden = binary.with_extension("hidden");
    fs::rename(&binary, &hidden).unwrap();
    let end_of_run = stage.run_to_end(&NOTHING);
    assert_eq!(end_of_run.status, Some(4), "{}", end_of_run.stderr);
    assert_eq!(stage.logged("started"), 2, "{:?}", stage.log());
    fs::rename(&hidden, &binary).unwrap();
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 2);
    assert_back_with_data(&stage);
    end(&stage, run);
}

#[test]
fn half_restored_data_is_neither_left_as_it_is_nor_run_on_without_the_journal() {
    let stage = stage(false);
    let run = upgraded(&stage);
    end(&stage, run);
    stage.site.ok(&["rollback"]);
    let work = stage.site.home("nymvisor/rollbacks/2-v1.1.0");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("state.json"), r#"{"phase":"aside"}"#).unwrap();
    stage.site.ok(&["rollback", "--keep-data"]);
    let run = stage.run_to_end(&NOTHING);
    assert_eq!(run.status, Some(4), "{}", run.stderr);
    assert!(run.stderr.contains("2-v1.1.0 holds the rest"), "{}", run.stderr);
    fs::remove_dir_all(stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal"))
        .unwrap();
    for _ in 0..2 {
        let run = stage.run_to_end(&NOTHING);
        assert_eq!(run.status, Some(3), "{}", run.stderr);
        assert!(run.stderr.contains("then remove"), "{}", run.stderr);
    }
    assert_eq!(stage.logged("started"), 2, "{:?}", stage.log());
}

#[test]
fn the_daemon_is_not_stopped_for_a_roll_back_that_cannot_succeed() {
    let stage = stage(false);
    let run = upgraded(&stage);
    let backup = stage.archives().remove(0);
    let whole = fs::read(&backup).unwrap();
    fs::write(&backup, &whole[..whole.len() - 1]).unwrap();
    let refused = stage.site.run(&["rollback"]);
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("--keep-data"), "{}", refused.stderr);
    fs::write(&backup, &whole).unwrap();
    let binary = stage.site.data("genesis/bin/nym-node");
    let hidden = binary.with_extension("hidden");
    fs::rename(&binary, &hidden).unwrap();
    fs::write(&binary, "no program").unwrap();
    assert_eq!(stage.site.run(&["rollback"]).status, 1);
    fs::rename(&hidden, &binary).unwrap();
    // Nothing can be moved aside.
    let rollbacks = stage.site.home("nymvisor/rollbacks");
    fs::write(&rollbacks, "in the way").unwrap();
    let refused = stage.site.run(&["rollback"]);
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("can't be written to"), "{}", refused.stderr);
    fs::remove_file(&rollbacks).unwrap();
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.0", 2);
    assert_back_with_data(&stage);
    end(&stage, run);
}

#[test]
fn without_the_journal_what_was_rolled_back_stays_held_and_a_later_roll_back_restores() {
    let stage = stage(false);
    let run = upgraded(&stage);
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.0", 2);
    end(&stage, run);
    fs::remove_dir_all(stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal"))
        .unwrap();
    let run = stage.start(&NOTHING);
    stage.until_phase("Running");
    assert_eq!(stage.logged("started 1.1.0"), 0, "{}", stage.story());
    stage.site.ok(&["retry", "v1.1.0"]);
    stage.until_event("swap-committed", 1);
    stage.until_phase("Running");
    stage.switch("precious", "newer");
    stage.site.ok(&["rollback"]);
    stage.until_event("home-restored", 1);
    stage.until_phase("Running");
    assert_eq!(read(&stage, "precious"), "old");
    end(&stage, run);
}

#[test]
fn a_damaged_journal_is_named_and_a_version_that_is_not_there_too() {
    let stage = stage(false);
    let run = upgraded(&stage);
    let none = stage.site.run(&["rollback", "--to", "nope"]);
    assert_eq!(none.status, 1, "{}", none.stderr);
    assert!(none.stderr.contains("no version 'nope'"), "{}", none.stderr);
    end(&stage, run);
    let journal = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    fs::write(journal.join("00000001.jsonl"), "{}\n{}\n").unwrap();
    for command in [&["rollback"][..], &["retry", "v1.1.0"]] {
        let refused = stage.site.run(command);
        assert_eq!(refused.status, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains("journal verify"), "{}", refused.stderr);
    }
}
