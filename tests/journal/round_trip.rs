//! What goes in comes out.

use nymvisor::disk::Disk;
use nymvisor::journal::{self, Part};
use nymvisor::machine::{Record, replay};

use super::book::{self, FOLDER, append, initial, open, owner, story};
use super::memory::Memory;

#[test]
fn a_journal_that_is_opened_again_goes_on_where_it_ended() {
    let events = story();
    let (disk, states) = book::written(events.len() - 1);
    let mut opened = open(&disk, book::from_disk());
    assert_eq!(opened.mishap, None);
    assert_eq!(&opened.state, states.last().unwrap());
    let committed = append(&mut opened, events.last().unwrap()).unwrap();
    assert_eq!(committed.record().seq, events.len() as u64);
    let head = opened.journal.head().clone();
    let again = open(&disk, book::from_disk());
    assert_eq!((again.state, again.journal.head()), (opened.state, &head));
}

#[test]
fn the_records_come_out_as_they_went_in_and_replay_to_the_same_states() {
    let events = story();
    let (disk, states) = book::written(events.len());
    let parts = journal::read(&disk, FOLDER.as_ref(), &owner()).unwrap();
    let records: Vec<Record> = parts
        .into_iter()
        .map(|part| match part {
            Part::Record { record, line, .. } => {
                assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), *record);
                *record
            }
            Part::Note(note) => panic!("{note}"),
        })
        .collect();
    assert_eq!(records.iter().map(|record| record.event.clone()).collect::<Vec<_>>(), events);
    let mut state = initial();
    for (record, expected) in records.iter().zip(&states[1..]) {
        state = replay(&state, record).unwrap();
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(json, serde_json::to_string(expected).unwrap());
    }
}

#[test]
fn an_empty_folder_becomes_a_journal_with_the_state_of_the_disk() {
    let disk = Memory::default();
    let opened = open(&disk, book::from_disk());
    assert_eq!((opened.state, opened.mishap), (book::from_disk(), None));
    assert_eq!(disk.list(FOLDER.as_ref()).unwrap(), [".reserve", "00000001.jsonl"]);
}

/// Exactly what the machine decided is what the orders say.
#[test]
fn orders_are_those_of_the_record() {
    let mut opened = open(&Memory::default(), initial());
    for event in story() {
        let committed = append(&mut opened, &event).unwrap();
        let recorded = committed.record().effects.clone();
        let (_, orders) = committed.into_parts();
        assert!(orders.iter().map(journal::Order::effect).eq(&recorded));
        let ordered: Vec<_> = orders.into_iter().map(journal::Order::into_effect).collect();
        assert_eq!(ordered, recorded);
    }
}
