//! Another time for what is queued.

use std::fs;

use nymvisor::release::PlanLock;
use serde_json::{Value, json};

use super::wishes::{only, refused, until_prepared, waits};
use super::{add_ok, assert_never_stopped, end, started, until_polled, until_runs};
use crate::support::run::Stage;
use crate::support::site::read_json;

#[test]
fn what_is_rescheduled_keeps_its_preparation() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    until_prepared(&stage);
    assert_eq!(waits(&only(&stage)), ["time"]);
    let said = stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--delay", "2h"]);
    assert!(said.contains("is rescheduled for") && said.contains("at the earliest"), "{said}");
    stage.until("the new time", || {
        stage
            .records()
            .iter()
            .any(|record| record.0.to_string().contains("rescheduled"))
            .then_some(())
    });
    assert_never_stopped(&stage, pid);
    let upgrade = only(&stage);
    assert_eq!(upgrade["rescheduled_by"]["by"], "command", "{upgrade}");
    assert!(upgrade["announced_for"].as_str() < upgrade["due_at"].as_str(), "{upgrade}");
    let show = stage.site.ok(&["upgrades", "show", "v1.1.0"]);
    assert!(show.contains("rescheduled") && show.contains("digest"), "{show}");
    let show = stage.site.ok(&["upgrades", "show", "v1.1.0", "--output", "json"]);
    let show: Value = serde_json::from_str(&show).unwrap();
    assert_eq!((&show["version"], &show["upgrade"]["name"]), (&json!(1), &json!("v1.1.0")));
    assert_eq!(show["announcement"]["rescheduled"], json!(null));
    let said = stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    assert!(said.contains("as soon as it is prepared"), "{said}");
    until_runs(&stage, "1.1.0");
    let fetched = stage.events().iter().filter(|event| *event == "binary-fetched").count();
    assert_eq!(fetched, 1, "{}", stage.story());
    let story = stage.site.ok(&["journal", "show"]);
    assert!(story.contains("(rescheduled by the user"), "{story}");
    let error = refused(&stage, &["upgrades", "reschedule", "v1.1.0", "--now"]);
    assert!(error.contains("no upgrade 'v1.1.0' is queued"), "{error}");
    end(run);
}

/// Upstream says it again and again, and corrects it: the person's time stands.
#[test]
fn upstream_takes_no_new_time_back() {
    let stage = Stage::new();
    let mut info = stage.announcement("1.1.0");
    info["upgradeTime"] = json!("2099-01-01T00:00:00Z");
    stage.publish(&info);
    let (run, _) = started(&stage);
    until_prepared(&stage);
    let wish = || read_json(&stage.site.data("upgrade-plan.json"))["queuedUp"][0].clone();
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--at", "2098-01-01T00:00:00Z"]);
    until_polled(&stage, 2);
    assert_eq!(wish()["rescheduled"]["at"], "2098-01-01T00:00:00Z");
    info["notes"] = json!("corrected");
    stage.publish(&info);
    stage.until("the correction", || (wish()["notes"] == "corrected").then_some(()));
    assert_eq!(wish()["rescheduled"]["at"], "2098-01-01T00:00:00Z");
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    until_runs(&stage, "1.1.0");
    let history = read_json(&stage.site.data("upgrade-history.json"));
    assert_eq!(history["history"][0]["info"]["upgradeTime"], "2099-01-01T00:00:00Z");
    end(run);
}

#[test]
fn a_new_time_while_nothing_runs_counts_and_one_that_is_past_is_refused() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    end(run);
    add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    let past = ["upgrades", "reschedule", "v1.1.0", "--at", "2020-01-01T00:00:00Z"];
    assert!(refused(&stage, &past).contains("is past; --now"));
    for usage in [&past[..3], &["upgrades", "reschedule", "v1.1.0", "--now", "--delay", "1h"]] {
        assert_eq!(stage.site.run(usage).status, 2);
    }
    let said = stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    assert!(said.contains("by the next `nymvisor run`"), "{said}");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}

/// Without preparation the upgrade lock is taken only after the stop: who sets another time right
/// before is heard all the same.
#[test]
fn another_time_right_before_the_stop_is_heard_where_nothing_is_prepared() {
    let stage = Stage::new().with("DAEMON_PREPARE_AHEAD", "false");
    let (run, pid) = started(&stage);
    add_ok(&stage, "1.1.0", "--upgrade-delay 2s");
    let lock = PlanLock::acquire(&stage.site.data(".locks/plan")).unwrap();
    stage.until_event("came-due", 1);
    let path = stage.site.data("upgrade-plan.json");
    let mut plan = read_json(&path);
    let requester = json!({ "by": "command", "uid": 1, "user": "nym" });
    plan["queuedUp"][0]["rescheduled"] =
        json!({ "at": "2098-01-01T00:00:00Z", "requester": requester });
    fs::write(path.with_extension("new"), plan.to_string()).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    drop(lock);
    stage.until_event("room-found", 1);
    assert_eq!(waits(&only(&stage)), ["time"]);
    assert_never_stopped(&stage, pid);
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    until_runs(&stage, "1.1.0");
    end(run);
}
