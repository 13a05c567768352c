//! From wherever a story stands: nothing goes wrong any more, and everything comes to rest.

use nymvisor::machine::{Archive, Event, Outcome, PhaseName, State, Timer};

use super::engine::Engine;
use super::host::World;
use super::luck::Luck;
use super::oracle::Oracle;
use super::stimulus::How;

/// How a story ends once nothing goes wrong any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The daemon runs, and nothing is left to do.
    Runs,
    /// The run has ended.
    Exited(Outcome),
}

/// More than any continuation needs.
const STEPS_MAX: u32 = 400;

impl Engine {
    /// Goes on without faults until nothing is left to do.
    ///
    /// Once the daemon runs, the run is stopped and begun anew: what one session had to leave to
    /// the next is done then.
    pub(crate) fn settle(&mut self) -> Result<End, String> {
        let end = self.come_to_rest()?;
        if end != End::Runs {
            return Ok(end);
        }
        self.take(Event::StopRequested { signal: 15 })?;
        self.come_to_rest()?;
        self.world.exit = None;
        let end = self.come_to_rest()?;
        if end == End::Runs {
            self.world.rests(&self.state, &self.oracle, false)?;
        }
        Ok(end)
    }

    fn come_to_rest(&mut self) -> Result<End, String> {
        self.world.lock_busy = false;
        for _ in 0..STEPS_MAX {
            if !self.up {
                if let Some(outcome) = self.world.exit {
                    return Ok(End::Exited(outcome));
                }
                self.start(self.state.policy.clone())?;
            } else if !self.go_on()? {
                let running = self.state.phase.name() == PhaseName::Running;
                let stuck = || format!("stuck: {:?}", self.state);
                return running.then_some(End::Runs).ok_or_else(stuck);
            }
        }
        Err(format!("no end in sight: {:?}", self.state))
    }

    /// Does the next thing; `false` where there is none.
    pub(crate) fn go_on(&mut self) -> Result<bool, String> {
        let plan_is_news = || {
            self.world.files.queue.as_ref().is_some_and(|queue| {
                self.listens() && (*queue != self.state.queue || !self.state.plan_reads)
            })
        };
        match self.world.next(self.state.recording, plan_is_news) {
            Some(Next::Restore) => self.take(Event::JournalRestored)?,
            Some(Next::DaemonEnds) => self.daemon_ends(How::Well, 1_000_000)?,
            Some(Next::Work) => self.finish(0, Luck::Good)?,
            Some(Next::ReadPlan) => self.read_plan()?,
            Some(Next::Fire(timer)) => self.fire(&timer)?,
            Some(Next::ComeDue) => self.come_due()?,
            Some(Next::OpenWindow) => self.window(true)?,
            Some(Next::Release) => self.release()?,
            None => return Ok(false),
        }
        Ok(true)
    }
}

/// What happens next where nothing goes wrong.
pub(crate) enum Next {
    Restore,
    DaemonEnds,
    Work,
    ReadPlan,
    Fire(Timer),
    ComeDue,
    OpenWindow,
    Release,
}

impl World {
    pub(crate) fn next(
        &self,
        recording: bool,
        plan_is_news: impl FnOnce() -> bool,
    ) -> Option<Next> {
        let dying = self.process.as_ref().is_some_and(|p| p.leader_lives && (p.asked || p.killed));
        let timer = || self.timers.iter().find(|timer| **timer != Timer::Grace).cloned();
        if !recording {
            Some(Next::Restore)
        } else if dying {
            Some(Next::DaemonEnds)
        } else if (0..self.work.len()).any(|index| self.can_finish(index)) {
            Some(Next::Work)
        } else if plan_is_news() {
            Some(Next::ReadPlan)
        } else {
            let opens = (self.calendar.window == Some(false)).then_some(Next::OpenWindow);
            let releases = self.calendar.kept.holding.as_ref().map(|_| Next::Release);
            let clock = timer().map(Next::Fire).or(self.due.map(|_| Next::ComeDue));
            clock.or(opens).or(releases)
        }
    }

    /// What holds when the daemon runs and nothing is left to do.
    pub(crate) fn rests(
        &self,
        state: &State,
        oracle: &Oracle,
        was_damaged: bool,
    ) -> Result<(), String> {
        let files = &self.files;
        let wrong = |what: &str| Err(format!("{what}: {state:?}, {files:?}"));
        if state.candidate.is_some() {
            return wrong("an upgrade waits for nothing");
        }
        if files.version.as_ref() != Some(&state.installed) {
            return wrong("the version file does not name what runs");
        }
        let Some(queue) = &files.queue else { return wrong("no plan") };
        if queue.current.as_ref().map(|current| &current.name) != files.link.as_ref() {
            return wrong("plan and link differ");
        }
        if !state.superseded().is_empty() {
            return wrong("what is superseded stays queued");
        }
        let mut history = files.history.clone();
        history.sort();
        history.dedup();
        if history.len() != files.history.len() {
            return wrong("two history entries for one upgrade");
        }
        let performed = state.installed.name.as_str();
        let named = performed == "genesis" || performed == "hand";
        // A damaged journal can't tell what a commit could not write: the entry has no source left.
        if !named && !was_damaged && !files.history.contains(&state.installed.name) {
            return wrong("what runs is not in the history");
        }
        if state.next_upgrade().is_some() {
            return wrong("nobody takes up what could be performed");
        }
        // A commit that was found, and could not be recorded then, still may be rolled back.
        let kept = state.performed.as_ref().and_then(|last| last.backup.as_ref());
        if let Some(archive) = kept.filter(|archive| !files.has(archive)) {
            return wrong(&format!("{} is gone, and a roll-back may need it", archive.path));
        }
        let is_left = |archive: &&Archive| files.has(archive) && Some(*archive) != kept;
        if let Some(archive) = oracle.unneeded().find(is_left) {
            return wrong(&format!("{} is of no use", archive.path));
        }
        // What a crash kept from being removed is of no harm; what is wished is never lost.
        if !state.wishes().are_none() && state.wishes() != self.calendar.kept {
            return wrong("a wish is not kept beside the journal");
        }
        if files.half_restored {
            return wrong("the home is half restored");
        }
        if self.lock {
            return wrong("the upgrade lock is kept");
        }
        Ok(())
    }
}
