//! What happens next: the story first, then whatever brings the machine to rest.

use nymvisor::host::Stimulus as Reported;
use nymvisor::machine::{Ending, Event, Queue, Timer};
use nymvisor::requests::{self, Request, Wish};

use super::super::install::announcement;
use super::super::story::Step;
use super::{Machine, PAUSES_MAX, Told, Turn};
use crate::model::luck::Luck;
use crate::model::settle::Next;
use crate::model::stimulus::{How, Stimulus, catalogue};
use crate::model::values;

impl Machine {
    /// The story's next step, once its time has come.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        match self.steps.front()? {
            Step::Until(name) => {
                if !self.world.work.iter().any(|effect| effect.name() == *name) {
                    return None;
                }
            }
            Step::Rest => return None,
            Step::Do(_) | Step::Jump(_) => {}
        }
        self.steps.pop_front()
    }

    /// One step of the story. `None` where nothing is reported of it.
    pub(super) fn play(&mut self, step: &Step) -> Option<Reported> {
        match step {
            Step::Do(stimulus) => self.stimulate(stimulus),
            Step::Jump(minutes) => {
                self.world.minutes += minutes;
                None
            }
            Step::Until(_) | Step::Rest => None,
        }
    }

    fn stimulate(&mut self, stimulus: &Stimulus) -> Option<Reported> {
        let fact = |event| Some(Reported::Fact(event));
        match stimulus {
            Stimulus::Finish(pick, luck) => self.finish(usize::from(*pick), *luck),
            Stimulus::Fire(pick) => {
                let timers = &self.world.timers;
                let timer = timers.iter().nth(usize::from(*pick) % timers.len().max(1)).cloned()?;
                Some(self.fire(timer))
            }
            Stimulus::ComeDue => self.come_due(),
            Stimulus::ReadPlan => self.listens().then(|| self.read_plan()),
            Stimulus::DaemonEnds(how, uptime_ms) => self.daemon_ends(*how, *uptime_ms),
            Stimulus::Stop => fact(Event::StopRequested { signal: 15 }),
            Stimulus::Signal => fact(Event::SignalReceived { signal: 1 }),
            Stimulus::Announce(pick) => {
                self.upstream = Some(announcement(&catalogue(*pick)));
                self.session.announce = self.listens();
                self.announce()
            }
            Stimulus::Retry(pick) => {
                self.leave(Wish::Retry { name: catalogue(*pick).name });
                None
            }
            Stimulus::RollBack(pick) => {
                self.roll_back(*pick);
                None
            }
            Stimulus::Hold(ends) => {
                let now = self.world.minutes;
                self.leave(Wish::Hold { until: ends.then(|| values::at(now + 7)) });
                None
            }
            Stimulus::Release => {
                self.leave(Wish::Release);
                None
            }
            Stimulus::HoldEnds => self.world.hold_ends().map(Reported::Fact),
            Stimulus::Cancel(pick) => {
                self.cancel(&catalogue(*pick).name);
                None
            }
            Stimulus::Window(open) => self.world.window(*open).map(Reported::Fact),
            Stimulus::Tamper(tamper) => {
                self.tamper(*tamper);
                None
            }
            Stimulus::Crash { daemon_survives, .. } => {
                self.session.is_killed = true;
                self.session.daemon_survives = *daemon_survives;
                None
            }
            // Settings are those of the next session.
            Stimulus::Start(settings) => {
                self.settings = *settings;
                None
            }
            Stimulus::Stale(_) => None,
        }
    }

    /// A command leaves a request.
    fn leave(&self, wish: Wish) {
        let requester = values::by_command(catalogue(0)).requester;
        let request = Request { wish, requester };
        let leave = || requests::leave(&self.medium, &self.paths.requests(), &request);
        self.medium.quietly(leave).unwrap();
    }

    /// Of what the plan has, as the command reads it.
    fn cancel(&mut self, name: &str) {
        let entries = self.medium.quietly(|| self.files.queue()).map(|queue| queue.entries);
        let entry = entries.into_iter().flatten().find(|entry| entry.name == name);
        if let Some(entry) = entry {
            self.leave(Wish::Cancel(entry.announcement()));
        }
    }

    /// To where the last upgrade came from, mostly; every other time the data is kept.
    fn roll_back(&mut self, pick: u8) {
        if let Err(why) = self.witness.read(&self.medium, &self.paths) {
            return self.broke(why);
        }
        let before = self.witness.state().and_then(|state| state.last_performed());
        let to = before.filter(|_| pick != 5).map(|last| last.from.clone());
        let to = to.unwrap_or_else(values::genesis);
        self.leave(Wish::RollBack { to, keep_data: pick.is_multiple_of(2) });
    }

    fn listens(&self) -> bool {
        self.session.listening
    }

    /// Goes on without further mishap.
    pub(super) fn go_on(&mut self) -> Turn {
        let plan_is_news = || {
            let look = || told(self.files.queue().ok());
            self.listens() && self.session.told != self.medium.quietly(look)
        };
        let reported = match self.world.next(!self.session.failing, plan_is_news) {
            Some(Next::Restore) => {
                self.session.failing = false;
                Some(Reported::Reminder)
            }
            Some(Next::DaemonEnds) => self.daemon_ends(How::Well, 1_000_000),
            Some(Next::Work) => self.finish(0, Luck::Good),
            Some(Next::ReadPlan) => Some(self.read_plan()),
            feeds_first => {
                if self.session.announce && self.listens() {
                    self.announce()
                } else if let Some(request) = self.next_request() {
                    Some(Reported::Fact(request))
                } else {
                    let waits = matches!(&feeds_first, Some(Next::Fire(Timer::Pause { .. })));
                    self.session.pauses += u32::from(waits);
                    match feeds_first.filter(|_| self.session.pauses <= PAUSES_MAX) {
                        Some(Next::Fire(timer)) => {
                            // Who holds the lock by mistake is found out within a pause.
                            self.world.lock_busy = false;
                            Some(self.fire(timer))
                        }
                        Some(Next::OpenWindow) => self.world.window(true).map(Reported::Fact),
                        Some(Next::Release) => {
                            self.world.calendar.kept.holding = None;
                            self.leave(Wish::Release);
                            None
                        }
                        Some(_) => self.come_due(),
                        None if self.steps.pop_front().is_some() => None,
                        None => return Turn::AtRest,
                    }
                }
            }
        };
        reported.map_or(Turn::Silent, Turn::Told)
    }

    fn announce(&mut self) -> Option<Reported> {
        if !std::mem::take(&mut self.session.announce) {
            return None;
        }
        let upgrade = self.upstream.as_ref()?.to_upgrade();
        Some(Reported::Fact(Event::AnnouncementReceived { upgrade }))
    }

    fn next_request(&mut self) -> Option<Event> {
        if !self.listens() {
            return None;
        }
        let folder = self.paths.requests();
        let waiting = self.medium.quietly(|| requests::waiting(&*self.disk, &folder));
        let waiting = waiting.unwrap_or_default();
        let (id, request) = waiting.into_iter().find(|(id, _)| !self.session.taken.contains(id))?;
        self.session.taken.insert(id.clone());
        Some(request.ok()?.into_event(id, true))
    }

    fn read_plan(&mut self) -> Reported {
        let read = self.files.durable_queue();
        self.session.told = told(read.as_ref().ok().cloned());
        Reported::Fact(match read {
            Ok(queue) => {
                // Upstream says nothing twice: what could not be queued is told again by ourselves.
                self.session.announce |= std::mem::take(&mut self.session.is_unqueued);
                Event::QueueRead { queue }
            }
            Err(error) => Event::PlanLost { failure: error.into() },
        })
    }

    fn fire(&mut self, timer: Timer) -> Reported {
        self.world.timers.remove(&timer);
        Reported::Fact(match timer {
            Timer::Grace => Event::GraceElapsed,
            Timer::RestartDelay => Event::DelayElapsed,
            Timer::Startup => Event::StartupPassed,
            Timer::Pause { name, digest } => Event::PauseElapsed { name, digest },
        })
    }

    fn come_due(&mut self) -> Option<Reported> {
        let (attempt, minutes) = self.world.due.take()?;
        self.world.minutes = self.world.minutes.max(minutes);
        let at = values::at(self.world.minutes);
        Some(Reported::Fact(Event::CameDue { attempt, at }))
    }

    fn daemon_ends(&mut self, how: How, uptime_ms: u64) -> Option<Reported> {
        let killed = self.world.process.as_ref().is_some_and(|process| process.killed);
        let ending = match how {
            _ if killed => Ending::Killed(9),
            How::Well => Ending::Exited(0),
            How::Status => Ending::Exited(3),
            How::Signal => Ending::Killed(11),
        };
        self.world.leader_ends(ending, uptime_ms).map(Reported::Fact)
    }
}

fn told(queue: Option<Queue>) -> Told {
    queue.map_or(Told::Unreadable, Told::Queue)
}
