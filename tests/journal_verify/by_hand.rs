//! state-machine.md tells an auditor how to check a journal by hand: its very commands find a real
//! journal sound, and what was done to a copy of it.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::forge::Forged;
use super::{journal, upgraded};
use crate::support::auditor::{CHAIN, HEAD, NUMBERS, STEPS, run};
use crate::support::tools::is_missing;

/// A copy of the journal's files, to be damaged.
fn copy(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "jsonl") {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[track_caller]
fn expect(folder: &Path, first_line: &str, content: bool, wanted: &str) {
    let (is_content, said) = run(first_line, folder, "");
    assert_eq!(is_content, content, "{first_line} {said}");
    assert!(said.contains(wanted), "{first_line}: {wanted:?} is not in\n{said}");
}

fn swap_of(forged: &Forged) -> usize {
    let is_swap = |record: &serde_json::Value| record["event"].get("swap-committed").is_some();
    forged.segments[0].records.iter().position(is_swap).unwrap()
}

#[test]
fn a_real_journal_is_found_sound_by_hand() {
    if is_missing("jq") {
        return;
    }
    let (stage, said) = upgraded();
    let folder = journal(&stage, "");
    let copied = copy(&folder);
    let forged = Forged::read(copied.path());
    let records = forged.segments[0].records.len();
    for split in [vec![], vec![3], vec![2, 9]] {
        // The whole of it, and the same in several files.
        forged.split(&split).write();
        let (sound, text) = run(CHAIN, copied.path(), "");
        assert!(sound && text.starts_with("the chain holds, head "), "{text}");
        expect(copied.path(), STEPS, true, &format!("every step is in the tables: {records}\n"));
        let files = split.len() + 1;
        let wanted = format!(
            "the numbers hold: files 1 to {files}, {records} records; the last is {records} and \
             leads to Restarting\n"
        );
        expect(copied.path(), NUMBERS, true, &wanted);
    }
    expect(&folder, CHAIN, true, &format!("the chain holds, head {}\n", forged.head));
    let logged = said.split("journal head after record ").nth(1).unwrap();
    let (seq, head) = logged.lines().next().unwrap().split_once(": ").unwrap();
    let (found, text) = run(HEAD, &folder, head);
    assert!(found && text.contains(&format!("{{\"seq\":{seq},")), "{text}");
    assert_eq!(run(HEAD, &folder, &"0".repeat(64)), (false, "no line has this hash\n".to_owned()));
}

#[test]
fn what_was_changed_removed_or_made_up_is_found_by_hand() {
    if is_missing("jq") {
        return;
    }
    let (stage, _) = upgraded();
    let copied = copy(&journal(&stage, ""));
    let folder = copied.path();
    let file = folder.join("00000001.jsonl");
    let sound = fs::read_to_string(&file).unwrap();

    fs::write(&file, sound.replacen("1.1.0", "1.2.0", 1)).unwrap();
    expect(folder, CHAIN, false, "hash is wrong");

    let without: Vec<&str> =
        (0..).zip(sound.split_inclusive('\n')).filter(|(n, _)| *n != 4).map(|(_, l)| l).collect();
    fs::write(&file, without.concat()).unwrap();
    expect(folder, CHAIN, false, "00000001.jsonl, line 5: prev is wrong");
    expect(folder, NUMBERS, false, "record 5 follows 3");

    // From here on by somebody who makes a new chain as well.
    fs::write(&file, &sound).unwrap();
    let forged = Forged::read(folder);
    let swap = swap_of(&forged);
    let mut elsewhere = forged.clone();
    elsewhere.segments[0].records[swap]["to"] = json!("Running");
    elsewhere.segments[0].records[swap + 1]["from"] = json!("Running");
    elsewhere.write();
    expect(folder, CHAIN, true, "the chain holds");
    expect(folder, NUMBERS, true, "the numbers hold");
    let wanted =
        format!("record {}: swap-committed may not lead from Swapping to Running\n", swap + 1);
    expect(folder, STEPS, false, &wanted);

    let mut removed = forged.clone();
    removed.segments[0].records.remove(swap);
    for (number, record) in (1..).zip(&mut removed.segments[0].records) {
        record["seq"] = json!(number);
    }
    removed.write();
    expect(folder, CHAIN, true, "the chain holds");
    let wanted = format!("record {} begins in Restarting, not Swapping", swap + 1);
    expect(folder, NUMBERS, false, &wanted);

    let mut hasty = forged.clone();
    hasty.segments[0].records.remove(1);
    hasty.write();
    expect(folder, STEPS, false, "record 3: daemon-spawned may not lead from Restarting");

    forged.split(&[3, 9]).write();
    fs::remove_file(folder.join("00000002.jsonl")).unwrap();
    expect(folder, CHAIN, false, "00000003.jsonl, line 1: prev is wrong");
    expect(folder, NUMBERS, false, "file 3: its header names record 9, after record 3");

    forged.write();
    fs::write(&file, sound.trim_end().strip_suffix('}').unwrap()).unwrap();
    fs::remove_file(folder.join("00000003.jsonl")).unwrap();
    let left = forged.segments[0].records.len() - 1;
    expect(folder, STEPS, true, &format!("every step is in the tables: {left}\n"));
}
