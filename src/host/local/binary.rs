//! A new version's binary: fetched or found in place, digested, asked what it is, put in place.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::{spawn_blocking, spawn_local};

use super::super::files::Files;
use super::super::{fetch, http, place, probe};
use super::locks::plan_failure;
use super::{BUILD_INFO_PATIENCE, Setup, our_failure};
use crate::bars::Bar;
use crate::config::Paths;
use crate::digest::Algorithm;
use crate::machine::{Binary, Code, Failure, Upgrade};
use crate::release::{BuildInfo, Checksum, PlanLock, UpgradeInfo, UpgradeName};

/// How often a broken download is taken up again before it counts as a failure.
const FETCH_TRIES: u32 = 4;

/// How long a command's change of the plan is waited for; it takes milliseconds.
const PLAN_PATIENCE: Duration = Duration::from_secs(2);

/// Bytes whose digest is right.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    pub(super) bytes: u64,
    pub(super) identity: String,
    pub(super) source: String,
}

/// Gets the bytes of an upgrade's binary: those in place, or from upstream.
pub(super) async fn fetched(
    setup: &Rc<Setup>,
    files: &Files,
    upgrade: &Upgrade,
    stop: watch::Receiver<bool>,
) -> Result<Fetched, Failure> {
    let (read, wanted) = (files.clone(), upgrade.clone());
    let info = spawn_blocking(move || read.announcement(&wanted)).await.map_err(our_failure)??;
    let path = setup.paths.binary(&info.name);
    if path.symlink_metadata().is_ok() {
        let (wanted, lies) = (info.clone(), path.clone());
        let found = spawn_blocking(move || in_place(&wanted, lies)).await.map_err(our_failure)?;
        match found {
            Err(failure) if may_be_fetched_anew(setup, &info, &failure) => {
                let (lock, wanted) = (setup.paths.plan_lock(), upgrade.clone());
                let (files, lies) = (files.clone(), path.clone());
                let aside = spawn_blocking(move || {
                    let _plan = lock_plan(&lock)?;
                    files.announcement(&wanted)?;
                    set_aside(&lies, &failure)
                });
                aside.await.map_err(our_failure)??;
            }
            found => return found,
        }
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

/// What nobody vouched for, and is not what is announced (any more), gives way to what is.
fn may_be_fetched_anew(setup: &Setup, info: &UpgradeInfo, failure: &Failure) -> bool {
    failure.code == Code::DigestMismatch
        && info.local_binary.is_none()
        && setup.config.daemon.allow_binaries_download
}

fn set_aside(path: &Path, failure: &Failure) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".set-aside-{}", Utc::now().format("%Y%m%dT%H%M%S%.3fZ")));
    let aside = path.with_file_name(name);
    tracing::warn!("{}; it is kept as {}, and fetched anew", failure.text, aside.display());
    std::fs::rename(path, aside).map_err(our_failure)
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
    tracing::info!("fetching {} from {}", info.name, http::redact(&order.url));
    let progress = watch::Sender::new(fetch::Progress::default());
    let name = info.name.to_string();
    let bar = Some(&name).filter(|_| tracing::enabled!(tracing::Level::INFO));
    let bar = bar.and_then(|name| Bar::begin(name.clone()));
    let told = spawn_local(fetch::tell_progress(name, bar, progress.subscribe()));
    let got = fetch::fetch(&order, stop, &progress).await;
    told.abort();
    // Its bar is gone before anything else is said.
    let _ = told.await;
    let got = got.map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    let identity = place::identity(&order.part)
        .map_err(|error| Failure { code: error.code(), text: error.to_string() })?;
    tracing::info!("fetched {} bytes in {:.1} s from {}", got.bytes, got.seconds, got.source);
    let (path, sha256, bytes) = (order.part, got.sha256, got.bytes);
    Ok(Fetched { path, sha256, bytes, identity, source: got.source })
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
    let places = platform.places();
    for place in &places {
        match http::check_url(place) {
            Ok(url) if http::is_plain_http_beyond_loopback(&url) => tracing::warn!(
                "{} is fetched over plain http: anybody on the way can change it",
                http::redact(place)
            ),
            Err(error) if places.len() > 1 => tracing::warn!("{error}; it is passed over"),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(fetch::Order {
        url: platform.url.clone(),
        mirrors: places.into_iter().skip(1).map(str::to_owned).collect(),
        part: fetch::part_of(&setup.paths.binary(&info.name)),
        expect: checksum.map(|Checksum { algorithm, hex }| fetch::Expected { algorithm, hex }),
        max_bytes: setup.config.daemon.max_binary_size,
        timeouts: setup.timeouts,
        tries: FETCH_TRIES,
    })
}

/// Asks the binary what it is, compares, and gives it its final name.
pub(super) async fn checked(
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
        let _plan = lock_plan(&paths.plan_lock())?;
        let info = files.announcement(&upgrade)?;
        compare(&name, &info, &details)?;
        let identity = put_in_place(&paths, &files, &info, &fetched)?;
        files.keep_details(&info, &details)?;
        Ok(Binary { sha256: fetched.sha256, bytes: fetched.bytes, identity })
    })
    .await
    .map_err(our_failure)?
}

/// Where the plan says what it said, the file in its place is what it was: commands replace both
/// under this lock.
fn lock_plan(path: &Path) -> Result<PlanLock, Failure> {
    PlanLock::acquire_within(path, PLAN_PATIENCE).map_err(|error| plan_failure(&error))
}

fn wrong_build(text: String) -> Failure {
    Failure { code: Code::BuildInfo, text }
}

fn compare(daemon: &str, info: &UpgradeInfo, is: &BuildInfo) -> Result<(), Failure> {
    let Some((what, expected, found)) = info.contradicted_by(daemon, is) else { return Ok(()) };
    Err(wrong_build(format!(
        "the binary of {} says {what} '{found}', expected '{expected}'",
        info.name
    )))
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
    // A person may have put the binary in place while the announced one was being fetched.
    if let Err(error) = fetch::remove_left(&fetch::part_of(&to)) {
        tracing::warn!("{error}");
    }
    Ok(installed.identity)
}

/// Whether two identities are those of one file with the same content.
fn same_but_for_change_time(one: &str, other: &str) -> bool {
    let but_last = |identity: &str| identity.rsplit_once(':').map(|(rest, _)| rest.to_owned());
    but_last(one) == but_last(other)
}
