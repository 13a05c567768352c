//! Journals taken apart, changed and sealed anew, as somebody might who rewrites all of it.

use std::fs;
use std::path::{Path, PathBuf};

use nymvisor::digest;
use nymvisor::journal::{Owner, read_segment};
use serde_json::{Value, json};

/// A journal whose lines have no links.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    folder: PathBuf,
    pub(crate) segments: Vec<Segment>,
    /// The hash that its last line had.
    pub(crate) head: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) header: Value,
    pub(crate) records: Vec<Value>,
}

impl Forged {
    /// Takes a journal of one segment apart.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("00000001.jsonl")).unwrap();
        assert!(!folder.join("00000002.jsonl").exists());
        let mut head = String::new();
        let mut lines = text.lines().map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let members = value.as_object_mut().unwrap();
            members.shift_remove("hash").unwrap().as_str().unwrap().clone_into(&mut head);
            members.shift_remove("prev").unwrap();
            value
        });
        let header = lines.next().unwrap();
        let records = lines.collect();
        Self { folder: folder.to_owned(), segments: vec![Segment { header, records }], head }
    }

    /// The same with a new segment after each of these records.
    pub(crate) fn split(&self, after: &[usize]) -> Self {
        let whole = &self.segments[0];
        let owner =
            Owner { instance: "nym-node-default".to_owned(), daemon: "nym-node".to_owned() };
        let begin = |(number, from): (usize, usize), to: usize| {
            let so_far = Segment { records: whole.records[..from].to_vec(), ..whole.clone() };
            let state =
                read_segment(seal_all(&so_far, &mut none()).as_bytes(), &owner).unwrap().state;
            let mut header = whole.header.clone();
            header["segment"] = json!(number + 1);
            header["seq"] = json!(from);
            header["state"] = serde_json::to_value(state).unwrap();
            Segment { header, records: whole.records[from..to].to_vec() }
        };
        let starts = [&[0], after].concat();
        let ends = [after, &[whole.records.len()]].concat();
        let segments =
            starts.into_iter().enumerate().zip(ends).map(|(start, end)| begin(start, end));
        Self { segments: segments.collect(), ..self.clone() }
    }

    /// Writes it in the place of what is there.
    pub(crate) fn write(&self) {
        let mut prev = none();
        for (number, segment) in (1..).zip(&self.segments) {
            let text = seal_all(segment, &mut prev);
            fs::write(self.folder.join(format!("{number:08}.jsonl")), text).unwrap();
        }
    }

    /// Line of a record of the first segment as it is sealed there, without a newline.
    pub(crate) fn line(&self, seq: usize) -> String {
        seal_all(&self.segments[0], &mut none()).lines().nth(seq).unwrap().to_owned()
    }
}

/// What the first line names as the one before it.
fn none() -> String {
    "0".repeat(64)
}

/// A segment after the line with the hash `prev`, which becomes that of its own last line.
fn seal_all(segment: &Segment, prev: &mut String) -> String {
    let mut text = String::new();
    for value in [&segment.header].into_iter().chain(&segment.records) {
        let (line, hash) = seal(value, prev);
        text += &(line + "\n");
        *prev = hash;
    }
    text
}

/// As the journal's documentation tells it, and with none of its code.
fn seal(value: &Value, prev: &str) -> (String, String) {
    let text = value.to_string();
    let body = format!("{},\"prev\":\"{prev}\"", text.strip_suffix('}').unwrap());
    let hash = digest::sha256(format!("{body}}}").as_bytes());
    (format!("{body},\"hash\":\"{hash}\"}}"), hash)
}
