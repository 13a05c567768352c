//! Damage is never taken for content, and never repaired in place.

use nymvisor::journal::{self, Hash, Mishap, Part};

use super::book::{self, FOLDER, lines, open, owner, seal, segment};
use super::memory::Memory;

const RECORDS: usize = 3;

/// Opens a journal whose only segment has these bytes; what was wrong: line and reason.
fn opened_with(whole: &Memory, bytes: &[u8]) -> (u64, String) {
    let disk = whole.copy();
    disk.put(&segment(1), bytes);
    let opened = open(&disk, book::from_disk());
    let Some(Mishap::Damaged { kept_as, sha256, line, reason }) = opened.mishap else {
        panic!("damage is not noticed: {:?}", opened.mishap);
    };
    assert_eq!(opened.state, book::from_disk(), "a damaged journal tells no state");
    assert_eq!(disk.bytes(&segment(1).with_file_name(&kept_as)), bytes, "kept whole");
    assert_eq!(sha256, Hash::of(bytes).as_str());
    assert!(!disk.files().contains(&segment(1)), "nothing is repaired in place");
    let again = journal::read_segment(&disk.bytes(&segment(2)), &owner()).unwrap();
    assert_eq!((again.header_prev, again.header.seq), (Hash::none(), 0), "a chain of its own");
    let parts = journal::read(&disk, FOLDER.as_ref(), &owner()).unwrap();
    assert!(matches!(&parts[..], [Part::Note(note)] if note.contains(&reason)), "{parts:?}");
    (line, reason)
}

fn of(bytes: &[Vec<u8>]) -> Vec<u8> {
    bytes.concat()
}

/// Every byte of the file, the header's too, in two ways.
#[test]
fn a_flipped_byte_is_noticed_wherever_it_is() {
    let (whole, states) = book::written(RECORDS);
    let bytes = whole.bytes(&segment(1));
    let mut line = 1;
    for (index, byte) in bytes.iter().enumerate() {
        for mask in [0x01, 0x80] {
            let mut flipped = bytes.clone();
            flipped[index] ^= mask;
            if index + 1 == bytes.len() {
                // Without its newline the last line is one that a crash cut short.
                let disk = whole.copy();
                disk.put(&segment(1), &flipped);
                let opened = open(&disk, book::from_disk());
                assert!(matches!(opened.mishap, Some(Mishap::TornTail { .. })));
                assert_eq!(opened.state, states[RECORDS - 1]);
            } else {
                assert_eq!(opened_with(&whole, &flipped).0, line, "byte {index}, mask {mask}");
            }
        }
        line += u64::from(*byte == b'\n');
    }
}

#[test]
fn records_that_are_removed_swapped_or_doubled_are_noticed() {
    let (whole, _) = book::written(RECORDS);
    let lines = lines(&whole.bytes(&segment(1)));
    let [header, one, two, three] = &lines[..] else { panic!("{}", lines.len()) };
    let line = |lines: &[&Vec<u8>]| {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.iter().copied()).collect();
        opened_with(&whole, &bytes)
    };
    let prev = "it does not follow the line before it (prev)";
    assert_eq!(line(&[header, two, three]), (2, prev.to_owned()), "removed");
    assert_eq!(line(&[header, one, three]), (3, prev.to_owned()), "removed");
    assert_eq!(line(&[header, two, one, three]), (2, prev.to_owned()), "swapped");
    assert_eq!(line(&[header, one, one, two]), (3, prev.to_owned()), "doubled");
    assert_eq!(line(&[one, two, three]).0, 1, "the header is removed");
    assert_eq!(line(&[header, header, one]).0, 2, "the header is doubled");
}

/// The limit of a chain: its end can be cut off whole, and only a head that was written down
/// elsewhere tells.
#[test]
fn a_chain_that_ends_early_is_told_only_by_its_head() {
    let (whole, states) = book::written(RECORDS);
    let head = open(&whole.copy(), book::from_disk()).journal.head().clone();
    let lines = lines(&whole.bytes(&segment(1)));
    whole.put(&segment(1), &of(&lines[..RECORDS]));
    let opened = open(&whole, book::from_disk());
    assert_eq!((opened.mishap, opened.state), (None, states[RECORDS - 1].clone()));
    assert_ne!(opened.journal.head(), &head);
}

fn with_line(whole: &Memory, number: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut lines = lines(&whole.bytes(&segment(1)));
    let text = String::from_utf8(lines[number].clone()).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text, "the test changes nothing");
    lines[number] = seal(&changed).into_bytes();
    of(&lines[..=number])
}

/// Somebody sealed the line anew: the content is still looked at.
#[test]
fn a_line_that_is_sealed_anew_has_to_be_a_legal_transition() {
    let (whole, _) = book::written(RECORDS);
    let with = |number, from: &str, to: &str| {
        let bytes = with_line(&whole, number, |line| line.replacen(from, to, 1));
        opened_with(&whole, &bytes)
    };
    let (line, reason) = with(2, "\"to\":\"Restarting\"", "\"to\":\"Running\"");
    assert_eq!(line, 3);
    assert!(reason.starts_with("it is not a legal transition"), "{reason}");
    assert!(with(2, "spawn-daemon", "spawn-demon").1.starts_with("it can't be read"));
    assert!(with(2, "1.0.0\"}}]", "1.0.1\"}}]").1.starts_with("it is not a legal transition"));
    assert!(with(2, "\"seq\":2", "\"seq\":3").1.contains("(seq)"));
}

#[test]
fn a_newer_format_and_a_foreign_owner_are_named() {
    let (whole, _) = book::written(1);
    let with = |from: &str, to: &str| {
        let bytes = with_line(&whole, 0, |line| line.replacen(from, to, 1));
        opened_with(&whole, &bytes)
    };
    let (line, reason) = with("\"format\":1", "\"format\":2");
    assert_eq!(line, 1);
    assert_eq!(reason, "it is of format 2, and this program reads up to 1");
    let reason = with("nym-node-default", "nym-node-other").1;
    assert_eq!(
        reason,
        "it belongs to the instance nym-node-other of nym-node, not to nym-node-default of \
         nym-node"
    );
    assert!(with("\"daemon\":\"nym-node\"", "\"daemon\":\"nym-api\"").1.contains("of nym-api"));
}

#[test]
fn a_file_that_is_no_journal_at_all_is_set_aside() {
    let (whole, _) = book::written(1);
    for bytes in [&b""[..], b"\n", b"{}\n", b"\xff\xfe", b"{\"hash\":\"\"}\n", b"\"}\n"] {
        assert_eq!(opened_with(&whole, bytes).0, 1, "{bytes:?}");
    }
}
