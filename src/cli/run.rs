//! `run`: supervise the daemon, and upgrade it when an upgrade is due.

use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::{Error, ask, backups, sharing, user};
use crate::config::{self, Config, Env, Paths};
use crate::digest;
use crate::disk::RealDisk;
use crate::host::http::Timeouts;
use crate::host::local::{LocalHost, Setup};
use crate::host::lock::{self, HeldLock};
use crate::host::signals::Signals;
use crate::host::{cgroup, daemon, memory, processes};
use crate::journal::Owner;
use crate::machine::Outcome;
use crate::session::{self, Beginning};
use crate::shell::Shell;
use crate::{logs, narrate, proc};

/// Blocking work is rare and short of parallelism; its threads go soon.
const BLOCKING_THREADS_MAX: usize = 4;
const BLOCKING_THREAD_LIFE: Duration = Duration::from_secs(2);

/// Who still serves the home after so long is no `run` that is about to end.
const STRANGER_STAYS: Duration = Duration::from_secs(1);
/// The end of a process that holds a lock takes no longer than this.
const HOLDER_ENDS: Duration = Duration::from_secs(1);
/// A command that puts a wish on the record has the lock for no longer than this.
const COMMAND_ENDS: Duration = Duration::from_secs(10);
/// Who has just taken the lock may not yet have written into its file what it is.
const HOLDER_STAYS: Duration = Duration::from_millis(100);
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Runs the daemon with these arguments until the run ends.
pub(super) fn run(env: &Env, args: Vec<OsString>) -> Result<(), Error> {
    memory::share_one_heap();
    let (config, paths) = config::load(&RealDisk, env)?;
    user::check_owner([paths.instance().as_path(), paths.data(), paths.home()])?;
    if !config.nymvisor.disable_logs {
        logs::begin(&paths.logs(), config.nymvisor.log_retention);
    }
    if let Err(error) = sharing::register(&RealDisk, &paths) {
        tracing::warn!("`prune` elsewhere can't know of this instance: {error}");
    }
    let token_prefix = token_prefix(&paths);
    let control_groups = paths.control_groups();
    let grace = config.daemon.shutdown_grace_period;
    let owned = |(name, value): (&OsStr, &OsStr)| (name.to_owned(), value.to_owned());
    let environment = env.iter().map(owned).collect();
    let setup = setup(config, paths, args, environment, &token_prefix);
    let runtime = runtime()?;
    // A bug of ours must not cost the daemon its grace: the kernel would kill it with us.
    let run = || LocalSet::new().block_on(&runtime, engine(setup));
    let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        end_daemons(&token_prefix, &control_groups, grace);
        Err(Error::Bug("the engine panicked; the daemon was asked to end".to_owned()))
    });
    // A thread that hangs in a system call must not hold up the end.
    runtime.shutdown_background();
    match outcome? {
        Outcome::Done => Ok(()),
        failed @ Outcome::DaemonFailed(_) => Err(Error::DaemonFailed(format!(
            "{}; what it said itself tells why, and `nymvisor journal show -n 20` what was tried",
            narrate::outcome(failed)
        ))),
        failed @ Outcome::RollBackFailed => Err(Error::DaemonFailed(narrate::outcome(failed))),
    }
}

/// Tells this instance's daemons from those of others.
pub(super) fn token_prefix(paths: &Paths) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut digest = digest::sha256(paths.instance().as_os_str().as_bytes());
    digest.truncate(16);
    digest
}

fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_LIFE)
        .build()
        .map_err(Error::io("start the runtime on", Path::new("this machine")))
}

fn setup(
    config: Config,
    paths: Paths,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    token_prefix: &str,
) -> Setup {
    Setup {
        session: format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%S%.3fZ"), std::process::id()),
        config,
        paths,
        disk: Arc::new(RealDisk),
        args,
        env,
        token_prefix: token_prefix.to_owned(),
        timeouts: Timeouts::default(),
    }
}

