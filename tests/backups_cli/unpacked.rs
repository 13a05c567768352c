//! A backup in a folder of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::json;

use super::{list, path, refused, running, stop, upgraded};
use crate::support::run::Stage;

fn unpack(stage: &Stage, into: &str) -> crate::support::site::Outcome {
    stage.site.run(&["backups", "restore", "v1.1.0", "--to", into])
}

#[test]
fn it_is_unpacked_while_the_daemon_runs_and_nothing_else_is_touched() {
    let stage = Stage::new();
    let odd = stage.site.home("closed");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("in it"), "x").unwrap();
    fs::hard_link(odd.join("in it"), stage.site.home("again")).unwrap();
    symlink("nowhere", stage.site.home("link")).unwrap();
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(stage.site.home(""), fs::Permissions::from_mode(0o750)).unwrap();
    let _ = xattr::set(odd.join("in it"), "user.colour", b"blue");
    let run = stage.start(&super::NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let into = stage.site.path("deep/unpacked");
    let said = unpack(&stage, "deep/unpacked");
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stdout.contains("(data of 1.0.0 (genesis)) is unpacked in "), "{said:?}");

    let by_tar = stage.site.path("by-tar");
    fs::create_dir(&by_tar).unwrap();
    let status = std::process::Command::new("tar")
        .args(["--zstd", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(path(&list(&stage)[0]))
        .arg("-C")
        .arg(&by_tar)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(tree(&into), tree(&by_tar));
    assert!(tree(&into).iter().any(|line| line.contains("in it")));
    let meta = into.metadata().unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o750);
    let colour = |of: &std::path::Path| xattr::get(of.join("closed/in it"), "user.colour").ok();
    assert_eq!(colour(&into), colour(&by_tar));
    assert_eq!(stage.daemons().len(), 1);
    assert!(!stage.site.home("nymvisor/rollbacks").exists());
    stop(&stage, run);
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Path, mode, owner, links, time, content.
fn tree(folder: &std::path::Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let line = |entry: walkdir::DirEntry| {
        let meta = entry.path().symlink_metadata().unwrap();
        let content = match fs::read_link(entry.path()) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into(),
        };
        let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
        // `tar` gives links no time in the past.
        let time = if meta.is_symlink() { 0 } else { meta.mtime() };
        let (mode, uid, gid, links) = (meta.mode(), meta.uid(), meta.gid(), meta.nlink());
        format!("{path} {mode:o} {uid}:{gid} {links} {time} {content}")
    };
    entries.map(|entry| line(entry.unwrap())).collect()
}

#[test]
fn only_into_an_empty_folder_that_is_not_the_daemons() {
    let stage = upgraded(&["1.1.0"]);
    let before = stage.site.tree();
    let full = stage.site.home("").parent().unwrap().to_owned();
    let said = unpack(&stage, full.to_str().unwrap());
    assert!(said.status == 1 && said.stderr.contains("is not empty"), "{said:?}");
    symlink(stage.site.home(""), stage.site.path("built/home")).unwrap();
    for home in ["node", "node/sub/deeper", "built/home", "built/home/sub", ".nym/../node"] {
        let said = unpack(&stage, home);
        assert!(said.status == 1 && said.stderr.contains("lies in the daemon's home"), "{said:?}");
    }
    let said = unpack(&stage, "built/none/../../node/sub");
    assert!(said.status == 1 && said.stderr.contains("without '..'"), "{said:?}");
    stage.site.assert_unchanged(&before);
    fs::create_dir(stage.site.path("empty")).unwrap();
    symlink("empty", stage.site.path("by-link")).unwrap();
    assert_eq!(unpack(&stage, "by-link").status, 0);
    assert!(stage.site.path("empty/precious").is_file());
    // What lies beside the backups is no part of any.
    assert_eq!(unpack(&stage, "node/nymvisor/look").status, 0);
}

#[test]
fn what_is_damaged_leaves_nothing_and_an_interrupted_one_begins_anew() {
    let stage = upgraded(&["1.1.0"]);
    let archive = path(&list(&stage)[0]);
    let content = fs::read(&archive).unwrap();
    let mut spoilt = content.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..].reverse();
    fs::write(&archive, spoilt).unwrap();
    refused(&stage, &["backups", "restore", "v1.1.0", "--to", "out"], 1, "backup");
    assert!(!stage.site.path("out").exists());
    fs::create_dir(stage.site.path("mine")).unwrap();
    for into in ["mine", "mine/deeper/still"] {
        refused(&stage, &["backups", "restore", "v1.1.0", "--to", into], 1, "backup");
        assert!(fs::read_dir(stage.site.path("mine")).unwrap().next().is_none(), "{into}");
    }
    fs::write(&archive, content).unwrap();
    // As a kill leaves it.
    let left = stage.site.path("out/.nymvisor-unpacking/staged/half");
    fs::create_dir_all(left).unwrap();
    let shown = [&["backups", "restore", "v1.1.0", "--to", "out"][..], &["-o", "json"]].concat();
    let shown: serde_json::Value = serde_json::from_str(&stage.site.ok(&shown)).unwrap();
    assert_eq!(shown["to"], stage.site.path("out").to_str().unwrap());
    assert_eq!((&shown["version"], &shown["aside"]), (&json!(1), &json!(null)));
    assert_eq!(shown["from"], json!({"name": "genesis", "version": "1.0.0"}));
    assert!(!stage.site.path("out/.nymvisor-unpacking").exists());
    assert!(stage.site.path("out/precious").is_file());
}

#[test]
fn one_of_0_1_is_told_how_to_unpack() {
    let stage = upgraded(&["1.1.0"]);
    let old = stage.site.home("nymvisor/backups/v0/backup-2024-10-01-preupgrade.tar.gz");
    fs::create_dir(old.parent().unwrap()).unwrap();
    fs::write(old, "old").unwrap();
    for arguments in [&["backups", "restore", "v0"][..], &["backups", "restore", "v0", "--to", "x"]]
    {
        refused(&stage, arguments, 1, "unpack it by hand: tar -xzpf ");
    }
    let (stage, run) = running(&["1.1.0"]);
    refused(&stage, &["backups", "restore", "v1.1.0"], 5, "with --to");
    stop(&stage, run);
}

#[test]
fn what_can_be_no_folder_is_refused_as_that() {
    let stage = upgraded(&["1.1.0"]);
    fs::write(stage.site.path("file"), "mine").unwrap();
    refused(&stage, &["backups", "restore", "v1.1.0", "--to", "file"], 1, "is not a folder; name");
    let none = ["backups", "restore", "v1.1.0", "--to", "/proc/nothing"];
    let said = refused(&stage, &none, 1, "unpacking the backup failed: creating /proc/nothing");
    assert!(!said.stderr.contains("goes on where it stopped"), "{said:?}");
}
