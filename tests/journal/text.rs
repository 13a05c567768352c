//! The journal in words.

use nymvisor::narrate;

use super::book::{append, initial, open, story};
use super::memory::Memory;

/// What `journal show` prints, a line a record.
#[test]
fn an_upgrade_in_words() {
    let disk = Memory::default();
    let mut opened = open(&disk, initial());
    let lines: Vec<String> = story()
        .iter()
        .map(|event| narrate::line(append(&mut opened, event).unwrap().record(), None))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
