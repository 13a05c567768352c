//! The instance as it is found: configuration, files, journal, and whether a `run` is up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cli::ask;
use crate::config::{Config, Paths};
use crate::disk::{Disk, RealDisk};
use crate::host::files::{self, Files};
use crate::host::lock::{self, Holder};
use crate::journal::{self, End, Part, Reading};
use crate::machine::{State, Version};
use crate::release::{self, History, Plan, if_there, load};

/// A `run` may just be beginning a new segment: so often, and so far apart, it is looked again.
const LOOKS_MAX: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The instance, read once.
pub(in crate::cli) struct Site<'a> {
    pub(in crate::cli) disk: &'a dyn Disk,
    pub(in crate::cli) config: Config,
    pub(in crate::cli) paths: Paths,
    /// The plan.
    pub(in crate::cli) plan: Result<Plan, release::Error>,
    /// What was performed in the data folder.
    pub(in crate::cli) history: Result<History, release::Error>,
    /// What this instance runs.
    pub(in crate::cli) installed: Result<Version, files::Error>,
    /// All of the journal.
    pub(in crate::cli) parts: Result<Vec<Part>, journal::Error>,
    /// The state after its last record; `None` where nothing has run yet, or it can't be read.
    pub(in crate::cli) state: Option<State>,
    /// The hash of its last line, and the number of the record there.
    pub(in crate::cli) head: Option<(u64, journal::Hash)>,
    /// What is wrong with its last segment.
    pub(in crate::cli) damage: Option<String>,
    /// What can't be read of the segments before that.
    pub(in crate::cli) unread: Vec<String>,
    /// The `run` of this instance that is up.
    pub(in crate::cli) runner: Option<Holder>,
    pub(in crate::cli) now: DateTime<Utc>,
}

impl<'a> Site<'a> {
    pub(in crate::cli) fn look(disk: &'a dyn Disk, config: Config, paths: Paths) -> Self {
        let files = Files::new(Arc::new(RealDisk), paths.clone());
        let owner = ask::owner(&config);
        let runner = lock::held_by(&paths.instance_lock());
        let mut looks = 0;
        let read = loop {
            let read = journal::read_to_end(disk, &paths.journal(), &owner);
            looks += 1;
            let is_whole = read.as_ref().is_ok_and(|reading| reading.end.is_some());
            if is_whole || runner.is_none() || looks == LOOKS_MAX {
                break read;
            }
            std::thread::sleep(LOOK_PAUSE);
        };
        let (parts, end, damage, unread) = match read {
            Ok(Reading { parts, end, damage, unread }) => (Ok(parts), end, damage, unread),
            Err(error) => (Err(error), None, None, Vec::new()),
        };
        let (state, head) = match end {
            Some(End { seq, head, state }) => (Some(state), Some((seq, head))),
            None => (None, None),
        };
        Self {
            disk,
            plan: load(disk, &paths.plan()),
            history: if_there(load(disk, &paths.history())).map(Option::unwrap_or_default),
            installed: files.version(),
            parts,
            state,
            head,
            damage,
            unread,
            runner,
            now: Utc::now(),
            config,
            paths,
        }
    }
}

/// An error in one line, with the system's words.
pub(in crate::cli) fn in_words(error: &dyn std::error::Error) -> String {
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
