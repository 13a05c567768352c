//! What goes, and what never does.

use std::fs;
use std::os::unix::fs::symlink;

use nymvisor::host::backup;
use serde_json::json;

use super::{json, list, names, path, refused, running, stop, upgraded};

#[test]
fn without_a_retention_nothing_goes() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let said = stage.site.ok(&["backups", "prune"]);
    assert_eq!(said, "all backups are kept: daemon.backup_retention is not set\n");
    assert_eq!(json(&stage, &["prune"])["freed_bytes"], 0);
    assert_eq!(names(&stage).len(), 2);
}

#[test]
fn beyond_the_number_the_oldest_go_and_their_manifests_while_run_is_up_too() {
    let (mut stage, run) = running(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let before = list(&stage);
    let (all, archive) = (names(&stage), path(&before[0]));
    fs::write(backup::manifest_of(&archive), "whatever").unwrap();
    let tree = stage.site.home("nymvisor/backups");
    let would = json(&stage, &["prune", "--dry-run"]);
    assert_eq!(would["dry_run"], true);
    assert_eq!(list(&stage), before);
    let said = stage.site.ok(&["backups", "prune", "--dry-run"]);
    assert!(said.contains(&format!("would go: {} (beyond the number to keep)", all[0])), "{said}");

    let done = json(&stage, &["prune"]);
    assert_eq!((&done["version"], &done["retention"]), (&json!(1), &json!("1")));
    assert_eq!(done["backups"], would["backups"]);
    let freed = before[0]["bytes"].as_u64().unwrap() + before[1]["bytes"].as_u64().unwrap();
    assert_eq!(done["freed_bytes"], freed);
    let whys: Vec<_> = done["backups"].as_array().unwrap().iter().map(|it| &it["why"]).collect();
    assert_eq!(whys, ["beyond-count", "beyond-count", "needed"]);
    assert_eq!(names(&stage), all[2..]);
    // Nor is a folder left that holds nothing.
    assert!(!tree.join("v1.1.0").exists() && tree.join("v1.3.0").exists());
    let locks = fs::read_dir(stage.site.data(".locks")).unwrap();
    let locks = locks.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(locks.filter(|name| name.starts_with("fetch-")).count(), 0);
    // Once more there is nothing to do.
    assert_eq!(json(&stage, &["prune"])["freed_bytes"], 0);
    stop(&stage, run);
    stage.site.ok(&["journal", "verify"]);
    stage.site.ok(&["rollback"]);
}

#[test]
fn what_is_not_ours_stays() {
    let stage = upgraded(&["1.1.0", "1.2.0"]).with("DAEMON_BACKUP_RETENTION", "1ms");
    let folder = stage.site.home("nymvisor/backups");
    let first = path(&list(&stage)[0]);
    // Another instance's, 0.1.x's, an operator's.
    let foreign = [
        "v1.1.0/backup-20200101T000000.000Z-preupgrade.tar.zst",
        "v1.1.0/backup-2024-10-01-preupgrade.tar.gz",
        "v1.1.0/by hand.tar.zst",
    ];
    for name in foreign {
        fs::copy(&first, folder.join(name)).unwrap();
    }
    // The name is ours, and what it leads to is elsewhere.
    let moved = stage.site.path("moved.tar.zst");
    fs::rename(&first, &moved).unwrap();
    symlink(&moved, &first).unwrap();
    let said = stage.site.ok(&["backups", "prune"]);
    assert!(
        said.ends_with("0 removed, 0 bytes freed; 5 kept, by daemon.backup_retention = 1ms\n"),
        "{said}"
    );
    assert!(foreign.iter().all(|name| folder.join(name).exists()) && first.exists());
    fs::remove_file(&first).unwrap();
    fs::rename(&moved, &first).unwrap();
    stage.site.ok(&["backups", "prune"]);
    assert!(!first.exists() && foreign.iter().all(|name| folder.join(name).exists()));
    assert_eq!(names(&stage).len(), 4);
}

/// Without a journal nobody knows whose they are, nor what is needed.
#[test]
fn without_a_journal_nothing_goes() {
    let stage = upgraded(&["1.1.0", "1.2.0"]).with("DAEMON_BACKUP_RETENTION", "1");
    let journal = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    fs::rename(&journal, journal.with_extension("away")).unwrap();
    assert_eq!(json(&stage, &["prune"])["freed_bytes"], 0);
    assert_eq!(names(&stage).len(), 2);
}

#[test]
fn nothing_goes_while_the_newest_that_stays_is_not_whole() {
    let stage = upgraded(&["1.1.0", "1.2.0"]).with("DAEMON_BACKUP_RETENTION", "1");
    let (all, newest) = (names(&stage), path(&list(&stage)[1]));
    let content = fs::read(&newest).unwrap();
    let mut spoilt = content.clone();
    spoilt[content.len() / 2] ^= 0x10;
    fs::write(&newest, spoilt).unwrap();
    for arguments in [&["backups", "prune"][..], &["backups", "prune", "--dry-run"]] {
        let said = refused(&stage, arguments, 1, &format!("nothing is removed: {}", all[1]));
        assert!(said.stderr.contains("backups verify"), "{said:?}");
        assert_eq!(names(&stage), all);
    }
    fs::write(&newest, content).unwrap();
    stage.site.ok(&["backups", "prune"]);
    assert_eq!(names(&stage), all[1..]);
}
