//! `journal`: what the engine did and why.

use std::path::PathBuf;

use clap::Subcommand;

use super::Error;
use super::examples;
use crate::config::{self, Config, Env, Paths};
use crate::disk::Disk;
use crate::exit::Exit;
use crate::journal::{self, Owner};

mod about;
mod agreement;
mod chart;
mod export;
mod filter;
mod follow;
mod html;
mod report;
mod show;
mod story;
pub(crate) mod timeline;
mod trail;
mod verify;
pub(crate) mod words;

pub(super) use chart::{Chart, Kind};
pub(super) use story::Story;
pub(super) use timeline::{SCALE, Scale};
use trail::Trail;
pub(super) use trail::{Entry, Item};

/// What can be done with the journal.
#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Show the records, oldest first
    #[command(after_help = examples::SHOW)]
    Show(show::ShowArgs),
    /// Draw the phases of one upgrade to scale
    #[command(after_help = examples::TIMELINE)]
    Timeline(timeline::TimelineArgs),
    /// Write the records for other programs
    #[command(after_help = examples::EXPORT)]
    Export(export::ExportArgs),
    /// Write what an auditor wants to know of an upgrade, or of all, as one HTML page
    #[command(after_help = examples::REPORT)]
    Report(html::ReportArgs),
    /// Check all of it: chain, numbers, transitions, and the files on disk
    #[command(after_help = examples::VERIFY)]
    Verify(verify::VerifyArgs),
}

pub(super) fn journal(disk: &dyn Disk, env: &Env, command: &JournalCommand) -> Result<Exit, Error> {
    match command {
        JournalCommand::Show(args) => show::show(disk, env, args).map(|()| Exit::Done),
        JournalCommand::Timeline(args) => timeline::timeline(disk, env, args).map(|()| Exit::Done),
        JournalCommand::Export(args) => export::export(disk, env, args).map(|()| Exit::Done),
        JournalCommand::Report(args) => html::report(disk, env, args),
        JournalCommand::Verify(args) => verify::verify(disk, env, args),
    }
}

/// The journal of one instance, to be read.
#[derive(Debug)]
pub(super) struct Book {
    config: Config,
    paths: Paths,
    trail: Trail,
}

impl Book {
    /// That of the instance which the environment names.
    fn of(disk: &dyn Disk, env: &Env) -> Result<Self, Error> {
        let (config, paths) = config::load(disk, env)?;
        Ok(Self::new(config, paths))
    }

    /// That of this instance, from its beginning on.
    pub(super) fn new(config: Config, paths: Paths) -> Self {
        Self { config, paths, trail: Trail::default() }
    }

    fn folder(&self) -> PathBuf {
        self.paths.journal()
    }

    fn owner(&self) -> Owner {
        super::ask::owner(&self.config)
    }

    /// What is new since the last call.
    pub(super) fn read(&mut self, disk: &dyn Disk) -> Result<Vec<Item>, Error> {
        let from = self.trail.segment();
        let (folder, owner) = (self.folder(), self.owner());
        let mut items = Vec::new();
        for segment in journal::read_from(disk, &folder, &owner, from)? {
            self.trail.take(segment?, &mut items);
        }
        Ok(items)
    }

    /// What the records that were read tell of this upgrade.
    pub(super) fn story<'a>(
        &'a self,
        name: &str,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Story<'a> {
        Story::of(name, entries, self.trail.state(), self.trail.is_untold(name))
    }
}
