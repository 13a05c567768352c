//! The instance as it is found: configuration, files, journal, and whether a `run` is up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cli::ask;
use crate::config::{Config, Paths};
use crate::disk::{Disk, RealDisk};
use crate::host::files::{self, Files};
use crate::host::lock::{self, Holder};
use crate::host::wishes;
use crate::journal::{self, End, Part, Reading};
use crate::machine::{Holding, State, Trouble, Version, Wishes};
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
    /// What is held and cancelled by the file beside the journal, where that can't tell.
    pub(in crate::cli) kept: Option<Wishes>,
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
        let mut site = Self {
            disk,
            plan: load(disk, &paths.plan()),
            history: if_there(load(disk, &paths.history())).map(Option::unwrap_or_default),
            installed: files.version(),
            parts,
            state,
            head,
            damage,
            kept: None,
            unread,
            runner,
            now: Utc::now(),
            config,
            paths,
        };
        site.go_by_what_is_kept();
        site
    }

    /// What a journal says up to its damage is older than what lies beside it.
    fn go_by_what_is_kept(&mut self) {
        if self.damage.is_none() && self.parts.is_ok() {
            return;
        }
        let path = self.paths.wishes();
        match wishes::kept(self.disk, &path, self.now) {
            Ok(kept) => {
                if let Some(state) = &mut self.state {
                    go_by(state, &kept);
                }
                self.kept = Some(kept);
            }
            Err(error) => {
                let what = "can't be read either, and tells what is held and cancelled";
                let beside = format!("{} {what}: {error}", path.display());
                self.damage = self.damage.take().map(|damage| format!("{damage}; {beside}"));
            }
        }
    }

    /// Who wants no upgrade to stop the daemon, now.
    pub(in crate::cli) fn holding(&self) -> Option<&Holding> {
        let told = self.state.as_ref().and_then(|state| state.holding.as_ref());
        let holding = told.or_else(|| self.kept.as_ref()?.holding.as_ref());
        holding.filter(|holding| holding.until.is_none_or(|end| end > self.now))
    }
}

/// What is held and cancelled is as this has it, whatever the journal says.
pub(in crate::cli) fn go_by(state: &mut State, kept: &Wishes) {
    state.holding.clone_from(&kept.holding);
    state.troubles.retain(|trouble| {
        let is_kept =
            |other: &Trouble| (&other.name, &other.digest) == (&trouble.name, &trouble.digest);
        !trouble.is_cancelled() && !kept.cancelled.iter().any(is_kept)
    });
    state.troubles.extend(kept.cancelled.iter().cloned());
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
