//! `rollback`: back to the version before the last upgrade.

use std::path::Path;

use clap::Args;

use super::{Error, ask, backups, output, probe, user};
use crate::config::{self, Config, Env, Paths};
use crate::disk::{Disk, expect_file, try_writing_into};
use crate::host::{restore, room};
use crate::journal;
use crate::machine::{Archive, Version};
use crate::release::{self, PlanLock, UpgradeInfo, UpgradeName};
use crate::requests::{Request, Wish};

/// What `rollback` needs to know.
#[derive(Debug, Args)]
pub(super) struct RollBackArgs {
    /// Name of the version to go back to; without it, the one before the last upgrade
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Leave the data as it is instead of putting it back from the backup
    #[arg(long)]
    keep_data: bool,
    #[command(flatten)]
    output: output::OutputArgs,
}

/// Has the last upgrade rolled back: by the engine that runs, or by the next one before it starts
/// the daemon.
pub(super) fn rollback(disk: &dyn Disk, env: &Env, args: &RollBackArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path(), paths.data(), paths.home()])?;
    // Neither could go on: no session begins before that is done, nor is it done amid a roll-back.
    backups::refuse_amid_a_restore(&paths)?;
    let to = match &args.to {
        Some(name) => named(disk, &paths, name)?,
        None => version_before(disk, &config, &paths)?,
    };
    let binary = paths.binary(&UpgradeName::installed(&to.name)?);
    expect_binary(disk, &binary, &to)?;
    if probe::ask(&binary)?.build_version != to.version {
        return Err(Error::Refused(format!(
            "{} is not of the version {}, as '{}' should be; put the right binary back, or go back \
             to another version with --to and --keep-data",
            binary.display(),
            to.version,
            to.name
        )));
    }
    if !args.keep_data && config.daemon.rollback_restores_data {
        backup_holds(disk, &config, &paths, &to)?;
    }
    // From here on no prune takes it away before it is on the record.
    let _one = PlanLock::acquire(&paths.add_lock())?;
    expect_binary(disk, &binary, &to)?;
    let wish = Wish::RollBack { to, keep_data: args.keep_data };
    let request = Request { wish, requester: user::requester(env) };
    let (granted, text) = ask::engine(&config, &paths, request, "nothing can be rolled back")?;
    if !granted {
        return Err(Error::Refused(text));
    }
    output::print_answer(args.output.output, &text)
}

fn expect_binary(disk: &dyn Disk, binary: &Path, of: &Version) -> Result<(), Error> {
    expect_file(disk, binary).map_err(|what| {
        Error::Refused(format!(
            "{what}; put the binary of {} back there, or go back to another version with --to and \
             --keep-data",
            of.name
        ))
    })
}

/// A version by its name, as its folder describes it.
fn named(disk: &dyn Disk, paths: &Paths, name: &str) -> Result<Version, Error> {
    let name = UpgradeName::installed(name)?;
    let info: Option<UpgradeInfo> =
        release::if_there(release::load(disk, &paths.upgrade_info(&name)))?;
    let Some(info) = info else {
        let file = paths.upgrade_info(&name);
        return Err(Error::Refused(format!(
            "there is no version '{name}' here: {} is missing, which `nymvisor prune` may have \
             removed; `nymvisor rollback` without --to goes back to the one before, and `nymvisor \
             journal show` tells which there were",
            file.display()
        )));
    };
    Ok(Version { name: name.to_string(), version: info.version.to_string() })
}

/// Whether what the data would come from is as it was sealed: the daemon isn't stopped for less.
fn backup_holds(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    to: &Version,
) -> Result<(), Error> {
    let state = journal::last_state(disk, &paths.journal(), &ask::owner(config))?;
    let Some(state) = state else { return Ok(()) };
    let last = state.last_performed();
    let Some(archive) = last.filter(|last| last.from == *to).and_then(|last| last.backup.as_ref())
    else {
        return Ok(());
    };
    // What has begun no longer needs it.
    let goes_on = restore::unfinished(&paths.rollbacks(), state.last_attempt).is_some();
    if goes_on { Ok(()) } else { home_takes(disk, paths, archive) }
}

/// Whether the backup is whole, and the home has room for what is unpacked and lets itself be
/// written to.
fn home_takes(disk: &dyn Disk, paths: &Paths, archive: &Archive) -> Result<(), Error> {
    let refused = |error: String| {
        Error::Refused(format!("{error}; or leave the data as it is with --keep-data"))
    };
    let bytes = restore::needed(archive).map_err(|error| refused(error.to_string()))?;
    let needs = [(paths.home().to_owned(), bytes)];
    room::check(&needs).map_err(|error| refused(error.to_string()))?;
    let folder = paths.rollbacks();
    try_writing_into(disk, &folder, 0o700, "rollback").map_err(|error| {
        refused(format!("{} can't be written to, as a roll-back must: {error}", folder.display()))
    })
}

fn version_before(disk: &dyn Disk, config: &Config, paths: &Paths) -> Result<Version, Error> {
    let state = journal::last_state(disk, &paths.journal(), &ask::owner(config))?;
    if state.is_none() {
        ask::refuse_damaged(disk, paths)?;
    }
    let before = state.as_ref().and_then(|state| state.last_performed());
    before.map(|last| last.from.clone()).ok_or_else(|| {
        let text = "only the last upgrade can be rolled back, and none to what is installed is on \
                    record; for another version there is `nymvisor add-upgrade --allow-downgrade`";
        let phase = state.as_ref().map(|state| &state.phase);
        Error::Refused(phase.map_or(text.to_owned(), |of| ask::with_phase(text.to_owned(), of)))
    })
}
