//! `upgrades`: what is queued, and what a person wishes of it.
//!
//! Hold, release and cancel are requests to the engine, on its record; a time is set in the plan,
//! which the instances of a data folder share.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Error;
use super::examples;
use super::output::{self, Output};
use super::status::{Seen, Status};
use crate::config::{Config, Env, Paths};
use crate::disk::Disk;
use crate::release::{Plan, UpgradeName};

mod list;
mod reschedule;
mod wish;

/// What can be done with the queue.
#[derive(Debug, Subcommand)]
pub(super) enum UpgradesCommand {
    /// Show what is queued, what each waits for, and the command that changes it
    List(output::OutputArgs),
    /// Show one of them, with all that was announced
    Show(list::ShowArgs),
    /// Don't perform an upgrade in this instance ('retry' takes that back)
    Cancel(wish::CancelArgs),
    /// Set another time for an upgrade
    #[command(after_help = examples::RESCHEDULE)]
    Reschedule(reschedule::RescheduleArgs),
    /// Let no upgrade stop the daemon; what is queued is prepared all the same
    #[command(after_help = examples::HOLD)]
    Hold(wish::HoldArgs),
    /// Let upgrades stop the daemon again
    Release(output::OutputArgs),
}

pub(super) fn upgrades(disk: &dyn Disk, env: &Env, command: &UpgradesCommand) -> Result<(), Error> {
    match command {
        UpgradesCommand::List(args) => list::list(disk, env, args.output),
        UpgradesCommand::Show(args) => list::show(disk, env, args),
        UpgradesCommand::Cancel(args) => wish::cancel(disk, env, args),
        UpgradesCommand::Reschedule(args) => reschedule::reschedule(disk, env, args),
        UpgradesCommand::Hold(args) => wish::hold(disk, env, args),
        UpgradesCommand::Release(args) => wish::release(disk, env, args.output),
    }
}

/// Says what was done: in words, or as one line with the queue as it is now.
fn tell(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    output: Output,
    text: &str,
) -> Result<(), Error> {
    match output {
        Output::Text => output::print_fitting(text, 2),
        Output::Json => {
            let status = Status::of(&Seen::look(disk, config, paths));
            let mut all = whole(&status);
            if let Some(all) = all.as_object_mut() {
                all.insert("text".to_owned(), json!(text));
            }
            output::print(&format!("{all}\n"))
        }
    }
}

/// The queue for programs.
fn whole(status: &Status) -> Value {
    json!({
        "version": 1,
        "instance": status.instance,
        "at": status.at,
        "run_up": status.run.up,
        "damage": status.journal.damage,
        "hold": status.hold,
        "windows": status.windows,
        "upgrades": status.queue,
    })
}

/// What is refused where no upgrade of this name is queued.
fn not_queued(plan: &Plan, name: &UpgradeName) -> Error {
    let names: Vec<&str> = plan.queued_up.iter().map(|info| info.name.as_str()).collect();
    let queued = match names.as_slice() {
        [] => "nothing is queued".to_owned(),
        [one] => format!("'{one}' is queued"),
        [..] => format!("queued are '{}'", names.join("', '")),
    };
    Error::Refused(format!("no upgrade '{name}' is queued; {queued}"))
}

fn name(text: &str) -> Result<UpgradeName, crate::release::Error> {
    text.parse()
}
