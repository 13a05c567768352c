//! `upgrades`: hold, release, cancel, list and show, with `run` up and down.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{add_ok, assert_never_stopped, end, queued, started, until_polled, until_runs};
use crate::support::run::Stage;

pub(super) fn list(stage: &Stage) -> Value {
    serde_json::from_str(&stage.site.ok(&["upgrades", "list", "--output", "json"])).unwrap()
}

/// The one upgrade that is queued.
pub(super) fn only(stage: &Stage) -> Value {
    let list = list(stage);
    let upgrades = list["upgrades"].as_array().unwrap();
    assert_eq!(upgrades.len(), 1, "{list}");
    upgrades[0].clone()
}

/// What it waits for, by kind.
pub(super) fn waits(upgrade: &Value) -> Vec<&str> {
    let waits = upgrade["waits_for"].as_array().unwrap().iter();
    waits.map(|waits| waits["what"].as_str().unwrap()).collect()
}

pub(super) fn refused(stage: &Stage, arguments: &[&str]) -> String {
    let outcome = stage.site.run(arguments);
    assert_eq!(outcome.status, 1, "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    outcome.stderr
}

/// All of it that can be done ahead is done.
pub(super) fn until_prepared(stage: &Stage) {
    stage.until_event("home-copied", 1);
}

#[test]
fn what_is_held_is_prepared_and_performed_once_it_is_released() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    let said = stage.site.ok(&["upgrades", "hold"]);
    assert!(said.contains("held until `nymvisor upgrades release`"), "{said}");
    stage.announce("1.1.0");
    until_prepared(&stage);
    stage.until_event("came-due", 1);
    assert_never_stopped(&stage, pid);
    let upgrade = only(&stage);
    assert_eq!((upgrade["stage"].as_str(), waits(&upgrade)), (Some("ready"), vec!["hold"]));
    assert_eq!(upgrade["earliest_at"], json!(null));
    assert_eq!(upgrade["waits_for"][0]["command"], "nymvisor upgrades release");
    let status: Value =
        serde_json::from_str(&stage.site.ok(&["status", "--output", "json"])).unwrap();
    assert_eq!((&status["verdict"], &status["hold"]["until"]), (&json!("ok"), &json!(null)));
    assert_eq!(status["hold"]["requester"]["by"], "command");
    assert!(stage.site.ok(&["status"]).contains("upgrades are held by the user"));
    let check = stage.site.run(&["check"]).stdout;
    assert!(check.contains("upgrades are held by the user"), "{check}");
    let text = stage.site.ok(&["upgrades", "show", "v1.1.0"]);
    assert!(text.contains("-> nymvisor upgrades release"), "{text}");
    let answer = stage.site.ok(&["upgrades", "release", "--output", "json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["version"], &answer["hold"]), (&json!(1), &json!(null)));
    assert_eq!(answer["text"], "upgrades are no longer held");
    until_runs(&stage, "1.1.0");
    assert!(refused(&stage, &["upgrades", "release"]).contains("upgrades are not held"));
    assert_eq!(list(&stage)["upgrades"], json!([]));
    assert!(stage.site.ok(&["upgrades", "list"]).contains("no upgrade is queued"));
    end(run);
}

#[test]
fn a_hold_that_is_made_while_nothing_runs_outlives_a_kill() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    end(run);
    let said = stage.site.ok(&["upgrades", "hold", "--until", "12h"]);
    assert!(said.contains("upgrades are held until 20"), "{said}");
    stage.announce("1.1.0");
    let (mut run, _) = started(&stage);
    until_prepared(&stage);
    run.kill();
    let (run, _) = started(&stage);
    stage.until("the copy of the second session", || {
        let copies = stage.events().iter().filter(|event| *event == "home-copied").count();
        (copies == 2).then_some(())
    });
    assert_eq!(waits(&only(&stage)), ["hold"]);
    assert!(!only(&stage)["earliest_at"].is_null());
    end(run);
    stage.site.ok(&["upgrades", "release"]);
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn a_hold_ends_by_itself_and_the_upgrade_is_performed() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    stage.site.ok(&["upgrades", "hold", "--until", "3s"]);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    let events = stage.events();
    let at = |name: &str| events.iter().position(|event| event == name).unwrap();
    assert!(at("hold-elapsed") < at("backup-sealed"), "{}", stage.story());
    assert_eq!(list(&stage)["hold"], json!(null));
    for (until, said) in
        [("2020-01-01T00:00:00Z", "yet to come"), ("soon", "a duration such as 12h")]
    {
        let outcome = stage.site.run(&["upgrades", "hold", "--until", until]);
        assert_eq!(outcome.status, 2);
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
    end(run);
}

/// A journal that has to be set aside takes no person's word with it.
#[test]
fn what_is_held_and_cancelled_outlives_the_journal() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    stage.until_event("queue-read", 1);
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    stage.site.ok(&["upgrades", "hold"]);
    end(run);
    let journal = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    for entry in fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if let Some((first, _)) = text.split_once('\n') {
            fs::write(&path, format!("{first}\n{{}}\n{{}}\n")).unwrap();
        }
    }
    // Nor does a command set it aside, which would go by what it says up to the damage.
    for command in [&["upgrades", "hold"][..], &["upgrades", "release"], &["retry", "v1.1.0"]] {
        let refused = stage.site.run(command);
        assert_eq!(refused.status, 3, "{command:?}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("is damaged"), "{command:?}: {}", refused.stderr);
    }
    assert!(stage.site.ok(&["upgrades", "list"]).starts_with("JOURNAL       damaged: "));
    // What lies beside it is shown all the same.
    let hold = list(&stage)["hold"].clone();
    assert_eq!((&hold["requester"]["by"], &hold["until"]), (&"command".into(), &Value::Null));
    let upgrade = only(&stage);
    assert_eq!(
        (upgrade["stage"].as_str(), waits(&upgrade)),
        (Some("cancelled"), vec!["time", "cancelled", "hold"])
    );
    let checked = stage.site.run(&["check"]).stdout;
    assert!(checked.contains("upgrades are held by the user"), "{checked}");
    let (run, _) = started(&stage);
    let upgrade = only(&stage);
    assert_eq!(
        (upgrade["stage"].as_str(), waits(&upgrade)),
        (Some("cancelled"), vec!["time", "cancelled", "hold"],)
    );
    end(run);
    let verified = stage.site.run(&["journal", "verify"]);
    assert!(!verified.stdout.contains("begins with a state other"), "{}", verified.stdout);
    stage.site.ok(&["upgrades", "release"]);
    let said = stage.site.ok(&["retry", "v1.1.0", "--output", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, serde_json::json!({ "version": 1, "text": "v1.1.0 is tried again" }));
    let kept = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/wishes.json");
    assert!(!kept.exists());
}

#[test]
fn what_is_cancelled_is_not_performed_and_a_retry_takes_that_back() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    let error = refused(&stage, &["upgrades", "cancel", "v1.1.0"]);
    assert!(error.contains("no upgrade 'v1.1.0' is queued; nothing is queued"), "{error}");
    stage.announce("1.1.0");
    stage.site.ok(&["upgrades", "hold"]);
    until_prepared(&stage);
    let error = refused(&stage, &["upgrades", "cancel", "v9"]);
    assert!(error.contains("no upgrade 'v9' is queued; 'v1.1.0' is queued"), "{error}");
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    stage.site.ok(&["upgrades", "release"]);
    until_polled(&stage, 2);
    assert_never_stopped(&stage, pid);
    assert_eq!(queued(&stage), ["v1.1.0"], "the shared queue is left alone");
    let upgrade = only(&stage);
    assert_eq!((&upgrade["stage"], &upgrade["next"]), (&json!("cancelled"), &json!(false)));
    assert_eq!(upgrade["waits_for"][0]["command"], "nymvisor retry v1.1.0");
    // A person's word needs no person.
    stage.site.ok(&["status"]);
    let check = stage.site.run(&["check", "v1.1.0"]);
    assert!(check.stdout.contains("cancelled by the user"), "{}", check.stdout);
    assert_eq!(check.status, 1);
    assert!(refused(&stage, &["upgrades", "cancel", "v1.1.0"]).contains("cancelled already"));
    end(run);
    let (run, _) = started(&stage);
    until_polled(&stage, 2);
    assert_eq!(stage.assert_consistent(), "genesis");
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn a_cancellation_while_nothing_runs_counts() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    end(run);
    add_ok(&stage, "1.1.0", "--now");
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    let (run, pid) = started(&stage);
    until_polled(&stage, 2);
    assert_eq!((stage.daemons(), stage.logged("started")), (vec![pid], 2));
    let add = super::add(&stage, "1.2.0", "--now");
    assert_eq!(add.status, 0, "{}", add.stderr);
    stage.until_log("started 1.2.0", 1);
    end(run);
}

/// Past its preparation: the daemon is asked to end, and takes its time.
#[test]
fn what_has_begun_goes_on_and_only_what_comes_after_it_is_held() {
    let stage = Stage::new();
    stage.switch("ignore-int", "1");
    let (run, pid) = started(&stage);
    stage.announce("1.1.0");
    stage.until_phase("Draining");
    let said = stage.site.ok(&["upgrades", "hold"]);
    assert!(said.contains("the upgrade to v1.1.0 is under way and goes on; if it is"), "{said}");
    for command in [
        &["upgrades", "cancel", "v1.1.0"][..],
        &["upgrades", "reschedule", "v1.1.0", "--delay", "1h"],
    ] {
        let error = refused(&stage, command);
        assert!(error.contains("in the phase Draining"), "{command:?}: {error}");
    }
    assert_eq!(only(&stage)["stage"], "under-way");
    fs::remove_file(stage.site.home("ignore-int")).unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    until_runs(&stage, "1.1.0");
    add_ok(&stage, "1.2.0", "--now");
    stage.until_event("home-copied", 2);
    assert_eq!(waits(&only(&stage)), ["hold"]);
    end(run);
}

/// At night: held, stopped, started again, and the node runs what it ran before.
#[test]
fn what_is_interrupted_while_upgrades_are_held_waits_for_the_release() {
    let stage = Stage::new();
    stage.switch("ignore-int", "1");
    let (mut run, _) = started(&stage);
    stage.announce("1.1.0");
    stage.until_phase("Draining");
    stage.site.ok(&["upgrades", "hold"]);
    run.kill();
    fs::remove_file(stage.site.home("ignore-int")).unwrap();
    let said = stage.site.ok(&["upgrades", "hold", "--until", "12h"]);
    assert!(said.contains("v1.1.0 was interrupted, and waits as well"), "{said}");
    let list = stage.site.ok(&["upgrades", "list"]);
    assert!(list.contains("interrupted; the next `nymvisor run` starts what ran before"), "{list}");
    let run = stage.start(&["run"]);
    stage.until_log("started 1.0.0", 2);
    stage.until_event("home-copied", 2);
    assert_eq!(waits(&only(&stage)), ["hold"]);
    stage.site.ok(&["upgrades", "release"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

/// Whoever is told so can rely on it, or is told that it is not so.
#[test]
fn an_answer_waits_for_what_it_promises_to_keep() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let kept = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/wishes.json");
    for _ in 0..10 {
        stage.site.ok(&["upgrades", "hold"]);
        assert!(kept.exists());
        stage.site.ok(&["upgrades", "release"]);
        assert!(!kept.exists());
    }
    fs::create_dir(&kept).unwrap();
    let said = stage.site.ok(&["upgrades", "hold"]);
    assert!(
        said.contains("only the journal tells so, for") && said.contains("wishes.json"),
        "{said}"
    );
    end(run);
}
