//! What `journal verify` prints, and its exit status.
//!
//! The JSON, one line, version 1:
//!
//! | member | what |
//! |---|---|
//! | `version` | 1; more members may come, and none changes its meaning |
//! | `verdict` | `clean`, or the name of the most severe kind of fault |
//! | `exit_status` | that of the command |
//! | `instance`, `running` | whose journal; whether a `run` holds its lock |
//! | `segments`, `records` | how many there are |
//! | `head` | `{seq, hash}` of the last line, or null |
//! | `sought` | where `--head` was found: `{file, line, seq, records_after}`, or null |
//! | `backups` | with `--backups`: `{read, absent}`; else null |
//! | `pruned` | `{at, requester, segment, seq, hash}` of what was pruned before that, or null |
//! | `faults` | `[{kind, file, line, seq, text}]`; the first three after `kind` may be null |
//! | `notes` | what is odd and no fault, in words |

use std::fmt::Write;

use serde_json::{Value, json};

use super::agreement::Backups;
use crate::exit::Exit;
use crate::journal::{Fault, FaultKind, Verified};

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) instance: String,
    pub(super) running: bool,
    pub(super) verified: Verified,
    pub(super) backups: Option<Backups>,
}

impl Report {
    /// The first kind, in their order of severity.
    pub(super) fn worst(&self) -> Option<FaultKind> {
        self.verified.faults.iter().map(|fault| fault.kind).min()
    }

    pub(super) fn exit(&self) -> Exit {
        match self.worst() {
            None => Exit::Done,
            Some(FaultKind::Chain) => Exit::JournalChain,
            Some(FaultKind::Sequence) => Exit::JournalSequence,
            Some(FaultKind::Illegal) => Exit::JournalIllegal,
            Some(FaultKind::Files) => Exit::JournalFiles,
            Some(FaultKind::Head) => Exit::JournalHead,
            Some(FaultKind::SetAside) => Exit::JournalSetAside,
        }
    }

    pub(super) fn to_json(&self) -> String {
        let Verified { segments, records, last, found, faults, notes, .. } = &self.verified;
        let report = json!({
            "version": 1,
            "verdict": self.worst().map_or("clean", FaultKind::name),
            "exit_status": self.exit() as u8,
            "instance": self.instance,
            "running": self.running,
            "segments": segments,
            "records": records,
            "head": last.as_ref().map(|last| json!({ "seq": last.seq, "hash": last.head })),
            "sought": found.as_ref().map(|found| json!({
                "file": found.file,
                "line": found.line,
                "seq": found.seq,
                "records_after": found.after,
            })),
            "backups": self.backups.map(|backups| json!({
                "read": backups.read,
                "absent": backups.absent,
            })),
            "pruned": self.verified.pruned,
            "faults": faults.iter().map(fault_to_json).collect::<Vec<Value>>(),
            "notes": notes,
        });
        format!("{report}\n")
    }

    pub(super) fn to_text(&self) -> String {
        let Verified { segments, records, last, found, faults, notes, .. } = &self.verified;
        let mut lines = vec![format!(
            "{}: {segments} segment{}, {records} records",
            self.instance,
            if *segments == 1 { "" } else { "s" }
        )];
        lines
            .extend(last.as_ref().map(|last| format!("head: {} (record {})", last.head, last.seq)));
        lines.extend(found.as_ref().map(|found| {
            let what = if found.line == 1 { "the header after record" } else { "record" };
            format!(
                "the head asked for is {what} {}: {}, line {}; {} records came after it",
                found.seq, found.file, found.line, found.after
            )
        }));
        lines.extend(self.backups.map(|backups| {
            format!("backups: {} read, {} no longer there", backups.read, backups.absent)
        }));
        lines.extend(notes.iter().map(|note| format!("note: {note}")));
        lines.extend(faults.iter().map(fault_to_text));
        lines.push(match self.worst() {
            None => "clean".to_owned(),
            Some(kind) => format!("NOT clean: {}", in_words(kind)),
        });
        lines.join("\n") + "\n"
    }
}

fn fault_to_json(fault: &Fault) -> Value {
    json!({
        "kind": fault.kind.name(),
        "file": fault.file,
        "line": fault.line,
        "seq": fault.seq,
        "text": fault.text,
    })
}

/// `FAULT 00000002.jsonl, line 17, record 341: …`
pub(super) fn fault_to_text(fault: &Fault) -> String {
    let mut text = "FAULT ".to_owned();
    if let Some(file) = &fault.file {
        text.push_str(file);
        // Writing to a String cannot fail.
        let _ = fault.line.map_or(Ok(()), |line| write!(text, ", line {line}"));
        let _ = fault.seq.map_or(Ok(()), |seq| write!(text, ", record {seq}"));
        text.push_str(": ");
    }
    text + &fault.text
}

/// What it means, and what to do.
pub(super) fn in_words(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Chain => {
            "the chain is broken; keep the files for whoever looks into it: the next `nymvisor \
             run` sets aside what is damaged, and begins a new chain"
        }
        FaultKind::Sequence => {
            "something is missing, or out of order; put back what was moved away, and verify again"
        }
        FaultKind::Illegal => {
            "a transition is not legal; keep the files, and compare them with a copy: somebody may \
             have written to them"
        }
        FaultKind::Files => {
            "the files on disk differ; `nymvisor check` and `nymvisor backups verify` tell what \
             to do, and the next `nymvisor run` mends what it can"
        }
        FaultKind::Head => {
            "the head is not in the chain; the journal was cut off or written anew since, or the \
             head is of another one: compare it with a copy"
        }
        FaultKind::SetAside => {
            "a damaged part was set aside earlier; the rest holds, and there is nothing to do"
        }
    }
}
