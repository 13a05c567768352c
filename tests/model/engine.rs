//! The pure engine on the simulated machine: every turn is journaled, checked and replayed.

use nymvisor::host::Stimulus as Reported;
use nymvisor::machine::{
    Code, Effect, Ending, Event, Policy, Record, State, recover, replay, step,
};

use std::rc::Rc;

use super::host::World;
use super::luck::Luck;
use super::oracle::Oracle;
use super::stimulus::{How, Stimulus, catalogue};
use super::{values, wishes};

/// State, journal and machine.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) state: State,
    pub(crate) world: World,
    pub(crate) records: Vec<Record>,
    /// The state after each record.
    pub(crate) states: Vec<State>,
    /// A `run` is going on.
    pub(crate) up: bool,
    /// What the records begin from.
    pub(super) first: Rc<State>,
    /// Facts that wait until the journal can be written.
    pub(crate) waiting: Vec<Event>,
    /// What the last durable record led to, while the others are only held in memory.
    pub(crate) durable: Option<Box<Durable>>,
    pub(crate) oracle: Oracle,
    pub(super) sessions: u32,
    /// Every turn is made twice, and its record goes through JSON and back.
    pub(crate) checks_twice: bool,
}

/// What is left after a crash while records are only held in memory.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Durable {
    pub(crate) state: State,
    pub(crate) oracle: Oracle,
    records: usize,
}

impl Engine {
    /// Forgets how it came here; whoever goes on from here sets what the records begin from.
    pub(crate) fn drop_records(&mut self) {
        self.records.clear();
        self.states.clear();
        self.sessions = 0;
        if let Some(durable) = &mut self.durable {
            durable.records = 0;
        }
    }

    pub(crate) fn new(policy: Policy) -> Self {
        let first = State::initial(values::genesis(), policy);
        Self {
            state: first.clone(),
            world: World::new(),
            records: Vec::new(),
            states: Vec::new(),
            up: false,
            first: Rc::new(first),
            waiting: Vec::new(),
            durable: None,
            oracle: Oracle::default(),
            sessions: 0,
            checks_twice: true,
        }
    }

    /// One thing happens. An error is a broken promise.
    pub(crate) fn happen(&mut self, stimulus: &Stimulus) -> Result<(), String> {
        match stimulus {
            Stimulus::Start(settings) if !self.up => self.start(settings.policy()),
            Stimulus::Tamper(tamper) => {
                self.tamper(*tamper);
                Ok(())
            }
            Stimulus::Crash { done, daemon_survives } if self.up => {
                self.crash(*done, *daemon_survives)
            }
            stimulus if self.up => self.report(stimulus),
            _ => Ok(()),
        }
    }

    pub(crate) fn start(&mut self, policy: Policy) -> Result<(), String> {
        self.up = true;
        self.sessions += 1;
        self.world.exit = None;
        let event = Event::SessionStarted { nymvisor: "0.2.0".to_owned(), pid: 7, policy };
        self.take(event)
    }

    fn report(&mut self, stimulus: &Stimulus) -> Result<(), String> {
        match stimulus {
            Stimulus::Finish(pick, luck) => self.finish(usize::from(*pick), *luck),
            Stimulus::Fire(pick) => {
                let timers = &self.world.timers;
                let Some(timer) = timers.iter().nth(usize::from(*pick) % timers.len().max(1))
                else {
                    return Ok(());
                };
                let timer = timer.clone();
                self.fire(&timer)
            }
            Stimulus::ComeDue => self.come_due(),
            Stimulus::ReadPlan => self.read_plan(),
            Stimulus::DaemonEnds(how, uptime_ms) => self.daemon_ends(*how, *uptime_ms),
            Stimulus::Stop => self.take(Event::StopRequested { signal: 15 }),
            Stimulus::Signal => self.take(Event::SignalReceived { signal: 1 }),
            Stimulus::Announce(pick) if self.listens() => {
                self.take(Event::AnnouncementReceived { upgrade: catalogue(*pick) })
            }
            Stimulus::Retry(pick) if self.listens() => {
                let requester = values::by_command(catalogue(*pick)).requester;
                let name = catalogue(*pick).name;
                self.take(Event::RetryRequested { name, requester, request: "r1".to_owned() })
            }
            Stimulus::RollBack(pick) if self.listens() => self.roll_back(*pick),
            Stimulus::Hold(ends) if self.listens() => self.hold(*ends),
            Stimulus::Release if self.listens() => self.release(),
            Stimulus::HoldEnds => self.hold_ends(),
            Stimulus::Cancel(pick) if self.listens() => {
                let name = catalogue(*pick).name;
                let entries = &self.state.queue.entries;
                let entry = entries.iter().find(|entry| entry.name == name).cloned();
                self.take(wishes::cancel(&entry.unwrap_or_else(|| catalogue(*pick))))
            }
            Stimulus::Window(open) => self.window(*open),
            Stimulus::Stale(pick) => self.stale(*pick),
            _ => Ok(()),
        }
    }

