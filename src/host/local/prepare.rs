//! The steps of a preparation and of an attempt: fetch, check, room, lock, backup, confirm.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};

use super::super::files::Files;
use super::super::{backup, place, room};
use super::binary::{Fetched, checked, fetched};
use super::copy::Copy;
use super::locks::{LOCK_PATIENCE, NameLock, lock_name, plan_failure};
use super::{LocalHost, our_failure};
use crate::config::Paths;
use crate::disk::{Disk, try_writing_into};
use crate::journal;
use crate::machine::{Binary, Code, Event, Failure, Queue, Upgrade};
use crate::release::{PlanLock, UpgradeName};

/// How many threads compress a backup, at most.
const BACKUP_WORKERS_MAX: usize = 2;
/// The level of zstd at which compression keeps up with most disks.
const BACKUP_LEVEL: i32 = 3;
/// Backups hold keys.
const BACKUP_FOLDER_MODE: u32 = 0o700;
/// What is under way for one preparation or attempt.
#[derive(Debug)]
pub(super) struct Work {
    attempt: u64,
    pub(super) cancel: backup::Cancel,
    pub(super) stop: watch::Sender<bool>,
    pub(super) tasks: Vec<JoinHandle<()>>,
    /// The copy of the home.
    pub(super) copy: Copy,
    /// The bytes that wait for their check.
    fetched: watch::Sender<Option<Fetched>>,
    /// Keeps other instances of the data folder off the same upgrade's files until it is checked.
    name_lock: Rc<RefCell<Option<NameLock>>>,
}

impl Work {
    fn new(attempt: u64) -> Self {
        Self {
            attempt,
            cancel: backup::Cancel::default(),
            stop: watch::Sender::new(false),
            tasks: Vec::new(),
            copy: Copy::default(),
            fetched: watch::Sender::new(None),
            name_lock: Rc::default(),
        }
    }

    /// Whether a step of it has yet to tell its outcome.
    pub(super) fn is_under_way(&self) -> bool {
        self.tasks.iter().any(|task| !task.is_finished())
    }

    /// Asks everything to end; what is still to be waited for.
    pub(super) fn cancel(self) -> Vec<JoinHandle<()>> {
        self.cancel.cancel();
        self.copy.cancel();
        self.stop.send_replace(true);
        self.tasks
    }
}

/// Folders that no backup holds.
pub(super) fn left_out(paths: &Paths) -> Vec<PathBuf> {
    vec![paths.home_nymvisor(), paths.backups().to_owned()]
}

impl LocalHost {
    pub(super) fn work(&mut self, attempt: u64) -> &mut Work {
        if self.work.as_ref().is_some_and(|work| work.attempt != attempt) {
            let former = self.work.take().map(Work::cancel).unwrap_or_default();
            self.chores.extend(former);
        }
        self.work.get_or_insert_with(|| Work::new(attempt))
    }

    /// Does a step of `attempt` and tells its outcome, unless that is nothing.
    pub(super) fn step<E: Into<Option<Event>> + 'static>(
        &mut self,
        attempt: u64,
        step: impl Future<Output = Result<E, Failure>> + 'static,
    ) {
        let teller = self.teller.clone();
        let task = spawn_local(async move {
            // A panic in the step is its failure, not the engine's silence.
            let outcome = spawn_local(step).await.map_err(our_failure).flatten();
            if let Some(outcome) = outcome.map(Into::into).transpose() {
                teller.tell_outcome(attempt, outcome);
            }
        });
        let work = self.work(attempt);
        work.tasks.retain(|task| !task.is_finished());
        work.tasks.push(task);
    }

    pub(super) fn fetch_binary(&mut self, attempt: u64, upgrade: Upgrade) {
        let (setup, files) = (self.setup.clone(), self.files.clone());
        let work = self.work(attempt);
        let name_lock = work.name_lock.clone();
        let (stop, done) = (work.stop.subscribe(), work.fetched.clone());
        self.step(attempt, async move {
            let lock = lock_name(&setup, &upgrade, stop.clone()).await?;
            name_lock.replace(Some(lock));
            let fetched = fetched(&setup, &files, &upgrade, stop).await?;
            let (sha256, bytes) = (fetched.sha256.clone(), fetched.bytes);
            let source = fetched.source.clone();
            done.send_replace(Some(fetched));
            Ok(Event::BinaryFetched { attempt, sha256, bytes, source })
        });
    }

    pub(super) fn check_binary(&mut self, attempt: u64, upgrade: Upgrade) {
        let (setup, files) = (self.setup.clone(), self.files.clone());
        let work = self.work(attempt);
        let (fetched, name_lock) = (work.fetched.borrow().clone(), work.name_lock.clone());
        let stop = work.stop.subscribe();
        self.step(attempt, async move {
            let fetched = fetched.ok_or_else(|| gone(&upgrade))?;
            let binary = checked(&setup, &files, &upgrade, fetched, stop).await?;
            name_lock.take();
            Ok(Event::BinaryChecked { attempt, binary })
        });
    }

    /// Where nothing is prepared ahead the daemon is stopped next, and the lock that keeps others
    /// from setting another time is taken only then: the plan is looked at last.
    pub(super) fn check_room(&mut self, attempt: u64) {
        let (setup, files) = (self.setup.clone(), self.files.clone());
        let teller = self.teller.clone();
        self.step(attempt, async move {
            let skip = setup.config.daemon.unsafe_skip_backup;
            let by_plan = !setup.config.daemon.prepare_ahead;
            let (paths, disk) = (setup.paths.clone(), setup.disk.clone());
            let instance = setup.config.nymvisor.id.clone();
            let found = spawn_blocking(move || {
                files.check_link()?;
                try_writing(&*disk, &paths.home_nymvisor(), &instance)?;
                if !skip {
                    try_writing(&*disk, paths.backups(), &instance)?;
                }
                room_for_records(&*disk, &paths)?;
                let room = room_for_backup(&paths, skip)?;
                let plan = by_plan.then(|| planned(&files, &paths)).transpose()?;
                Ok::<_, Failure>((room, plan))
            });
            let ((needed_bytes, free_bytes), plan) = found.await.map_err(our_failure)??;
            if let Some(queue) = plan {
                teller.tell(Event::QueueRead { queue });
            }
            Ok(Event::RoomFound { attempt, needed_bytes, free_bytes, by_plan })
        });
    }

    pub(super) fn cancel_preparation(&mut self, attempt: u64) {
        if self.work.as_ref().is_some_and(|work| work.attempt == attempt) {
            let rest = self.work.take().map(Work::cancel).unwrap_or_default();
            self.chores.extend(rest);
        }
        self.end_hooks_of(attempt);
        if let Some(due) = self.due.take() {
            due.abort();
        }
        self.release_lock();
    }

    pub(super) fn confirm_binary(&mut self, attempt: u64, upgrade: &Upgrade, binary: &Binary) {
        let outcome = match self.identity(upgrade) {
            Some((bytes, _)) if bytes == binary.bytes => Ok(Event::BinaryPresent { attempt }),
            Some(_) | None => Err(changed(upgrade)),
        };
        self.teller.tell_outcome(attempt, outcome);
    }

    pub(super) fn confirm_check(&mut self, attempt: u64, upgrade: &Upgrade, binary: Binary) {
        let outcome = match self.identity(upgrade) {
            Some((_, identity)) if identity == binary.identity => {
                Ok(Event::BinaryChecked { attempt, binary })
            }
            Some(_) | None => Err(changed(upgrade)),
        };
        self.teller.tell_outcome(attempt, outcome);
    }

    /// Size and identity of an upgrade's binary in its place.
    fn identity(&self, upgrade: &Upgrade) -> Option<(u64, String)> {
        let path = self.setup.paths.binary(&UpgradeName::installed(&upgrade.name).ok()?);
        let bytes = std::fs::metadata(&path).ok()?.len();
        Some((bytes, place::identity(&path).ok()?))
    }
}

