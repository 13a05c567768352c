//! A story: what happens, what goes wrong, and the sessions that live through it.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use nymvisor::disk::Disk;
use nymvisor::host::files::Files;
use nymvisor::journal::{self, Fault as Flaw, FaultKind, Owner};
use nymvisor::machine::Outcome;
use nymvisor::session::{self, Beginning};
use nymvisor::shell::Shell;

use super::disk::{Fault, Keep, Reach, SimDisk};
use super::host::{Machine, Session, SimHost};
use super::install::{self, DAEMON, INSTANCE};
use crate::model::stimulus::{Settings, Stimulus};

/// One step of a story.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Do(Stimulus),
    /// Goes on until an order of this name is to be carried out.
    Until(&'static str),
    /// Goes on until nothing is left to do.
    Rest,
    /// The wall clock jumps by so many minutes.
    Jump(i64),
}

/// How a session ends that doesn't end itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// The process is killed, and its daemon with it.
    Kill,
    /// The power fails.
    Power(Keep),
}

/// What goes wrong on the medium.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    /// At the operation of this number since the last mishap.
    Dies(u64, Death),
    Fails(u64, Reach),
    /// Fails, and so many operations later dies.
    FailsAndDies(u64, Reach, u64, Death),
}

/// A story as it is told.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) settings: Settings,
    pub(crate) steps: Vec<Step>,
    pub(crate) mishaps: Vec<Mishap>,
}

/// A story that is being played.
#[derive(Debug)]
pub(crate) struct Play {
    machine: Rc<RefCell<Machine>>,
    mishaps: VecDeque<Mishap>,
    death: Death,
    sessions: u32,
    hits: u32,
    /// The medium has failed: what could not be synced is told, and may be lost.
    had_errors: bool,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited(Outcome),
    Rested,
    Died,
    /// It could not begin, for what is wrong with the medium.
    Refused,
}

const SESSIONS_MAX: u32 = 60;

impl Play {
    pub(crate) fn new(story: &Story) -> Self {
        Self::on(story, |medium| Arc::new(medium))
    }

    /// The code under test sees the medium as `seen_as` makes it.
    pub(crate) fn on(story: &Story, seen_as: impl FnOnce(SimDisk) -> Arc<dyn Disk>) -> Self {
        let (medium, paths) = install::installed();
        let disk = seen_as(medium.clone());
        let mut machine = Machine::new(medium, disk, paths, story.settings);
        machine.steps = story.steps.iter().cloned().collect();
        Self {
            machine: Rc::new(RefCell::new(machine)),
            mishaps: story.mishaps.iter().copied().collect(),
            death: Death::Kill,
            sessions: 0,
            hits: 0,
            had_errors: false,
        }
    }

    /// So many sessions it took.
    pub(crate) fn sessions(&self) -> u32 {
        self.sessions
    }

    /// So many of the mishaps came to pass.
    pub(crate) fn hits(&self) -> u32 {
        self.hits
    }

    pub(crate) fn machine(&self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    /// Plays the whole story, lets everything come to rest, and looks whether all is as promised.
    pub(crate) fn play(&mut self) -> Result<(), String> {
        self.tell()?;
        self.settle()
    }

    /// The story itself, with what goes wrong in it.
    pub(crate) fn tell(&mut self) -> Result<(), String> {
        self.arm();
        while self.sessions < SESSIONS_MAX {
            let end = self.session()?;
            if matches!(end, End::Rested | End::Exited(_)) && self.machine().steps.is_empty() {
                return Ok(());
            }
        }
        Err("no end of sessions".to_owned())
    }

    /// Nothing goes wrong any more: everything comes to rest, twice.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.mishaps.clear();
        self.death = Death::Kill;
        for is_last in [false, true] {
            {
                let mut machine = self.machine();
                machine.medium.plan(None);
                machine.world.lock_busy = false;
                machine.settings = usual();
            }
            let sessions_max = self.sessions + 10;
            loop {
                let mut steps = VecDeque::from([Step::Rest]);
                steps.extend((!is_last).then_some(Step::Do(Stimulus::Stop)));
                self.machine().steps = steps;
                let end = self.session()?;
                let is_stopped = !is_last && end == End::Exited(Outcome::Done);
                if end == End::Rested || is_stopped {
                    break;
                }
                if end == End::Refused || self.sessions > sessions_max {
                    return Err(format!("no end in sight: {end:?}"));
                }
            }
        }
        self.judge_rest()
    }

    fn arm(&mut self) {
        let fault = self.mishaps.pop_front().map(|mishap| match mishap {
            Mishap::Dies(at, death) => {
                self.death = death;
                Fault::new(at, Reach::Stop)
            }
            Mishap::Fails(at, reach) => {
                self.had_errors = true;
                Fault::new(at, reach)
            }
            Mishap::FailsAndDies(at, reach, later, death) => {
                self.had_errors = true;
                self.death = death;
                Fault { stops_at: Some(at + later), ..Fault::new(at, reach) }
            }
        });
        self.machine().medium.plan(fault);
    }

