//! A journal is read and checked with the tools of every system, as state-machine.md tells.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use nymvisor::disk::RealDisk;

use super::book::{append, initial, open_in, story};

/// The shell script of state-machine.md whose first line is this comment.
fn script(first_line: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("state-machine.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.into_iter().find(|block| block.starts_with(first_line)).unwrap().to_owned()
}

fn run(script: &str, folder: &Path) -> (bool, String) {
    let output =
        Command::new("sh").args(["-c", script]).current_dir(folder).output().expect("sh runs");
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

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
    let check = script("# Check the chain.");
    let (good, text) = run(&check, folder.path());
    assert!(good, "{text}");
    assert_eq!(text.trim_end(), format!("the chain holds, head {head}"));

    let path = folder.path().join("00000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("1001", "1002", 1)).unwrap();
    let (good, text) = run(&check, folder.path());
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
    let (good, text) = run(&script("# Check the chain."), folder.path());
    assert_eq!((good, text.trim_end()), (false, "00000001.jsonl, line 5: prev is wrong"));
}

#[test]
fn the_records_are_read_with_jq() {
    if Command::new("jq").arg("--version").output().is_err() {
        eprintln!("skipped: there is no jq here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    journal(folder.path());
    let (good, text) = run(&script("# Read it."), folder.path());
    assert!(good);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), story().len(), "{text}");
    assert!(lines[0].contains("session-started"), "{text}");
    assert!(text.contains("Swapping\tRestarting\tswap-committed"), "{text}");
}
