//! The home as a backup has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{NOTHING, json, list, names, path, read, refused, running, stop, upgraded};
use crate::restore::mounts::Mount;
use crate::support::helper::Guarded;
use crate::support::run::Stage;

/// What the home held when 1.0.0 left it.
fn assert_first(stage: &Stage) {
    assert_eq!(read(stage, "precious"), "before the first");
    assert_eq!(read(stage, "daemon.version"), "1.0.0");
    assert!(!stage.site.home("added-by-1.1.0").exists());
    assert!(!stage.site.home("nymvisor/restoring.json").exists());
}

#[test]
fn it_puts_the_home_back_and_moves_what_was_there_aside() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let all = names(&stage);
    let said = stage.site.ok(&["backups", "restore", "v1.1.0"]);
    assert!(said.starts_with(&format!("{} is restored in ", all[0])), "{said}");
    assert!(said.contains("data of 1.0.0 (genesis)"), "{said}");
    assert!(said.contains("nymvisor rollback --keep-data --to genesis"), "{said}");
    assert_first(&stage);
    let aside = said.split(" lies in ").nth(1).unwrap().lines().next().unwrap();
    let aside = Path::new(aside);
    assert!(aside.starts_with(stage.site.home("nymvisor/rollbacks")), "{said}");
    assert_eq!(fs::read_to_string(aside.join("precious")).unwrap(), "of 1.2.0");
    assert!(aside.join("added-by-1.2.0").is_file());
    // The version file is ours, and the backups are.
    assert_eq!(stage.assert_consistent(), "v1.2.0");
    assert_eq!(names(&stage), all);

    // Once more, from another one: the data of the version before the installed one.
    let shown = json(&stage, &["restore", "v1.2.0"]);
    assert_eq!(read(&stage, "precious"), "of 1.1.0");
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["name"], all[1].as_str());
    assert_eq!(shown["to"], stage.site.home("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(shown["from"], json!({"name": "v1.1.0", "version": "1.1.0"}));
    assert_eq!(shown["installed"], json!({"name": "v1.2.0", "version": "1.2.0"}));
    assert_eq!(shown["entries"], list(&stage)[1]["entries"]);
    assert_ne!(shown["aside"].as_str(), aside.to_str());
    let run = stage.start(&NOTHING);
    stage.until_phase("Running");
    stop(&stage, run);
    stage.site.ok(&["journal", "verify"]);
}

#[test]
fn what_it_says_to_type_goes_back_to_the_version_of_the_data() {
    let stage = upgraded(&["1.1.0"]);
    stage.site.ok(&["backups", "restore", "v1.1.0"]);
    stage.site.ok(&["rollback", "--keep-data", "--to", "genesis"]);
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
    assert_eq!(read(&stage, "precious"), "before the first");
    stop(&stage, run);
}

#[test]
fn not_while_the_daemon_runs_with_or_without_us() {
    let (stage, run) = running(&["1.1.0"]);
    refused(&stage, &["backups", "restore", "v1.1.0"], 5, "nymvisor runs: ");
    assert_eq!(read(&stage, "precious"), "of 1.1.0");
    stop(&stage, run);
    let mut by_hand = Command::new(stage.site.data("current/bin/nym-node"));
    by_hand.args(["run", "--home"]).arg(stage.site.home("")).env_clear();
    by_hand.env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    let by_hand = Guarded(by_hand.env("HOME", stage.site.path("")).spawn().unwrap());
    stage.until_log("started 1.1.0", 2);
    refused(&stage, &["backups", "restore", "v1.1.0"], 5, "serves ");
    assert_eq!(read(&stage, "precious"), "of 1.1.0");
    drop(by_hand);
    stage.until("the end of the daemon", || {
        let said = stage.site.run(&["backups", "restore", "v1.1.0"]);
        (said.status == 0).then_some(())
    });
    assert_first(&stage);
}

#[test]
fn not_amid_a_roll_back() {
    let stage = upgraded(&["1.1.0"]);
    stage.site.ok(&["rollback"]);
    refused(&stage, &["backups", "restore", "v1.1.0"], 1, "a roll-back is not finished");
    stage.site.ok(&["backups", "restore", "v1.1.0", "--to", "beside"]);
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    stop(&stage, run);
    stage.site.ok(&["backups", "restore", "v1.1.0"]);
}

#[test]
fn a_damaged_one_touches_nothing_and_blocks_nothing() {
    let stage = upgraded(&["1.1.0"]);
    let archive = path(&list(&stage)[0]);
    let content = fs::read(&archive).unwrap();
    let mut spoilt = content.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..].reverse();
    fs::write(&archive, &spoilt).unwrap();
    let before = stage.site.tree();
    refused(&stage, &["backups", "restore", "v1.1.0"], 1, "backup");
    let ours = |path: &Path| path.ends_with("run.lock") || path.ends_with("nymvisor/rollbacks");
    let without = |mut tree: BTreeMap<PathBuf, String>| {
        tree.retain(|path, _| !ours(path));
        tree
    };
    assert!(without(stage.site.tree()) == without(before), "something is touched");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    stop(&stage, run);
}

/// A home that is lost, and a journal that is lost with it.
#[test]
fn into_nothing_and_by_nothing_but_the_archive() {
    let mut stage = Stage::after(|site| {
        let backups = site.path("elsewhere");
        site.set_env("DAEMON_BACKUP_DATA_DIRECTORY", backups.to_str().unwrap());
    });
    stage.switch("precious", "before the first");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    stop(&stage, run);
    let kept = stage.site.home("nymvisor/current-version-info.json");
    let version = fs::read(&kept).unwrap();
    fs::remove_dir_all(stage.site.home("")).unwrap();
    fs::remove_dir_all(stage.site.path(".nym/nymvisors/instances/nym-node-default/data")).unwrap();
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let shown: Value = json(&stage, &["restore", "v1.1.0"]);
    assert_eq!(shown["installed"], json!(null));
    assert_first(&stage);
    fs::write(kept, version).unwrap();
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 1);
    stop(&stage, run);
}

#[test]
fn what_was_on_another_file_system_is_said_to_lie_where_it_lies() {
    let stage = Stage::new();
    let Some(_mount) = Mount::tmpfs(stage.site.home("disk"), "size=8m,mode=0755") else { return };
    stage.switch("disk/db", "old");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    stop(&stage, run);
    stage.switch("disk/db", "new");
    let said = stage.site.ok(&["backups", "restore", "v1.1.0"]);
    assert_eq!(read(&stage, "disk/db"), "old");
    let line = said.lines().find(|line| line.contains("another file system")).expect(&said);
    let there = Path::new(line.split(" lies in ").nth(1).unwrap());
    assert!(there.starts_with(stage.site.home("disk")), "{said}");
    assert_eq!(fs::read_to_string(there.join("db")).unwrap(), "new");
    let shown = json(&stage, &["restore", "v1.1.0"]);
    let elsewhere = shown["aside_elsewhere"].as_array().unwrap();
    assert_eq!(fs::read_to_string(path_in(&elsewhere[0]).join("db")).unwrap(), "old");
}

fn path_in(text: &Value) -> PathBuf {
    text.as_str().unwrap().into()
}
