//! The steps of a preparation and of an attempt: fetch, check, room, lock, backup, confirm.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};

use super::super::files::Files;
use super::super::lock::{self, HeldLock};
use super::super::{backup, fetch, http, place, probe, room};
use super::{BUILD_INFO_PATIENCE, LocalHost, Setup, our_failure};
use crate::config::Paths;
use crate::digest::Algorithm;
use crate::machine::{Archive, Binary, Code, Event, Failure, Upgrade};
use crate::release::{BuildInfo, Checksum, UpgradeInfo, UpgradeName};

/// How many threads compress a backup, at most.
const BACKUP_WORKERS_MAX: usize = 2;
/// The level of zstd at which compression keeps up with most disks.
const BACKUP_LEVEL: i32 = 3;
/// How often a broken download is taken up again before it counts as a failure.
const FETCH_TRIES: u32 = 4;

/// What is under way for one preparation or attempt.
#[derive(Debug)]
pub(super) struct Work {
    attempt: u64,
    cancel: backup::Cancel,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// The bytes that wait for their check.
    fetched: watch::Sender<Option<Fetched>>,
}

/// Bytes whose digest is right.
#[derive(Debug, Clone, PartialEq)]
struct Fetched {
    path: PathBuf,
    sha256: String,
    bytes: u64,
    identity: String,
    source: String,
}

impl Work {
    fn new(attempt: u64) -> Self {
        Self {
            attempt,
            cancel: backup::Cancel::default(),
            stop: watch::Sender::new(false),
            tasks: Vec::new(),
            fetched: watch::Sender::new(None),
        }
    }

    /// Asks everything to end; what is still to be waited for.
    pub(super) fn cancel(self) -> Vec<JoinHandle<()>> {
        self.cancel.cancel();
        self.stop.send_replace(true);
        self.tasks
    }
}

/// Folders that no backup holds.
pub(super) fn left_out(paths: &Paths) -> Vec<PathBuf> {
    vec![paths.home_nymvisor(), paths.backups().to_owned()]
}

impl LocalHost {
    fn work(&mut self, attempt: u64) -> &mut Work {
        if self.work.as_ref().is_some_and(|work| work.attempt != attempt) {
            let former = self.work.take().map(Work::cancel).unwrap_or_default();
            self.chores.extend(former);
        }
        self.work.get_or_insert_with(|| Work::new(attempt))
    }

    /// Does a step of `attempt` and tells its outcome.
    fn step(&mut self, attempt: u64, step: impl Future<Output = Result<Event, Failure>> + 'static) {
        let teller = self.teller.clone();
        // In a task of its own: a panic has an outcome as well, or the attempt would wait for ever.
        let step = spawn_local(step);
        let task = spawn_local(async move {
            let outcome = step.await.unwrap_or_else(|error| Err(our_failure(error)));
            teller.tell_outcome(attempt, outcome);
        });
        self.work(attempt).tasks.push(task);
    }

