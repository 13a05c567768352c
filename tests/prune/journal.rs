//! Old segments of the journal, and what `journal verify` says of them.

use std::fs::{self, File};
use std::io::Write;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{fates, hindrance, pruned};
use crate::backups_cli::{self, NOTHING};
use crate::journal_verify::forge::Forged;
use crate::journal_verify::{CHAIN, CLEAN, FILES, HEAD, SEQUENCE, SET_ASIDE, journal, verify};
use crate::support::auditor;
use crate::support::run::Stage;
use crate::support::site::read_json;
use crate::support::tools::is_missing;

const KEY: &str = "NYMVISOR_JOURNAL_RETENTION";

/// After an upgrade without a backup, with a journal of one segment.
fn performed() -> Stage {
    let stage = Stage::new().with("DAEMON_UNSAFE_SKIP_BACKUP", "true");
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage
}

/// The same with five segments.
fn with_segments() -> Stage {
    let stage = performed();
    Forged::read(&journal(&stage, "")).split(&[3, 6, 9, 11]).write();
    assert_eq!(verify(&stage, &[]).0, CLEAN);
    stage
}

fn segment(number: u64) -> String {
    format!("{number:08}.jsonl")
}

fn files(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(journal(stage, "")).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|it| it.file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

#[test]
fn the_oldest_go_and_the_rest_is_a_journal() {
    let mut stage = with_segments();
    stage.set(KEY, "3");
    let before = stage.site.tree();
    let would = pruned(&stage, 0, &["--dry-run"]);
    stage.site.assert_unchanged(&before);
    let report = pruned(&stage, 0, &[]);
    assert_eq!(report["journal"], would["journal"]);
    let whys = ["beyond-count", "beyond-count", "within", "newest", "newest"];
    for ((number, why), fate) in (1..).zip(whys).zip(fates(&report, "journal")) {
        assert_eq!(fate.trim_start_matches('+'), format!("{}: {why}", segment(number)));
        assert_eq!(fate.starts_with('+'), number < 3);
    }
    assert_eq!(files(&stage), [segment(3), segment(4), segment(5), "pruned".to_owned()]);

    let (status, verified) = verify(&stage, &[]);
    assert_eq!((status, &verified["faults"]), (CLEAN, &json!([])));
    let noted: Value = read_json(&journal(&stage, "pruned"));
    assert_eq!(verified["pruned"], noted);
    assert_eq!((&noted["segment"], &noted["seq"]), (&json!(2), &json!(6)));
    let note = verified["notes"][0].as_str().unwrap();
    assert!(note.starts_with("the segments up to 2 were pruned at "), "{note}");
    assert!(stage.site.ok(&["journal", "verify"]).contains("up to record 6: what is left begins"));
    let (status, verified) = verify(&stage, &["--head", noted["hash"].as_str().unwrap()]);
    let said = verified["faults"][0]["text"].as_str().unwrap();
    assert!(status == HEAD && said.contains("; those up to record 6 were pruned"), "{said}");
    // All goes on, and what goes later is noted as well.
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    stage.until_phase("Running");
    stage.set(KEY, "1");
    pruned(&stage, 0, &[]);
    assert_eq!(files(&stage), [segment(4), segment(5), "pruned".to_owned()]);
    assert_eq!(verify(&stage, &[]).0, CLEAN);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let (status, verified) = verify(&stage, &[]);
    assert_eq!((status, &verified["pruned"]["segment"]), (CLEAN, &json!(3)));
    assert_eq!(fs::read_to_string(journal(&stage, "pruned")).unwrap().lines().count(), 2);
    stage.site.ok(&["journal", "show"]);
    stage.site.ok(&["journal", "report", "--html", "report.html"]);
    stage.site.ok(&["rollback", "--keep-data"]);
}

#[test]
fn by_age_a_segment_is_as_old_as_its_end() {
    let mut stage = with_segments();
    stage.set(KEY, "36500d");
    assert_eq!(pruned(&stage, 0, &[])["journal"]["freed_bytes"], 0);
    stage.set(KEY, "1ms");
    pruned(&stage, 0, &[]);
    assert_eq!(files(&stage), [segment(4), segment(5), "pruned".to_owned()]);
}

#[test]
fn what_was_pruned_is_told_from_what_is_missing() {
    let mut stage = with_segments();
    stage.set(KEY, "3");
    pruned(&stage, 0, &[]);
    fs::remove_file(journal(&stage, &segment(3))).unwrap();
    let (status, report) = verify(&stage, &[]);
    assert_eq!(status, SEQUENCE);
    assert!(report["faults"].to_string().contains("segment 3 is missing before it"), "{report}");
    // What is wrong is evidence. Here only the newest are left anyway.
    stage.set(KEY, "1ms");
    let before = stage.site.tree();
    pruned(&stage, 0, &[]);
    stage.site.assert_unchanged(&before);
}

#[test]
fn a_journal_that_is_not_as_it_was_is_evidence() {
    let mut stage = with_segments();
    stage.set(KEY, "2");
    let third = journal(&stage, &segment(3));
    let content = fs::read_to_string(&third).unwrap();
    fs::write(&third, content.replacen("\"at\":\"2", "\"at\":\"3", 1)).unwrap();
    let before = stage.site.tree();
    let report = pruned(&stage, 1, &[]);
    assert!(hindrance(&report, "journal").contains(&segment(3)), "{report}");
    assert_eq!(report["journal"]["freed_bytes"], 0);
    stage.site.assert_unchanged(&before);
    fs::write(&third, content).unwrap();
    pruned(&stage, 0, &[]);
}

/// The header after it has the digest that proves the file to be what was set aside.
#[test]
fn what_tells_of_a_damaged_part_stays() {
    let mut stage = with_segments();
    let fifth = journal(&stage, &segment(5));
    let content = fs::read_to_string(&fifth).unwrap();
    fs::write(&fifth, content.replacen("\"at\":\"2", "\"at\":\"3", 1)).unwrap();
    // Each begins a segment: the first sets aside, the others cut a line off.
    for begun in [6, 7, 8] {
        let mut run = stage.start(&NOTHING);
        stage.until_log("started 1.1.0", begun - 4);
        stage.until_phase("Running");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        let newest = journal(&stage, &segment(u64::try_from(begun).unwrap()));
        let mut file = File::options().append(true).open(newest).unwrap();
        file.write_all(b"{").unwrap();
    }
    stage.set(KEY, "1");
    let report = pruned(&stage, 0, &[]);
    assert_eq!(
        fates(&report, "journal")[4..],
        ["00000006.jsonl: needed", "00000007.jsonl: newest", "00000008.jsonl: newest"]
    );
    let (status, verified) = verify(&stage, &[]);
    let faults = verified["faults"].as_array().unwrap();
    assert_eq!((status, faults.len()), (SET_ASIDE, 1), "{verified}");
    let said = faults[0]["text"].as_str().unwrap();
    assert!(said.starts_with("the journal was damaged: "), "{said}");
}

#[test]
fn a_note_that_does_not_fit_is_found() {
    let mut stage = with_segments();
    stage.set(KEY, "3");
    pruned(&stage, 0, &[]);
    let noted = fs::read_to_string(journal(&stage, "pruned")).unwrap();
    let mut value: Value = serde_json::from_str(&noted).unwrap();
    let expect = |content: Option<String>, status: i32, said: &str| {
        let file = journal(&stage, "pruned");
        content.map_or_else(|| fs::remove_file(&file), |it| fs::write(&file, it)).unwrap();
        let (ended, report) = verify(&stage, &[]);
        let found = report["faults"].to_string().contains(said);
        assert!(ended == status && found, "{status} {said}: {report}");
        // Whether anything should go or not, nothing does.
        let before = stage.site.tree();
        stage.site.run(&["prune"]);
        stage.site.assert_unchanged(&before);
    };
    expect(None, SEQUENCE, "segments 1 to 2 are missing before it");
    expect(Some("{}\n".to_owned()), CHAIN, "line 1 can't be read: ");
    value["seq"] = json!(5);
    expect(Some(value.to_string()), SEQUENCE, "it follows record 6, but what was pruned ends at 5");
    value["seq"] = json!(6);
    value["hash"] = json!("0".repeat(64));
    expect(Some(value.to_string()), CHAIN, "it does not follow what was pruned (prev)");
    value["segment"] = json!(1);
    expect(Some(value.to_string()), SEQUENCE, "segment 2 is missing before it");
    value["segment"] = json!(5);
    expect(Some(value.to_string()), SEQUENCE, "segment 6 is missing, which follows");
    fs::write(journal(&stage, "pruned"), noted).unwrap();
    assert_eq!(verify(&stage, &[]).0, CLEAN);
}

#[test]
fn what_an_interrupted_prune_left_goes_the_next_time() {
    let mut stage = with_segments();
    let second = fs::read(journal(&stage, &segment(2))).unwrap();
    stage.set(KEY, "3");
    pruned(&stage, 0, &[]);
    fs::write(journal(&stage, &segment(2)), second).unwrap();
    let (status, report) = verify(&stage, &[]);
    assert_eq!(status, CLEAN);
    assert!(report["notes"].to_string().contains("1 of them are still there"), "{report}");
    stage.set(KEY, "36500d");
    let report = pruned(&stage, 0, &[]);
    assert_eq!(fates(&report, "journal")[0], format!("+{}: left-over", segment(2)));
    assert_eq!(files(&stage)[0], segment(3));
    assert_eq!(fs::read_to_string(journal(&stage, "pruned")).unwrap().lines().count(), 1);
}

/// Without it nobody could tell whether that backup is what was sealed.
#[test]
fn what_tells_of_a_backup_stays_as_long_as_that() {
    let mut stage = backups_cli::upgraded(&["1.1.0", "1.2.0"]);
    let forged = Forged::read(&journal(&stage, ""));
    let sealed = |upgrade: &str| {
        let is_it = |record: &Value| {
            let archive = &record["event"]["backup-sealed"]["archive"]["path"];
            archive.as_str().is_some_and(|path| path.contains(upgrade))
        };
        forged.segments[0].records.iter().position(is_it).unwrap() + 1
    };
    let (first, second) = (sealed("v1.1.0"), sealed("v1.2.0"));
    let all = forged.segments[0].records.len();
    forged.split(&[2, first, first + 2, second, all - 2]).write();
    stage.set(KEY, "1");
    let report = pruned(&stage, 0, &["--dry-run"]);
    let whys = |report: &Value| -> Vec<String> {
        let fates = fates(report, "journal").into_iter();
        fates.map(|fate| fate.split_once(": ").unwrap().1.to_owned()).collect()
    };
    let wanted = ["beyond-count", "needed", "behind", "needed", "newest", "newest"];
    assert_eq!(whys(&report), wanted);
    // Nor does it go while the backups are not there: their disk may not be mounted.
    let (folder, away) = (stage.site.home("nymvisor/backups"), stage.site.path("away"));
    fs::rename(&folder, &away).unwrap();
    assert_eq!(whys(&pruned(&stage, 0, &["--dry-run"])), wanted);
    fs::rename(&away, &folder).unwrap();
    // With the old backup, what tells of it goes in one go.
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let would = pruned(&stage, 0, &["--dry-run"]);
    let report = pruned(&stage, 0, &[]);
    let wanted = ["beyond-count", "beyond-count", "beyond-count", "needed", "newest", "newest"];
    assert_eq!(whys(&would), wanted);
    assert_eq!(whys(&report), wanted);
    stage.site.ok(&["journal", "verify", "--backups"]);
    stage.site.ok(&["backups", "verify"]);
}

#[test]
fn what_is_left_is_checked_by_hand() {
    if is_missing("jq") {
        return;
    }
    let mut stage = with_segments();
    stage.set(KEY, "3");
    pruned(&stage, 0, &[]);
    let folder = journal(&stage, "");
    for script in [auditor::CHAIN, auditor::NUMBERS, auditor::STEPS, auditor::PRUNED] {
        let (sound, said) = auditor::run(script, &folder, "");
        assert!(sound, "{script} {said}");
    }
    let said = auditor::run(auditor::PRUNED, &folder, "").1;
    assert!(said.starts_with("pruned up to file 2, record 6, by "), "{said}");
    fs::remove_file(journal(&stage, &segment(3))).unwrap();
    let (sound, said) = auditor::run(auditor::PRUNED, &folder, "");
    assert_eq!((sound, &*said), (false, "00000004.jsonl does not follow what was pruned\n"));
    fs::remove_file(journal(&stage, "pruned")).unwrap();
    let (sound, said) = auditor::run(auditor::PRUNED, &folder, "");
    assert_eq!((sound, &*said), (false, "nothing tells what became of the files before\n"));
}

/// What it performed itself no other instance did, though no record tells so any more.
#[test]
fn a_changed_plan_is_no_other_instances_upgrade_after_a_prune() {
    let mut stage = performed();
    let forged = Forged::read(&journal(&stage, ""));
    let all = forged.segments[0].records.len();
    forged.split(&[all - 2, all - 1]).write();
    stage.set(KEY, "1");
    pruned(&stage, 0, &[]);
    assert_eq!(files(&stage), [segment(2), segment(3), "pruned".to_owned()]);
    let left = files(&stage).into_iter().map(|file| fs::read_to_string(journal(&stage, &file)));
    assert!(!left.map(Result::unwrap).any(|text| text.contains("swap-committed")));
    assert_eq!(verify(&stage, &[]).0, CLEAN);
    let path = stage.site.data("upgrade-plan.json");
    let plan = fs::read_to_string(&path).unwrap();
    let changed = plan.replacen("\"1.1.0\"", "\"1.1.1\"", 1);
    assert_ne!(plan, changed);
    fs::write(&path, changed).unwrap();
    let (status, report) = verify(&stage, &[]);
    assert_eq!(status, FILES, "{report}");
}
