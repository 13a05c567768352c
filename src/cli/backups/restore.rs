//! `backups restore`: the home as a backup has it, or the backup in a folder of its own.
//!
//! The JSON is described in README, "Backups"; its version is 1.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use clap::Args;
use serde_json::json;

use super::super::output::{self, Output, OutputArgs};
use super::super::{Error, user};
use super::catalogue::{Catalogue, Entry};
use super::restoring::Restoring;
use super::{alone, plain};
use crate::config::{self, Config, Env, Paths};
use crate::disk::{Disk, RealDisk};
use crate::host::backup::{self, Cancel};
use crate::host::files::Files;
use crate::host::restore::{self, Restored};
use crate::machine::{Archive, State, Version};

/// What to restore, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// Name of the backup, as 'backups list' shows it, or its beginning
    name: String,
    /// Unpack it into this folder, which must be empty or missing, and touch nothing else
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Puts the home back with the daemon down, or unpacks the backup elsewhere at any time.
pub(super) fn restore(disk: &dyn Disk, env: &Env, args: &RestoreArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    match &args.to {
        Some(into) => unpack(disk, (&config, &paths), args, into),
        None => put_back(disk, (&config, &paths), args),
    }
}

fn unpack(
    disk: &dyn Disk,
    (config, paths): (&Config, &Paths),
    args: &RestoreArgs,
    into: &Path,
) -> Result<(), Error> {
    let into = std::path::absolute(into).map_err(Error::io("use", into))?;
    refuse_within_the_home(&into, paths)?;
    let catalogue = Catalogue::load(disk, config, paths)?;
    let entry = catalogue.find(&args.name)?;
    let archive = archive_of(entry)?;
    restore::unpack(&archive, &into, &Cancel::default())?;
    output::print(&match args.output.output {
        Output::Text => {
            let (name, into) = (&entry.name, plain(&backup::path_text(&into)));
            let of = of(entry.from.as_ref());
            format!("{name} ({of}) is unpacked in {into}: {} entries\n", archive.entries)
        }
        Output::Json => {
            let unpacked = json!({
                "version": 1,
                "name": entry.name,
                "to": backup::path_text(&into),
                "entries": archive.entries,
                "from": entry.from,
                "aside": null,
                "aside_elsewhere": [],
                "moved_aside": null,
                "installed": null,
            });
            format!("{unpacked}\n")
        }
    })
}

/// Whatever way leads there, what is unpacked must not come into the daemon's hands.
fn refuse_within_the_home(into: &Path, paths: &Paths) -> Result<(), Error> {
    let real = real(into);
    let within = |folder: &Path| real.starts_with(self::real(folder));
    if into.components().any(|part| part == Component::ParentDir) && !into.exists() {
        return Err(Error::Refused(format!(
            "{} is not there, and '..' may lead anywhere; name it without '..'",
            into.display()
        )));
    }
    if within(paths.home()) && !within(&paths.home_nymvisor()) {
        return Err(Error::Refused(format!(
            "{} lies in the daemon's home, which the daemon uses; name a folder elsewhere",
            into.display()
        )));
    }
    Ok(())
}

/// The path without links, as far as there is something.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    let (above, real) = there.unwrap_or((path, path.to_owned()));
    path.strip_prefix(above).map_or_else(|_| path.to_owned(), |below| real.join(below))
}

fn put_back(
    disk: &dyn Disk,
    (config, paths): (&Config, &Paths),
    args: &RestoreArgs,
) -> Result<(), Error> {
    user::check_owner([paths.instance().as_path(), paths.home()])?;
    let _locks = alone::with_the_home(config, paths)?;
    config::check_claim(disk, paths)?;
    let catalogue = Catalogue::load(disk, config, paths)?;
    refuse_amid_a_roll_back(catalogue.records.state.as_ref())?;
    let restoring = match going_on(&catalogue, paths, &args.name)? {
        Some(restoring) => restoring,
        None => begin(catalogue.find(&args.name)?, paths)?,
    };
    let restored = finish(&restoring, paths)?;
    let files = Files::new(Arc::new(RealDisk), paths.clone());
    let installed = files.version().ok();
    output::print(&match args.output.output {
        Output::Text => to_text(&restoring, &restored, paths, installed.as_ref()),
        Output::Json => {
            let restored = json!({
                "version": 1,
                "name": restoring.name,
                "to": backup::path_text(paths.home()),
                "entries": restored.entries,
                "from": restoring.from,
                "aside": backup::path_text(&restored.aside),
                "aside_elsewhere": texts(&restored.elsewhere),
                "moved_aside": restored.moved_aside,
                "installed": installed,
            });
            format!("{restored}\n")
        }
    })
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| backup::path_text(path)).collect()
}

