//! What there is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::{json, list, names, path, refused, running, stop, upgraded};
use crate::support::run::Stage;

#[test]
fn every_backup_is_listed_with_what_is_known_of_it_while_run_is_up_too() {
    let (stage, run) = running(&["1.1.0", "1.2.0"]);
    let shown = json(&stage, &["list"]);
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["folder"], stage.site.home("nymvisor/backups").to_str().unwrap());
    assert_eq!(shown["retention"], json!(null));
    assert_eq!(shown["restoring"], json!(null));
    assert_eq!(shown["missing"], json!([]));
    let backups = shown["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{shown}");
    let from = [("genesis", "1.0.0"), ("v1.1.0", "1.1.0")];
    for (backup, (name, version)) in backups.iter().zip(from) {
        assert_eq!(backup["from"], json!({"name": name, "version": version}), "{backup}");
        let meta = path(backup).metadata().unwrap();
        assert_eq!(backup["bytes"], meta.len());
        let record = backup["record"].as_u64().unwrap();
        let sealed = &stage.records()[usize::try_from(record).unwrap() - 1];
        assert_eq!(sealed.event(), "backup-sealed");
        assert_eq!(sealed.data()["archive"]["entries"], backup["entries"]);
        assert!(backup["made_at"].as_str().unwrap().ends_with('Z'), "{backup}");
    }
    assert_eq!((&backups[0]["needed"], &backups[1]["needed"]), (&json!(false), &json!(true)));
    let text = stage.site.ok(&["backups", "list"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("of 1.0.0 (genesis)") && text.contains(", needed\n"), "{text}");
    stop(&stage, run);
    assert_eq!(list(&stage).len(), 2);
}

#[test]
fn nothing_to_list_is_no_error() {
    let stage = Stage::new();
    assert_eq!(json(&stage, &["list"])["backups"], json!([]));
    assert!(stage.site.ok(&["backups", "list"]).starts_with("there are no backups in "));
    refused(&stage, &["backups", "verify", "v1"], 1, "there is no backup 'v1'");
    assert_eq!(stage.site.ok(&["backups", "verify"]), "clean\n");
    stage.site.ok(&["backups", "prune"]);
}

#[test]
fn a_needed_one_that_is_gone_is_told() {
    let stage = upgraded(&["1.1.0"]);
    fs::remove_file(path(&list(&stage)[0])).unwrap();
    let missing = &json(&stage, &["list"])["missing"];
    assert!(missing[0].as_str().unwrap().starts_with("v1.1.0/backup-"), "{missing}");
    let verified = stage.site.run(&["backups", "verify"]);
    assert_eq!(verified.status, 13, "{}", verified.stdout);
    assert!(verified.stdout.contains("MISSING, and needed: v1.1.0/backup-"), "{verified:?}");
    assert!(verified.stdout.contains("put it back; without it `nymvisor rollback --keep-data`"));
}

/// What lies among the backups may be called anything, and be anything.
#[test]
fn odd_files_and_hostile_names_are_told_apart_and_neutralised() {
    let stage = upgraded(&["1.1.0"]);
    let folder = stage.site.home("nymvisor/backups");
    let real = path(&list(&stage)[0]);
    let put = |name: &[u8]| {
        let path = folder.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "no archive").unwrap();
    };
    put(b"v1.1.0/.backup-20200101T000000.000Z-preupgrade.tar.zst.partial");
    put(b"v1.1.0/.hidden.tar.zst");
    put(b".hidden/backup-20200101T000000.000Z-preupgrade.tar.zst");
    put(b"v1.1.0/notes.txt");
    put(b"loose.tar.zst");
    fs::create_dir(folder.join("v1.1.0/folder.tar.zst")).unwrap();
    symlink("/nowhere", folder.join("v1.1.0/dangling.tar.zst")).unwrap();
    assert_eq!(names(&stage).len(), 1, "{:?}", names(&stage));

    put(b"v1.0.0/backup-2024-10-01-preupgrade.tar.gz");
    put(b"v0/backup-20200101T000000.000Z-preupgrade.tar.gz");
    put(b"v0/backup-20200101T000000.000Z-preupgrade.tar.zst");
    put(b"a\x1b[31m\xff\n/backup-x\x07\xc2\x9b-preupgrade.tar.zst");
    put(b"v1.1.0/kept by hand.tar.zst");
    symlink(&real, folder.join("v1.0.0/backup-20200101T000000.000Z-preupgrade.tar.zst")).unwrap();
    let mut all = names(&stage);
    all.sort();
    let time = all.iter().find(|name| name.starts_with("v1.1.0/2")).unwrap().clone();
    assert_eq!(
        all,
        [
            "a\\x1b[31m\\xff\\x0a/x\\x07\\xc2\\x9b",
            "v0/backup-20200101T000000.000Z-preupgrade.tar.gz",
            "v0/backup-20200101T000000.000Z-preupgrade.tar.zst",
            "v1.0.0/20200101T000000.000Z",
            "v1.0.0/2024-10-01",
            &time,
            "v1.1.0/kept by hand.tar.zst",
        ]
    );
    for arguments in [&["backups", "list"][..], &["backups", "verify"], &["backups", "prune"]] {
        let said = stage.site.run(arguments);
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!said.stdout.contains(steers) && !said.stderr.contains(steers), "{said:?}");
    }
}

#[test]
fn a_backup_is_called_by_as_much_of_its_name_as_is_no_others() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let all = names(&stage);
    let verify = |name: &str| stage.site.run(&["backups", "verify", name]);
    for name in [&all[0], "v1.1.0", "v1.1", &all[0][..15]] {
        let verified = verify(name);
        assert_eq!(verified.status, 0, "{name}: {verified:?}");
        assert!(verified.stdout.starts_with(&all[0]), "{name}: {verified:?}");
    }
    let both = verify("v1.");
    assert!(both.status == 1 && both.stderr.contains(&all[0]) && both.stderr.contains(&all[1]));
    for name in ["", "v2", "../v1.1.0", "\x1b[31m"] {
        let none = verify(name);
        assert_eq!(none.status, 1, "{none:?}");
        assert!(none.stderr.contains("there is no backup '") && !none.stderr.contains('\x1b'));
    }
    // The upgrade's own name counts more than that it begins another's.
    let other = stage.site.home("nymvisor/backups/v1.1.0-rc1");
    fs::create_dir(&other).unwrap();
    fs::copy(path(&list(&stage)[0]), other.join("backup-x-preupgrade.tar.zst")).unwrap();
    assert!(verify("v1.1.0").stdout.starts_with(&all[0]));
}
