//! The locks between instances, and between them and commands.
//!
//! Whoever takes several takes them in this order: an upgrade's name (fetch and check), the plan,
//! the upgrade lock. Nobody who holds one waits for the next without an end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::spawn_local;

use super::super::files::Files;
use super::super::lock::{self, HeldLock};
use super::{LocalHost, Setup, our_failure};
use crate::machine::{Code, Event, Failure, Queue, Upgrade};
use crate::release::{self, PlanLock};

/// From one look at what another instance may hold for long to the next.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// `add-upgrade` holds plan and upgrade lock for moments, which the daemon lives through.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The upgrade lock, where it is held.
pub(super) type UpgradeLock = Rc<RefCell<Option<HeldLock>>>;

/// The upgrade lock is held.
#[derive(Debug)]
struct Taken {
    /// The plan, where it gives the upgrade another time than the engine has heard of.
    news: Option<Queue>,
}

impl LocalHost {
    /// Takes the upgrade lock, or confirms it. Who cancels it is told nothing any more.
    pub(super) fn take_lock(&mut self, attempt: u64, upgrade: Upgrade) {
        let (setup, files, held) = (self.setup.clone(), self.files.clone(), self.lock.clone());
        let (teller, groups) = (self.teller.clone(), self.groups.clone());
        let work = self.work(attempt);
        let stop = work.stop.subscribe();
        let (cancelled, take) = (stop.clone(), take(setup, files, upgrade, held, stop));
        work.tasks.push(spawn_local(async move {
            // A panic in it is its failure, not the engine's silence.
            let outcome = spawn_local(take).await.map_err(our_failure).flatten();
            if outcome.is_ok() && !*cancelled.borrow() {
                groups.poised().await;
            }
            if !*cancelled.borrow() {
                // Heard of before the lock is: with its answer the daemon is stopped.
                if let Ok(Taken { news: Some(queue) }) = &outcome {
                    teller.tell(Event::QueueRead { queue: queue.clone() });
                }
                teller.tell_outcome(attempt, outcome.map(|_| Event::LockTaken { attempt }));
            }
        }));
    }

    /// Another instance that is at work on the data folder is waited for: the daemon is down, and
    /// there is nothing else to go on with.
    pub(super) fn lock_roll_back(&mut self, attempt: u64, upgrade: Upgrade) {
        let (setup, held) = (self.setup.clone(), self.lock.clone());
        let mut stop = self.work(attempt).stop.subscribe();
        self.step(attempt, async move {
            let mut told = false;
            loop {
                match hold(&setup, &upgrade, &held) {
                    Err(failure) if failure.code == Code::LockBusy && !*stop.borrow() => {
                        if !told {
                            tracing::warn!("the roll-back waits: {}", failure.text);
                        }
                        told = true;
                        let _ = tokio::time::timeout(LONG_PAUSE, stop.changed()).await;
                    }
                    outcome => return outcome.map(|()| Event::LockTaken { attempt }),
                }
            }
        });
    }

    pub(super) fn release_lock(&mut self) {
        if let Some(Err(error)) = self.lock.take().map(HeldLock::release_and_remove) {
            tracing::warn!("the upgrade lock could not be removed: {error}");
        }
    }
}

async fn take(
    setup: Rc<Setup>,
    files: Files,
    upgrade: Upgrade,
    held: UpgradeLock,
    mut stop: watch::Receiver<bool>,
) -> Result<Taken, Failure> {
    let since = Instant::now();
    loop {
        // What was cancelled must not take it: nobody would give it back.
        if *stop.borrow() {
            return Err(our_failure("nobody waits for the lock any more"));
        }
        match try_once(&setup, &files, &upgrade, &held) {
            Err(failure) if failure.code == Code::LockBusy && since.elapsed() < LOCK_PATIENCE => {
                let _ = tokio::time::timeout(LOCK_PAUSE, stop.changed()).await;
            }
            outcome => return outcome,
        }
    }
}

/// Waits for nothing. The plan's lock is tried as well: the swap needs it, and whoever sits on it
/// is found out before the daemon is stopped.
fn try_once(
    setup: &Setup,
    files: &Files,
    upgrade: &Upgrade,
    held: &UpgradeLock,
) -> Result<Taken, Failure> {
    // The daemon is stopped next, and what the plan says no more could not be committed.
    if held.borrow().as_ref().is_some_and(HeldLock::still_ours) {
        return Ok(files.announcement(upgrade).map(|_| Taken { news: None })?);
    }
    let path = setup.paths.plan_lock();
    let _plan = PlanLock::acquire_within(&path, Duration::ZERO).map_err(|e| plan_failure(&e))?;
    let planned = files.planned(upgrade)?;
    hold(setup, upgrade, held)?;
    // From here on nobody sets another time; whoever did just before has been told that it counts.
    let news = if planned.is_retimed(upgrade) { Some(files.queue()?) } else { None };
    Ok(Taken { news })
}

/// Takes the upgrade lock, unless it is held already.
fn hold(setup: &Setup, upgrade: &Upgrade, held: &UpgradeLock) -> Result<(), Failure> {
    if held.borrow().as_ref().is_some_and(HeldLock::still_ours) {
        return Ok(());
    }
    let content = serde_json::json!({
        "pid": std::process::id(),
        "instance": setup.config.nymvisor.id,
        "upgrade": upgrade.name,
    });
    let path = setup.paths.upgrade_lock();
    let lock = HeldLock::acquire(&path, 0o644, &content.to_string());
    held.replace(Some(lock.map_err(|error| lock_failure(&error))?));
    Ok(())
}

/// Why the plan can't be locked.
pub(super) fn plan_failure(error: &release::Error) -> Failure {
    let is_busy = matches!(error, release::Error::Locked { .. });
    Failure { code: if is_busy { Code::LockBusy } else { Code::Io }, text: error.to_string() }
}

fn lock_failure(error: &lock::Error) -> Failure {
    let (code, text) = match error {
        lock::Error::Busy { .. } => (
            Code::LockBusy,
            format!("{error}; another instance is at work on it, or holds it by mistake"),
        ),
        lock::Error::Io { path, source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull =>
        {
            (Code::NoRoom, format!("no room for the lock {}: {source}; free some", path.display()))
        }
        lock::Error::Io { .. } => (Code::Io, error.to_string()),
    };
    Failure { code, text }
}

/// The lock on an upgrade's name. Its file goes with it: there is one a name, and names are many.
#[derive(Debug)]
pub(super) struct NameLock(Option<HeldLock>);

impl Drop for NameLock {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(HeldLock::release_and_remove) {
            tracing::debug!("the lock file stays: {error}");
        }
    }
}

/// The lock under which an upgrade's files are fetched and checked. Another instance that is at
/// it fetches for this one too, so it is worth waiting for.
pub(super) async fn lock_name(
    setup: &Setup,
    upgrade: &Upgrade,
    mut stop: watch::Receiver<bool>,
) -> Result<NameLock, Failure> {
    let path = setup.paths.fetch_lock(&upgrade.name);
    crate::disk::create_dirs(&*setup.disk, crate::disk::folder_of(&path), 0o755)
        .map_err(our_failure)?;
    loop {
        let content = std::process::id().to_string();
        match HeldLock::acquire(&path, 0o644, &content).map_err(|error| lock_failure(&error)) {
            Err(failure) if failure.code == Code::LockBusy && !*stop.borrow() => {
                let _ = tokio::time::timeout(LONG_PAUSE, stop.changed()).await;
            }
            outcome => return outcome.map(|lock| NameLock(Some(lock))),
        }
    }
}
