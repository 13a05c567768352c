//! Maintenance windows and the spread, with real clocks.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{add, assert_never_stopped, end, started, until_polled, until_runs};
use crate::support::run::Stage;

const WINDOWS: &str = "NYMVISOR_MAINTENANCE_WINDOWS";
const SPREAD: &str = "NYMVISOR_UPGRADE_SPREAD";

/// A minute that is hours away.
fn closed_for_long() -> String {
    let opens = Utc::now() + TimeDelta::hours(5);
    format!("{} 1m", opens.format("%H:%M"))
}

fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only(stage: &Stage) -> Value {
    let list = stage.site.ok(&["upgrades", "list", "--output", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    list["upgrades"][0].clone()
}

#[test]
fn h18_h36_outside_of_the_windows_nothing_is_stopped_unless_a_person_says_so() {
    let stage = Stage::new().with(WINDOWS, &closed_for_long());
    let (run, pid) = started(&stage);
    assert!(!stage.events().contains(&"window-closed".to_owned()), "nobody waits for one");
    stage.announce("1.1.0");
    stage.until_event("home-copied", 1);
    stage.until_event("came-due", 1);
    stage.until_event("window-closed", 1);
    until_polled(&stage, 2);
    assert_never_stopped(&stage, pid);
    let upgrade = only(&stage);
    assert_eq!(upgrade["waits_for"][0]["what"], "window", "{upgrade}");
    assert_eq!(upgrade["earliest_at"], upgrade["waits_for"][0]["until"]);
    let status = unwrapped(&stage.site.ok(&["status"]));
    let is_told = status.contains("closed until") && status.contains("may stop the daemon from");
    assert!(is_told, "{status}");
    let check = unwrapped(&stage.site.run(&["check"]).stdout);
    assert!(check.contains("no maintenance window is open then"), "{check}");
    let said = add(&stage, "1.2.0", "--now");
    assert!(said.stdout.contains("it waits: the maintenance window opens at"), "{}", said.stdout);
    stage.site.ok(&["upgrades", "cancel", "v1.2.0"]);

    let said = stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    assert!(said.contains("the maintenance window opens at"), "{said}");
    assert!(said.contains("--ignore-windows"), "{said}");
    until_polled(&stage, 2);
    assert_never_stopped(&stage, pid);
    let said = stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now", "--ignore-windows"]);
    assert!(!said.contains("it waits"), "{said}");
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn within_a_window_an_upgrade_is_performed() {
    let stage = Stage::new().with(WINDOWS, "00:00 24h Europe/Berlin");
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    stage.until_event("window-opened", 1);
    let config: Value =
        serde_json::from_str(&stage.site.ok(&["config", "--output", "json"])).unwrap();
    assert_eq!(config["nymvisor"]["maintenance_windows"], "00:00 1day Europe/Berlin");
    end(run);
}

/// The plan becomes empty, or the upgrade is another one: no window makes what was there happen.
#[test]
fn h33_what_is_gone_from_the_plan_is_not_performed_when_a_window_opens() {
    let opens = Utc::now() + TimeDelta::minutes(1);
    let stage = Stage::new().with(WINDOWS, &format!("{} 3h", opens.format("%H:%M")));
    let (run, pid) = started(&stage);
    assert_eq!(add(&stage, "1.1.0", "--now").status, 0);
    stage.until_event("home-copied", 1);
    // Rarely it has opened by now: then there is nothing left to see.
    if stage.events().contains(&"window-closed".to_owned()) && stage.logged("signal") == 0 {
        let path = stage.site.data("upgrade-plan.json");
        let mut plan = crate::support::site::read_json(&path);
        plan["queuedUp"] = json!([]);
        fs::write(&path, plan.to_string()).unwrap();
        let left = stage.until("the candidate's end", || {
            let records = stage.records();
            let last = records.iter().rfind(|record| record.event() == "queue-read")?;
            let orders = last.0["effects"].to_string();
            orders.contains("cancel-preparation").then_some(orders)
        });
        assert!(left.contains("watch-windows"), "{left}");
        assert_never_stopped(&stage, pid);
    }
    end(run);
}

#[test]
fn windows_that_cannot_be_read_end_a_command_with_what_is_allowed() {
    let stage = Stage::new().with(WINDOWS, "Mon 02:00 3h Mars/Base");
    let outcome = stage.site.run(&["status"]);
    assert_eq!(outcome.status, 3, "{}", outcome.stderr);
    for said in [WINDOWS, "'Mars/Base' is no time zone", "Mon-Fri 02:00 3h"] {
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
}

#[test]
fn h35_what_upstream_announces_is_spread_the_same_after_each_start() {
    let stage = Stage::new().with(SPREAD, "100days");
    let (run, pid) = started(&stage);
    let mut info = stage.announcement("1.1.0");
    info["upgradeTime"] = json!(Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string());
    stage.publish(&info);
    stage.until_event("home-copied", 1);
    assert_never_stopped(&stage, pid);
    let time = |upgrade: &Value, member: &str| -> DateTime<Utc> {
        upgrade[member].as_str().unwrap().parse().unwrap()
    };
    let upgrade = only(&stage);
    let offset = time(&upgrade, "due_at") - time(&upgrade, "announced_for");
    // By chance it is a second or less in one of eight million runs.
    assert!(offset > TimeDelta::zero() && offset < TimeDelta::days(100), "{upgrade}");
    assert!(stage.site.ok(&["upgrades", "list"]).contains("spread"));
    end(run);
    let (run, _) = started(&stage);
    stage.until_event("queue-read", 1);
    assert_eq!(only(&stage)["due_at"], upgrade["due_at"]);
    let journal = stage.site.ok(&["journal", "show"]);
    assert!(journal.contains("(spread; announced for"), "{journal}");
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    until_runs(&stage, "1.1.0");
    end(run);
}
