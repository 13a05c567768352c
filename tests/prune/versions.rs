//! Folders of versions.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nymvisor::host::lock::HeldLock;
use serde_json::json;

use super::{fates, hindrance, pruned};
use crate::backups_cli::{NOTHING, refused, running, stop, upgraded};
use crate::support::helper::{Guarded, eventually};
use crate::support::run::Stage;

const KEY: &str = "NYMVISOR_VERSION_RETENTION";

fn names(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.site.data("upgrades")).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|it| it.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn without_the_keys_nothing_goes() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let before = stage.site.tree();
    let report = pruned(&stage, 0, &[]);
    assert_eq!(report["freed_bytes"], 0);
    assert_eq!(fates(&report, "versions"), ["genesis: within", "v1.1.0: within", "v1.2.0: within"]);
    stage.site.assert_unchanged(&before);
    let said = stage.site.ok(&["prune"]);
    for line in [
        "versions: 0 removed, 0 bytes freed; 3 kept: nymvisor.version_retention is not set\n",
        "journal: 0 removed, 0 bytes freed; 1 kept: nymvisor.journal_retention is not set\n",
        "logs: 0 removed, 0 bytes freed; 1 kept, by nymvisor.log_retention = 14\n",
        "backups: 0 removed, 0 bytes freed; 2 kept: daemon.backup_retention is not set\n",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
    assert!(said.ends_with("\n0 bytes freed\n"), "{said}");
}

