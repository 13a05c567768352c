//! From wherever a story stands: nothing goes wrong any more, and everything comes to rest.

use nymvisor::machine::{Archive, Event, Outcome, PhaseName, Timer};

use super::engine::Engine;
use super::host::Luck;
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
            self.rests()?;
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
        if !self.state.recording {
            return self.take(Event::JournalRestored).map(|()| true);
        }
        let dying =
            self.world.process.as_ref().is_some_and(|p| p.leader_lives && (p.asked || p.killed));
        if dying {
            return self.daemon_ends(How::Well, 1_000_000).map(|()| true);
        }
        if (0..self.world.work.len()).any(|index| self.world.can_finish(index)) {
            return self.finish(0, Luck::Good).map(|()| true);
        }
        let queue = self.world.files.queue.clone();
        if queue.is_some_and(|queue| {
            self.listens() && (queue != self.state.queue || !self.state.plan_reads)
        }) {
            return self.read_plan().map(|()| true);
        }
        let timer = self.world.timers.iter().find(|timer| **timer != Timer::Grace).cloned();
        if let Some(timer) = timer {
            return self.fire(&timer).map(|()| true);
        }
        if self.world.due.is_some() {
            return self.come_due().map(|()| true);
        }
        Ok(false)
    }

    /// What holds when the daemon runs and nothing is left to do.
    fn rests(&self) -> Result<(), String> {
        let (state, files) = (&self.state, &self.world.files);
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
        if !named && !files.history.contains(&state.installed.name) {
            return wrong("what runs is not in the history");
        }
        if state.next_upgrade().is_some() {
            return wrong("nobody takes up what could be performed");
        }
        // A commit that was found, and could not be recorded then, still may be rolled back.
        let kept = state.performed.as_ref().and_then(|last| last.backup.as_ref());
        let is_left = |archive: &&Archive| files.has(archive) && Some(*archive) != kept;
        if let Some(archive) = self.oracle.unneeded().find(is_left) {
            return wrong(&format!("{} is of no use", archive.path));
        }
        if files.half_restored {
            return wrong("the home is half restored");
        }
        if self.world.lock {
            return wrong("the upgrade lock is kept");
        }
        Ok(())
    }
}
