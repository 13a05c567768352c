//! Log files.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Days, Utc};
use nix::sys::signal::Signal;
use nymvisor::logs;
use nymvisor::retention::Retention;

use super::{fates, pruned};
use crate::support::run::Stage;

fn name(days_ago: u64, now: DateTime<Utc>) -> String {
    format!("nymvisor.{}.log", now.date_naive().checked_sub_days(Days::new(days_ago)).unwrap())
}

fn write(folder: &Path, days: impl Iterator<Item = u64>) {
    fs::create_dir_all(folder).unwrap();
    for day in days {
        fs::write(folder.join(name(day, Utc::now())), "a line\n").unwrap();
    }
}

fn kept(folder: &Path, retention: Option<Retention>, now: DateTime<Utc>) -> Vec<String> {
    let files = logs::list(folder, retention, now).unwrap().into_iter();
    let files = files.filter(|file| file.outlived.is_none());
    files.map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_newest_stay_by_number_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
    for day in 0..6 {
        fs::write(folder.path().join(name(day, now)), "a line\n").unwrap();
    }
    for other in ["nymvisor.log", "nymvisor.2026-3-9.log", "notes.2026-03-01.log"] {
        fs::write(folder.path().join(other), "mine").unwrap();
    }
    fs::create_dir(folder.path().join("nymvisor.2026-01-01.log")).unwrap();
    let days = |hours: u64| Some(std::time::Duration::from_secs(hours * 3600));
    let cases = [
        (None, 6),
        (Some(Retention { count: Some(1), age: None }), 1),
        (Some(Retention { count: Some(4), age: None }), 4),
        (Some(Retention { count: Some(9), age: None }), 6),
        // A day is as old as its end: yesterday's is 12 hours old.
        (Some(Retention { count: None, age: days(1) }), 1),
        (Some(Retention { count: None, age: days(12) }), 2),
        (Some(Retention { count: None, age: days(60) }), 4),
        (Some(Retention { count: Some(2), age: days(60) }), 2),
    ];
    for (retention, count) in cases {
        let wanted: Vec<_> = (0..count).rev().map(|day| name(day, now)).collect();
        assert_eq!(kept(folder.path(), retention, now), wanted, "{retention:?}");
    }
    assert!(logs::list(&folder.path().join("none"), None, now).unwrap().is_empty());
}

#[test]
fn a_run_keeps_as_many_as_the_key_says_and_fourteen_without_it() {
    for (value, count) in [(None, 14), (Some("3"), 3), (Some("36500d"), 20)] {
        let mut stage = Stage::new();
        let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
        write(&folder, 1..20);
        if let Some(value) = value {
            stage.set("NYMVISOR_LOG_RETENTION", value);
        }
        let mut run = stage.start(&["run"]);
        stage.until_started(1);
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), count, "{value:?}");
        assert!(folder.join(name(0, Utc::now())).exists());
    }
}

#[test]
fn prune_removes_them_at_once() {
    let mut stage = Stage::new();
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    write(&folder, 0..20);
    fs::write(folder.join("notes"), "mine").unwrap();
    stage.set("NYMVISOR_LOG_RETENTION", "2 30d");
    let report = pruned(&stage, 0, &[]);
    assert_eq!(report["logs"]["retention"], "2 30d");
    assert_eq!(report["logs"]["freed_bytes"], 18 * 7);
    let fates = fates(&report, "logs");
    assert_eq!(fates[17], format!("+{}: beyond-count", name(2, Utc::now())));
    assert_eq!(fates[18], format!("{}: within", name(1, Utc::now())));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}
