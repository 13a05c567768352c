//! This machine: effects in, facts out.
//!
//! Everything runs on the one thread of the runtime, but what blocks: that goes to the blocking
//! pool. Processes are started here and nowhere else, since the parent-death signal hangs on the
//! thread that forked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking, spawn_local};

use super::files::Files;
use super::http::Timeouts;
use super::manager::Manager;
use super::signals::Signals;
use super::{Host, Stimulus, reaper};
use crate::config::{Config, Paths};
use crate::disk::Disk;
use crate::journal::{HeldOrder, Order};
use crate::machine::{Code, Effect, Event, Failure, Record, State, Timer};
use crate::metrics::{Metrics, Origin};
use crate::release::Spread;

mod back;
mod binary;
mod calendar;
mod copy;
mod feeds;
mod groups;
mod health;
mod heed;
mod hooks;
mod locks;
mod look;
mod prepare;
mod process;
mod rest;
mod shelf;
mod swap;
mod timers;

use feeds::Announced;
use groups::Groups;
use locks::UpgradeLock;
use prepare::Work;
use rest::Unrest;

/// What one session works with.
#[derive(Debug)]
pub struct Setup {
    /// The instance's configuration.
    pub config: Config,
    /// Its paths.
    pub paths: Paths,
    /// The medium of its files.
    pub disk: Arc<dyn Disk>,
    /// What the daemon is started with.
    pub args: Vec<OsString>,
    /// The daemon's environment.
    pub env: Vec<(OsString, OsString)>,
    /// This instance's part of the session token.
    pub token_prefix: String,
    /// This session, in the journal and in the daemon's token.
    pub session: String,
    /// How long to wait for what on the network.
    pub timeouts: Timeouts,
}

/// How long a binary may take to tell its build info.
pub const BUILD_INFO_PATIENCE: Duration = Duration::from_secs(10);

/// How long what was cancelled may take to end before the run ends without it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// This machine.
#[derive(Debug)]
pub struct LocalHost {
    setup: Rc<Setup>,
    files: Files,
    teller: Teller,
    inbox: UnboundedReceiver<Stimulus>,
    timers: BTreeMap<Timer, AbortHandle>,
    due: Option<AbortHandle>,
    /// The end of a hold.
    hold: Option<AbortHandle>,
    windows: Option<AbortHandle>,
    /// Who keeps what is held and cancelled beside the journal.
    wishes: calendar::Keeping,
    reminder: Option<AbortHandle>,
    work: Option<Work>,
    lock: UpgradeLock,
    announced: Announced,
    feeds: Vec<AbortHandle>,
    /// Small file operations under way; they are finished before the run ends.
    chores: Vec<JoinHandle<()>>,
    /// One for each change of the plan's files that is under way; it ends with the change.
    changes: Vec<oneshot::Receiver<()>>,
    leftovers: Vec<crate::machine::Daemon>,
    /// The control groups of the daemons.
    groups: Groups,
    /// What the daemon that is asked to end has started.
    strays: Option<super::daemon::Strays>,
    /// The process group of the daemon that was started last.
    daemon_group: Rc<Cell<Option<u32>>>,
    examination: copy::Examination,
    unrest: Unrest,
    /// The operator's commands that run.
    hooks: hooks::Commands,
    /// The check of a new version's health.
    health: Option<hooks::Task>,
    /// Who started us and wants to be told how it goes, if anybody does.
    manager: Option<Manager>,
    /// What is counted, where somebody may ask for it.
    metrics: Option<Metrics>,
}

/// Where tasks tell what happened.
#[derive(Debug, Clone)]
struct Teller(UnboundedSender<Stimulus>);

impl Teller {
    fn tell(&self, event: Event) {
        // Nobody listens any more once the run has ended.
        let _ = self.0.send(Stimulus::Fact(event));
    }

    fn tell_outcome(&self, attempt: u64, outcome: Result<Event, Failure>) {
        self.tell(outcome.unwrap_or_else(|failure| Event::WorkFailed { attempt, failure }));
    }
}

