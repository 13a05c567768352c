//! The simulated machine as the shell knows it.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::config::Paths;
use nymvisor::disk::{self, Disk};
use nymvisor::host::files::Files;
use nymvisor::host::{Host, Stimulus as Reported, wishes};
use nymvisor::journal::{HeldOrder, Order};
use nymvisor::machine::{Effect, Queue};
use nymvisor::release::UpgradeInfo;
use nymvisor::requests::{self, Answer};

use crate::model::host::World;
use crate::model::luck::Luck;
use crate::model::stimulus::{Settings, Tamper};
use crate::model::values;

use super::disk::SimDisk;
use super::story::Step;
use super::witness::{Performed, Witness};

mod back;
mod copy;
mod deeds;
mod guide;
mod hands;
mod prepare;

/// More than any session of a story needs.
const STEPS_MAX: u32 = 600;

/// So often a session waits out the pause after a transient failure; what still fails then is
/// left to another day.
const PAUSES_MAX: u32 = 20;

/// Everything around the shell. It outlives a session; what is in `session` does not.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) world: World,
    /// The medium itself, to look at and to break.
    pub(crate) medium: SimDisk,
    /// What the code under test gets: the medium, or one that cheats.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: Files,
    pub(crate) paths: Paths,
    pub(crate) witness: Witness,
    pub(crate) steps: VecDeque<Step>,
    /// What is done to files before the next session.
    pub(crate) while_down: Vec<Tamper>,
    /// What upstream announces.
    pub(crate) upstream: Option<UpgradeInfo>,
    /// Somebody has moved the version file, or lost the plan.
    pub(crate) by_hand: bool,
    /// The settings of the next session.
    pub(crate) settings: Settings,
    pub(crate) session: Session,
    ticks: i64,
}

/// What ends with the process.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) performed: Vec<Performed>,
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
    /// Nothing was left to do.
    pub(crate) is_at_rest: bool,
    /// Ended by a stimulus of the story, not by the disk.
    pub(crate) is_killed: bool,
    pub(crate) daemon_survives: bool,
    /// The journal can't be written; a reminder is due.
    failing: bool,
    pub(crate) listening: bool,
    /// What was done at once and is told next.
    inbox: VecDeque<Reported>,
    told: Told,
    /// What upstream announces is still to be told.
    announce: bool,
    /// The announcement ought to be in the plan, and could not be written there.
    is_unqueued: bool,
    taken: BTreeSet<String>,
    fetched: Option<prepare::Fetched>,
    count: u32,
    pauses: u32,
}

/// What the plan said when it was told last.
#[expect(clippy::large_enum_variant, reason = "there is one")]
#[derive(Debug, Default, PartialEq)]
enum Told {
    #[default]
    Nothing,
    Unreadable,
    Queue(Queue),
}

/// What comes of a step.
#[expect(clippy::large_enum_variant, reason = "it lives for one turn")]
enum Turn {
    Told(Reported),
    /// Something was done that nobody is told of.
    Silent,
    /// Nothing is left to do.
    AtRest,
}

/// One session's view of the machine.
#[derive(Debug)]
pub(crate) struct SimHost(pub(crate) Rc<RefCell<Machine>>);

impl Machine {
    pub(crate) fn new(
        medium: SimDisk,
        disk: Arc<dyn Disk>,
        paths: Paths,
        settings: Settings,
    ) -> Self {
        Self {
            world: World::new(),
            medium,
            files: Files::new(disk.clone(), paths.clone()),
            disk,
            paths,
            witness: Witness::default(),
            steps: VecDeque::new(),
            while_down: Vec::new(),
            upstream: None,
            by_hand: false,
            settings,
            session: Session::default(),
            ticks: 0,
        }
    }

    /// The wall clock: it jumps with the story, and never stands still.
    pub(crate) fn now(&mut self) -> DateTime<Utc> {
        self.ticks += 1;
        values::at(self.world.minutes) + TimeDelta::milliseconds(self.ticks)
    }

    fn broke(&mut self, promise: String) {
        self.session.broken.get_or_insert(promise);
    }

