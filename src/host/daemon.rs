//! The daemon's process: started, signalled, ended, and gone with everything it started.
//!
//! The daemon leads a process group of its own. A terminal's Ctrl-C therefore reaches us alone, and
//! one signal to the group ends its helpers too. The kernel kills the daemon when we die.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::Child;

use crate::machine::{Daemon, Ending};
use crate::proc::{self, Awaited, Stat};

mod image;
mod poised;
mod strays;

pub use poised::{Poised, Unreleased, poise, wait_if_poised};
pub use strays::Strays;

use image::Image;
use strays::bury_group;

/// The variable that marks a daemon, and what it started, as one of a session of ours.
pub const TOKEN_VARIABLE: &str = "NYMVISOR_SESSION_TOKEN";

/// What a service manager tells us alone; a daemon that saw it would answer in our name.
const NOT_INHERITED: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A binary that another thread of ours has just written can't be executed for the instant in
/// which a child forked meanwhile still has it open for writing.
const BUSY_TRIES_MAX: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(5);

const LOOK_PAUSE_MIN: Duration = Duration::from_millis(1);
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(100);
/// A group that outlives SIGKILL for so long is stuck in the kernel: somebody should know.
const GONE_WARNING_AFTER: Duration = Duration::from_secs(5);

/// What could not be done to a daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary could not be executed.
    #[error(
        "can't start {}: {source}; it must be an executable file for this machine",
        binary.display()
    )]
    Start {
        /// The binary.
        binary: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It runs no more, or `/proc` can't be read.
    #[error("can't tell process {pid} from others: {source}; /proc must be mounted and readable")]
    Identity {
        /// The process.
        pid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// The system refused to deliver a signal.
    #[error("can't send {signal} to process {pid}: {source}")]
    Signal {
        /// The process, or the group it leads.
        pid: u32,
        /// The signal.
        signal: Signal,
        /// The system's answer.
        source: Errno,
    },
}

/// What is to be executed, and with what.
///
/// The environment is ours, without what is for us alone (`NOT_INHERITED`) and `remove_env`, with
/// `envs` and the token added.
#[derive(Debug, Clone)]
pub struct Command {
    /// The executable; also its `argv[0]`.
    pub binary: PathBuf,
    /// Arguments, of any bytes.
    pub args: Vec<OsString>,
    /// Value of [`TOKEN_VARIABLE`]: `<instance>:<session>`.
    pub token: String,
    /// Further variables to be taken out.
    pub remove_env: Vec<OsString>,
    /// Variables to be set.
    pub envs: Vec<(OsString, OsString)>,
}

/// A daemon that is our child.
///
/// Dropping it neither ends the daemon nor waits for it.
#[derive(Debug)]
pub struct Running {
    /// Which process it is.
    pub daemon: Daemon,
    child: Child,
    _awaited: Awaited,
    started: Instant,
    ended: Option<Instant>,
}

/// Starts a daemon.
///
/// Must be called on the main thread, inside a runtime that runs on it: the kernel sends the
/// parent-death signal when the *thread* that forked ends, and a pool's threads come and go.
/// A binary that is still being written to somewhere else holds the call up for 100 ms at most.
pub fn spawn(command: &Command) -> Result<Running, Error> {
    let failed = |source| Error::Start { binary: command.binary.clone(), source };
    let mut prepared = prepare(command).map_err(failed)?;
    start(command, &mut prepared)
}

/// Starts a command whose output comes to us, both streams in one: see [`spawn`].
pub fn spawn_captured(command: &Command) -> Result<(Running, pipe::Receiver), Error> {
    let failed = |source| Error::Start { binary: command.binary.clone(), source };
    let mut prepared = prepare(command).map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
    prepared.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    // What is prepared holds our ends for writing, and goes with this call.
    Ok((start(command, &mut prepared)?, reader))
}

fn start(command: &Command, prepared: &mut tokio::process::Command) -> Result<Running, Error> {
    let failed = |source| Error::Start { binary: command.binary.clone(), source };
    let mut tries = 1;
    let child = loop {
        match prepared.spawn() {
            Err(error) if is_busy(&error) && tries < BUSY_TRIES_MAX => {
                tries += 1;
                std::thread::sleep(BUSY_PAUSE);
            }
            other => break other,
        }
    }
    .map_err(failed)?;
    let started = Instant::now();
    identify(child, started)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ETXTBSY as i32)
}

fn identify(mut child: Child, started: Instant) -> Result<Running, Error> {
    // Not waited for, hence at least a zombie: its id is there, and is its own.
    let pid = child.id().unwrap_or_default();
    let awaited = Awaited::of(pid);
    match proc::stat(pid) {
        Ok(stat) => {
            let daemon = Daemon { pid, started_ticks: stat.started_ticks };
            Ok(Running { daemon, child, _awaited: awaited, started, ended: None })
        }
        Err(source) => {
            // One that can't be told from others can't be supervised.
            let _ = child.start_kill();
            Err(Error::Identity { pid, source })
        }
    }
}

