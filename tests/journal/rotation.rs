//! Segments: chained, kept, and only the last one is read.

use nymvisor::journal::{self, Part, SEGMENT_BYTES_MAX};
use nymvisor::machine::{Event, PhaseName};

use super::book::{self, FOLDER, append, initial, open, owner, segment, story};
use super::memory::Memory;
use crate::model::values::{queue, upgrade};

/// Plans that are large, and each another one.
fn large_events(count: usize) -> impl Iterator<Item = Event> {
    (0..count).map(|number| {
        let entries: Vec<_> =
            (0..200).map(|entry| upgrade(&format!("u{number}-{entry}"), "0.1.0", 10)).collect();
        Event::QueueRead { queue: queue(&entries) }
    })
}

/// A journal of at least three segments; how many records it has.
fn long(disk: &Memory) -> u64 {
    let mut opened = open(disk, initial());
    let mut records = 0;
    for event in story().iter().take(3).cloned().chain(large_events(70)) {
        let _ = append(&mut opened, &event).unwrap();
        records += 1;
    }
    records
}

#[test]
fn the_chain_goes_on_over_segments_and_numbers_do_too() {
    let disk = Memory::default();
    let records = long(&disk);
    let numbers = journal::segments(&disk, FOLDER.as_ref()).unwrap();
    assert!(numbers.len() >= 3, "{numbers:?}");
    let mut head = journal::Hash::none();
    let mut seq = 0;
    let mut state = initial();
    for number in numbers {
        let bytes = disk.bytes(&segment(u32::try_from(number).unwrap()));
        assert!((bytes.len() as u64) < SEGMENT_BYTES_MAX + 128 * 1024, "{}", bytes.len());
        let content = journal::read_segment(&bytes, &owner()).unwrap();
        assert_eq!((content.header_prev, content.header.seq), (head, seq));
        assert_eq!(content.header.state, state, "a segment begins with the state");
        seq += content.records.len() as u64;
        (head, state) = (content.head, content.state);
    }
    assert_eq!(seq, records);
    let parts = journal::read(&disk, FOLDER.as_ref(), &owner()).unwrap();
    assert!(parts.iter().all(|part| matches!(part, Part::Record { .. })));
    assert_eq!(parts.len() as u64, records);
}

/// Nobody waits for a new segment while no daemon is up; but there is a limit.
#[test]
fn no_segment_is_begun_while_no_daemon_is_up() {
    let disk = Memory::default();
    let mut opened = open(&disk, initial());
    for event in story().iter().take(2) {
        let _ = append(&mut opened, event).unwrap();
    }
    assert_ne!(opened.state.phase.name(), PhaseName::Running);
    let size = || disk.bytes(&segment(1)).len() as u64;
    let segments = || journal::segments(&disk, FOLDER.as_ref()).unwrap();
    let mut events = large_events(140);
    while size() <= 2 * SEGMENT_BYTES_MAX {
        assert_eq!(segments(), [1], "at {} bytes", size());
        let _ = append(&mut opened, &events.next().unwrap()).unwrap();
    }
    assert_eq!(segments(), [1, 2]);
}

#[test]
fn a_start_reads_one_segment() {
    let disk = Memory::default();
    long(&disk);
    let last = *journal::segments(&disk, FOLDER.as_ref()).unwrap().last().unwrap();
    disk.take_reads();
    let opened = open(&disk, book::from_disk());
    assert_eq!(disk.take_reads(), [segment(u32::try_from(last).unwrap())]);
    assert_eq!(opened.state.installed, initial().installed);
}

/// Another program's files in the folder are none of ours.
#[test]
fn other_names_are_no_segments() {
    let (disk, states) = book::written(3);
    for name in ["1.jsonl", "00000002.jsonl.torn-x", "notes.txt", "000000002.jsonl"] {
        disk.put(&segment(1).with_file_name(name), b"x");
    }
    assert_eq!(journal::segments(&disk, FOLDER.as_ref()).unwrap(), [1]);
    assert_eq!(open(&disk, book::from_disk()).state, states[3]);
}
