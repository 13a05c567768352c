//! The instance as it is found: configuration, files, journal, and whether a `run` is up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cli::ask;
use crate::config::{Config, Paths};
use crate::disk::{Disk, RealDisk};
use crate::host::files::{self, Files};
use crate::host::lock::{self, Holder};
use crate::journal::{self, Part};
use crate::machine::{State, Version};
use crate::release::{self, History, Plan, if_there, load};

/// A `run` may just be beginning a new segment: so often, and so far apart, it is looked again.
const LOOKS_MAX: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The instance, read once.
pub(super) struct Site<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) config: Config,
    pub(super) paths: Paths,
    /// The plan.
    pub(super) plan: Result<Plan, release::Error>,
    /// What was performed in the data folder.
    pub(super) history: Result<History, release::Error>,
    /// What this instance runs.
    pub(super) installed: Result<Version, files::Error>,
    /// All of the journal.
    pub(super) parts: Result<Vec<Part>, journal::Error>,
    /// The state after its last record; `None` where nothing has run yet, or it can't be read.
    pub(super) state: Option<State>,
    /// The `run` of this instance that is up.
    pub(super) runner: Option<Holder>,
    pub(super) now: DateTime<Utc>,
}

impl<'a> Site<'a> {
    pub(super) fn look(disk: &'a dyn Disk, config: Config, paths: Paths) -> Self {
        let files = Files::new(Arc::new(RealDisk), paths.clone());
        let owner = ask::owner(&config);
        let runner = lock::held_by(&paths.instance_lock());
        let mut looks = 0;
        let state = loop {
            let state = journal::last_state(disk, &paths.journal(), &owner).ok().flatten();
            looks += 1;
            if state.is_some() || runner.is_none() || looks == LOOKS_MAX {
                break state;
            }
            std::thread::sleep(LOOK_PAUSE);
        };
        Self {
            disk,
            plan: load(disk, &paths.plan()),
            history: if_there(load(disk, &paths.history())).map(Option::unwrap_or_default),
            installed: files.version(),
            parts: journal::read(disk, &paths.journal(), &owner),
            state,
            runner,
            now: Utc::now(),
            config,
            paths,
        }
    }
}

/// An error in one line, with the system's words.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