fn prepare(command: &Command) -> io::Result<tokio::process::Command> {
    let image = Image::of(command)?;
    let mut prepared = tokio::process::Command::new(&command.binary);
    prepared
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .process_group(0);
    let parent = nix::unistd::getpid();
    #[expect(unsafe_code, reason = "the closure makes only async-signal-safe system calls")]
    unsafe {
        prepared.pre_exec(move || {
            before_exec(parent)?;
            image.exec()
        });
    }
    Ok(prepared)
}

/// Runs in the child between fork and exec: no allocation, no lock, system calls alone.
fn before_exec(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that died before that call sends no signal any more.
    if nix::unistd::getppid() != parent {
        return Err(Errno::ESRCH.into());
    }
    // A shell without job control starts what is in the background with these ignored, and exec
    // keeps that: the daemon would be deaf to the polite signal. A SIGHUP that `nohup` has set
    // aside stays so. SIGPIPE is ignored by our own runtime.
    let heard = [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
    ];
    for signal in heard {
        #[expect(unsafe_code, reason = "the default action runs no code of ours")]
        unsafe {
            nix::sys::signal::signal(signal, SigHandler::SigDfl)?;
        }
    }
    // The standard library has blocked all signals for the fork.
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

impl Running {
    /// Waits until the daemon's own process has ended, and takes its status from the system.
    ///
    /// Safe to cancel and to call again. What it started may live on: see [`group_gone`].
    pub async fn ended(&mut self) -> Ending {
        use std::os::unix::process::ExitStatusExt;

        let waited = self.child.wait().await;
        self.ended.get_or_insert_with(Instant::now);
        match waited {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exited(code),
                (None, Some(signal)) => Ending::Killed(signal),
                (None, None) => UNKNOWN_ENDING,
            },
            Err(error) => {
                tracing::error!("the status of process {} is lost: {error}", self.daemon.pid);
                let _ = kill_group(self.daemon);
                UNKNOWN_ENDING
            }
        }
    }

    /// For how long it has run, or ran.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.started)
    }
}

/// A status that the system doesn't tell counts as a crash.
const UNKNOWN_ENDING: Ending = Ending::Exited(-1);

/// Sends a signal to the daemon's own process; `false` where that is gone already.
///
/// The start time is looked at first, so that a later process with the same id is left alone.
pub fn signal_leader(daemon: Daemon, signal: Signal) -> Result<bool, Error> {
    if !proc::stat(daemon.pid).is_ok_and(|stat| is_it(&stat, daemon)) {
        return Ok(false);
    }
    match kill(id(daemon.pid), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(source) => Err(Error::Signal { pid: daemon.pid, signal, source }),
    }
}

/// Sends SIGKILL to all of the daemon's process group; `false` where nobody is in it.
pub fn kill_group(daemon: Daemon) -> Result<bool, Error> {
    signal_group(daemon, Signal::SIGKILL)
}

/// Sends a signal to all of the daemon's process group; `false` where nobody is in it.
pub fn signal_group(daemon: Daemon, signal: Signal) -> Result<bool, Error> {
    // To the system, 0 is our own group and 1 is everybody.
    if daemon.pid <= 1 {
        return Ok(false);
    }
    // An id is not given out again while a group has it. One that belongs to another process by
    // now says that the group is gone.
    if proc::stat(daemon.pid).is_ok_and(|stat| !is_it(&stat, daemon)) {
        return Ok(false);
    }
    match killpg(id(daemon.pid), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(source) => Err(Error::Signal { pid: daemon.pid, signal, source }),
    }
}

/// Ends what is left of the daemon's process group and waits until nobody in it can act.
///
/// Returns at once where the group is empty. Zombies don't count: who must bury them is not known,
/// and they hold nothing. It never gives up, since a new daemon beside an old one's helpers would
/// share its home; after 5 s it warns once, with the ids.
pub async fn group_gone(daemon: Daemon) {
    let since = Instant::now();
    let mut pause = LOOK_PAUSE_MIN;
    if kill_group(daemon).unwrap_or(true) {
        // Helpers are mostly gone, and buried, in less time than a look at all processes takes.
        tokio::time::sleep(pause).await;
    }
    let mut warned = false;
    bury_group(daemon);
    // A refused signal (a helper of another user) leaves nothing but to wait for its end.
    while kill_group(daemon).unwrap_or(true) {
        let members = members(daemon);
        if members.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        if !warned && since.elapsed() > GONE_WARNING_AFTER {
            warned = true;
            tracing::warn!(
                "processes of the daemon's group {} are still there after SIGKILL: {}",
                daemon.pid,
                members.map_or_else(|error| error.to_string(), |pids| format!("{pids:?}")),
            );
        }
        tokio::time::sleep(pause).await;
        pause = LOOK_PAUSE_MAX.min(pause * 2);
        bury_group(daemon);
    }
}

/// The members of the daemon's process group that can still act.
fn members(daemon: Daemon) -> io::Result<Vec<u32>> {
    let all = proc::stats()?;
    Ok(all
        .into_iter()
        .filter(|stat| stat.group == daemon.pid && stat.live)
        .map(|stat| stat.pid)
        .collect())
}

fn is_it(stat: &Stat, daemon: Daemon) -> bool {
    stat.started_ticks == daemon.started_ticks
}

/// A process id as system calls take it; one beyond their range names nobody.
fn id(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}
