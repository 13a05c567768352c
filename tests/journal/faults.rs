//! A medium that fails: nothing is committed that is not durable.

use super::book::{self, append, initial, open, story};
use super::memory::Memory;

/// Fails at each change in turn. What was committed is there afterwards; what was refused counts
/// for nothing, or for itself if its bytes arrived after all.
#[test]
fn a_failing_write_or_sync_never_commits() {
    let events = story();
    let opening = {
        let disk = Memory::default();
        let _ = open(&disk, initial());
        disk.changes()
    };
    for fails_at in 1.. {
        let disk = Memory::default();
        disk.fail_at(Some(fails_at));
        let Ok(mut opened) = book::try_open(&disk, initial()) else { continue };
        if opened.journal.is_failing() {
            // It begins in memory, and goes on once the medium takes something.
            assert!(append(&mut opened, &events[0]).is_err());
            disk.fail_at(None);
            opened.journal.restore(crate::model::values::at(1)).unwrap();
            let _ = append(&mut opened, &events[0]).unwrap();
            assert_eq!(open(&disk, book::from_disk()).state, opened.state, "{fails_at}");
            continue;
        }
        let mut committed = vec![opened.state.clone()];
        let mut failed = None;
        for event in &events {
            let before = opened.state.clone();
            if let Ok(done) = append(&mut opened, event) {
                committed.push(done.into_parts().0);
            } else {
                assert_eq!(opened.state, before);
                failed = Some(nymvisor::machine::step(&before, event).unwrap().state);
                break;
            }
        }
        disk.fail_at(None);
        let found = open(&disk, book::from_disk()).state;
        let last = committed.last().unwrap();
        assert!(found == *last || failed.as_ref() == Some(&found), "at change {fails_at}");
        if failed.is_none() {
            assert_eq!(committed.len(), events.len() + 1);
            if fails_at <= opening {
                // What could not be reserved costs no record.
                continue;
            }
            assert!(fails_at > 2 * events.len(), "a failure was swallowed");
            break;
        }
    }
}

/// A segment that can't be begun costs nothing: the record that was to be the last one stands.
#[test]
fn a_failing_rotation_keeps_the_segment_and_the_records() {
    let count = {
        let disk = Memory::default();
        let mut opened = open(&disk, initial());
        disk.fail_at(None);
        fill(&mut opened);
        disk.changes()
    };
    // The last append wrote, synced and began a segment: create, write, sync, rename, folder.
    for fails_at in count - 4..=count {
        let disk = Memory::default();
        let mut opened = open(&disk, initial());
        disk.fail_at(Some(fails_at));
        fill(&mut opened);
        disk.fail_at(None);
        // Whether the next segment is begun is in doubt: nothing more goes into this one.
        assert!(opened.journal.is_failing(), "at change {fails_at}");
        opened.journal.restore(crate::model::values::at(1)).unwrap();
        let state = opened.state.clone();
        let _ =
            append(&mut opened, &nymvisor::machine::Event::QueueRead { queue: small() }).unwrap();
        let again = open(&disk, book::from_disk());
        assert_eq!(again.mishap, None, "at change {fails_at}");
        assert_ne!(again.state, state);
        assert_eq!(again.state, opened.state);
    }
}

fn small() -> nymvisor::machine::Queue {
    crate::model::values::queue(&[])
}

/// Appends until a segment is full.
fn fill(opened: &mut nymvisor::journal::Opened) {
    let mut bytes = 0;
    for event in story().iter().take(3) {
        let _ = append(opened, event).unwrap();
    }
    let head = opened.journal.head().clone();
    for number in 0.. {
        let entries: Vec<_> = (0..200)
            .map(|entry| crate::model::values::upgrade(&format!("{number}-{entry}"), "0.1.0", 1))
            .collect();
        let event =
            nymvisor::machine::Event::QueueRead { queue: crate::model::values::queue(&entries) };
        let committed = append(opened, &event).unwrap();
        bytes += serde_json::to_vec(committed.record()).unwrap().len() as u64;
        if bytes > nymvisor::journal::SEGMENT_BYTES_MAX {
            break;
        }
    }
    assert_ne!(&head, opened.journal.head());
}

/// What is held ready for the records of an upgrade is given up when the disk is full.
#[test]
fn a_full_disk_takes_the_reserve_and_the_records_go_on() {
    let disk = Memory::default();
    let mut opened = open(&disk, initial());
    let reserve = std::path::Path::new(book::FOLDER).join(".reserve");
    assert_eq!(disk.bytes(&reserve).len(), 64 * 1024);
    let events = story();
    disk.full_from_now_on();
    for event in &events {
        let _ = append(&mut opened, event).unwrap();
    }
    assert!(!disk.files().contains(&reserve), "it was not given up");
    assert_eq!(open(&disk, book::from_disk()).state, opened.state);
}