fn gone(upgrade: &Upgrade) -> Failure {
    let text = format!("what was fetched for {} is gone; it is fetched again", upgrade.name);
    Failure { code: Code::BinaryChanged, text }
}

fn changed(upgrade: &Upgrade) -> Failure {
    let text = format!(
        "the binary of {} is not the file that was checked; something replaced, changed or \
         removed it since",
        upgrade.name
    );
    Failure { code: Code::BinaryChanged, text }
}

/// What the plan says while nobody changes it.
fn planned(files: &Files, paths: &Paths) -> Result<Queue, Failure> {
    let lock = PlanLock::acquire_within(&paths.plan_lock(), LOCK_PATIENCE);
    let _lock = lock.map_err(|error| plan_failure(&error))?;
    Ok(files.queue()?)
}

/// Writes a file into a folder that the upgrade will write to once the daemon is down.
fn try_writing(disk: &dyn Disk, folder: &Path, instance: &str) -> Result<(), Failure> {
    try_writing_into(disk, folder, BACKUP_FOLDER_MODE, instance).map_err(|error| Failure {
        code: if error.kind() == std::io::ErrorKind::StorageFull { Code::NoRoom } else { Code::Io },
        text: format!("{} can't be written to, as the upgrade must: {error}", folder.display()),
    })
}

/// Room for the records of the upgrade, and of its failure.
fn room_for_records(disk: &dyn Disk, paths: &Paths) -> Result<(), Failure> {
    let code = |error: &journal::Error| {
        if error.is_for_want_of_room() { Code::NoRoom } else { Code::Io }
    };
    journal::reserve(disk, &paths.journal()).map_err(|error| Failure {
        code: code(&error),
        text: format!("no room can be reserved for the records of an upgrade: {error}"),
    })
}

/// What the backup may need, and what is free.
fn room_for_backup(paths: &Paths, skip: bool) -> Result<(u64, u64), Failure> {
    let failed = |error: room::Error| Failure { code: error.code(), text: error.to_string() };
    let free = room::free(paths.backups()).map_err(failed)?;
    if skip {
        return Ok((0, free.bytes));
    }
    let need = room::needed_for_backup(paths.home(), &left_out(paths)).map_err(failed)?;
    room::check(&[(paths.backups().to_owned(), need.bytes)]).map_err(failed)?;
    Ok((need.bytes, free.bytes))
}

pub(super) fn backup_job(paths: &Paths, upgrade: &Upgrade) -> backup::Job {
    let name = Path::new(&upgrade.name);
    let at = Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    backup::Job {
        home: paths.home().to_owned(),
        leave_out: left_out(paths),
        archive: paths.backups().join(name).join(format!("backup-{at}-preupgrade.tar.zst")),
        workers: u32::try_from(workers.min(BACKUP_WORKERS_MAX)).unwrap_or(1),
        level: BACKUP_LEVEL,
    }
}
