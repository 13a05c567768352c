//! `journal`: what the engine did and why.

use clap::{Args, Subcommand};

use super::Error;
use super::output::{self, Output, OutputArgs};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::exit::Exit;
use crate::journal::{self, Owner, Part};
use crate::narrate;

mod agreement;
mod report;
mod verify;

/// What can be done with the journal.
#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Show the records, oldest first
    Show(ShowArgs),
    /// Check all of it: chain, numbers, transitions, and the files on disk
    Verify(verify::VerifyArgs),
}

/// What to show of it.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Only the last so many records
    #[arg(long, short = 'n', value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn journal(disk: &dyn Disk, env: &Env, command: &JournalCommand) -> Result<Exit, Error> {
    match command {
        JournalCommand::Show(args) => show(disk, env, args).map(|()| Exit::Done),
        JournalCommand::Verify(args) => verify::verify(disk, env, args),
    }
}

fn show(disk: &dyn Disk, env: &Env, args: &ShowArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    let owner = Owner { instance: config.nymvisor.id, daemon: config.daemon.name };
    let parts = journal::read(disk, &paths.journal(), &owner)?;
    let mut lines: Vec<String> =
        parts.iter().flat_map(|part| lines(part, args.output.output)).collect();
    if let Some(last) = args.last {
        lines.drain(..lines.len().saturating_sub(last));
    }
    if lines.is_empty() && args.output.output == Output::Text {
        lines.push("nothing has been run here yet".to_owned());
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    output::print(&text)
}

fn lines(part: &Part, output: Output) -> Vec<String> {
    match (part, output) {
        (Part::Note(note), Output::Text) => vec![format!("        --- {note}")],
        // Notes are not lines of the journal; what they tell stands in the headers.
        (Part::Note(_), Output::Json) => Vec::new(),
        (Part::Record { record, back, .. }, Output::Text) => {
            vec![narrate::line(record, back.as_deref())]
        }
        (Part::Record { line, .. }, Output::Json) => vec![line.clone()],
    }
}