impl LocalHost {
    /// This machine for one session. `signals` have been listened to from the start.
    #[must_use]
    pub fn new(setup: Setup, signals: Signals) -> Self {
        let (sender, inbox) = unbounded_channel();
        let teller = Teller(sender);
        let files = Files::new(setup.disk.clone(), setup.paths.clone()).spread_by(spread(&setup));
        let heed = spawn_local(heed::heed(signals, teller.clone())).abort_handle();
        let unrest = Unrest::default();
        let rest = spawn_local(unrest.clone().rest()).abort_handle();
        let manager = Manager::of(&setup.env);
        let mut feeds = vec![heed, rest];
        if reaper::is_needed() {
            feeds.push(spawn_local(reaper::reap()).abort_handle());
        }
        let metrics = setup.config.nymvisor.metrics_listen.clone().map(|listen| {
            let metrics = Metrics::new(Origin::of(&setup.config));
            feeds.push(metrics.serve(listen));
            metrics
        });
        let record = setup.paths.control_groups();
        let groups = Groups::of(&setup.token_prefix, &setup.session, record);
        Self {
            setup: Rc::new(setup),
            files,
            teller,
            inbox,
            timers: BTreeMap::new(),
            due: None,
            hold: None,
            windows: None,
            wishes: calendar::Keeping::default(),
            reminder: None,
            work: None,
            lock: UpgradeLock::default(),
            announced: Announced::default(),
            feeds,
            chores: Vec::new(),
            changes: Vec::new(),
            leftovers: Vec::new(),
            groups,
            strays: None,
            daemon_group: Rc::default(),
            examination: copy::Examination::default(),
            unrest,
            hooks: hooks::Commands::default(),
            health: None,
            manager,
            metrics,
        }
    }

    /// Does a small thing to files on the blocking pool; a failure is logged.
    fn chore(
        &mut self,
        what: &'static str,
        job: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) {
        // In a task of its own: where no thread can be had, that is the chore's failure alone.
        let done = spawn_local(async move { spawn_blocking(job).await });
        self.chores.retain(|chore| !chore.is_finished());
        self.chores.push(spawn_local(async move {
            match done.await.flatten() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("{what}: {error}"),
                Err(error) => tracing::error!("{what}: {error}"),
            }
        }));
    }

    /// Begins what the record of this number orders.
    fn carry_out(&mut self, effect: Effect, record: u64) {
        match effect {
            Effect::Observe { upgrade, binary, backup } => self.observe(upgrade, binary, backup),
            Effect::SpawnDaemon(version) => self.spawn_daemon(version),
            Effect::InterruptDaemon(daemon) => self.interrupt_daemon(daemon),
            Effect::ForwardSignal { daemon, signal } => process::forward(daemon, signal),
            Effect::KillGroup(daemon) => self.kill_group(daemon),
            Effect::SweepGroup(daemon) => self.sweep_group(daemon),
            Effect::StartTimer { timer, after_ms } => {
                self.start_timer(timer, Duration::from_millis(after_ms));
            }
            Effect::StopTimer(timer) => self.stop_timer(&timer),
            Effect::WatchDue { attempt, at } => self.watch_due(attempt, at),
            Effect::WatchHold { until } => self.watch_hold(until),
            Effect::KeepWishes(wishes) => self.keep_wishes(wishes),
            Effect::WatchWindows(on) => self.watch_windows(on),
            Effect::FetchBinary { attempt, upgrade } => self.fetch_binary(attempt, upgrade),
            Effect::CheckBinary { attempt, upgrade } => self.check_binary(attempt, upgrade),
            Effect::CheckRoom { attempt } => self.check_room(attempt),
            Effect::TakeLock { attempt, upgrade } => self.take_lock(attempt, upgrade),
            Effect::CancelPreparation { attempt } => self.cancel_preparation(attempt),
            Effect::SealBackup { attempt, upgrade, sealed } => {
                self.seal_backup(attempt, &upgrade, sealed);
            }
            Effect::CopyHome { attempt, upgrade } => self.copy_home(attempt, &upgrade),
            Effect::RefreshCopy { attempt } => self.refresh_copy(attempt),
            Effect::ExamineBackup { archive, from } => self.examine_backup(archive, from, record),
            Effect::DiscardBackup(archive) => self.discard_backup(archive),
            Effect::ReviewBackups => self.review_backups(),
            Effect::SkipBackup { attempt } => self.teller.tell(Event::BackupSkipped { attempt }),
            Effect::ConfirmBinary { attempt, upgrade, binary } => {
                self.confirm_binary(attempt, &upgrade, &binary);
            }
            Effect::ConfirmCheck { attempt, upgrade, binary } => {
                self.confirm_check(attempt, &upgrade, binary);
            }
            Effect::CommitSwap { attempt, upgrade, from: _, plan_current } => {
                self.commit_swap(attempt, upgrade, plan_current);
            }
            Effect::RestoreHome { attempt, upgrade, to, archive } => {
                self.restore_home(attempt, &upgrade, to, archive);
            }
            Effect::SkipRestore { attempt, to } => self.skip_restore(attempt, &to),
            Effect::LockRollBack { attempt, upgrade } => self.lock_roll_back(attempt, upgrade),
            Effect::CommitRollBack { attempt, upgrade, to } => {
                self.commit_roll_back(attempt, upgrade, to);
            }
            Effect::ReleaseLock => self.release_lock(),
            Effect::StandDown { attempt, in_doubt } => self.stand_down(attempt, in_doubt.as_ref()),
            Effect::QueueAnnouncement(upgrade) => self.queue_announcement(&upgrade),
            Effect::DropFromQueue(names) => self.drop_from_queue(names),
            Effect::MoveShared { upgrade, plan_current } => self.move_shared(upgrade, plan_current),
            Effect::MoveSharedBack { upgrade, to } => self.move_shared_back(upgrade, to),
            Effect::RestoreVersionFile(version) => self.restore_version_file(version),
            Effect::RebuildPlan { current, queued } => self.rebuild_plan(current, queued),
            Effect::MendLink(name) => self.mend_link(name),
            Effect::RunHook(call) => self.run_hook(&call),
            Effect::CheckHealth { daemon, within_ms } => {
                self.check_health(daemon, Duration::from_millis(within_ms));
            }
            Effect::EndHealthCheck => self.end_health_check(),
            Effect::Answer { request, granted, text } => self.answer(request, granted, text),
            // The shell ends the run itself.
            Effect::Exit(_) => {}
        }
    }
}