    pub(super) fn fetch_binary(&mut self, attempt: u64, upgrade: Upgrade) {
        let (setup, files) = (self.setup.clone(), self.files.clone());
        let work = self.work(attempt);
        let (stop, done) = (work.stop.subscribe(), work.fetched.clone());
        self.step(attempt, async move {
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
        let (stop, fetched) = (work.stop.subscribe(), work.fetched.borrow().clone());
        self.step(attempt, async move {
            let fetched = fetched.ok_or_else(|| gone(&upgrade))?;
            let binary = checked(&setup, &files, &upgrade, fetched, stop).await?;
            Ok(Event::BinaryChecked { attempt, binary })
        });
    }

    pub(super) fn check_room(&mut self, attempt: u64) {
        let setup = self.setup.clone();
        self.step(attempt, async move {
            let skip = setup.config.daemon.unsafe_skip_backup;
            let paths = setup.paths.clone();
            let found = spawn_blocking(move || room_for_backup(&paths, skip));
            let (needed_bytes, free_bytes) = found.await.map_err(our_failure)??;
            Ok(Event::RoomFound { attempt, needed_bytes, free_bytes })
        });
    }

    pub(super) fn take_lock(&mut self, attempt: u64, upgrade: &Upgrade) {
        let outcome = self.lock_for(upgrade).map(|()| Event::LockTaken { attempt });
        self.teller.tell_outcome(attempt, outcome);
    }

    fn lock_for(&mut self, upgrade: &Upgrade) -> Result<(), Failure> {
        if self.lock.as_ref().is_some_and(HeldLock::still_ours) {
            return Ok(());
        }
        let content = serde_json::json!({
            "pid": std::process::id(),
            "instance": self.setup.config.nymvisor.id,
            "upgrade": upgrade.name,
        });
        let path = self.setup.paths.upgrade_lock();
        let lock = HeldLock::acquire(&path, 0o644, &content.to_string()).map_err(|error| {
            let code = match &error {
                lock::Error::Busy { .. } => Code::LockBusy,
                lock::Error::Io { .. } => Code::Io,
            };
            let text = format!("{error}; another instance upgrades, or holds it by mistake");
            Failure { code, text }
        })?;
        self.lock = Some(lock);
        Ok(())
    }

    pub(super) fn cancel_preparation(&mut self, attempt: u64) {
        if self.work.as_ref().is_some_and(|work| work.attempt == attempt) {
            let rest = self.work.take().map(Work::cancel).unwrap_or_default();
            self.chores.extend(rest);
        }
        if let Some(due) = self.due.take() {
            due.abort();
        }
        self.release_lock();
    }

    pub(super) fn stand_down(&mut self, attempt: u64) {
        self.cancel_preparation(attempt);
        self.teller.tell(Event::StoodDown { attempt });
    }

    pub(super) fn seal_backup(&mut self, attempt: u64, upgrade: &Upgrade, sealed: Option<Archive>) {
        let job = backup_job(&self.setup.paths, upgrade);
        let cancel = self.work(attempt).cancel.clone();
        self.step(attempt, async move {
            let archive = spawn_blocking(move || match sealed {
                Some(archive) if backup::confirm(&archive)? => Ok(archive),
                Some(_) | None => backup::seal(&job?, &cancel),
            });
            let archive = archive.await.map_err(our_failure)?;
            let archive = archive.map_err(|error: backup::Error| Failure {
                code: error.code(),
                text: error.to_string(),
            })?;
            Ok(Event::BackupSealed { attempt, archive })
        });
    }

    pub(super) fn discard_backup(&mut self, archive: Archive) {
        self.chore("an archive that is not needed could not be removed", move || {
            let path = backup::path_of(&archive);
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
        });
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

/// Gets the bytes of an upgrade's binary: those in place, or from upstream.
async fn fetched(
    setup: &Rc<Setup>,
    files: &Files,
    upgrade: &Upgrade,
    stop: watch::Receiver<bool>,
) -> Result<Fetched, Failure> {
    let files = files.clone();
    let wanted = upgrade.clone();
    let info = spawn_blocking(move || files.announcement(&wanted)).await.map_err(our_failure)??;
    let path = setup.paths.binary(&info.name);
    if path.symlink_metadata().is_ok() {
        return spawn_blocking(move || in_place(&info, path)).await.map_err(our_failure)?;
    }
    if !setup.config.daemon.allow_binaries_download {
        return Err(Failure {
            code: Code::NoBinary,
            text: format!(
                "there is no {}, and downloads are switched off; run `nymvisor add-upgrade \
                 --add-binary --upgrade-name {} <binary>`",
                path.display(),
                info.name
            ),
        });
    }
    download(setup, &info, stop).await
}

/// The digest of a binary that lies in its place has to be right as well.
fn in_place(info: &UpgradeInfo, path: PathBuf) -> Result<Fetched, Failure> {
    let expected = info.expected_in_place().map_err(no_checksum)?;
    let algorithm = expected.as_ref().map_or(Algorithm::Sha256, |checksum| checksum.algorithm);
    let is = place::digest_file(&path, algorithm)
        .map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    let found = is.sha512.as_ref().unwrap_or(&is.sha256);
    if let Some(checksum) = expected.filter(|checksum| checksum.hex != *found) {
        return Err(Failure {
            code: Code::DigestMismatch,
            text: format!(
                "{} has the checksum {found}, expected {}; if it is yours, say so with \
                 `nymvisor add-upgrade --add-binary --force --upgrade-name {} {}`, else remove it",
                path.display(),
                checksum.hex,
                info.name,
                path.display(),
            ),
        });
    }
    let (sha256, bytes, identity) = (is.sha256, is.bytes, is.identity);
    Ok(Fetched { path, sha256, bytes, identity, source: "in place".to_owned() })
}

fn no_checksum(error: impl std::fmt::Display) -> Failure {
    Failure { code: Code::NoChecksum, text: error.to_string() }
}

async fn download(
    setup: &Rc<Setup>,
    info: &UpgradeInfo,
    stop: watch::Receiver<bool>,
) -> Result<Fetched, Failure> {
    let order = order(setup, info)?;
    let folder = crate::disk::folder_of(&order.part).to_owned();
    crate::disk::create_dirs(&*setup.disk, &folder, 0o755).map_err(our_failure)?;
    let url = http::redact(&order.url);
    tracing::info!("fetching {} from {url}", info.name);
    let progress = watch::Sender::new(fetch::Progress::default());
    let got = fetch::fetch(&order, stop, &progress)
        .await
        .map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    let identity = place::identity(&order.part)
        .map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    tracing::info!("fetched {} bytes in {:.1} s", got.bytes, got.seconds);
    let (path, sha256, bytes) = (order.part, got.sha256, got.bytes);
    Ok(Fetched { path, sha256, bytes, identity, source: url })
}

/// What to fetch for this platform, and what to compare it with.
fn order(setup: &Setup, info: &UpgradeInfo) -> Result<fetch::Order, Failure> {
    let platform = info.platform().ok_or_else(|| Failure {
        code: Code::NoPlatform,
        text: format!(
            "{} has no binary for {} (it has: {}); build it yourself and run `nymvisor \
             add-upgrade --add-binary --upgrade-name {} <binary>`",
            info.name,
            crate::release::platform_key(),
            info.platforms.keys().cloned().collect::<Vec<_>>().join(", "),
            info.name,
        ),
    })?;
    let checksum = platform.checksum().map_err(no_checksum)?;
    if checksum.is_none() && setup.config.daemon.enforce_download_checksum {
        return Err(no_checksum(format!(
            "{} is announced without a checksum, and daemon.enforce_download_checksum is on",
            info.name
        )));
    }
    let url = http::check_url(&platform.url)
        .map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    if http::is_plain_http_beyond_loopback(&url) {
        tracing::warn!(
            "{} is fetched over plain http: anybody on the way can change it",
            http::redact(&platform.url)
        );
    }
    let binary = setup.paths.binary(&info.name);
    let mut part = std::ffi::OsString::from(".");
    part.push(binary.file_name().unwrap_or_default());
    part.push(".part");
    Ok(fetch::Order {
        url: platform.url.clone(),
        part: binary.with_file_name(part),
        expect: checksum.map(|Checksum { algorithm, hex }| fetch::Expected { algorithm, hex }),
        max_bytes: setup.config.daemon.max_binary_size,
        timeouts: setup.timeouts,
        tries: FETCH_TRIES,
    })
}

/// Asks the binary what it is, compares, and gives it its final name.
async fn checked(
    setup: &Rc<Setup>,
    files: &Files,
    upgrade: &Upgrade,
    fetched: Fetched,
    mut stop: watch::Receiver<bool>,
) -> Result<Binary, Failure> {
    let path = fetched.path.clone();
    let made = spawn_blocking(move || place::make_executable(&path)).await.map_err(our_failure)?;
    made.map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    let details = tokio::select! {
        details = probe::build_info(&fetched.path, BUILD_INFO_PATIENCE) => {
            details.map_err(|error| wrong_build(error.to_string()))?
        }
        // One that hangs must not hold up the end of the run.
        _ = stop.wait_for(|stop| *stop) => {
            return Err(our_failure("the binary was not asked to the end: nobody waits for it"));
        }
    };
    let (setup, files, upgrade) = (setup.clone(), files.clone(), upgrade.clone());
    let paths = setup.paths.clone();
    let name = setup.config.daemon.name.clone();
    spawn_blocking(move || {
        let info = files.announcement(&upgrade)?;
        compare(&name, &info, &details)?;
        let identity = put_in_place(&paths, &files, &info, &fetched)?;
        files.keep_details(&info, &details)?;
        Ok(Binary { sha256: fetched.sha256, bytes: fetched.bytes, identity })
    })
    .await
    .map_err(our_failure)?
}

fn wrong_build(text: String) -> Failure {
    Failure { code: Code::BuildInfo, text }
}

/// Name, version and, where they are announced, all other details must be right.
fn compare(daemon: &str, info: &UpgradeInfo, is: &BuildInfo) -> Result<(), Failure> {
    let differs = |what: &str, expected: &str, found: &str| {
        Err(wrong_build(format!(
            "the binary of {} says {what} '{found}', expected '{expected}'",
            info.name
        )))
    };
    if is.binary_name != daemon {
        return differs("binary_name", daemon, &is.binary_name);
    }
    let version = info.version.to_string();
    if is.build_version != version {
        return differs("build_version", &version, &is.build_version);
    }
    match info.binary_details.as_ref().and_then(|announced| is.differs_from(announced)) {
        Some((what, announced, found)) => differs(what, announced, found),
        None => Ok(()),
    }
}

/// Gives the binary its final name and the rights of the one that runs now.
fn put_in_place(
    paths: &Paths,
    files: &Files,
    info: &UpgradeInfo,
    fetched: &Fetched,
) -> Result<String, Failure> {
    let to = paths.binary(&info.name);
    let failed = |error: place::Error| Failure { code: error.code(), text: error.to_string() };
    let running =
        files.version().ok().and_then(|version| UpgradeName::installed(&version.name).ok());
    let like = running.map(|name| paths.binary(&name)).filter(|path| path.exists());
    // Becoming executable has changed its identity.
    let is = place::identity(&fetched.path).map_err(failed)?;
    if !same_but_for_change_time(&is, &fetched.identity) {
        return Err(Failure {
            code: Code::BinaryChanged,
            text: format!("{} was changed while it was checked", fetched.path.display()),
        });
    }
    let installed = place::install(&fetched.path, &to, like.as_deref(), &is).map_err(failed)?;
    for loss in installed.losses {
        tracing::warn!("{loss}");
    }
    Ok(installed.identity)
}

/// Whether two identities are those of one file with the same content.
fn same_but_for_change_time(one: &str, other: &str) -> bool {
    let but_last = |identity: &str| identity.rsplit_once(':').map(|(rest, _)| rest.to_owned());
    but_last(one) == but_last(other)
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

fn backup_job(paths: &Paths, upgrade: &Upgrade) -> Result<backup::Job, backup::Error> {
    let name = Path::new(&upgrade.name);
    let at = Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(backup::Job {
        home: paths.home().to_owned(),
        leave_out: left_out(paths),
        archive: paths.backups().join(name).join(format!("backup-{at}-preupgrade.tar.zst")),
        workers: u32::try_from(workers.min(BACKUP_WORKERS_MAX)).unwrap_or(1),
        level: BACKUP_LEVEL,
    })
}
