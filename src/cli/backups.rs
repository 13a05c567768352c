//! `backups`: what is there, is it whole, put it back, remove what is old.

use std::fmt::Write;

use clap::Subcommand;

use super::Error;
use crate::config::Env;
use crate::disk::Disk;
use crate::exit::Exit;

mod alone;
mod catalogue;
mod list;
mod prune;
mod restore;
mod restoring;
mod verify;

pub(super) use prune::room;
pub(super) use restoring::{refuse_amid_a_restore, refuse_half_restored};

/// What can be done with backups.
#[derive(Debug, Subcommand)]
pub(super) enum BackupsCommand {
    /// Show every backup there is, oldest first
    List(super::output::OutputArgs),
    /// Read one backup, or all of them, and compare each with what was sealed
    Verify(verify::VerifyArgs),
    /// Put the daemon's home back as a backup has it, or unpack the backup elsewhere
    #[command(after_help = super::examples::RESTORE)]
    Restore(restore::RestoreArgs),
    /// Remove the backups that are more, or older, than the configuration keeps
    Prune(prune::PruneArgs),
}

pub(super) fn backups(disk: &dyn Disk, env: &Env, command: &BackupsCommand) -> Result<Exit, Error> {
    match command {
        BackupsCommand::List(args) => list::list(disk, env, args.output)?,
        BackupsCommand::Verify(args) => return verify::verify(disk, env, args),
        BackupsCommand::Restore(args) => restore::restore(disk, env, args)?,
        BackupsCommand::Prune(args) => prune::prune(disk, env, args)?,
    }
    Ok(Exit::Done)
}

/// A name from the disk, fit for a terminal: what would steer it is written as `\xNN`.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(plain, "\\x{byte:02x}");
            }
        } else {
            plain.push(char);
        }
    }
    plain
}
