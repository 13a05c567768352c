//! Backups that the journal knows, and that are not there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{json, list, names, path, refused, upgraded};
use crate::support::run::Stage;

/// What is in its place, and how that comes there.
type Instead = (&'static str, fn(&Path));

/// What is said of the ones that nothing needs.
fn verified(stage: &Stage, status: i32) -> (String, Value) {
    let text = stage.site.run(&["backups", "verify"]);
    assert_eq!(text.status, status, "{text:?}");
    let report = stage.site.run(&["backups", "verify", "-o", "json"]);
    assert_eq!(report.status, status, "{report:?}");
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["verdict"], if status == 0 { "clean" } else { "damaged" });
    assert_eq!(report["missing"], json!([]), "none of them is needed");
    (text.stdout, report["gone"].clone())
}

#[test]
fn one_that_is_gone_or_is_no_file_any_more_is_named_though_nothing_needs_it() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let archive = path(&list(&stage)[0]);
    let away = stage.site.path("away");
    assert_eq!(verified(&stage, 0).1, json!([]));
    fs::rename(&archive, &away).unwrap();
    let instead: [Instead; 3] = [
        ("is not there", |_| {}),
        ("is a folder", |path| fs::create_dir(path).unwrap()),
        ("is a FIFO", |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for (what, make) in instead {
        make(&archive);
        let (text, gone) = verified(&stage, 13);
        let file = archive.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("MISSING: v1.1.0/{file} {what}")), "{text}");
        assert!(text.contains("prune --forget-missing"), "{text}");
        assert_eq!(gone[0]["name"], format!("v1.1.0/{file}"), "{what}");
        assert!(stage.site.ok(&["backups", "list"]).contains("MISSING: v1.1.0/"), "{what}");
        let _ = fs::remove_file(&archive).or_else(|_| fs::remove_dir(&archive));
    }
    refused(&stage, &["backups", "verify", "v1.1.0"], 1, "it is MISSING; `nymvisor backups list`");
    // One that was asked for by name is all that is looked at.
    assert_eq!(stage.site.run(&["backups", "verify", "v1.2.0"]).status, 0);
    fs::rename(&away, &archive).unwrap();
    assert_eq!(verified(&stage, 0).1, json!([]));
}

#[test]
fn what_was_pruned_is_not_missing_nor_what_was_said_to_be_gone_on_purpose() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set("DAEMON_BACKUP_RETENTION", "2");
    assert_eq!(json(&stage, &["prune"])["backups"][0]["goes"], true);
    assert_eq!(verified(&stage, 0).1, json!([]));
    fs::remove_file(path(&list(&stage)[0])).unwrap();
    let (_, gone) = verified(&stage, 13);
    assert_eq!(gone.as_array().unwrap().len(), 1, "{gone}");
    stage.site.ok(&["backups", "prune"]);
    verified(&stage, 13);
    let said = stage.site.ok(&["backups", "prune", "--forget-missing"]);
    assert!(said.contains("forgotten: v1.2.0/backup-"), "{said}");
    assert_eq!(verified(&stage, 0).1, json!([]));
    assert_eq!(names(&stage).len(), 1);
}

#[test]
fn one_that_stayed_where_the_backups_were_before_is_not_missing() {
    let mut stage = upgraded(&["1.1.0", "1.2.0"]);
    let needed = path(&list(&stage)[1]);
    let elsewhere = stage.site.path("elsewhere");
    fs::create_dir_all(elsewhere.join("v1.2.0")).unwrap();
    stage.set("DAEMON_BACKUP_DATA_DIRECTORY", elsewhere.to_str().unwrap());
    fs::copy(&needed, elsewhere.join("v1.2.0").join(needed.file_name().unwrap())).unwrap();
    assert_eq!(verified(&stage, 0).1, json!([]));
}