    /// Announcements, plan and requests are heard only once recovery is over.
    pub(crate) fn listens(&self) -> bool {
        self.up && !self.state.recovering
    }

    /// Finishes the `pick`-th of what can be finished.
    pub(crate) fn finish(&mut self, pick: usize, luck: Luck) -> Result<(), String> {
        let ready: Vec<usize> =
            (0..self.world.work.len()).filter(|index| self.world.can_finish(*index)).collect();
        let Some(index) = ready.get(pick % ready.len().max(1)) else { return Ok(()) };
        if let Effect::CommitRollBack { attempt, .. } = &self.world.work[*index] {
            self.oracle.may_roll_back(*attempt, self.world.files.half_restored)?;
        }
        if let Effect::CommitSwap { attempt, upgrade, .. } = &self.world.work[*index] {
            let done = self.world.files.version.as_ref() == Some(&upgrade.target());
            let files = &self.world.files;
            self.oracle.may_commit(*attempt, done, &files.backups, files.home)?;
        }
        match self.world.finish(*index, luck) {
            Some(Reported::Fact(event)) => self.take(event),
            Some(Reported::Found(observed)) => self.take(recover(&self.state, observed)),
            Some(Reported::Reminder) | None => Ok(()),
        }
    }

    pub(crate) fn fire(&mut self, timer: &nymvisor::machine::Timer) -> Result<(), String> {
        use nymvisor::machine::Timer;
        self.world.timers.remove(timer);
        self.take(match timer.clone() {
            Timer::Grace => Event::GraceElapsed,
            Timer::RestartDelay => Event::DelayElapsed,
            Timer::Startup => Event::StartupPassed,
            Timer::Pause { name, digest } => Event::PauseElapsed { name, digest },
        })
    }

    pub(crate) fn come_due(&mut self) -> Result<(), String> {
        let Some((attempt, minutes)) = self.world.due.take() else { return Ok(()) };
        self.world.minutes = self.world.minutes.max(minutes);
        self.take(Event::CameDue { attempt, at: values::at(self.world.minutes) })
    }

    pub(crate) fn read_plan(&mut self) -> Result<(), String> {
        match self.world.files.queue.clone() {
            _ if !self.listens() => Ok(()),
            Some(queue) => self.take(Event::QueueRead { queue }),
            None => self.take(Event::PlanLost { failure: values::failure(Code::Io) }),
        }
    }

    pub(crate) fn daemon_ends(&mut self, how: How, uptime_ms: u64) -> Result<(), String> {
        let killed = self.world.process.as_ref().is_some_and(|process| process.killed);
        let ending = match how {
            _ if killed => Ending::Killed(9),
            How::Well => Ending::Exited(0),
            How::Status => Ending::Exited(3),
            How::Signal => Ending::Killed(11),
        };
        let event = self.world.leader_ends(ending, uptime_ms);
        event.map_or(Ok(()), |event| self.take(event))
    }

    /// To where the last upgrade came from, mostly.
    pub(crate) fn roll_back(&mut self, pick: u8) -> Result<(), String> {
        let before = self.state.last_performed().map(|last| last.from.clone());
        let to = before.filter(|_| pick != 5).unwrap_or_else(values::genesis);
        let requester = values::by_command(catalogue(0)).requester;
        let (keep_data, request) = (pick.is_multiple_of(2), "r2".to_owned());
        self.take(Event::RollBackRequested { to, keep_data, requester, request })
    }

    /// Answers to questions of long ago, or of nobody.
    fn stale(&mut self, pick: u8) -> Result<(), String> {
        let attempt = if pick.is_multiple_of(2) { 0 } else { self.state.last_attempt + 7 };
        let binary = values::binary("stale");
        let event = match pick / 2 % 9 {
            0 => Event::BinaryChecked { attempt, binary },
            1 => Event::LockTaken { attempt },
            2 => Event::BackupSealed { attempt, archive: values::archive(99) },
            3 => Event::SwapCommitted { attempt, left: String::new() },
            4 => Event::WorkFailed { attempt, failure: values::failure(values::CODES[0]) },
            5 => Event::StoodDown { attempt },
            6 => Event::RestoreSkipped { attempt },
            7 => Event::HomeRestored { attempt, aside: String::new(), moved_aside: 1 },
            _ => Event::CameDue { attempt, at: values::at(0) },
        };
        let records = self.records.len();
        self.take(event)?;
        if records == self.records.len() { Ok(()) } else { Err("a stale answer counts".to_owned()) }
    }

