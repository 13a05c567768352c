//! The home put back as a sealed backup has it. What was in it is moved aside, never removed.
//!
//! 1. The archive is read through and compared with what was sealed; there is room for it.
//! 2. It is unpacked beside the home, on the same file system, and synced: *staged*.
//! 3. The home's content is renamed, child by child, into `aside`: *aside*.
//! 4. What was unpacked is renamed, child by child, into the home: *placed*.
//! 5. What is left of the unpacking goes, the folders that stayed get their metadata: *done*.
//!
//! Each of the words in italics is a durable record of its own. Interrupted anywhere, by a kill, a
//! power cut or a [`Cancel`], the same call goes on from the last record and ends in the same
//! place. The daemon must be down, and one caller alone be at it; all of it blocks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::backup::Cancel;
use crate::disk::{Disk, RealDisk, create_dirs};
use crate::machine::Archive;

mod entries;
mod error;
mod folder;
mod meta;
mod moves;
mod plan;
mod source;
mod stage;
mod state;
mod unpack;

pub use error::Error;
pub use unpack::unpack;

use plan::Plan;
use state::{Phase, State};

/// One restore to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The folder whose content is put back.
    pub home: PathBuf,
    /// Folders that are never moved, wherever they lie: the same that the backup left out. One
    /// that doesn't exist is no error.
    pub leave_out: Vec<PathBuf>,
    /// The backup, as it was sealed.
    pub archive: Archive,
    /// A folder for this restore alone: what is unpacked, how far it got, what is moved aside. It
    /// is never moved either, and is best on the file system of the home. Its name is that of the
    /// hidden folders on others mounted below the home: `.nymvisor-restore-<name>`.
    pub work: PathBuf,
}

impl Job {
    fn aside(&self) -> PathBuf {
        self.work.join("aside")
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where everything lies that was in the home before, by the paths it had there. What was on
    /// another file system mounted below the home stayed on it, behind a link.
    pub aside: PathBuf,
    /// Where those links lead.
    pub elsewhere: Vec<PathBuf>,
    /// How many files and folders were moved there, a folder with its content counted once.
    pub moved_aside: u64,
    /// Entries of the backup that are in the home now.
    pub entries: u64,
}

/// Puts the home back, or goes on doing so. One that is done is not done again.
pub fn restore(job: &Job, cancel: &Cancel) -> Result<Restored, Error> {
    let mut state = match State::load(job)? {
        Some(state) => state,
        None => begin(job, cancel)?,
    };
    while state.phase != Phase::Done {
        check(cancel)?;
        advance(job, &mut state, cancel)?;
        state.save(job)?;
    }
    Ok(Restored {
        aside: job.aside(),
        elsewhere: moves::elsewhere(job, &state.plan),
        moved_aside: state.moved_aside,
        entries: job.archive.entries,
    })
}

/// Whether a restore is finished; one that was never begun isn't.
pub fn is_done(job: &Job) -> Result<bool, Error> {
    Ok(State::load(job)?.is_some_and(|state| state.phase == Phase::Done))
}

/// Whether a restore has come so far that the home may be half moved. Before that nothing in the
/// home was touched; from then on it doesn't need the archive any more.
pub fn has_begun(job: &Job) -> Result<bool, Error> {
    Ok(State::load(job)?.is_some())
}

/// Removes the folder of a restore that has not begun, with all that it unpacked. One that has
/// begun is left alone.
pub fn abandon(job: &Job) -> Result<(), Error> {
    if has_begun(job)? || !job.work.exists() {
        return Ok(());
    }
    for zone in Plan::make(job)?.zones.iter().rev() {
        stage::wipe(zone.holding())?;
    }
    // With another mount over the home it was none of them.
    stage::wipe(&job.work)
}

/// The folder below `rollbacks` of the restore with this number, if that was begun and is not
/// finished: the home may be half of one and half of the other.
#[must_use]
pub fn unfinished(rollbacks: &Path, attempt: u64) -> Option<PathBuf> {
    let of = format!("{attempt}-");
    let names = RealDisk.list(rollbacks).unwrap_or_default().into_iter();
    names
        .filter(|name| name.to_string_lossy().starts_with(&of))
        .map(|name| rollbacks.join(name))
        .find(|work| state::is_unfinished(work))
}

/// The highest number that a restore below `rollbacks` has had.
#[must_use]
pub fn last_number(disk: &dyn Disk, rollbacks: &Path) -> u64 {
    let names = disk.list(rollbacks).unwrap_or_default().into_iter();
    let number = |name: OsString| name.to_str()?.split_once('-')?.0.parse().ok();
    names.filter_map(number).max().unwrap_or_default()
}

/// How many bytes a backup takes when it is unpacked, in whole blocks. Reads all of it, and fails
/// for one that is not what was sealed.
pub fn needed(archive: &Archive) -> Result<u64, Error> {
    Ok(stage::survey(archive, &Cancel::default(), |_| Ok(()))?.bytes)
}

fn begin(job: &Job, cancel: &Cancel) -> Result<State, Error> {
    create_dirs(&RealDisk, &job.work, 0o700).map_err(|e| Error::of("creating", &job.work, e))?;
    let plan = Plan::make(job)?;
    stage::stage(job, &plan, cancel)?;
    let state = State::staged(job, plan);
    state.save(job)?;
    Ok(state)
}

/// Takes the step after the last that is on record.
fn advance(job: &Job, state: &mut State, cancel: &Cancel) -> Result<(), Error> {
    match state.phase {
        Phase::Staged => {
            let gone = moves::move_aside(job, &state.plan, cancel)?;
            state.plan.stay.extend(gone.stay);
            state.settle = moves::to_settle(&state.plan)?;
            state.moved_aside = gone.count;
            state.phase = Phase::Aside;
        }
        Phase::Aside => {
            moves::place(job, state, cancel)?;
            state.phase = Phase::Placed;
        }
        Phase::Placed => {
            for zone in &state.plan.zones {
                stage::wipe(&zone.staged())?;
            }
            moves::settle(job, state)?;
            state.phase = Phase::Done;
        }
        Phase::Done => {}
    }
    Ok(())
}

fn check(cancel: &Cancel) -> Result<(), Error> {
    if cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