#[test]
fn old_ones_go_while_run_is_up_and_the_one_before_can_be_gone_back_to() {
    let (mut stage, run) = running(&["1.1.0", "1.2.0", "1.3.0", "1.4.0"]);
    stage.set(KEY, "1");
    stage.set("DAEMON_BACKUP_RETENTION", "2");
    let before = stage.site.tree();
    let would = pruned(&stage, 0, &["--dry-run"]);
    stage.site.assert_unchanged(&before);
    let said = stage.site.ok(&["prune", "--dry-run"]);
    assert!(said.contains("  would go: v1.1.0 (beyond the number to keep)\n"), "{said}");

    let done = pruned(&stage, 0, &[]);
    assert_eq!(done["versions"], would["versions"]);
    assert_eq!((&would["dry_run"], &done["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(
        fates(&done, "versions"),
        [
            "genesis: needed",
            "+v1.1.0: beyond-count",
            "+v1.2.0: beyond-count",
            "v1.3.0: needed",
            "v1.4.0: needed"
        ]
    );
    assert_eq!(names(&stage), ["v1.3.0", "v1.4.0"]);
    let backups = done["backups"]["items"].as_array().unwrap();
    let goes: Vec<_> = backups.iter().map(|it| it["goes"] == true).collect();
    assert_eq!(goes, [true, true, false, false]);
    let freed = |kind: &str| done[kind]["freed_bytes"].as_u64().unwrap();
    assert!(freed("versions") > 0 && freed("backups") > 0);
    assert_eq!(done["freed_bytes"], freed("versions") + freed("backups"));

    // Nothing is left behind, and there is nothing to do.
    assert_eq!(pruned(&stage, 0, &[])["freed_bytes"], 0);
    let locks = fs::read_dir(stage.site.data(".locks")).unwrap().map(Result::unwrap);
    let locks: Vec<_> = locks.map(|it| it.file_name().into_string().unwrap()).collect();
    assert!(!locks.iter().any(|name| name.starts_with("fetch-")), "{locks:?}");
    assert!(!stage.site.data("upgrade.lock").exists());

    // All goes on as before: a restart, another upgrade, the way back.
    stage.site.ok(&["status"]);
    stop(&stage, run);
    stage.site.ok(&["journal", "verify", "--backups"]);
    let run = stage.start(&NOTHING);
    stage.announce("1.5.0");
    stage.until_log("started 1.5.0", 1);
    stage.until_phase("Running");
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.4.0", 3);
    stage.until_phase("Running");
    stop(&stage, run);
    stage.site.ok(&["journal", "verify"]);
    assert_eq!(stage.history(), ["v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0"]);
}

#[test]
fn what_is_gone_is_neither_gone_back_to_nor_performed_again() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set(KEY, "1ms");
    pruned(&stage, 0, &[]);
    assert_eq!(names(&stage), ["v1.2.0", "v1.3.0"]);
    refused(&stage, &["rollback", "--to", "v1.1.0", "--keep-data"], 1, "`nymvisor prune` may have");
    let binary = stage.site.binary("nym-node", "1.1.0");
    let add = ["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", "v1.1.0", "--now"];
    let all = [&add[..], &["--allow-downgrade"]].concat();
    refused(&stage, &all, 1, "is no longer here to be compared");

    let run = stage.start(&NOTHING);
    stage.until_log("started 1.3.0", 2);
    stage.until_phase("Running");
    let asked = stage.server.count(crate::support::run::ANNOUNCED_AT);
    stage.announce("1.1.0");
    stage.until("two more polls", || {
        (stage.server.count(crate::support::run::ANNOUNCED_AT) > asked + 2).then_some(())
    });
    stage.site.ok(&["status"]);
    stop(&stage, run);
    assert_eq!(stage.history(), ["v1.1.0", "v1.2.0", "v1.3.0"]);
    stage.site.ok(&["journal", "verify"]);
}

/// What the number keeps are versions that ran; what never ran counts by its own time.
#[test]
fn what_is_queued_or_new_or_not_ours_stays() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    let binary = stage.site.binary("nym-node", "2.0.0");
    let add = ["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", "v2.0.0"];
    stage.site.ok(&add);
    let upgrades = stage.site.data("upgrades");
    // Put there for an announcement to come; an operator's notes; a link; a name of no version.
    fs::create_dir_all(upgrades.join("v3.0.0/bin")).unwrap();
    fs::copy(&binary, upgrades.join("v3.0.0/bin/nym-node")).unwrap();
    fs::write(upgrades.join("v1.1.0/bin/notes\n.txt"), "mine").unwrap();
    // Announced once, and taken back.
    fs::create_dir_all(upgrades.join("v2.5.0/bin")).unwrap();
    let info = "upgrade-info.json";
    fs::copy(upgrades.join("v2.0.0").join(info), upgrades.join("v2.5.0").join(info)).unwrap();
    symlink("v1.2.0", upgrades.join("latest")).unwrap();
    fs::create_dir(upgrades.join("-old")).unwrap();
    fs::write(upgrades.join("README"), "mine").unwrap();
    stage.set(KEY, "2");
    let before = stage.site.tree();
    let report = pruned(&stage, 0, &[]);
    let mut all = fates(&report, "versions");
    all.sort();
    assert_eq!(
        all,
        [
            "-old: foreign",
            "README: foreign",
            "genesis: needed",
            "latest: foreign",
            "v1.1.0: foreign",
            "v1.2.0: needed",
            "v1.3.0: needed",
            "v2.0.0: needed",
            "v2.5.0: within",
            "v3.0.0: foreign"
        ]
    );
    stage.site.assert_unchanged(&before);
    let said = stage.site.ok(&["prune"]);
    let why = r"v1.1.0 (it holds bin/notes\n.txt, which nymvisor did not put there)";
    assert!(said.contains(why), "{said}");
    fs::remove_file(upgrades.join("v1.1.0/bin/notes\n.txt")).unwrap();
    assert!(fates(&pruned(&stage, 0, &[]), "versions").contains(&"+v1.1.0: beyond-count".into()));
    // By age what never ran goes as well.
    stage.set(KEY, "1ms");
    pruned(&stage, 0, &[]);
    assert_eq!(names(&stage), ["-old", "README", "latest", "v1.2.0", "v1.3.0", "v2.0.0", "v3.0.0"]);
}

#[test]
fn nothing_goes_while_an_upgrade_or_a_fetch_is_at_it() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0", "1.4.0"]);
    stage.set(KEY, "1");
    for lock in ["upgrade.lock", ".locks/fetch-v1.1.0", ".locks/fetch-v1.2.0"] {
        let held = HeldLock::acquire(&stage.site.data(lock), 0o644, "somebody").unwrap();
        let report = pruned(&stage, 1, &[]);
        let why = hindrance(&report, "versions");
        assert!(why.starts_with("nothing is removed: ") && why.contains(lock), "{why}");
        assert_eq!(names(&stage), ["v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0"]);
        drop(held);
    }
    pruned(&stage, 0, &[]);
    assert_eq!(names(&stage), ["v1.3.0", "v1.4.0"]);
}

