//! A control group for each daemon: made, entered by a process that waits in it, ended, removed.
//!
//! None of it has to be done between two daemons: the group of the next one is made, and a process
//! waits in it, before the old one is asked to end; that of the old one is removed once the new one
//! is up. Where no group can be had, daemons are started and found as if there were none.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::super::cgroup::{Group, Place, Spared, record, recorded};
use super::super::daemon::{self, Command, Poised, Running, Unreleased};
use crate::machine::Daemon;
use crate::proc;

/// So long the way into a group may hold up an upgrade, with the daemon up.
const READY_PATIENCE: Duration = Duration::from_millis(500);
const READY_PAUSE: Duration = Duration::from_millis(1);

/// The groups of one instance. Never borrowed over a wait.
#[derive(Debug, Clone)]
pub(super) struct Groups(Rc<RefCell<Kept>>);

#[derive(Debug)]
struct Kept {
    token_prefix: String,
    session: String,
    /// Where this session makes them.
    place: Option<Place>,
    /// Where sessions make them, a line each: a later one may be in another group itself.
    record: PathBuf,
    made: u32,
    /// That a daemon has no group is told once in a session.
    is_told: bool,
    poised: Option<(Poised, Group)>,
    /// That of the daemon that was started last.
    current: Option<(Daemon, Group)>,
    /// Those in which nobody is any more.
    spent: Vec<Group>,
    /// Who removes some of those, or has done so last.
    tidying: Option<JoinHandle<()>>,
    /// What earlier sessions left.
    older: Vec<Group>,
}

impl Groups {
    pub(super) fn of(token_prefix: &str, session: &str, record: PathBuf) -> Self {
        let place = Place::find(token_prefix);
        match &place {
            Ok(place) => {
                tracing::debug!("control groups are made in {}", place.folder().display());
            }
            Err(why) => tracing::info!(
                "no control group for the daemon ({why}); what it starts is found by its process \
                 group, and by the token in its environment"
            ),
        }
        Self(Rc::new(RefCell::new(Kept {
            token_prefix: token_prefix.to_owned(),
            session: session.to_owned(),
            place: place.ok(),
            record,
            made: 0,
            is_told: false,
            poised: None,
            current: None,
            spent: Vec::new(),
            tidying: None,
            older: Vec::new(),
        })))
    }

    /// Lets a process wait for the next start, unless one does already.
    pub(super) fn poise(&self) {
        let mut kept = self.0.borrow_mut();
        if kept.poised.is_none() {
            kept.poised = kept.poise();
        }
    }

    /// The same, and waits until it is in its group, which takes the kernel tens of milliseconds:
    /// whoever stops a daemon after this has them behind them.
    pub(super) async fn poised(&self) {
        self.poise();
        let is_ready = || self.0.borrow().poised.as_ref().is_none_or(|(it, _)| it.is_ready());
        let since = Instant::now();
        while !is_ready() && since.elapsed() < READY_PATIENCE {
            sleep(READY_PAUSE).await;
        }
    }

    /// Starts a daemon, in a group of its own if that can be.
    pub(super) fn start(&self, command: &Command) -> Result<Running, daemon::Error> {
        loop {
            let waited = self.0.borrow().poised.is_some();
            self.poise();
            let Some((poised, group)) = self.0.borrow_mut().poised.take() else { break };
            let released = poised.release(command);
            let mut kept = self.0.borrow_mut();
            match released {
                Ok(running) => {
                    kept.current = Some((running.daemon, group));
                    drop(kept);
                    self.tidy();
                    return Ok(running);
                }
                Err(Unreleased::Start(error)) => {
                    kept.spent.push(group);
                    drop(kept);
                    self.tidy();
                    return Err(error);
                }
                Err(Unreleased::Outside(error)) => {
                    kept.spent.push(group);
                    // One that waited for long may have been killed: that says nothing of another.
                    if !waited {
                        kept.give_up(&error);
                        break;
                    }
                    tracing::debug!("{error}; another one is tried");
                }
            }
        }
        daemon::spawn(command)
    }

    /// The group that a daemon of this session was started in.
    pub(super) fn of_daemon(&self, daemon: Daemon) -> Option<Group> {
        let kept = self.0.borrow();
        let (_, group) = kept.current.as_ref().filter(|(started, _)| *started == daemon)?;
        Some(group.clone())
    }

    /// Those that earlier sessions left.
    pub(super) fn older(&self) -> Vec<Group> {
        self.0.borrow().older.clone()
    }

    /// Ends what is in these, and waits until nobody is.
    pub(super) async fn end(&self, groups: Vec<Group>, daemon: Option<Daemon>) {
        for group in groups {
            group.gone(|members| tell(&group, members, daemon)).await;
            self.0.borrow_mut().note_spent(group);
        }
    }

    /// Looks for what earlier sessions left: the processes that are to be asked to end, and the
    /// groups in which something is that can't be asked, as it is another one at each look.
    pub(super) fn look(&self, known: &[Daemon]) -> (Vec<Daemon>, Vec<Group>) {
        let mut kept = self.0.borrow_mut();
        kept.find_older();
        let (mut found, mut restless) = (Vec::new(), Vec::new());
        for group in &kept.older {
            let stats = group.members().into_iter().filter_map(|pid| proc::stat(pid).ok());
            let live: Vec<Daemon> = stats
                .filter(|stat| stat.live)
                .map(|stat| Daemon { pid: stat.pid, started_ticks: stat.started_ticks })
                .collect();
            if live.is_empty() {
                restless.push(group.clone());
            }
            found.extend(live.into_iter().filter(|daemon| !known.contains(daemon)));
        }
        (found, restless)
    }

