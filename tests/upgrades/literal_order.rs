//! `daemon.prepare_ahead = false`: the guide's literal order, everything with the daemon down.

use serde_json::json;

use super::{archives, end, started, until_fails, until_polled, until_runs};
use crate::support::run::{Record, Stage};
use crate::support::server::Reply;

fn literal() -> Stage {
    Stage::new().with("DAEMON_PREPARE_AHEAD", "false")
}

#[test]
fn fetch_and_check_come_after_the_backup() {
    let stage = literal();
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    let records = stage.records();
    let at = |name: &str| -> &Record {
        let mut found = records.iter().filter(|record| record.event() == name);
        let record = found.next().unwrap_or_else(|| panic!("no {name}\n{}", stage.story()));
        assert!(found.next().is_none(), "{name} twice");
        record
    };
    for (name, from) in [
        ("came-due", "Running"),
        ("group-gone", "Draining"),
        ("backup-sealed", "BackingUp"),
        ("lock-taken", "Locking"),
        ("binary-fetched", "Downloading"),
        ("binary-checked", "Verifying"),
        ("swap-committed", "Swapping"),
    ] {
        assert_eq!(at(name).from(), from);
    }
    end(run);
}

#[test]
fn a_failure_brings_the_old_version_back_at_once_and_is_not_repeated_for_ever() {
    let stage = literal();
    let mut info = stage.announcement("1.1.0");
    info["platforms"]["any"]["checksum"] = json!("0".repeat(64));
    stage.publish(&info);
    let run = stage.start(&["run"]);
    until_fails(&stage, "digest-mismatch");
    stage.until_log("started 1.0.0", 2);
    until_polled(&stage, 4);
    assert_eq!((stage.logged("started 1.0.0"), stage.server.count("/bin/1.1.0")), (2, 1));
    assert!(stage.phases().iter().any(|phase| phase == "Failed"));
    assert_eq!(archives(&stage.site.home("nymvisor")), [] as [std::path::PathBuf; 0]);
    assert!(!stage.site.data("upgrade.lock").exists());
    assert_eq!(stage.assert_consistent(), "genesis");
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn a_missing_server_brings_the_old_version_back() {
    let stage = literal();
    let info = stage.announcement("1.1.0");
    stage.server.put("/bin/1.1.0", Reply::status(404));
    stage.publish(&info);
    let run = stage.start(&["run"]);
    until_fails(&stage, "http-status");
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "genesis");
    stage.announce("1.1.0");
    stage.site.ok(&["retry", "v1.1.0"]);
    until_runs(&stage, "1.1.0");
    end(run);
}
