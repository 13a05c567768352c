//! `nymvisor prune`: what gives up its room, and what never does.

use serde_json::Value;

use crate::support::run::Stage;
use crate::support::site::Outcome;

mod full_disk;
mod journal;
mod killed;
mod logs;
mod shared;
mod versions;

/// `prune` with these arguments, and what it printed as JSON; it must end so.
fn pruned(stage: &Stage, status: i32, arguments: &[&str]) -> Value {
    let arguments = [&["prune", "-o", "json"], arguments].concat();
    let Outcome { status: ended, stdout, stderr } = stage.site.run(&arguments);
    assert_eq!(ended, status, "{stdout}{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["version"], &report["exit_status"]), (&1.into(), &status.into()));
    report
}

/// `name: why` of each of a kind, with a `+` before those that go.
fn fates(report: &Value, kind: &str) -> Vec<String> {
    let items = report[kind]["items"].as_array().unwrap();
    let fate = |item: &Value| {
        let sign = if item["goes"] == true { "+" } else { "" };
        format!("{sign}{}: {}", item["name"].as_str().unwrap(), item["why"].as_str().unwrap())
    };
    items.iter().map(fate).collect()
}

/// What hinders a kind.
fn hindrance<'a>(report: &'a Value, kind: &str) -> &'a str {
    report[kind]["hindrance"].as_str().unwrap_or_default()
}