#[test]
fn what_a_process_runs_stays() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set(KEY, "1");
    let program = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    let beside = stage.site.path("sleeper");
    fs::write(&beside, "#!/bin/sh\nexec 2>&-\nread nothing\n").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, &program).unwrap();
    let start = || Command::new(&program).stdin(Stdio::piped()).spawn().ok();
    // A fork elsewhere may hold the written file open for a moment (ETXTBSY).
    let mut child = eventually("the program's start", start);
    eventually("its name", || {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", child.id())).ok()?;
        line.contains("v1.1.0").then_some(())
    });
    let report = pruned(&stage, 0, &[]);
    assert_eq!(fates(&report, "versions")[1], "v1.1.0: needed");
    let text = report["versions"]["items"][1]["text"].as_str().unwrap();
    assert_eq!(text, format!("the process {} runs it", child.id()));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[1], "+v1.1.0: beyond-count");
}

/// The kernel tells its path without the links through which it was started.
#[test]
fn what_a_process_runs_through_a_link_stays() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set(KEY, "1");
    let (data, disk) = (stage.site.path(".nym/nymvisors/data"), stage.site.path("disk"));
    fs::rename(&data, &disk).unwrap();
    symlink(&disk, &data).unwrap();
    let program = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    fs::remove_file(&program).unwrap();
    assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
    let mut child = Guarded(Command::new(&program).arg0("nym-node").arg("600").spawn().unwrap());
    let report = pruned(&stage, 0, &[]);
    assert_eq!(fates(&report, "versions")[1], "v1.1.0: needed");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[1], "+v1.1.0: beyond-count");
}

/// Neither what a link leads to, nor what only has the name of something half removed.
#[test]
fn what_is_no_folder_is_neither_removed_nor_followed() {
    let mut stage = upgraded(&["1.1.0", "1.2.0"]);
    let upgrades = stage.site.data("upgrades");
    let elsewhere = stage.site.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("large"), vec![7; 100_000]).unwrap();
    for name in [".pruned-link", "link"] {
        symlink(&elsewhere, upgrades.join(name)).unwrap();
    }
    fs::write(upgrades.join(".pruned-file"), "mine").unwrap();
    fs::create_dir_all(upgrades.join(".pruned-v0.9.0/bin")).unwrap();
    stage.set(KEY, "1");
    let report = pruned(&stage, 0, &[]);
    assert_eq!(report["versions"]["freed_bytes"], 0);
    let items = report["versions"]["items"].as_array().unwrap();
    let link = items.iter().find(|item| item["name"] == "link").unwrap();
    assert_eq!((&link["bytes"], &link["why"]), (&json!(0), &json!("foreign")));
    assert_eq!(names(&stage), [".pruned-file", ".pruned-link", "link", "v1.1.0", "v1.2.0"]);
    assert!(elsewhere.join("large").exists());
}

/// Without it there are no last two, and nobody could tell what ran.
#[test]
fn nothing_goes_without_the_history() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set(KEY, "1ms");
    let history = stage.site.data("upgrade-history.json");
    let away = stage.site.path("history");
    let told = fs::read(&history).unwrap();
    fs::rename(&history, &away).unwrap();
    for empty in [None, Some("{\"history\": []}")] {
        if let Some(content) = empty {
            fs::write(&history, content).unwrap();
        }
        let why = hindrance(&pruned(&stage, 1, &[]), "versions").to_owned();
        let said = why.starts_with("nothing is removed: ") && why.contains("upgrade-history.json");
        assert!(said, "{empty:?}: {why}");
        assert_eq!(names(&stage), ["v1.1.0", "v1.2.0", "v1.3.0"]);
    }
    fs::write(&history, told).unwrap();
    pruned(&stage, 0, &[]);
    assert_eq!(names(&stage), ["v1.2.0", "v1.3.0"]);

    // Nothing was performed yet, and so there need be none.
    let stage = Stage::new().with(KEY, "1ms");
    let _ = fs::remove_file(stage.site.data("upgrade-history.json"));
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions"), ["genesis: needed"]);
}