    /// Removes those in which nobody is any more, behind the caller's back.
    fn tidy(&self) {
        let spent = std::mem::take(&mut self.0.borrow_mut().spent);
        if !spent.is_empty() {
            let groups = self.clone();
            let task = tokio::task::spawn_local(async move {
                let left = spawn_blocking(move || remove(spent)).await.unwrap_or_default();
                groups.0.borrow_mut().spent.extend(left.into_iter().map(|(group, _)| group));
            });
            self.0.borrow_mut().tidying = Some(task);
        }
    }

    /// Nothing is to be started any more.
    pub(super) async fn close(&self) {
        let tidying = self.0.borrow_mut().tidying.take();
        if let Some(tidying) = tidying {
            let _ = tidying.await;
        }
        let poised = self.0.borrow_mut().poised.take();
        if let Some((poised, group)) = poised {
            poised.dismiss().await;
            self.0.borrow_mut().spent.push(group);
        }
        let mut kept = self.0.borrow_mut();
        let mut all = std::mem::take(&mut kept.spent);
        all.extend(kept.current.take().map(|(_, group)| group));
        all.append(&mut kept.older);
        for (group, error) in remove(all) {
            tracing::warn!(
                "the control group {} can't be removed ({error}); the next session tries again",
                group.path().display()
            );
        }
    }
}

impl Kept {
    /// What can't be had now (descriptors, processes, room for groups) may be there for the next
    /// start, and to ask for it costs next to nothing.
    fn poise(&mut self) -> Option<(Poised, Group)> {
        let place = self.place.as_ref()?;
        self.made = self.made.saturating_add(1);
        let group = match place.make(&self.session, self.made) {
            Ok(group) => group,
            Err(error) => {
                self.tell_once(&error);
                return None;
            }
        };
        match daemon::poise(&group.entrance()) {
            Ok(poised) => Some((poised, group)),
            Err(error) => {
                self.spent.push(group);
                self.tell_once(&error);
                None
            }
        }
    }

    /// Not tried again in this session: it could take seconds each time.
    fn give_up(&mut self, error: &dyn std::error::Error) {
        self.tell_once(error);
        self.place = None;
    }

    fn tell_once(&mut self, error: &dyn std::error::Error) {
        if let Some(place) = &self.place
            && !std::mem::replace(&mut self.is_told, true)
        {
            tracing::warn!(
                "the daemon gets no control group in {}: {error}; what it starts is found by its \
                 process group, and by the token in its environment",
                place.folder().display()
            );
        }
    }

    /// Nobody is in it any more.
    fn note_spent(&mut self, group: Group) {
        self.older.retain(|older| *older != group);
        self.current.take_if(|(_, current)| *current == group);
        self.spent.push(group);
    }

    /// Those with somebody in them; the others are removed.
    fn find_older(&mut self) {
        let recorded = recorded(&self.record, &self.token_prefix);
        let before: Vec<_> = recorded.iter().map(|place| place.folder().to_owned()).collect();
        let mut places: Vec<Place> = self.place.iter().cloned().collect();
        places.extend(recorded.into_iter().filter(|place| Some(place) != self.place.as_ref()));
        self.older.clear();
        let mut folders = Vec::new();
        for place in places {
            let groups = place.groups().into_iter();
            let mut groups: Vec<Group> = groups.filter(is_ended_by_us).collect();
            groups.retain(|group| self.poised.as_ref().is_none_or(|(_, poised)| poised != group));
            let (populated, empty) =
                groups.into_iter().partition(|group| group.is_populated().unwrap_or(false));
            let left = remove(empty);
            if self.place.as_ref() == Some(&place) || !left.is_empty() || !populated.is_empty() {
                folders.push(place.folder().to_owned());
            }
            self.spent.extend(left.into_iter().map(|(group, _)| group));
            self.older.extend(populated);
        }
        if folders != before
            && let Err(error) = record(&self.record, &folders)
        {
            tracing::debug!("{}: {error}", self.record.display());
        }
    }
}

fn is_ended_by_us(group: &Group) -> bool {
    match group.spared_for() {
        None => true,
        Some(Spared::Ourselves) => false,
        Some(Spared::Unseen) => {
            tracing::warn!(
                "the control group {} is left alone: processes are in it that can't be seen from \
                 here, in another process namespace",
                group.path().display()
            );
            false
        }
    }
}

/// What is not removed, and why.
fn remove(groups: Vec<Group>) -> Vec<(Group, std::io::Error)> {
    let tried = groups.into_iter().map(|group| (group.remove(), group));
    tried.filter_map(|(done, group)| Some((group, done.err()?))).collect()
}

/// Before they are killed. Helpers that stayed in the daemon's process group are no news.
fn tell(group: &Group, members: &[u32], daemon: Option<Daemon>) {
    let stats: Vec<_> = members.iter().filter_map(|pid| proc::stat(*pid).ok()).collect();
    for stat in stats.iter().filter(|stat| stat.live) {
        if daemon.is_none_or(|daemon| stat.group != daemon.pid) {
            tracing::warn!(
                "process {} was started by the daemon and had left its group; it is killed",
                stat.pid
            );
        }
    }
    if stats.is_empty() {
        tracing::warn!(
            "the daemon has left processes that fork on and on; all of its control group {} is \
             killed",
            group.path().display()
        );
    }
}