    /// The model's picture of the files, for what it checks and decides.
    pub(crate) fn mirror(&mut self) {
        let look = || (self.files.version(), self.files.queue(), self.files.link());
        let (version, queue, link) = self.medium.quietly(look);
        let files = &mut self.world.files;
        files.version = version.ok();
        files.queue = queue.ok();
        files.link = link.ok().and_then(|link| link.version().cloned());
        files.history =
            files.queue.as_ref().map(|queue| queue.performed.clone()).unwrap_or_default();
    }

    /// Takes an order, and does at once what is done at once.
    fn order(&mut self, effect: Effect, is_held: bool) {
        if self.is_dead() {
            return;
        }
        let had_lock = self.world.lock;
        if let Effect::SpawnDaemon(_) = effect {
            // By hand and unseen, for an error, it may have been moved: the next session sees that.
            let is_seen = !self.by_hand || !self.medium.was_hit();
            let version = self.medium.quietly(|| self.files.version().ok());
            self.world.files.version = version.filter(|_| is_seen);
        }
        if let Err(why) = self.world.perform(&effect) {
            self.broke(why);
        }
        if had_lock && !self.world.lock {
            let _ = disk::remove_if_there(&*self.disk, &self.paths.upgrade_lock());
        }
        if let Effect::Answer { request, granted, text } = &effect {
            let answer = Answer { granted: *granted, text: text.clone() };
            let _ = requests::answer(&*self.disk, &self.paths.requests(), request, &answer);
        }
        if let Effect::KeepWishes(wishes) = &effect {
            let _ = wishes::keep(&*self.disk, &self.paths.wishes(), wishes);
        }
        self.session.performed.push(Performed { effect, is_held });
    }

    /// The process is gone: whatever it would still do is not done.
    pub(crate) fn is_dead(&self) -> bool {
        self.session.is_killed || self.session.broken.is_some() || self.medium.is_stopped()
    }

    /// The next thing that is reported; `None` ends the session as a kill does.
    fn report(&mut self) -> Option<Reported> {
        while !self.is_dead() {
            self.session.count += 1;
            if self.session.count > STEPS_MAX {
                self.broke("no end in sight".to_owned());
                return None;
            }
            if let Some(reported) = self.session.inbox.pop_front() {
                return Some(reported);
            }
            let turn = match self.next_step() {
                Some(step) => self.play(&step).map_or(Turn::Silent, Turn::Told),
                None => self.go_on(),
            };
            match turn {
                Turn::Told(reported) => return Some(reported),
                Turn::Silent => {}
                Turn::AtRest => {
                    self.session.is_at_rest = true;
                    return None;
                }
            }
        }
        None
    }
}

impl SimHost {
    fn machine(&self) -> RefMut<'_, Machine> {
        self.0.borrow_mut()
    }
}

impl Host for SimHost {
    fn now(&self) -> DateTime<Utc> {
        self.machine().now()
    }

    fn perform(&mut self, order: Order) {
        self.machine().order(order.into_effect(), false);
    }

    fn perform_held(&mut self, order: HeldOrder) {
        self.machine().order(order.into_effect(), true);
    }

    fn remind(&mut self, _: Duration) {
        self.machine().session.failing = true;
    }

    fn listen(&mut self) {
        let mut machine = self.machine();
        machine.session.listening = true;
        machine.session.announce = machine.upstream.is_some();
    }

    async fn next(&mut self) -> Reported {
        let reported = self.machine().report();
        match reported {
            Some(reported) => reported,
            None => std::future::pending().await,
        }
    }

    /// Small file work is finished, everything else dropped.
    async fn close(&mut self) {
        let mut machine = self.machine();
        let left = machine.world.process.as_ref().is_some_and(|p| p.leader_lives && !p.killed);
        if left && machine.session.listening {
            machine.broke("the run ends and leaves a daemon".to_owned());
        }
        while let Some(index) = machine.world.work.iter().position(deeds::is_chore) {
            let _ = machine.finish_work(index, Luck::Good);
        }
        if std::mem::take(&mut machine.world.lock) {
            let _ = disk::remove_if_there(&*machine.disk, &machine.paths.upgrade_lock());
        }
    }
}
