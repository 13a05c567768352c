//! Old backups go by themselves.

use serde_json::Value;

use super::{end, started, until_runs};
use crate::support::run::{Record, Stage};

/// The version that a backup was made for, of each that is left, oldest first.
fn shelf(stage: &Stage) -> Vec<String> {
    let folder = |path: std::path::PathBuf| {
        path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    };
    stage.archives().into_iter().map(folder).collect()
}

fn upgraded(stage: &Stage, version: &str) {
    stage.announce(version);
    until_runs(stage, version);
    stage.until_event("backup-examined", stage.history().len());
}

fn discarded(record: &Record) -> Vec<String> {
    let effects = record.0["effects"].as_array().cloned().unwrap_or_default();
    let path = |effect: &Value| effect["discard-backup"]["path"].as_str().map(str::to_owned);
    effects.iter().filter_map(path).collect()
}

#[test]
fn what_is_beyond_the_retention_goes_once_the_new_version_has_lived() {
    let stage = Stage::new()
        .with("DAEMON_BACKUP_RETENTION", "2")
        .with("DAEMON_STARTUP_PERIOD_DURATION", "300ms");
    let (run, _) = started(&stage);
    upgraded(&stage, "1.1.0");
    upgraded(&stage, "1.2.0");
    assert_eq!(shelf(&stage), ["v1.1.0", "v1.2.0"]);
    upgraded(&stage, "1.3.0");
    let outlived = stage.until_event("backups-outlived", 1);
    let ordered = discarded(&outlived);
    assert_eq!(ordered.len(), 1, "{ordered:?}");
    assert!(ordered[0].contains("v1.1.0"), "{ordered:?}");
    stage.until("the removal", || (shelf(&stage) == ["v1.2.0", "v1.3.0"]).then_some(()));
    let folder = stage.site.home("nymvisor/backups/v1.1.0");
    let is_empty = || std::fs::read_dir(&folder).map_or(0, Iterator::count) == 0;
    stage.until("the removal of its manifest", || is_empty().then_some(()));
    end(run);
    stage.site.ok(&["journal", "verify"]);
    stage.site.ok(&["backups", "verify"]);
}

/// The only one that could be put back must not go for one that nobody can.
#[test]
fn nothing_goes_while_the_newest_is_damaged() {
    let mut stage = Stage::new().with("DAEMON_STARTUP_PERIOD_DURATION", "100ms");
    let (run, _) = started(&stage);
    upgraded(&stage, "1.1.0");
    upgraded(&stage, "1.2.0");
    end(run);
    let newest = stage.archives().pop().unwrap();
    std::fs::write(&newest, b"").unwrap();
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let (run, _) = started(&stage);
    stage.until("the refusal", || run.stderr().contains("nothing is removed").then_some(()));
    assert_eq!(shelf(&stage), ["v1.1.0", "v1.2.0"]);
    end(run);
}

/// Whatever kept an earlier session from it.
#[test]
fn what_was_left_goes_after_the_next_start() {
    let mut stage = Stage::new().with("DAEMON_STARTUP_PERIOD_DURATION", "100ms");
    let (run, _) = started(&stage);
    upgraded(&stage, "1.1.0");
    upgraded(&stage, "1.2.0");
    end(run);
    assert_eq!(shelf(&stage), ["v1.1.0", "v1.2.0"]);
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let (run, _) = started(&stage);
    stage.until("the removal", || (shelf(&stage) == ["v1.2.0"]).then_some(()));
    end(run);
    stage.site.ok(&["journal", "verify"]);
}
