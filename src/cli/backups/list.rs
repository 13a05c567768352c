//! `backups list`: every backup there is.
//!
//! The JSON is described in README, "Backups"; its version is 1.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::Error;
use super::super::output::{self, Output};
use super::catalogue::{Catalogue, Entry, Gone, missing_line};
use super::plain;
use crate::config::{self, Env, Paths};
use crate::disk::Disk;
use crate::host::backup;
use crate::units::human;

/// Shows what is there, also while `run` is up.
pub(super) fn list(disk: &dyn Disk, env: &Env, output: Output) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    let catalogue = Catalogue::load(disk, &config, &paths)?;
    output::print(&match output {
        Output::Text => to_text(&catalogue, &paths, Utc::now()),
        Output::Json => {
            let retention = config.daemon.backup_retention;
            let list = json!({
                "version": 1,
                "folder": backup::path_text(paths.backups()),
                "retention": retention.map(|retention| retention.to_string()),
                "restoring": catalogue.restoring.as_ref().map(|restoring| &restoring.name),
                "missing": catalogue.missing,
                "gone": catalogue.gone.iter().map(gone_to_json).collect::<Vec<Value>>(),
                "backups": catalogue.entries.iter().map(to_json).collect::<Vec<Value>>(),
            });
            format!("{list}\n")
        }
    })
}

/// One backup for programs.
pub(super) fn to_json(entry: &Entry) -> Value {
    let known = entry.known.as_ref();
    json!({
        "name": entry.name,
        "upgrade": entry.shelved.upgrade,
        "path": backup::path_text(&entry.shelved.path),
        "made_at": entry.shelved.at,
        "bytes": entry.shelved.bytes,
        "from": entry.from,
        "record": entry.record,
        "entries": known.map(|known| known.archive.entries),
        "sha256": known.and_then(|known| known.archive.sha256.as_ref()),
        "examined": entry.is_examined(),
        "damage": known.and_then(|known| known.damage.as_ref()),
        "manifest": entry.manifest,
        "needed": entry.needed,
    })
}

/// One that is not there, for programs.
pub(super) fn gone_to_json(gone: &Gone) -> Value {
    json!({ "name": gone.name, "record": gone.record, "what": gone.what })
}

fn to_text(catalogue: &Catalogue, paths: &Paths, now: DateTime<Utc>) -> String {
    let width = catalogue.entries.iter().map(|entry| entry.name.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut lines: Vec<String> =
        catalogue.entries.iter().map(|entry| line(entry, width, now)).collect();
    if lines.is_empty() {
        let folder = plain(&backup::path_text(paths.backups()));
        lines.push(format!("there are no backups in {folder}"));
    }
    lines.extend(catalogue.missing.iter().map(|name| missing_line(name)));
    lines.extend(catalogue.gone.iter().map(Gone::line));
    lines.extend(catalogue.restoring.as_ref().map(|restoring| {
        let name = plain(&restoring.name);
        format!("not finished: `nymvisor backups restore {name}`, which goes on when it is called")
    }));
    lines.join("\n") + "\n"
}

fn line(entry: &Entry, width: usize, now: DateTime<Utc>) -> String {
    let from = entry.from.as_ref();
    let from = from.map(|from| format!("of {} ({})", plain(&from.version), plain(&from.name)));
    let mut notes = Vec::new();
    match &entry.known {
        Some(known) => {
            notes.push(format!("record {}", known.seq));
            notes.push(format!("{} entries", known.archive.entries));
            notes.push(match &known.damage {
                Some(damage) => format!("DAMAGED: {}", plain(damage)),
                None if entry.is_examined() => "examined".to_owned(),
                None => "not examined yet".to_owned(),
            });
        }
        None => notes.push("not in this journal".to_owned()),
    }
    if entry.needed {
        notes.push("needed".to_owned());
    }
    format!(
        "{:width$}  {:>10}  {:>8}  {:<20}  {}",
        entry.name,
        human(entry.shelved.bytes),
        age(entry.shelved.at, now),
        from.unwrap_or_else(|| "of an unknown version".to_owned()),
        notes.join(", "),
    )
}

/// The largest unit alone: `3d`.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = now.signed_duration_since(at).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
