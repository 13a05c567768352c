//! `status`: how the instance is, and what comes next.
//!
//! Everything is read from files, the journal and `/proc`; no lock is taken, nothing is changed,
//! and it makes no difference whether `run` is up. What was read is a [`Seen`], what follows from
//! it a [`Status`]; between the two there is no I/O.

use clap::Args;

use super::Error;
use super::output::{self, Output};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::exit::Exit;

mod failures;
mod past;
mod queue;
mod report;
mod seen;
mod text;
mod verdict;
mod waits;
mod watch;

pub use crate::spans::Spent;
pub use failures::{Held, LastFailure};
pub use past::{Done, Restart};
pub use queue::{Expected, Queued};
pub use report::{DaemonNow, JournalNow, PhaseNow, RunNow, Status};
pub use seen::{Process, Room, Seen};
pub use verdict::{Point, Verdict};
pub use waits::{HoldNow, Waits, WindowsNow};

/// How to say it.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Stay, and show each change: redrawn on a terminal, a line a change elsewhere
    #[arg(short, long)]
    watch: bool,
}

/// Says how the instance is. The exit status is the verdict, for scripts.
pub(super) fn status(disk: &dyn Disk, env: &Env, args: &StatusArgs) -> Result<Exit, Error> {
    let (config, paths) = config::load(disk, env)?;
    if args.watch {
        return watch::watch(disk, &config, &paths, args.output);
    }
    let status = Status::of(&Seen::look(disk, &config, &paths));
    match args.output {
        Output::Text => output::print_fitting(&status.to_text(), text::INDENT),
        Output::Json => output::print(&status.to_json()),
    }?;
    Ok(status.verdict.exit())
}
