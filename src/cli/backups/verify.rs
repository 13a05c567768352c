//! `backups verify`: is each backup what was sealed?
//!
//! The JSON is described in README, "Backups"; its version is 1.

use std::fmt::Write;
use std::io;

use clap::Args;
use serde_json::{Value, json};

use super::super::Error;
use super::super::output::{self, Output, OutputArgs};
use super::catalogue::{Catalogue, Entry, Gone, missing_line};
use super::list::gone_to_json;
use super::plain;
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::exit::Exit;
use crate::host::backup::{self, Checked};
use crate::units::human;

/// Which to verify.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Name of a backup, as 'backups list' shows it, or its beginning; all without it
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is whole, and what is known of it holds.
    Sound,
    /// It is not, or can't be read.
    Damaged,
    /// It was written by nymvisor 0.1.x, and nothing is known of it.
    Unread,
}

struct Finding<'a> {
    entry: &'a Entry,
    verdict: Verdict,
    checked: Checked,
}

/// Verifies without changing anything, also while `run` is up.
pub(super) fn verify(disk: &dyn Disk, env: &Env, args: &VerifyArgs) -> Result<Exit, Error> {
    let (config, paths) = config::load(disk, env)?;
    let catalogue = Catalogue::load(disk, &config, &paths)?;
    let entries: Vec<&Entry> = match &args.name {
        Some(name) => vec![catalogue.find(name)?],
        None => catalogue.entries.iter().collect(),
    };
    let (missing, gone): (&[String], &[Gone]) =
        if args.name.is_none() { (&catalogue.missing, &catalogue.gone) } else { (&[], &[]) };
    let text = args.output.output == Output::Text;
    let mut findings = Vec::new();
    for entry in entries {
        let finding = finding(entry);
        if text {
            // Each takes its time.
            output::print(&to_text(&finding))?;
        }
        findings.push(finding);
    }
    let whole = findings.iter().all(|finding| finding.verdict != Verdict::Damaged);
    let clean = whole && missing.is_empty() && gone.is_empty();
    let exit = if clean { Exit::Done } else { Exit::JournalFiles };
    output::print(&if text {
        let mut lines: Vec<String> = missing.iter().map(|name| missing_line(name)).collect();
        lines.extend(gone.iter().map(Gone::line));
        lines.push(if clean { "clean\n" } else { "NOT clean\n" }.to_owned());
        lines.join("\n")
    } else {
        let report = json!({
            "version": 1,
            "verdict": if clean { "clean" } else { "damaged" },
            "exit_status": exit as u8,
            "missing": missing,
            "gone": gone.iter().map(gone_to_json).collect::<Vec<Value>>(),
            "backups": findings.iter().map(to_json).collect::<Vec<Value>>(),
        });
        format!("{report}\n")
    })?;
    Ok(exit)
}

fn finding(entry: &Entry) -> Finding<'_> {
    let mut checked = Checked { found: None, manifest: false, faults: Vec::new() };
    if !entry.shelved.is_readable() {
        return Finding { entry, verdict: Verdict::Unread, checked };
    }
    let sealed = entry.known.as_ref().map(|known| &known.archive);
    match backup::check(&entry.shelved.path, sealed) {
        Ok(found) => checked = found,
        Err(backup::Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            checked.faults.push("it was removed meanwhile".to_owned());
        }
        Err(error) => checked.faults.push(error.to_string()),
    }
    let sound = checked.faults.is_empty();
    Finding { entry, verdict: if sound { Verdict::Sound } else { Verdict::Damaged }, checked }
}

fn to_json(finding: &Finding<'_>) -> Value {
    let Checked { found, manifest, faults } = &finding.checked;
    let found = found.as_ref();
    json!({
        "name": finding.entry.name,
        "path": backup::path_text(&finding.entry.shelved.path),
        "verdict": match finding.verdict {
            Verdict::Sound => "sound",
            Verdict::Damaged => "damaged",
            Verdict::Unread => "unread",
        },
        "journal": finding.entry.known.is_some(),
        "manifest": manifest,
        "bytes": found.map(|found| found.bytes),
        "sha256": found.and_then(|found| found.sha256.as_ref()),
        "entries": found.map(|found| found.entries),
        "faults": faults,
    })
}

fn to_text(finding: &Finding<'_>) -> String {
    let (name, Checked { found, manifest, faults }) = (&finding.entry.name, &finding.checked);
    if finding.verdict == Verdict::Unread {
        return format!("{name}: of nymvisor 0.1.x; see for yourself: tar -tzf\n");
    }
    let mut text = String::new();
    for fault in faults {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "FAULT {name}: {}", plain(fault));
    }
    if finding.verdict == Verdict::Damaged {
        let _ = writeln!(text, "  -> {}", remedy(finding.entry));
    }
    if let (Verdict::Sound, Some(found)) = (finding.verdict, found) {
        let by = match (finding.entry.known.is_some(), manifest) {
            (true, true) => "as by the journal and its manifest",
            (true, false) => "as by the journal",
            (false, true) => "as by its manifest",
            (false, false) => "with nothing to compare it with",
        };
        let (entries, bytes) = (found.entries, human(found.bytes));
        let _ = writeln!(text, "{name}: whole, {entries} entries in {bytes}, {by}");
    }
    text
}

/// What to do about one that is not whole.
fn remedy(entry: &Entry) -> String {
    let path = entry.shown_path();
    if entry.needed {
        return format!(
            "put a good copy of {path} there; without one `nymvisor rollback --keep-data` goes \
             back, with the data as it is"
        );
    }
    let forget = if entry.known.is_some() { ", then `backups prune --forget-missing`" } else { "" };
    format!("put a good copy of {path} there, or move it out of the way{forget}")
}
