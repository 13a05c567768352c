//! `backups prune`: what the retention doesn't keep goes now.
//!
//! The JSON is described in README, "Backups"; its version is 1.

use std::fmt::Write;

use chrono::Utc;
use clap::Args;
use serde_json::{Value, json};

use super::super::output::{self, Output, OutputArgs};
use super::super::{Error, user};
use super::catalogue::{Catalogue, Entry};
use crate::config::{self, Env, Retention};
use crate::disk::Disk;
use crate::host::backup::retention::{self, Fate};
use crate::host::backup::{self, Shelved};
use crate::units::human;

/// How to prune.
#[derive(Debug, Args)]
pub(in crate::cli) struct PruneArgs {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Removes what is beyond the retention, also while `run` is up.
pub(super) fn prune(disk: &dyn Disk, env: &Env, args: &PruneArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path(), paths.backups()])?;
    let catalogue = Catalogue::load(disk, &config, &paths)?;
    let shelf: Vec<Shelved> = catalogue.entries.iter().map(|entry| entry.shelved.clone()).collect();
    let retention = config.daemon.backup_retention;
    let decided = retention::decide(&shelf, &catalogue.records, retention, Utc::now());
    let fates: Vec<(&Entry, Fate)> =
        catalogue.entries.iter().zip(decided.into_iter().map(|(_, fate)| fate)).collect();
    if !args.dry_run {
        for (entry, _) in fates.iter().filter(|(_, fate)| fate.goes()) {
            retention::remove(&entry.shelved.path)?;
        }
    }
    output::print(&match args.output.output {
        Output::Text => to_text(&fates, retention, args.dry_run),
        Output::Json => to_json(&fates, retention, args.dry_run),
    })
}

fn to_json(fates: &[(&Entry, Fate)], retention: Option<Retention>, dry_run: bool) -> String {
    let backup = |(entry, fate): &(&Entry, Fate)| {
        json!({
            "name": entry.name,
            "path": backup::path_text(&entry.shelved.path),
            "bytes": entry.shelved.bytes,
            "goes": fate.goes(),
            "why": fate.name(),
        })
    };
    let pruned = json!({
        "version": 1,
        "dry_run": dry_run,
        "retention": retention.map(|retention| retention.to_string()),
        "freed_bytes": freed(fates),
        "backups": fates.iter().map(backup).collect::<Vec<Value>>(),
    });
    format!("{pruned}\n")
}

fn freed(fates: &[(&Entry, Fate)]) -> u64 {
    fates.iter().filter(|(_, fate)| fate.goes()).map(|(entry, _)| entry.shelved.bytes).sum()
}

fn to_text(fates: &[(&Entry, Fate)], retention: Option<Retention>, dry_run: bool) -> String {
    let Some(retention) = retention else {
        return "all backups are kept: daemon.backup_retention is not set\n".to_owned();
    };
    let mut text = String::new();
    for (entry, fate) in fates {
        let does = match (fate.goes(), dry_run) {
            (true, true) => "would go",
            (true, false) => "gone",
            (false, _) => "kept",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{does}: {} ({})", entry.name, in_words(*fate));
    }
    let count = fates.iter().filter(|(_, fate)| fate.goes()).count();
    let (would, bytes) = (if dry_run { "would be " } else { "" }, human(freed(fates)));
    let _ = writeln!(text, "{count} {would}removed, {bytes} {would}freed; kept: {retention}");
    text
}

fn in_words(fate: Fate) -> &'static str {
    match fate {
        Fate::BeyondCount => "beyond the number to keep",
        Fate::TooOld => "too old",
        Fate::Within => "within what is kept",
        Fate::Foreign => "not one that this instance made",
        Fate::Needed => "a roll-back may need it",
        Fate::Last => "the last one",
    }
}
