//! The copy of the home that is made while the daemon runs, and the backup that it becomes.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{spawn_blocking, spawn_local};

use super::super::backup::{self, LiveCopy, Origin, Tempo};
use super::prepare::backup_job;
use super::{LocalHost, our_failure};
use crate::config::Config;
use crate::machine::{Archive, Event, Failure, Upgrade, Version};

/// What the copy of one preparation or attempt is made of. Whoever works on it holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Copy {
    held: Arc<Mutex<Option<LiveCopy>>>,
    /// Ends a pass, and nothing else.
    passes: backup::Cancel,
}

impl Copy {
    fn hold(&self) -> MutexGuard<'_, Option<LiveCopy>> {
        // A copy that somebody broke off in is unsealed, and shows that when it is sealed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel(&self) {
        self.passes.cancel();
    }
}

impl LocalHost {
    /// The first pass, which copies everything.
    pub(super) fn copy_home(&mut self, attempt: u64, upgrade: &Upgrade) {
        let (job, tempo) = (backup_job(&self.setup.paths, upgrade), tempo(&self.setup.config));
        let (copy, daemon) = (self.work(attempt).copy.clone(), self.daemon_group.get());
        let backups = self.setup.paths.backups().to_owned();
        self.step(attempt, async move {
            let copied = spawn_blocking(move || {
                backup::discard_all_partials(&backups);
                let mut held = copy.hold();
                *held = None;
                let live = held.insert(LiveCopy::begin(&job, tempo, daemon)?);
                let pass = live.pass(&copy.passes)?;
                live.settle(&copy.passes)?;
                Ok(pass)
            });
            let pass = copied.await.map_err(our_failure)?.map_err(backup_failure)?;
            Ok(Event::HomeCopied { attempt, entries: pass.changed, bytes: pass.bytes })
        });
    }

    /// Further passes, until less changes than the limit, two at most.
    pub(super) fn refresh_copy(&mut self, attempt: u64) {
        let limit = self.setup.config.daemon.backup_changes_limit;
        let (copy, daemon) = (self.work(attempt).copy.clone(), self.daemon_group.get());
        self.step(attempt, async move {
            let refreshed = spawn_blocking(move || {
                let mut held = copy.hold();
                let Some(live) = held.as_mut() else { return Ok::<_, backup::Error>((0, 0, 0)) };
                live.follow(daemon);
                live.hurry();
                let mut pass = live.pass(&copy.passes)?;
                let (mut changed, mut bytes) = (pass.changed + pass.vanished, pass.bytes);
                if pass.bytes > limit {
                    pass = live.pass(&copy.passes)?;
                    changed += pass.changed + pass.vanished;
                    bytes += pass.bytes;
                }
                live.settle(&copy.passes)?;
                Ok((changed, bytes, pass.bytes))
            });
            let (changed, bytes, last) = match refreshed.await.map_err(our_failure)? {
                Ok(refreshed) => refreshed,
                // The daemon has ended meanwhile: what is sealed next looks at everything.
                Err(error) if error.is_cancelled() => return Ok(None),
                Err(error) => return Err(backup_failure(error)),
            };
            Ok(Some(Event::CopyRefreshed { attempt, changed, bytes, keeps_up: last <= limit }))
        });
    }

    /// Right before the daemon is stopped: what it has mapped now. A copy that is being worked on
    /// looks for itself.
    pub(super) fn look_at_mappings(&self) {
        let copy = self.work.as_ref().map(|work| &work.copy);
        if let Some(Ok(mut held)) = copy.map(|copy| copy.held.try_lock())
            && let Some(live) = held.as_mut()
        {
            live.follow(self.daemon_group.get());
            live.look();
        }
    }

    /// What changed since the last pass; everything where nothing was copied ahead.
    pub(super) fn seal_backup(&mut self, attempt: u64, upgrade: &Upgrade, sealed: Option<Archive>) {
        let (paths, upgrade) = (self.setup.paths.clone(), upgrade.clone());
        let work = self.work(attempt);
        let (cancel, copy) = (work.cancel.clone(), work.copy.clone());
        copy.cancel();
        self.step(attempt, async move {
            let archive = spawn_blocking(move || {
                if let Some(archive) = sealed
                    && backup::confirm(&archive)?
                {
                    return Ok(archive);
                }
                match copy.hold().take() {
                    Some(live) => Ok(live.seal(&cancel)?.archive()),
                    None => backup::seal(&backup_job(&paths, &upgrade), &cancel),
                }
            });
            let archive = archive.await.map_err(our_failure)?.map_err(backup_failure)?;
            Ok(Event::BackupSealed { attempt, archive })
        });
    }

    /// Reads a sealed archive whole, at a low priority. One that the run's end interrupts is read
    /// in the next.
    pub(super) fn examine_backup(&mut self, archive: Archive, from: Version, record: u64) {
        let (tempo, cancel) = (tempo(&self.setup.config), backup::Cancel::default());
        let origin = Origin { version: from, record };
        let daemon = self.daemon_group.get();
        let alone = self.examination.replace(cancel.clone());
        let teller = self.teller.clone();
        self.chores.push(spawn_local(async move {
            // The one before holds on to its files until it has heard that it is to end.
            let _alone = alone.lock().await;
            let read = archive.clone();
            let examined =
                spawn_blocking(move || backup::examine(&read, &origin, tempo, daemon, &cancel))
                    .await;
            let failure = match examined {
                Ok(Ok(archive)) => return teller.tell(Event::BackupExamined { archive }),
                Ok(Err(error)) if error.is_cancelled() => return,
                Ok(Err(error)) if !error.is_damage() => {
                    return tracing::warn!(
                        "the backup {} is not read whole yet, and will be when the daemon is \
                         started next: {error}",
                        archive.path
                    );
                }
                Ok(Err(error)) => backup_failure(error),
                Err(error) => our_failure(error),
            };
            teller.tell(Event::BackupDamaged { archive, failure });
        }));
    }
}

/// The reading of a sealed backup that is under way.
#[derive(Debug, Default)]
pub(super) struct Examination {
    cancel: backup::Cancel,
    /// Held by the one that reads.
    alone: Rc<tokio::sync::Mutex<()>>,
}

impl Examination {
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Ends the one before; what the next, which `cancel` ends, has to wait for.
    fn replace(&mut self, cancel: backup::Cancel) -> Rc<tokio::sync::Mutex<()>> {
        self.cancel();
        self.cancel = cancel;
        self.alone.clone()
    }
}

fn tempo(config: &Config) -> Tempo {
    Tempo { bytes_per_second: config.daemon.backup_rate_limit, background: true }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn backup_failure(error: backup::Error) -> Failure {
    Failure { code: error.code(), text: error.to_string() }
}
