//! The backup is read whole once the new version is up, whatever becomes of that.

use std::fs;

use super::{end, until_polled};
use crate::backup::noise;
use crate::support::run::Stage;

/// Each start begins the reading anew, while the one before still has to hear that it is to end.
#[test]
fn a_crash_of_the_new_version_makes_no_damage_of_a_backup() {
    let stage = Stage::new()
        .with("DAEMON_RESTART_ON_FAILURE", "true")
        .with("DAEMON_FAILURE_RESTART_DELAY", "1ms")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1000")
        .with("DAEMON_BACKUP_RATE_LIMIT", "4MiB");
    fs::write(stage.site.home("much"), noise(1, 3 << 20)).unwrap();
    stage.switch("exit-at-start.1.1.0", "3");
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 12);
    fs::remove_file(stage.site.home("exit-at-start.1.1.0")).unwrap();
    stage.until_event("backup-examined", 1);
    until_polled(&stage, 1);
    let events = stage.events();
    assert!(!events.iter().any(|event| event == "backup-damaged"), "{}", stage.story());
    end(run);
    let listed = stage.site.ok(&["backups", "list"]);
    assert!(!listed.contains("DAMAGED"), "{listed}");
}
