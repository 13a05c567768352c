//! Whether it is what was sealed.

use std::fs;
use std::path::Path;

use nymvisor::host::backup;
use serde_json::{Value, json};

use super::{json, list, path, upgraded};
use crate::support::run::Stage;

fn verdict(stage: &Stage, status: i32) -> Value {
    let said = stage.site.run(&["backups", "verify", "--output", "json"]);
    assert_eq!(said.status, status, "{}{}", said.stdout, said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["version"], &report["exit_status"]), (&json!(1), &json!(status)));
    assert_eq!(report["verdict"], if status == 0 { "clean" } else { "damaged" });
    report
}

fn faults(report: &Value, index: usize) -> String {
    report["backups"][index]["faults"].to_string()
}

/// Gives the archive a manifest, as it was when it was examined.
fn give_manifest(archive: &Path, known: &Value) {
    let sealed = nymvisor::machine::Archive {
        path: backup::path_text(archive),
        bytes: known["bytes"].as_u64().unwrap(),
        sha256: None,
        entries: known["entries"].as_u64().unwrap(),
        skipped: 0,
    };
    let version = serde_json::from_value(known["from"].clone()).unwrap();
    let origin = backup::Origin { version, record: known["record"].as_u64().unwrap() };
    backup::examine(&sealed, &origin, backup::Tempo::default(), &backup::Cancel::default())
        .unwrap();
}

#[test]
fn what_an_upgrade_left_is_sound_and_verifying_changes_nothing() {
    let stage = upgraded(&["1.1.0"]);
    let known = list(&stage).remove(0);
    give_manifest(&path(&known), &known);
    let before = stage.site.tree();
    let report = verdict(&stage, 0);
    let backup = &report["backups"][0];
    assert_eq!(backup["verdict"], "sound");
    assert_eq!((&backup["journal"], &backup["manifest"]), (&json!(true), &json!(true)));
    assert_eq!((&backup["bytes"], &backup["entries"]), (&known["bytes"], &known["entries"]));
    stage.site.assert_unchanged(&before);
    let text = stage.site.ok(&["backups", "verify"]);
    assert!(text.contains("as by the journal and its manifest\nclean\n"), "{text}");
}

#[test]
fn a_byte_that_differs_or_is_missing_is_found_wherever_it_is() {
    let stage = upgraded(&["1.1.0"]);
    let archive = path(&list(&stage)[0]);
    let content = fs::read(&archive).unwrap();
    for at in [0, 4, content.len() / 2, content.len() - 1] {
        let mut spoilt = content.clone();
        spoilt[at] ^= 0x10;
        fs::write(&archive, spoilt).unwrap();
        assert!(faults(&verdict(&stage, 13), 0).len() > 10, "byte {at}");
    }
    for length in [0, content.len() / 2, content.len() - 1] {
        fs::write(&archive, &content[..length]).unwrap();
        assert!(faults(&verdict(&stage, 13), 0).len() > 10, "{length} bytes");
    }
    let text = stage.site.run(&["backups", "verify"]).stdout;
    assert!(text.contains("\n  -> put a good copy of ") && text.contains("NOT clean\n"), "{text}");
    let mut longer = content.clone();
    longer.extend(zstd::encode_all(&b"more"[..], 1).unwrap());
    fs::write(&archive, longer).unwrap();
    assert!(faults(&verdict(&stage, 13), 0).contains("last entry"));
    fs::write(&archive, content).unwrap();
    verdict(&stage, 0);
}

/// An archive that is whole in itself, and another one.
#[test]
fn an_exchanged_archive_is_found_by_the_journal_and_by_its_manifest() {
    let stage = upgraded(&["1.1.0", "1.2.0"]);
    let backups = list(&stage);
    let (first, second) = (path(&backups[0]), path(&backups[1]));
    give_manifest(&first, &backups[0]);
    let content = fs::read(&first).unwrap();
    fs::copy(&second, &first).unwrap();
    let report = verdict(&stage, 13);
    assert!(faults(&report, 0).contains("by the journal"), "{report}");
    assert!(faults(&report, 0).contains("manifest"), "{report}");
    assert_eq!(report["backups"][1]["verdict"], "sound");
    // One alone is verified by its name.
    assert_eq!(stage.site.run(&["backups", "verify", "v1.2.0"]).status, 0);
    assert_eq!(stage.site.run(&["backups", "verify", "v1.1.0"]).status, 13);

    // Without a journal the manifest tells.
    let journal = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    fs::rename(&journal, journal.with_extension("away")).unwrap();
    let report = verdict(&stage, 13);
    assert_eq!(report["backups"][0]["journal"], json!(false));
    assert!(!faults(&report, 0).contains("journal"), "{report}");
    fs::write(&first, content).unwrap();
    verdict(&stage, 0);
    assert_eq!(json(&stage, &["list"])["backups"][0]["from"]["version"], "1.0.0");
}

#[test]
fn a_damaged_manifest_is_a_fault_and_one_of_0_1_is_not_read() {
    let stage = upgraded(&["1.1.0"]);
    let known = list(&stage).remove(0);
    give_manifest(&path(&known), &known);
    let manifest = backup::manifest_of(&path(&known));
    let whole = fs::read(&manifest).unwrap();
    let lines = String::from_utf8(zstd::decode_all(&whole[..]).unwrap()).unwrap();
    let cases = [
        (lines.replace("\"mode\":\"0644\"", "\"mode\":\"0777\""), "is not as its manifest has it"),
        (lines.lines().take(3).collect::<Vec<_>>().join("\n"), "cut short"),
        (lines.replacen("{\"path\"", "{\"pfad\"", 1), "can't be read"),
        (format!("{}\n", "x".repeat(1 << 20)), "can't be read"),
        (lines.replacen("precious", "atrocious", 1), "the rest is not compared"),
    ];
    for (text, said) in cases {
        fs::write(&manifest, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        let report = verdict(&stage, 13);
        assert!(faults(&report, 0).contains(said), "{said}: {report}");
    }
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    verdict(&stage, 13);
    fs::write(&manifest, &whole).unwrap();
    let old = path(&known).with_file_name("backup-2024-10-01-preupgrade.tar.gz");
    fs::write(old, "not looked at").unwrap();
    let report = verdict(&stage, 0);
    let verdicts = report["backups"].as_array().unwrap().iter().map(|it| it["verdict"].clone());
    assert_eq!(verdicts.collect::<Vec<_>>().iter().filter(|it| *it == "unread").count(), 1);
}
