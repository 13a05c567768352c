//! `backups prune`: what the retention doesn't keep goes now.
//!
//! The JSON is described in README, "Backups"; its version is 1.

use std::fmt::Write;
use std::path::Path;

use chrono::Utc;
use clap::Args;
use serde_json::{Value, json};

use super::super::output::{self, Output, OutputArgs};
use super::super::prune::Item;
use super::super::{Error, user};
use super::catalogue::{Catalogue, Entry};
use super::plain;
use crate::config::{self, Config, Env, Paths, Retention};
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
    /// Take the backups that are not there, and that nothing needs, for removed on purpose
    #[arg(long)]
    forget_missing: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Removes what is beyond the retention, also while `run` is up.
pub(super) fn prune(disk: &dyn Disk, env: &Env, args: &PruneArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path(), paths.backups()])?;
    let mut catalogue = Catalogue::load(disk, &config, &paths)?;
    let fates = decide(&config, &catalogue)?;
    let forgotten: Vec<String> = if args.forget_missing {
        catalogue.gone.iter().map(|gone| gone.name.clone()).collect()
    } else {
        Vec::new()
    };
    if !args.dry_run {
        carry_out(disk, &mut catalogue, &fates, &forgotten)?;
    }
    let retention = config.daemon.backup_retention;
    let fates: Vec<(&Entry, Fate)> = catalogue.entries.iter().zip(fates).collect();
    output::print(&match args.output.output {
        Output::Text => to_text(&fates, &forgotten, retention, args.dry_run),
        Output::Json => to_json(&fates, &forgotten, retention, args.dry_run),
    })
}

/// The same for `nymvisor prune`, which removes more than backups.
pub(in crate::cli) fn room(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    dry_run: bool,
) -> Result<Vec<Item>, Error> {
    let mut catalogue = Catalogue::load(disk, config, paths)?;
    let fates = decide(config, &catalogue)?;
    if !dry_run {
        carry_out(disk, &mut catalogue, &fates, &[])?;
    }
    let item = |(entry, fate): (Entry, Fate)| Item {
        name: entry.name,
        path: entry.shelved.path,
        bytes: entry.shelved.bytes,
        goes: fate.goes(),
        why: fate.name(),
        text: in_words(fate).to_owned(),
    };
    Ok(catalogue.entries.into_iter().zip(fates).map(item).collect())
}

/// What becomes of each entry.
fn decide(config: &Config, catalogue: &Catalogue) -> Result<Vec<Fate>, Error> {
    let shelf: Vec<Shelved> = catalogue.entries.iter().map(|entry| entry.shelved.clone()).collect();
    let retention = config.daemon.backup_retention;
    let decided = retention::decide(&shelf, &catalogue.records, retention, Utc::now());
    if let Some((newest, flaw)) = retention::flaw_of_newest(&decided, &catalogue.records)
        && let Some(entry) = catalogue.entries.iter().find(|it| it.shelved.path == newest.path)
    {
        return Err(refuse(entry, &flaw));
    }
    Ok(decided.into_iter().map(|(_, fate)| fate).collect())
}

/// Removes what goes, once that is written down.
fn carry_out(
    disk: &dyn Disk,
    catalogue: &mut Catalogue,
    fates: &[Fate],
    forgotten: &[String],
) -> Result<(), Error> {
    let all = catalogue.entries.iter().zip(fates);
    let mut go: Vec<&Path> =
        all.filter(|(_, fate)| fate.goes()).map(|it| it.0.shelved.path.as_path()).collect();
    let names = go.iter().map(|path| backup::name_of(path)).chain(forgotten.iter().cloned());
    let names: Vec<String> = names.collect();
    if let Err(error) = catalogue.removed.add(disk, names.clone()) {
        // On a full disk the first makes the room to write of all. A crash in between leaves it
        // missing, and nothing needs it.
        let room = go.first().filter(|first| catalogue.removed.lacks_room_of(first, &error));
        let Some(first) = room else { return Err(error.into()) };
        retention::remove(first)?;
        go.remove(0);
        catalogue.removed.add(disk, names)?;
    }
    for path in go {
        retention::remove(path)?;
    }
    Ok(())
}

fn refuse(entry: &Entry, flaw: &str) -> Error {
    Error::Refused(format!(
        "nothing is removed: {}, the newest that would stay, is not whole: {}; put a good copy of \
         {} there, or move it out of the way, and prune again; `nymvisor backups verify` tells \
         which are whole",
        entry.name,
        plain(flaw),
        entry.shown_path()
    ))
}

fn to_json(
    fates: &[(&Entry, Fate)],
    forgotten: &[String],
    retention: Option<Retention>,
    dry_run: bool,
) -> String {
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
        "forgotten": forgotten,
        "backups": fates.iter().map(backup).collect::<Vec<Value>>(),
    });
    format!("{pruned}\n")
}

fn freed(fates: &[(&Entry, Fate)]) -> u64 {
    fates.iter().filter(|(_, fate)| fate.goes()).map(|(entry, _)| entry.shelved.bytes).sum()
}

fn to_text(
    fates: &[(&Entry, Fate)],
    forgotten: &[String],
    retention: Option<Retention>,
    dry_run: bool,
) -> String {
    let mut text = String::new();
    for name in forgotten {
        let does = if dry_run { "would be forgotten" } else { "forgotten" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{does}: {}", plain(name));
    }
    let Some(retention) = retention else {
        return text + "all backups are kept: daemon.backup_retention is not set\n";
    };
    for (entry, fate) in fates {
        let does = match (fate.goes(), dry_run) {
            (true, true) => "would go",
            (true, false) => "gone",
            (false, _) => "kept",
        };
        let _ = writeln!(text, "{does}: {} ({})", entry.name, in_words(*fate));
    }
    let count = fates.iter().filter(|(_, fate)| fate.goes()).count();
    let (would, bytes) = (if dry_run { "would be " } else { "" }, human(freed(fates)));
    let kept = fates.len() - count;
    let _ = writeln!(
        text,
        "{count} {would}removed, {bytes} {would}freed; {kept} kept, by daemon.backup_retention = \
         {retention}"
    );
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
