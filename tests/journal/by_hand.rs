//! A journal is read and checked with the tools of every system, as state-machine.md tells.

use std::path::Path;
use std::sync::Arc;

use nymvisor::disk::RealDisk;

use super::book::{FOLDER, append, from_disk, initial, open, open_in, segment, story};
use super::memory::Memory;
use crate::support::auditor::{CHAIN, NUMBERS, READ, STEPS, run};
use crate::support::site::Site;
use crate::support::tools::is_missing;

fn journal(folder: &Path) -> String {
    let mut opened = open_in(Arc::new(RealDisk), folder, initial()).unwrap();
    for event in story() {
        let _ = append(&mut opened, &event).unwrap();
    }
    opened.journal.head().to_string()
}

#[test]
fn the_chain_is_checked_with_sed_and_sha256sum() {
    let folder = tempfile::tempdir().unwrap();
    let head = journal(folder.path());
    let (good, text) = run(CHAIN, folder.path(), "");
    assert!(good, "{text}");
    assert_eq!(text.trim_end(), format!("the chain holds, head {head}"));

    let path = folder.path().join("00000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("1001", "1002", 1)).unwrap();
    let (good, text) = run(CHAIN, folder.path(), "");
    assert!(!good);
    assert!(text.starts_with("00000001.jsonl, line "), "{text}");
}

#[test]
fn a_removed_line_is_seen_with_sed_and_sha256sum() {
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let path = folder.path().join("00000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text
        .split_inclusive('\n')
        .enumerate()
        .filter(|(n, _)| *n != 4)
        .map(|(_, line)| line)
        .collect();
    std::fs::write(&path, kept.concat()).unwrap();
    let (good, text) = run(CHAIN, folder.path(), "");
    assert_eq!((good, text.trim_end()), (false, "00000001.jsonl, line 5: prev is wrong"));
}

#[test]
fn the_records_are_read_with_jq() {
    if is_missing("jq") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let (good, text) = run(READ, folder.path(), "");
    assert!(good);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), story().len(), "{text}");
    assert!(lines[0].contains("session-started"), "{text}");
    assert!(text.contains("Swapping\tRestarting\tswap-committed"), "{text}");
}

/// An installation with this journal; all scripts are content with it, and every record that counts
/// is shown once.
fn is_content(disk: &Memory, said: &str) {
    let site = Site::new().initialised();
    let folder = site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    std::fs::create_dir_all(&folder).unwrap();
    for path in disk.files() {
        let name = path.strip_prefix(FOLDER).unwrap();
        std::fs::write(folder.join(name), disk.bytes(&path)).unwrap();
    }
    for first_line in [CHAIN, NUMBERS, STEPS] {
        let (content, text) = run(first_line, &folder, "");
        assert!(content && (first_line != CHAIN || text.contains(said)), "{first_line} {text}");
    }
    let shown = site.ok(&["journal", "show", "--output", "json"]);
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64();
    let numbers: Vec<u64> = shown.lines().map(|line| seq(line).unwrap()).collect();
    assert_eq!(numbers, (1..=story().len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_journal_that_could_not_be_written_for_a_while_is_found_sound_by_hand() {
    if is_missing("jq") {
        return;
    }
    let opening = {
        let disk = Memory::default();
        let _ = open(&disk, initial());
        disk.changes()
    };
    // Each record is a write and a sync: now the one fails, now the other.
    for fails_after in [1, 2, 13, 14, 21] {
        let disk = Memory::default();
        let mut opened = open(&disk, initial());
        disk.fail_at(Some(opening + fails_after));
        for event in story() {
            if append(&mut opened, &event).is_err() {
                disk.fail_at(None);
                opened.journal.restore(crate::model::values::at(1)).unwrap();
                let _ = append(&mut opened, &event).unwrap();
            }
        }
        assert!(disk.files().contains(&segment(2)), "nothing failed at {fails_after}");
        is_content(&disk, "the chain holds");
    }
}

#[test]
fn a_chain_that_begins_anew_after_damage_is_found_sound_by_hand() {
    if is_missing("jq") {
        return;
    }
    let disk = Memory::default();
    let mut opened = open(&disk, initial());
    for event in &story()[..5] {
        let _ = append(&mut opened, event).unwrap();
    }
    let text = String::from_utf8(disk.bytes(&segment(1))).unwrap();
    disk.put(&segment(1), text.replacen("genesis", "genesys", 1).as_bytes());
    let mut opened = open(&disk, from_disk());
    let _ = append(&mut opened, &story()[0]).unwrap();
    let begun = "00000002.jsonl: a new chain begins, after damage";
    let folder = tempfile::tempdir().unwrap();
    for path in disk.files() {
        let name = path.strip_prefix(FOLDER).unwrap();
        std::fs::write(folder.path().join(name), disk.bytes(&path)).unwrap();
    }
    for (first_line, wanted) in [(CHAIN, begun), (NUMBERS, "files 2 to 2"), (STEPS, "tables: 1")] {
        let (content, text) = run(first_line, folder.path(), "");
        assert!(content && text.contains(wanted), "{first_line} {text}");
    }
}
