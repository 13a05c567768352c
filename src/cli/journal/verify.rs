//! `journal verify`: is the journal what was written, and does the disk agree with it?

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::super::Error;
use super::super::output::{self, Output, OutputArgs};
use super::agreement::{self, Backups};
use super::report::Report;
use crate::config::{self, Env, Paths};
use crate::disk::{Disk, RealDisk};
use crate::exit::Exit;
use crate::host::files::Files;
use crate::host::lock;
use crate::journal::{self, Fault, FaultKind, Hash, Owner};

/// A run records first and moves files afterwards: so often, and so far apart, what differs is
/// looked at again.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// What to verify.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// A hash that was kept elsewhere ('journal head after record N' in the log): it must stand in
    /// the chain
    #[arg(long, value_name = "HASH", value_parser = head)]
    head: Option<Hash>,
    /// Read the backups that are still there as well, and compare their digests
    #[arg(long)]
    backups: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn head(text: &str) -> Result<Hash, String> {
    Hash::parse(text).ok_or_else(|| "a hash has 64 hex digits".to_owned())
}

/// Verifies without changing anything, also while `run` is up.
pub(super) fn verify(disk: &dyn Disk, env: &Env, args: &VerifyArgs) -> Result<Exit, Error> {
    let (config, paths) = config::load(disk, env)?;
    let owner = Owner { instance: config.nymvisor.id, daemon: config.daemon.name };
    let report = look(disk, &paths, owner, args.head.as_ref(), args.backups)?;
    output::print(&match args.output.output {
        Output::Text => report.to_text(),
        Output::Json => report.to_json(),
    })?;
    Ok(report.exit())
}

/// Looks at all of it, as often as it takes where a `run` is at work.
pub(super) fn look(
    disk: &dyn Disk,
    paths: &Paths,
    owner: Owner,
    head: Option<&Hash>,
    backups: bool,
) -> Result<Report, Error> {
    let files = Files::new(Arc::new(RealDisk), paths.clone());
    let mut looks = 1;
    let (running, mut verified, agreement) = loop {
        let running = lock::held_by(&paths.instance_lock()).is_some();
        let verified = journal::verify(disk, &paths.journal(), &owner, head, running)?;
        let agreement = agreement::compare(&files, paths, &verified);
        if !running || agreement.faults.is_empty() || looks == LOOKS_MAX {
            break (running, verified, agreement);
        }
        looks += 1;
        std::thread::sleep(LOOK_PAUSE);
    };
    verified.faults.extend(agreement.faults);
    verified.notes.extend(agreement.notes);
    if let (Some(sought), None) = (head, &verified.found) {
        let pruned = verified.pruned.as_ref().map_or_else(String::new, |pruned| {
            format!("; those up to record {} were pruned, and may have had it", pruned.seq)
        });
        verified.faults.push(Fault {
            kind: FaultKind::Head,
            file: None,
            line: None,
            seq: None,
            text: format!("no line of the chain has the hash {sought}{pruned}"),
        });
    }
    let backups = backups.then(|| Backups::read(&verified.archives, &mut verified.faults));
    Ok(Report { instance: owner.instance, running, verified, backups })
}