/// What a roll-back has half moved is its own business.
fn refuse_amid_a_roll_back(state: Option<&State>) -> Result<(), Error> {
    let back = state.and_then(|state| state.phase.attempt()?.back.as_ref());
    if back.is_some_and(|back| back.restore.is_some()) {
        return Err(Error::Refused(
            "a roll-back is not finished, and the data may be half restored by it; let \
             `nymvisor run` finish it first, or take the data out of it with `nymvisor rollback \
             --keep-data`"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The restore that was interrupted, if it is the one that is asked for. One of another backup
/// that has touched nothing is given up; one that has must be finished first.
fn going_on(catalogue: &Catalogue, paths: &Paths, asked: &str) -> Result<Option<Restoring>, Error> {
    let Some(restoring) = &catalogue.restoring else { return Ok(None) };
    let job = restoring.job(paths);
    let archive = backup::path_of(&job.archive);
    // The archive may be gone: it is not needed any more once it is unpacked.
    let is_it = restoring.name == asked
        || match catalogue.find(asked) {
            Ok(entry) => entry.name == restoring.name,
            Err(_) => !archive.exists() && !asked.is_empty() && restoring.name.starts_with(asked),
        };
    if is_it && (restore::has_begun(&job)? || archive.exists()) {
        return Ok(Some(restoring.clone()));
    }
    if restore::has_begun(&job)? && !restore::is_done(&job)? {
        let missing = if archive.exists() {
            String::new()
        } else {
            let archive = plain(&backup::path_text(&archive));
            format!("; its archive is missing, which was {archive}, and is not needed any more")
        };
        return Err(Error::Refused(format!(
            "the home is half restored from another backup; finish that first: `nymvisor backups \
             restore {}`{missing}",
            plain(&restoring.name)
        )));
    }
    restore::abandon(&job)?;
    Restoring::remove(paths)?;
    Ok(None)
}

fn begin(entry: &Entry, paths: &Paths) -> Result<Restoring, Error> {
    let archive = archive_of(entry)?;
    let restoring = Restoring::new(paths, &entry.name, archive, entry.from.clone(), Utc::now());
    restoring.save(paths)?;
    Ok(restoring)
}

fn finish(restoring: &Restoring, paths: &Paths) -> Result<Restored, Error> {
    let job = restoring.job(paths);
    let restored = restore::restore(&job, &Cancel::default());
    if restored.is_err() && !restore::has_begun(&job).unwrap_or(true) {
        // Nothing was touched: nothing has to be gone on with. The first error is the one to tell.
        let _ = restore::abandon(&job).map(|()| Restoring::remove(paths));
    }
    let restored = restored?;
    Restoring::remove(paths)?;
    Ok(restored)
}

/// The archive as it was sealed. Of one that the journal doesn't know, it is what a reading of all
/// of it finds, as far as its manifest agrees.
fn archive_of(entry: &Entry) -> Result<Archive, Error> {
    if !entry.shelved.is_readable() {
        return Err(Error::Refused(format!(
            "{} is of nymvisor 0.1.x; unpack it by hand: tar -xzpf {} -C <folder>",
            entry.name,
            entry.shown_path()
        )));
    }
    if let Some(known) = &entry.known {
        let path = backup::path_text(&entry.shelved.path);
        return Ok(Archive { path, ..known.archive.clone() });
    }
    let checked = backup::check(&entry.shelved.path, None)?;
    match (checked.found, checked.faults.first()) {
        (Some(found), None) => Ok(found),
        (_, fault) => Err(Error::Refused(format!(
            "{} is not whole: {}; nothing was touched; `nymvisor backups verify` tells which are",
            entry.name,
            plain(fault.map_or("it can't be read", String::as_str))
        ))),
    }
}

fn of(version: Option<&Version>) -> String {
    version.map_or_else(
        || "data of an unknown version".to_owned(),
        |from| format!("data of {} ({})", plain(&from.version), plain(&from.name)),
    )
}

fn to_text(
    restoring: &Restoring,
    restored: &Restored,
    paths: &Paths,
    installed: Option<&Version>,
) -> String {
    let mut lines = vec![
        format!(
            "{} is restored in {}: {} entries, {}",
            restoring.name,
            plain(&backup::path_text(paths.home())),
            restored.entries,
            of(restoring.from.as_ref())
        ),
        format!(
            "what was there ({} files and folders) lies in {}",
            restored.moved_aside,
            plain(&backup::path_text(&restored.aside))
        ),
    ];
    lines.extend(restored.elsewhere.iter().map(|aside| {
        let aside = plain(&backup::path_text(aside));
        format!("what of it was on another file system lies in {aside}")
    }));
    if let (Some(from), Some(installed)) = (&restoring.from, installed)
        && from != installed
    {
        lines.push(format!(
            "installed is {} ({}), which would run on it; to go back to {} with this data: \
             nymvisor rollback --keep-data --to {}",
            installed.version, installed.name, from.version, from.name
        ));
    }
    lines.join("\n") + "\n"
}