    /// One `run`, from its start to its end, whichever that is.
    fn session(&mut self) -> Result<End, String> {
        self.sessions += 1;
        let name = format!("s{}", self.sessions);
        let end = self.run(&name)?;
        let session = std::mem::take(&mut self.machine().session);
        if let Some(why) = session.broken {
            return Err(why);
        }
        self.go_down(end, &session);
        let mut machine = self.machine();
        let Machine { witness, medium, paths, .. } = &mut *machine;
        witness.read(medium, paths)?;
        witness.judge(&name, &session.performed)?;
        let is_over = medium.was_hit() || medium.is_stopped();
        let errs = medium.was_hit() && !medium.is_stopped();
        drop(machine);
        self.had_errors |= errs;
        if !self.had_errors && !self.machine().by_hand {
            self.machine().judge_version()?;
        }
        if is_over {
            self.hits += 1;
            self.arm();
        }
        Ok(end)
    }

    fn run(&mut self, name: &str) -> Result<End, String> {
        let beginning = {
            let mut machine = self.machine();
            machine.tamper_while_down();
            machine.session = Session::default();
            machine.files = Files::new(machine.disk.clone(), machine.paths.clone());
            machine.world.exit = None;
            Beginning {
                disk: machine.disk.clone(),
                paths: machine.paths.clone(),
                owner: owner(),
                session: name.to_owned(),
                policy: machine.settings.policy(),
                at: machine.now(),
            }
        };
        let begun = session::begin(beginning);
        let (opened, started) = match begun {
            Ok(begun) => begun,
            Err(_) if self.machine().medium.is_stopped() => return Ok(End::Died),
            Err(_) if self.machine().medium.was_hit() => return Ok(End::Refused),
            Err(error) => return Err(format!("no session can begin: {error}")),
        };
        {
            let mut machine = self.machine();
            let Machine { witness, medium, paths, .. } = &mut *machine;
            witness.read(medium, paths)?;
            let known = witness.state().is_none_or(|state| *state == opened.state);
            if !known && !medium.was_hit() {
                return Err("a session begins in another state than the journal's".to_owned());
            }
        }
        let shell = Shell::new(opened.state, opened.journal, SimHost(self.machine.clone()));
        let outcome = match pin!(shell.run(started)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        let machine = self.machine();
        Ok(match outcome {
            Some(outcome) if !machine.medium.is_stopped() => End::Exited(outcome),
            Some(_) | None if machine.session.is_at_rest => End::Rested,
            Some(_) | None => End::Died,
        })
    }

    /// What goes with the process, and with the power.
    fn go_down(&mut self, end: End, session: &Session) {
        let mut machine = self.machine.borrow_mut();
        let dies_of = if machine.medium.is_stopped() { self.death } else { Death::Kill };
        match (end, dies_of) {
            (End::Died, Death::Power(keep)) => machine.medium.cut_power(keep),
            (_, Death::Kill | Death::Power(_)) => machine.medium.end_of_lies(),
        }
        let survives = session.daemon_survives && dies_of == Death::Kill;
        let world = &mut machine.world;
        world.timers.clear();
        world.due = None;
        world.lock = false;
        world.work.clear();
        match &mut world.process {
            Some(process) if survives && process.leader_lives => {
                process.is_ours = false;
                process.asked = false;
            }
            process => *process = None,
        }
    }

    /// What has to hold when the daemon runs and nothing is left to do.
    fn judge_rest(&self) -> Result<(), String> {
        let mut machine = self.machine();
        machine.mirror();
        let state = machine.witness.state().ok_or("nothing was recorded")?;
        machine.world.rests(state, machine.witness.oracle(), machine.witness.was_damaged)?;
        let queue = machine.world.files.queue.as_ref().ok_or("no plan")?;
        let current = queue.current.as_ref().map(nymvisor::machine::Upgrade::target);
        if !machine.by_hand && current.as_ref() != Some(&state.installed) {
            return Err(format!("{current:?} is the plan's current, {:?} runs", state.installed));
        }
        let kept = machine.witness.backups_of_committed();
        for archive in kept.into_iter().chain(state.needed_backups()) {
            if !machine.is_sealed(archive) {
                return Err(format!("{} is not as it was sealed", archive.path));
            }
        }
        let journal = machine.paths.journal();
        let verify = || journal::verify(&machine.medium, &journal, &owner(), None, false);
        let verified = machine.medium.quietly(verify).map_err(|error| error.to_string())?;
        // What was set aside can't tell of the segments before it any more.
        let known = |fault: &&Flaw| {
            let is_before = fault.file.as_ref().is_some_and(|file| machine.witness.is_old(file));
            machine.witness.was_damaged && (fault.kind == FaultKind::SetAside || is_before)
        };
        if let Some(fault) = verified.faults.iter().find(|fault| !known(fault)) {
            return Err(format!("journal verify: {fault:?}"));
        }
        if verified.last.map(|last| last.state).as_ref() != Some(state) {
            return Err("journal verify ends in another state".to_owned());
        }
        Ok(())
    }
}

pub(super) fn owner() -> Owner {
    Owner { instance: INSTANCE.to_owned(), daemon: DAEMON.to_owned() }
}

/// The defaults of the configuration file.
pub(crate) fn usual() -> Settings {
    Settings {
        restarts: true,
        restart_after_upgrade: true,
        prepare_ahead: true,
        skip_backup: false,
        max_failures: 10,
        rolls_back: false,
        restores_data: true,
        keeps_windows: false,
        has_hooks: false,
    }
}
