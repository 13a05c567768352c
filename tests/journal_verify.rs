//! `journal verify`: on what a real run leaves, and on every kind of damage to it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::run::{Run, Stage};
use crate::support::site::read_json;

mod by_hand;
mod down_and_up;
pub(crate) mod forge;
mod no_file;

use forge::Forged;

pub(crate) const CLEAN: i32 = 0;
pub(crate) const CHAIN: i32 = 10;
pub(crate) const SEQUENCE: i32 = 11;
const ILLEGAL: i32 = 12;
pub(crate) const FILES: i32 = 13;
pub(crate) const HEAD: i32 = 14;
pub(crate) const SET_ASIDE: i32 = 15;

/// A stage with a run that has been through an upgrade to 1.1.0.
fn upgrading() -> (Stage, Run) {
    let stage = Stage::new();
    let run = stage.start(&["run"]);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_event("swap-committed", 1);
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    (stage, run)
}

/// The same after an orderly end, and what the run said.
fn upgraded() -> (Stage, String) {
    let (stage, mut run) = upgrading();
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", stage.story());
    (stage, end.stderr)
}

pub(crate) fn journal(stage: &Stage, file: &str) -> PathBuf {
    stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal").join(file)
}

pub(crate) fn verify(stage: &Stage, more: &[&str]) -> (i32, Value) {
    let arguments = [&["journal", "verify", "--output", "json"], more].concat();
    let outcome = stage.site.run(&arguments);
    let report: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|_| panic!("{}{}", outcome.stdout, outcome.stderr));
    assert_eq!(report["exit_status"], outcome.status, "{report}");
    (outcome.status, report)
}

/// Verifies; the exit status must be this, and the text must have all of these.
#[track_caller]
fn expect(stage: &Stage, status: i32, wanted: &[&str]) -> Value {
    let (found, report) = verify(stage, &[]);
    let text = stage.site.run(&["journal", "verify"]).stdout;
    assert_eq!(found, status, "{text}");
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    report
}

/// Replaces what stands exactly once in a file.
fn edit(path: PathBuf, from: &str, to: &str) {
    let content = fs::read_to_string(&path).unwrap();
    assert!(content.contains(from), "{from} in {content}");
    fs::write(path, content.replacen(from, to, 1)).unwrap();
}

