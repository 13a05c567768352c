//! A last line that a crash cut short.

use nymvisor::disk::Disk;
use nymvisor::journal::{self, Mishap, Part};

use super::book::{self, FOLDER, append, lines, open, owner, segment, story};

const RECORDS: usize = 4;

/// Cut at every byte: the cut is noticed, kept and told; the state is that before the torn line.
#[test]
fn a_cut_at_any_byte_of_the_records_loses_only_the_line_it_is_in() {
    let (whole, states) = book::written(RECORDS);
    let bytes = whole.bytes(&segment(1));
    let header_bytes = lines(&bytes)[0].len();
    for cut in header_bytes..bytes.len() {
        let disk = whole.copy();
        disk.put(&segment(1), &bytes[..cut]);
        let good = bytes[..cut].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let records = bytes[..good].iter().filter(|byte| **byte == b'\n').count() - 1;
        let mut opened = open(&disk, book::from_disk());
        assert_eq!(opened.state, states[records], "cut at {cut}");
        match &opened.mishap {
            None => assert_eq!(good, cut, "a torn line goes unnoticed at {cut}"),
            Some(Mishap::TornTail { file, bytes: torn, kept_as }) => {
                assert_eq!((file.as_str(), *torn), ("00000001.jsonl", (cut - good) as u64));
                let kept = disk.bytes(&segment(1).with_file_name(kept_as));
                assert_eq!(kept, &bytes[good..cut]);
                assert_eq!(disk.bytes(&segment(1)), &bytes[..good]);
            }
            Some(mishap @ (Mishap::Damaged { .. } | Mishap::WriteFailed { .. })) => {
                panic!("cut at {cut}: {mishap:?}")
            }
        }
        let mishap = opened.mishap.clone();
        let committed = append(&mut opened, &story()[records]).unwrap();
        assert_eq!(committed.record().seq, records as u64 + 1, "the numbers go on");
        tells(&disk, mishap.as_ref(), records + 1);
    }
}

/// A power cut may keep the end of a write and lose what is before it. Zeros stand there then, and
/// in no line that was written whole.
#[test]
fn a_hole_in_the_last_line_is_cut_off_and_one_before_it_is_damage() {
    let (whole, states) = book::written(RECORDS);
    let bytes = whole.bytes(&segment(1));
    let last_bytes = lines(&bytes)[RECORDS].len();
    let opened_with = |from: usize, to: usize| {
        let (disk, mut holed) = (whole.copy(), bytes.clone());
        holed[from..to].fill(0);
        disk.put(&segment(1), &holed);
        open(&disk, book::from_disk())
    };
    let last = bytes.len() - last_bytes;
    for from in last..bytes.len() - 1 {
        for to in [from + 1, bytes.len() - 1, bytes.len()] {
            let opened = opened_with(from, to);
            assert!(matches!(opened.mishap, Some(Mishap::TornTail { .. })), "{from} to {to}");
            assert_eq!(opened.state, states[RECORDS - 1]);
        }
    }
    for (from, to) in [(9, 10), (last - 9, last - 1)] {
        let opened = opened_with(from, to);
        assert!(matches!(opened.mishap, Some(Mishap::Damaged { .. })), "{from} to {to}");
    }
}

/// The next segment's header tells of the cut, and the chain goes on over it.
fn tells(disk: &super::memory::Memory, mishap: Option<&Mishap>, records: usize) {
    let parts = journal::read(disk, FOLDER.as_ref(), &owner()).unwrap();
    let (notes, read): (Vec<_>, Vec<_>) =
        parts.iter().partition(|part| matches!(part, Part::Note(_)));
    assert_eq!((notes.len(), read.len()), (usize::from(mishap.is_some()), records));
    if mishap.is_some() {
        let first = journal::read_segment(&disk.bytes(&segment(1)), &owner()).unwrap();
        let second = journal::read_segment(&disk.bytes(&segment(2)), &owner()).unwrap();
        assert_eq!(second.header.after.as_ref(), mishap);
        assert_eq!(second.header_prev, first.head);
    }
}

/// A page of the last line that had not reached the disk reads as zeros, its newline or not. Where
/// lines follow that is damage: each is durable before the next is written.
#[test]
fn a_hole_in_the_last_line_is_torn_and_in_another_one_damage() {
    let (whole, states) = book::written(RECORDS);
    let bytes = whole.bytes(&segment(1));
    let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let with_hole = |from: usize, to: usize| {
        let disk = whole.copy();
        let mut holed = bytes.clone();
        holed[from..to].fill(0);
        disk.put(&segment(1), &holed);
        open(&disk, book::from_disk())
    };
    for from in last..bytes.len() - 1 {
        for to in [from + 1, bytes.len() - 1] {
            let opened = with_hole(from, to);
            assert!(matches!(opened.mishap, Some(Mishap::TornTail { .. })), "{from} to {to}");
            assert_eq!(opened.state, states[RECORDS - 1]);
        }
    }
    let opened = with_hole(last - 20, last - 10);
    assert!(matches!(opened.mishap, Some(Mishap::Damaged { .. })), "{:?}", opened.mishap);
}

/// A header appears only whole, so one that is cut is damage and no torn line.
#[test]
fn a_cut_in_the_header_is_damage() {
    let (whole, _) = book::written(1);
    let bytes = whole.bytes(&segment(1));
    for cut in 0..lines(&bytes)[0].len() {
        let disk = whole.copy();
        disk.put(&segment(1), &bytes[..cut]);
        let opened = open(&disk, book::from_disk());
        assert_eq!(opened.state, book::from_disk());
        assert!(matches!(opened.mishap, Some(Mishap::Damaged { line: 1, .. })), "cut at {cut}");
    }
}

/// The cut itself may be cut short: what an interrupted opening left is put in order as well.
#[test]
fn an_opening_that_is_interrupted_anywhere_is_taken_up() {
    let (whole, states) = book::written(RECORDS);
    let bytes = whole.bytes(&segment(1));
    whole.put(&segment(1), &bytes[..bytes.len() - 7]);
    for fails_at in 1.. {
        let disk = whole.copy();
        disk.fail_at(Some(fails_at));
        let interrupted = book::try_open(&disk, book::from_disk())
            .map_or(true, |opened| opened.journal.is_failing());
        disk.fail_at(None);
        let opened = open(&disk, book::from_disk());
        assert_eq!(opened.state, states[RECORDS - 1], "at change {fails_at}");
        let names = disk.list(FOLDER.as_ref()).unwrap();
        let kept = names.iter().filter(|name| name.to_string_lossy().contains(".torn-"));
        assert!(kept.count() >= 1, "the torn bytes are lost at change {fails_at}");
        if !interrupted {
            assert!(fails_at > 5, "nothing was interrupted");
            break;
        }
    }
}