impl Host for LocalHost {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn perform(&mut self, order: Order) {
        let record = order.seq();
        self.carry_out(order.into_effect(), record);
    }

    fn perform_held(&mut self, order: HeldOrder) {
        let record = order.seq();
        self.carry_out(order.into_effect(), record);
    }

    fn remind(&mut self, after: Duration) {
        let sender = self.teller.0.clone();
        let task = spawn_local(async move {
            tokio::time::sleep(after).await;
            let _ = sender.send(Stimulus::Reminder);
        });
        if let Some(former) = self.reminder.replace(task.abort_handle()) {
            former.abort();
        }
    }

    fn listen(&mut self) {
        self.open_feeds();
    }

    fn recorded(&mut self, record: &Record) {
        if let Some(metrics) = &self.metrics {
            metrics.recorded(record);
        }
    }

    fn stands(&mut self, state: &State) {
        if let Some(metrics) = &self.metrics {
            metrics.stands(state);
        }
        if let Some(manager) = &mut self.manager {
            manager.tell(state);
        }
    }

    async fn next(&mut self) -> Stimulus {
        self.unrest.set_working(self.work.as_ref().is_some_and(Work::is_under_way));
        self.unrest.stir();
        match self.inbox.recv().await {
            Some(stimulus) => stimulus,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    async fn close(&mut self) {
        let watches = [self.due.take(), self.hold.take(), self.windows.take()];
        let watches = watches.into_iter().flatten().chain(self.reminder.take());
        for task in self.feeds.drain(..).chain(watches) {
            task.abort();
        }
        for task in std::mem::take(&mut self.timers).into_values() {
            task.abort();
        }
        self.examination.cancel();
        self.end_health_check();
        let work = self.work.take().map(Work::cancel).unwrap_or_default();
        let hooks = self.hooks.end_all();
        let rest = async {
            for task in work.into_iter().chain(hooks).chain(self.chores.drain(..)) {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(CLOSE_PATIENCE, rest).await.is_err() {
            tracing::warn!("what was under way doesn't end; the run ends without it");
        }
        self.groups.close().await;
        self.release_lock();
    }
}

/// By how much upgrades are performed later here; nothing of it where the key is not set.
fn spread(setup: &Setup) -> Option<Spread> {
    let (over, path) = (setup.config.nymvisor.upgrade_spread, setup.paths.spread_seed());
    Spread::drawn(&*setup.disk, &path, over).unwrap_or_else(|error| {
        tracing::warn!(
            "{} can't be kept ({error}): upgrades are spread otherwise after each start of \
             nymvisor until it can",
            path.display()
        );
        Some(Spread::for_now(over))
    })
}

/// A failure of our own, not of the upgrade.
fn our_failure(error: impl std::fmt::Display) -> Failure {
    Failure { code: Code::Io, text: error.to_string() }
}