fn append(path: PathBuf, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_a_run_leaves_is_clean_and_verifying_changes_nothing() {
    let (stage, said) = upgraded();
    let before = stage.site.tree();
    let logged = said.split("journal head after record ").nth(1).unwrap();
    let (seq, head) = logged.lines().next().unwrap().split_once(": ").unwrap();
    let (status, report) = verify(&stage, &["--head", &head.to_uppercase(), "--backups"]);
    assert_eq!(status, CLEAN, "{report}");
    let records = u64::try_from(stage.records().len()).unwrap();
    let swapped: u64 = seq.parse().unwrap();
    insta::assert_json_snapshot!(report, {
        ".records" => insta::dynamic_redaction(move |value, _| {
            assert_eq!(value.as_u64().unwrap(), records);
            "[records]"
        }),
        ".head.seq" => "[records]",
        ".head.hash" => "[hash]",
        ".sought.line" => "[line]",
        ".sought.seq" => insta::dynamic_redaction(move |value, _| {
            assert_eq!(value.as_u64().unwrap(), swapped);
            "[seq]"
        }),
        ".sought.records_after" => insta::dynamic_redaction(move |value, _| {
            assert_eq!(value.as_u64().unwrap(), records - swapped);
            "[after]"
        }),
    });
    let text = stage.site.ok(&["journal", "verify", "--head", head]);
    assert!(
        text.contains(&format!("the head asked for is record {seq}: 00000001.jsonl")),
        "{text}"
    );
    assert!(text.ends_with("\nclean\n"), "{text}");
    stage.site.assert_unchanged(&before);
}

#[test]
fn it_is_verified_while_a_run_is_up() {
    let (stage, mut run) = upgrading();
    let report = expect(&stage, CLEAN, &["clean"]);
    assert_eq!((&report["running"], &report["notes"]), (&json!(true), &json!([])));
    // A write under way, as it may be seen; the run has more to write, and stands still for that.
    run.freeze();
    let file = journal(&stage, "00000001.jsonl");
    let length = fs::metadata(&file).unwrap().len();
    append(file.clone(), b"{\"seq\":");
    expect(&stage, CLEAN, &["note: 00000001.jsonl: its last line is just being written", "clean"]);
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
    run.signal(Signal::SIGCONT);
    run.stop(Signal::SIGINT);
    assert_eq!(expect(&stage, CLEAN, &["clean"])["running"], false);
}

#[test]
fn a_torn_tail_is_no_fault_before_and_after_the_next_run() {
    let (stage, _) = upgraded();
    append(journal(&stage, "00000001.jsonl"), b"{\"seq\":");
    expect(&stage, CLEAN, &["its last line is not whole; the next run puts it in order"]);
    let mut run = stage.start(&["run"]);
    stage.until_started(3);
    run.stop(Signal::SIGINT);
    let report = expect(&stage, CLEAN, &["2 segments", "note: the last line of 00000001.jsonl"]);
    assert_eq!(report["segments"], 2);
    let names = fs::read_dir(journal(&stage, "")).unwrap();
    let mut kept = names.map(|entry| entry.unwrap().path());
    let kept = kept.find(|path| path.to_str().unwrap().contains(".torn-")).unwrap();
    append(kept.clone(), b"x");
    expect(&stage, CHAIN, &["FAULT 00000002.jsonl, line 1: ", "has 8 bytes, and 7 were cut off"]);
    fs::remove_file(kept).unwrap();
    expect(&stage, SEQUENCE, &["was kept, and is gone", "NOT clean: something is missing"]);
}

#[test]
fn several_segments_and_every_damage_to_them() {
    let (stage, _) = upgraded();
    let forged = Forged::read(&journal(&stage, ""));
    let total = forged.segments[0].records.len();
    let split = forged.split(&[8, 15]);
    split.write();
    let report = expect(&stage, CLEAN, &["3 segments", "clean"]);
    assert_eq!(report["records"], total);
    for segment in ["00000001", "00000002", "00000003"] {
        // Each header's hash counts as well: a rotation may follow the record that is logged.
        let bytes = fs::read_to_string(journal(&stage, &format!("{segment}.jsonl"))).unwrap();
        let line: Value = serde_json::from_str(bytes.lines().next().unwrap()).unwrap();
        let (status, report) = verify(&stage, &["--head", line["hash"].as_str().unwrap()]);
        assert_eq!((status, &report["sought"]["line"]), (CLEAN, &json!(1)), "{report}");
    }
    let second = || journal(&stage, "00000002.jsonl");

    // Record 11 stands in line 4 of the second.
    edit(second(), "\"seq\":11,", "\"seq\":99,");
    let wanted = "FAULT 00000002.jsonl, line 4, record 11: its hash does not fit its content";
    let report = expect(&stage, CHAIN, &[wanted, "NOT clean: the chain is broken"]);
    insta::assert_json_snapshot!(report["faults"]);
    split.write();
    let lines = fs::read_to_string(second()).unwrap();
    let mut kept: Vec<&str> = lines.lines().collect();
    kept.remove(3);
    fs::write(second(), kept.join("\n") + "\n").unwrap();
    expect(&stage, CHAIN, &["line 4, record 11: it does not follow the line before it (prev)"]);
    let kept: Vec<&str> = lines.lines().take(6).collect();
    fs::write(second(), kept.join("\n") + "\n").unwrap();
    expect(
        &stage,
        CHAIN,
        &[
            "FAULT 00000003.jsonl, line 1: it does not follow the last line of 00000002.jsonl",
            "it follows record 15, but 00000002.jsonl ends at 13",
        ],
    );
    fs::write(second(), kept.join("\n")).unwrap();
    expect(
        &stage,
        CHAIN,
        &["line 6, record 13: its last line is not whole, and a segment follows"],
    );
    fs::write(second(), "").unwrap();
    expect(&stage, CHAIN, &["FAULT 00000002.jsonl, line 1: it has no hash at its end"]);

    fs::remove_file(second()).unwrap();
    expect(&stage, SEQUENCE, &["FAULT 00000003.jsonl: segment 2 is missing before it"]);
    fs::remove_file(journal(&stage, "00000001.jsonl")).unwrap();
    expect(&stage, SEQUENCE, &["FAULT 00000003.jsonl: segments 1 to 2 are missing before it"]);
    split.write();
    fs::rename(second(), journal(&stage, "00000009.jsonl")).unwrap();
    expect(&stage, SEQUENCE, &["it is segment 2, under the name of 9"]);
    fs::remove_file(journal(&stage, "00000009.jsonl")).unwrap();
}

#[test]
fn who_seals_the_chain_anew_is_found_out_by_replay_or_by_a_head() {
    let (stage, _) = upgraded();
    let split = Forged::read(&journal(&stage, "")).split(&[8, 15]);
    let head = Forged::read(&journal(&stage, "")).head;
    let changed = |change: &dyn Fn(&mut Forged)| {
        let mut forged = split.clone();
        change(&mut forged);
        forged.write();
    };
    changed(&|forged| forged.segments[1].header["format"] = json!(2));
    expect(&stage, CHAIN, &["FAULT 00000002.jsonl, line 1: it is of format 2"]);
    changed(&|forged| forged.segments[1].header["instance"] = json!("other"));
    expect(&stage, CHAIN, &["line 1: it belongs to the instance other"]);
    changed(&|forged| forged.segments[1].records[2]["seq"] = json!(20));
    expect(&stage, SEQUENCE, &["00000002.jsonl, line 4, record 11: its number does not follow"]);
    changed(&|forged| forged.segments[1].records[2]["to"] = json!("Failed"));
    expect(&stage, ILLEGAL, &["line 4, record 11: it is not a legal transition"]);
    changed(&|forged| forged.segments[1].header["state"]["startup_failures"] = json!(1));
    expect(&stage, ILLEGAL, &["00000002.jsonl, line 1: its state is not the one that 00000001"]);
    changed(&|forged| forged.segments[0].header["state"]["startup_failures"] = json!(1));
    expect(&stage, ILLEGAL, &["00000001.jsonl, line 1: it begins with a state other than one"]);

    // Legal throughout, and another history: only a head that was kept tells.
    changed(&|forged| forged.segments[0].records[0]["at"] = json!("2020-01-01T00:00:00Z"));
    expect(&stage, CLEAN, &[]);
    let (status, report) = verify(&stage, &["--head", &head]);
    assert_eq!(status, HEAD, "{report}");
    insta::assert_json_snapshot!(report["faults"], { "[0].text" => "[no line has it]" });
    let malformed = stage.site.run(&["journal", "verify", "--head", "beef"]);
    assert_eq!(malformed.status, 2, "{}", malformed.stderr);
}

#[test]
fn what_a_failed_write_left_in_doubt_is_superseded() {
    let (stage, _) = upgraded();
    let one = Forged::read(&journal(&stage, ""));
    let mut split = one.split(&[10]);
    let after = json!({ "write-failed": { "file": "00000001.jsonl", "seq": 10, "records": 3 } });
    split.segments[1].header["after"] = after;
    split.write();
    // The doubtful record came to the disk all the same.
    let rest = one.line(11);
    let first = journal(&stage, "00000001.jsonl");
    append(first.clone(), rest.as_bytes());
    let report =
        expect(&stage, CLEAN, &["note: 00000001.jsonl could not be written after record 10"]);
    assert_eq!(report["records"], one.segments[0].records.len());
    // Half of one is the same.
    append(first.clone(), b"\n{\"seq\"");
    expect(&stage, CLEAN, &["clean"]);
    // What was durable is not superseded.
    edit(first, "\"seq\":10,", "\"seq\":77,");
    expect(&stage, CHAIN, &["FAULT 00000001.jsonl, line 11, record 10: its hash"]);
}

#[test]
fn a_part_that_was_set_aside_stays_a_fault() {
    let (stage, _) = upgraded();
    let before = expect(&stage, CLEAN, &[]);
    edit(journal(&stage, "00000001.jsonl"), "\"seq\":11,", "\"seq\":99,");
    let mut run = stage.start(&["run"]);
    stage.until_started(3);
    run.stop(Signal::SIGINT);
    let wanted = "FAULT 00000002.jsonl: the journal was damaged: line 12 its hash does not fit";
    expect(&stage, SET_ASIDE, &[wanted, "NOT clean: a damaged part was set aside earlier"]);
    // A head of the old chain is not in the new one, which is worse.
    let (status, report) = verify(&stage, &["--head", before["head"]["hash"].as_str().unwrap()]);
    assert_eq!(status, HEAD, "{report}");
    let kinds: Vec<_> = report["faults"].as_array().unwrap().iter().map(|f| &f["kind"]).collect();
    assert_eq!(kinds, ["set-aside", "head"]);
    let mut names = fs::read_dir(journal(&stage, "")).unwrap().map(|entry| entry.unwrap().path());
    let kept = names.find(|path| path.to_str().unwrap().contains(".damaged-")).unwrap();
    append(kept.clone(), b"x");
    expect(&stage, CHAIN, &["is not as it was set aside"]);
    // Under another name, as a crash before the new header might leave it.
    fs::rename(&kept, kept.with_file_name("00000001.jsonl.damaged-then")).unwrap();
    let gone = "was kept, and is gone";
    let unnamed = "FAULT 00000001.jsonl.damaged-then: it was damaged and set aside, and no header";
    expect(&stage, SEQUENCE, &[gone, unnamed]);
    fs::remove_file(kept.with_file_name("00000001.jsonl.damaged-then")).unwrap();
    expect(&stage, SEQUENCE, &[gone]);
}

#[test]
fn files_that_say_something_else_are_named_with_both_sides() {
    let (stage, _) = upgraded();
    let version = stage.site.home("nymvisor/current-version-info.json");
    let (plan, history) =
        (stage.site.data("upgrade-plan.json"), stage.site.data("upgrade-history.json"));
    let current = stage.site.data("current");
    let kept = [&version, &plan, &history].map(|path| (path.clone(), fs::read(path).unwrap()));
    let restore = || {
        for (path, bytes) in &kept {
            fs::write(path, bytes).unwrap();
        }
        let _ = fs::remove_file(&current);
        std::os::unix::fs::symlink("upgrades/v1.1.0", &current).unwrap();
    };
    edit(version.clone(), "\"name\": \"v1.1.0\"", "\"name\": \"v9\"");
    expect(&stage, FILES, &["FAULT ", "names v9 (1.1.0), and the journal v1.1.0 (1.1.0)"]);
    fs::remove_file(&version).unwrap();
    expect(&stage, FILES, &["current-version-info.json"]);
    restore();
    let mut changed = read_json(&plan);
    changed["current"]["name"] = json!("v9");
    fs::write(&plan, changed.to_string()).unwrap();
    let wanted = ["calls v9 (1.1.0) current, and the journal v1.1.0", "leads to v1.1.0, not to v9"];
    expect(&stage, FILES, &wanted);
    // Where the history says so too, it was another instance.
    let mut ahead = read_json(&history);
    let mut entry = ahead["history"][0].clone();
    entry["info"]["name"] = json!("v9");
    ahead["history"].as_array_mut().unwrap().push(entry);
    fs::write(&history, ahead.to_string()).unwrap();
    fs::create_dir(stage.site.data("upgrades/v9")).unwrap();
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink("upgrades/v9", &current).unwrap();
    expect(&stage, CLEAN, &["note: the plan's current is v9 (1.1.0), which another instance"]);
    restore();
    fs::write(&plan, "{").unwrap();
    expect(&stage, FILES, &["upgrade-plan.json"]);
    restore();
    fs::remove_file(&current).unwrap();
    expect(&stage, FILES, &["current is absent, and should lead to v1.1.0"]);
    fs::create_dir(&current).unwrap();
    expect(&stage, FILES, &["current is no link, and should be one to v1.1.0"]);
    fs::remove_dir(&current).unwrap();
    std::os::unix::fs::symlink("elsewhere", &current).unwrap();
    expect(&stage, FILES, &["current leads to elsewhere, not to v1.1.0"]);
    restore();
    let mut twice = read_json(&history);
    let entry = twice["history"][0].clone();
    twice["history"].as_array_mut().unwrap().push(entry);
    fs::write(&history, twice.to_string()).unwrap();
    expect(&stage, FILES, &["has v1.1.0 2 times, and should once"]);
    fs::remove_file(&history).unwrap();
    expect(&stage, FILES, &["has v1.1.0 0 times, and should once"]);
    restore();
    expect(&stage, CLEAN, &["clean"]);
}

#[test]
fn backups_are_read_only_if_asked_for() {
    let (stage, _) = upgraded();
    let archive = stage.archives().remove(0);
    append(archive.clone(), b"x");
    expect(&stage, CLEAN, &[]);
    let (status, report) = verify(&stage, &["--backups"]);
    assert_eq!(status, FILES, "{report}");
    let text = report["faults"][0]["text"].as_str().unwrap();
    assert!(text.contains("-preupgrade.tar.zst: it is damaged behind entry "), "{text}");
    // Old backups may go.
    fs::remove_file(archive).unwrap();
    let (status, report) = verify(&stage, &["--backups"]);
    assert_eq!((status, &report["backups"]), (CLEAN, &json!({ "read": 0, "absent": 1 })));
}

#[test]
fn a_swap_that_was_interrupted_explains_what_differs() {
    let (stage, _) = upgraded();
    let mut forged = Forged::read(&journal(&stage, ""));
    let records = &mut forged.segments[0].records;
    let committed = records.iter().position(|record| record["from"] == "Swapping").unwrap();
    records.truncate(committed);
    forged.write();
    expect(&stage, CLEAN, &["note: the upgrade to v1.1.0 is past its commit point"]);
    let current = stage.site.data("current");
    fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink("genesis", current).unwrap();
    expect(&stage, CLEAN, &["leads to genesis, not to v1.1.0: the files are being moved"]);
    // Any other version is still a difference.
    edit(
        stage.site.home("nymvisor/current-version-info.json"),
        "\"name\": \"v1.1.0\"",
        "\"name\": \"v9\"",
    );
    expect(&stage, FILES, &["names v9 (1.1.0), and the journal genesis (1.0.0)"]);
}

#[test]
fn no_journal_is_nothing_to_verify() {
    let stage = Stage::new();
    expect(&stage, CLEAN, &["note: there is no journal"]);
    let (status, _) = verify(&stage, &["--head", &"0".repeat(64)]);
    assert_eq!(status, HEAD);
}
