//! How a session begins: which version runs here, and where the journal says that it stands.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::Paths;
use crate::disk::{self, Disk, Kind};
use crate::host::files::{self, Files};
use crate::host::{restore, wishes};
use crate::journal::{self, Opened, Owner};
use crate::machine::{Event, Policy, State, Version, Wishes};
use crate::release::{self, UpgradeName};

/// Why a session can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Version file, journal and link are all of no help.
    #[error(
        "nothing tells which version runs here: {source}; put the file back, or make {} a link to \
         the folder of the version that ran last", link.display()
    )]
    NoVersion {
        /// What is wrong with the version file.
        source: Box<files::Error>,
        /// The link.
        link: PathBuf,
    },
    /// The binary of the version that runs is not there.
    #[error(
        "{} names {name} as the version that runs, but {what}; put that binary back",
        file.display()
    )]
    NoBinary {
        /// The version file.
        file: PathBuf,
        /// Name of the version.
        name: String,
        /// What is wrong with its binary, and where that should be.
        what: String,
    },
    /// The version has a name that can't be one.
    #[error(transparent)]
    Release(#[from] release::Error),
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// What a session is begun with. The locks of a `run` are held.
#[derive(Debug)]
pub struct Beginning {
    /// The medium of the instance's files.
    pub disk: Arc<dyn Disk>,
    /// The instance's paths.
    pub paths: Paths,
    /// Whose journal it is.
    pub owner: Owner,
    /// The session's name, in the journal and in the daemon's token.
    pub session: String,
    /// The settings of this session.
    pub policy: Policy,
    /// The wall clock.
    pub at: DateTime<Utc>,
}

/// Opens the journal, and gives the session's first fact.
pub fn begin(beginning: Beginning) -> Result<(Opened, Event), Error> {
    let Beginning { disk, paths, owner, session, policy, at } = beginning;
    let installed = installed(&disk, &paths, &owner)?;
    // Where a new chain begins, these are all that is left to tell of earlier roll-backs.
    let wishes = wishes(&*disk, &paths, at);
    let are_kept = !wishes.are_none();
    let mut troubles = Files::new(disk.clone(), paths.clone()).rolled_back();
    troubles.extend(wishes.cancelled);
    let initial = State {
        last_attempt: restore::last_number(&*disk, &paths.rollbacks()),
        troubles,
        holding: wishes.holding,
        ..State::initial(installed, policy.clone())
    };
    let opened = journal::open(disk.clone(), &paths.journal(), owner, session, initial, at)?;
    if let Some(mishap) = &opened.mishap {
        tracing::warn!("{}", journal::describe(mishap));
    }
    if are_kept && opened.state.wishes().are_none() && !opened.journal.is_failing() {
        take_away_wishes(&*disk, &paths);
    }
    let (nymvisor, pid) = (env!("CARGO_PKG_VERSION").to_owned(), std::process::id());
    Ok((opened, Event::SessionStarted { nymvisor, pid, policy }))
}

/// What is held and cancelled, as it is kept beside the journal.
fn wishes(disk: &dyn Disk, paths: &Paths, at: DateTime<Utc>) -> Wishes {
    wishes::kept(disk, &paths.wishes(), at).unwrap_or_else(|error| {
        tracing::warn!(
            "{} can't be read ({error}): where the journal begins anew, nothing tells whether \
             upgrades were held or cancelled; see `nymvisor upgrades list`",
            paths.wishes().display()
        );
        Wishes::default()
    })
}

/// A release is on record, and its end was interrupted: should the journal be damaged one day, what
/// is left would bring the hold back.
fn take_away_wishes(disk: &dyn Disk, paths: &Paths) {
    if let Err(error) = wishes::keep(disk, &paths.wishes(), &Wishes::default()) {
        tracing::warn!(
            "{} can't be removed ({error}), and tells of what is no longer held or cancelled; \
             remove it",
            paths.wishes().display()
        );
    }
}

/// The version this instance runs: by its version file, else by its journal, else by the link,
/// which it may share with one that is ahead.
fn installed(disk: &Arc<dyn Disk>, paths: &Paths, owner: &Owner) -> Result<Version, Error> {
    let files = Files::new(disk.clone(), paths.clone());
    let version = files.version().or_else(|source| {
        let state = journal::last_state(&**disk, &paths.journal(), owner).ok().flatten();
        let from_journal = state.map(|state| state.installed);
        let known = from_journal.or_else(|| files.version_by_link().ok().flatten());
        let link = paths.current();
        known.ok_or_else(|| Error::NoVersion { source: Box::new(source), link })
    })?;
    let binary = paths.binary(&UpgradeName::installed(&version.name)?);
    match disk::expect_file(&**disk, &binary) {
        // A link to a file of the operator's own does.
        Err(_) if matches!(disk.kind(&binary), Ok(Some(Kind::Link))) => Ok(version),
        Err(what) => {
            Err(Error::NoBinary { file: paths.current_version(), name: version.name, what })
        }
        Ok(()) => Ok(version),
    }
}
