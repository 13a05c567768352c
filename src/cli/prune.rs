//! `prune`: what nothing needs any more, and the retentions don't keep, gives up its room.
//!
//! Whether `run` is up makes no difference. What needs no room itself goes first, for the disk may
//! be full. The JSON is described in README, "Room"; its version is 1.

use std::path::{Path, PathBuf};

use clap::Args;

use super::backups;
use super::output::{self, Output, OutputArgs};
use super::{Error, user};
use crate::config::{self, Config, Env, Paths};
use crate::disk::{self, Disk, RealDisk};
use crate::exit::Exit;
use crate::host::lock::{self, HeldLock};
use crate::machine::Requester;
use crate::retention::Outlived;

mod in_use;
mod journal;
mod logs;
mod report;
mod versions;

/// How to prune.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is looked through, and by whom.
struct Task<'a> {
    disk: &'a dyn Disk,
    config: &'a Config,
    paths: &'a Paths,
    requester: Requester,
    dry_run: bool,
}

/// Something that takes room, and what becomes of it.
#[derive(Debug)]
pub(super) struct Item {
    /// How a person calls it, fit for a terminal.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) goes: bool,
    /// Why, for programs.
    pub(super) why: &'static str,
    /// Why, in words.
    pub(super) text: String,
}

/// One kind of things.
#[derive(Debug)]
struct Part {
    /// Its member in the JSON.
    kind: &'static str,
    /// The key that says what is kept.
    key: &'static str,
    /// What that says; `None` keeps all.
    retention: Option<String>,
    items: Vec<Item>,
    /// Why some stays, or all, that should go.
    hindrance: Option<String>,
}

/// Removes what is beyond the retentions, also while `run` is up.
pub(super) fn prune(disk: &dyn Disk, env: &Env, args: &PruneArgs) -> Result<Exit, Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path(), paths.data(), paths.backups()])?;
    let one = if args.dry_run { None } else { Some(only_one(&paths.prune_lock())?) };
    let task = Task {
        disk,
        config: &config,
        paths: &paths,
        requester: user::requester(env),
        dry_run: args.dry_run,
    };
    let (logs, versions, backups) = (logs::prune(&task), versions::prune(&task), task.backups());
    // Behind the backups: of those that go nobody needs to know any more.
    let journal = journal::prune(&task, &backups.items);
    let parts = [logs, versions, backups, journal];
    if let Some(lock) = one {
        lock.release_and_remove().map_err(|error| Error::Unusable(error.to_string()))?;
    }
    output::print(&match args.output.output {
        Output::Text => report::to_text(&parts, args.dry_run),
        Output::Json => report::to_json(&parts, args.dry_run),
    })?;
    Ok(report::exit(&parts))
}

/// Two that remove the same would trip over one another.
fn only_one(path: &Path) -> Result<HeldLock, Error> {
    disk::create_dirs(&RealDisk, disk::folder_of(path), 0o755)
        .map_err(Error::io("create the folder of", path))?;
    HeldLock::acquire(path, 0o600, &format!("{}\n", std::process::id())).map_err(
        |error| match error {
            lock::Error::Busy { .. } => {
                Error::Refused(format!("another prune is at work: {error}; wait for its end"))
            }
            lock::Error::Io { .. } => Error::Unusable(error.to_string()),
        },
    )
}

impl Task<'_> {
    /// By the very rules of `backups prune`.
    fn backups(&self) -> Part {
        let retention = self.config.daemon.backup_retention;
        let pruned = backups::room(self.disk, self.config, self.paths, self.dry_run);
        Part::of("backups", "daemon.backup_retention", retention, pruned)
    }
}

impl Part {
    /// What could not be looked at, or removed, is told in words.
    fn of(
        kind: &'static str,
        key: &'static str,
        retention: Option<config::Retention>,
        pruned: Result<Vec<Item>, Error>,
    ) -> Self {
        let retention = retention.map(|retention| retention.to_string());
        let (items, hindrance) = match pruned {
            Ok(items) => (items, None),
            Err(error) => (Vec::new(), Some(in_words(&error))),
        };
        Self { kind, key, retention, items, hindrance }
    }
}

/// An error in one line, with the system's words.
fn in_words(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// The name for programs, and the words, for what is outlived.
fn outlived(why: Outlived) -> (&'static str, &'static str) {
    match why {
        Outlived::BeyondCount => ("beyond-count", "beyond the number to keep"),
        Outlived::TooOld => ("too-old", "too old"),
    }
}