    /// One turn, as the shell does it.
    pub(crate) fn take(&mut self, event: Event) -> Result<(), String> {
        let decided = step(&self.state, &event);
        if self.checks_twice {
            let before = json(&self.state);
            if decided != step(&self.state, &event) || json(&self.state) != before {
                return Err("step is not a function".to_owned());
            }
        }
        let Ok(transition) = decided else { return Ok(()) };
        let is_held = !self.state.recording && event != Event::JournalRestored;
        if is_held && !transition.effects.iter().all(Effect::is_for_supervision) {
            self.waiting.push(event);
            return Ok(());
        }
        let record = Record {
            seq: self.records.len() as u64 + 1,
            at: values::at(self.world.minutes),
            session: format!("s{}", self.sessions),
            from: transition.from,
            event,
            to: transition.state.phase.name(),
            effects: transition.effects,
        };
        let kept = if self.checks_twice { through_json(&record)? } else { record };
        if self.checks_twice {
            let replayed =
                replay(&self.state, &kept).map_err(|why| format!("no replay: {why:?}"))?;
            if json(&replayed) != json(&transition.state) {
                return Err("replay differs from live".to_owned());
            }
        }
        let is_new_failure = matches!(kept.event, Event::JournalFailed { .. });
        let before = is_new_failure.then(|| Durable {
            state: self.state.clone(),
            oracle: self.oracle.clone(),
            records: self.records.len(),
        });
        self.durable = self.durable.take().or(before.map(Box::new));
        self.oracle.see(&self.state, &kept, &transition.state)?;
        self.state = transition.state;
        // What a command puts on the record while nothing runs orders nothing.
        for effect in kept.effects.iter().filter(|_| self.up) {
            self.world.perform(effect).map_err(|why| format!("{why}: {kept:?}"))?;
        }
        let is_restored = kept.event == Event::JournalRestored;
        self.records.push(kept);
        self.states.push(self.state.clone());
        if self.world.exit.is_some() && self.up {
            return self.close();
        }
        if is_restored {
            self.durable = None;
            for event in std::mem::take(&mut self.waiting) {
                if self.up {
                    self.take(event)?;
                }
            }
        }
        Ok(())
    }

    /// What was only held in memory goes with the process.
    fn forget_held(&mut self) {
        self.waiting.clear();
        let Some(durable) = self.durable.take() else { return };
        self.state = durable.state;
        self.oracle = durable.oracle;
        self.records.truncate(durable.records);
        self.states.truncate(durable.records);
    }

    /// The run ends: chores are finished, everything else is dropped.
    fn close(&mut self) -> Result<(), String> {
        let alive = self
            .world
            .process
            .as_ref()
            .is_some_and(|process| process.leader_lives && !process.killed);
        if alive && !self.state.recovering {
            return Err("the run ends and leaves a daemon".to_owned());
        }
        for effect in std::mem::take(&mut self.world.work) {
            self.world.work.push(effect);
            let is_chore = matches!(
                self.world.work[0],
                Effect::DiscardBackup(_)
                    | Effect::QueueAnnouncement(_)
                    | Effect::DropFromQueue(_)
                    | Effect::MoveShared { .. }
                    | Effect::MoveSharedBack { .. }
                    | Effect::RestoreVersionFile(_)
                    | Effect::RebuildPlan { .. }
                    | Effect::MendLink(_)
            );
            if is_chore {
                self.world.finish(0, Luck::Good);
            }
            self.world.work.clear();
        }
        self.down(alive && self.state.recovering);
        self.forget_held();
        Ok(())
    }

    fn crash(&mut self, done: u8, daemon_survives: bool) -> Result<(), String> {
        let mut survives = daemon_survives;
        for (bit, effect) in std::mem::take(&mut self.world.work).into_iter().enumerate() {
            let luck = match (done >> (bit % 4 * 2)) & 3 {
                0 => continue,
                1 => Luck::Half,
                _ => Luck::Good,
            };
            match &effect {
                // Between fork and record: only the token in its environment tells of it.
                Effect::SpawnDaemon(_) => survives = true,
                Effect::Observe { .. } | Effect::SweepGroup(_) => continue,
                _ => {}
            }
            self.world.work.push(effect);
            self.world.finish(0, luck);
        }
        self.forget_held();
        if self.replayed()? != self.state {
            return Err("the journal leads to another state than the one that was live".to_owned());
        }
        self.down(survives);
        Ok(())
    }

    /// The state that the journal leads to.
    pub(crate) fn replayed(&self) -> Result<State, String> {
        self.records.iter().try_fold((*self.first).clone(), |state, record| {
            replay(&state, record).map_err(|why| format!("record {}: {why:?}", record.seq))
        })
    }

    fn down(&mut self, daemon_survives: bool) {
        self.up = false;
        let world = &mut self.world;
        world.timers.clear();
        world.due = None;
        world.calendar.stop();
        world.lock = false;
        world.work.clear();
        match &mut world.process {
            Some(process) if daemon_survives && process.leader_lives => {
                process.is_ours = false;
                process.asked = false;
                process.killed = false;
            }
            process => *process = None,
        }
    }
}

/// A record as it comes back from the journal.
pub(crate) fn through_json(record: &Record) -> Result<Record, String> {
    let kept: Record = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
    let why = || format!("the record changes on its way through JSON: {record:?}");
    if kept == *record { Ok(kept) } else { Err(why()) }
}

fn json(state: &State) -> String {
    serde_json::to_string(state).unwrap()
}