async fn engine(setup: Setup) -> Result<Outcome, Error> {
    // Before anything else, so that no stop request is lost.
    let signals = Signals::listen().map_err(|error| Error::Refused(error.to_string()))?;
    let paths = setup.paths.clone();
    let _locks = take_locks(&paths).await?;
    config::claim(&RealDisk, &paths)?;
    refuse_beside_a_stranger(&setup).await?;
    let owner = Owner {
        instance: setup.config.nymvisor.id.clone(),
        daemon: setup.config.daemon.name.clone(),
    };
    let (opened, started) = session::begin(Beginning {
        disk: setup.disk.clone(),
        paths: paths.clone(),
        owner,
        session: setup.session.clone(),
        policy: setup.config.policy(),
        at: Utc::now(),
    })?;
    backups::refuse_half_restored(&paths, &opened.state)?;
    let host = LocalHost::new(setup, signals);
    Ok(Shell::new(opened.state, opened.journal, host).run(started).await)
}

/// One `run` an instance, and one a home.
async fn take_locks(paths: &Paths) -> Result<[HeldLock; 2], Error> {
    Ok([take_lock(&paths.instance_lock()).await?, take_lock(&paths.home_lock()).await?])
}

/// The lock of a `run` that was killed a moment ago is waited for: its end takes the kernel a
/// while, and whoever restarts it may be faster.
async fn take_lock(path: &Path) -> Result<HeldLock, Error> {
    crate::disk::create_dirs(&RealDisk, crate::disk::folder_of(path), 0o755)
        .map_err(Error::io("create the folder of", path))?;
    let content = format!("{}\n", std::process::id());
    let since = Instant::now();
    loop {
        match HeldLock::acquire(path, 0o600, &content) {
            Ok(lock) => return Ok(lock),
            Err(lock::Error::Busy { pid: Some(pid), .. })
                if proc::is_ending(pid) && since.elapsed() < HOLDER_ENDS => {}
            // A command's is free in a moment: that is no reason for the node to stay down.
            Err(lock::Error::Busy { content, .. })
                if ask::is_in_passing(&content) && since.elapsed() < COMMAND_ENDS => {}
            Err(lock::Error::Busy { .. }) if since.elapsed() < HOLDER_STAYS => {}
            Err(error @ lock::Error::Busy { .. }) => {
                return Err(Error::RunsAlready(format!(
                    "nymvisor runs already: {error}; stop that one first, or let it be"
                )));
            }
            Err(error @ lock::Error::Io { .. }) => return Err(Error::Unusable(error.to_string())),
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// A daemon of that home that runs without us would be the second on its data.
///
/// Another `run` that has just lost the race for the locks looks like a stranger for the moment in
/// which it ends, so a stranger is one that stays.
async fn refuse_beside_a_stranger(setup: &Setup) -> Result<(), Error> {
    let sought = sought(&setup.config, &setup.paths, setup.args.clone());
    let since = Instant::now();
    while let Some(stranger) = processes::foreign(&sought) {
        if since.elapsed() >= STRANGER_STAYS {
            return Err(Error::RunsAlready(format!(
                "process {} ({}) already serves {} without this nymvisor: {}; stop it first (if \
                 it is a service of its own, disable that one)",
                stranger.pid,
                stranger.command_line,
                setup.paths.home().display(),
                stranger.why,
            )));
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(())
}

/// What tells a daemon that serves this home.
pub(super) fn sought(config: &Config, paths: &Paths, our_args: Vec<OsString>) -> processes::Sought {
    processes::Sought {
        home: paths.home().to_owned(),
        daemon_name: config.daemon.name.clone(),
        binaries_dir: paths.data().to_owned(),
        our_args,
        user_home: std::env::var_os("HOME"),
        token_prefix: token_prefix(paths),
        config_path: paths.config_file().to_owned(),
        instance_id: config.nymvisor.id.clone(),
    }
}

/// Ends what carries this instance's token, or is in a control group of it: politely first. Groups
/// are left to the next session.
fn end_daemons(token_prefix: &str, control_groups: &Path, grace: Duration) {
    let left = processes::leftovers(token_prefix);
    for daemon in &left {
        let _ = daemon::signal_leader(*daemon, Signal::SIGINT);
    }
    let since = Instant::now();
    while since.elapsed() < grace && left.iter().any(|daemon| processes::is_alive(*daemon)) {
        std::thread::sleep(LOOK_PAUSE);
    }
    for daemon in left {
        let _ = daemon::kill_group(daemon);
    }
    for group in cgroup::left(control_groups, token_prefix) {
        let _ = group.kill();
    }
}
