//! A process that waits where the daemon is to run, and becomes it at a word.
//!
//! It takes the kernel some 15 ms to move a process into another control group, which the time
//! between two daemons hasn't got; a fork that begins in that group (`clone3`) is refused where
//! namespaces are, as in the unit of `systemd-unit`. So this program is started once more while the
//! old daemon still runs, moves itself, and waits. At the word it executes what it is told to, and
//! is the daemon: its process is ours, and leads its own group, from the beginning.

use std::ffi::{CStr, CString, OsString};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::process::Command as Prepared;

use super::image::Image;
use super::{
    BUSY_PAUSE, BUSY_TRIES_MAX, Command, Error, LOOK_PAUSE_MIN, Running, before_exec, identify,
    is_busy, kill_group, signal_leader,
};

/// What such a process is called, before who started it and what it has to write 0 to. No file has
/// that name.
const NAME: &str = "nymvisor, about to be a daemon";
/// The same in 15 bytes, for `top`. Who looks for the process `nymvisor` means another one.
const SHORT_NAME: &CStr = c"nymvisor-waits";
/// To get into the group takes tens of milliseconds. Who isn't there after this is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// To execute a program takes as long as the disk needs to hand it out. Who hasn't done it after
/// this may have been frozen while it waited.
const EXECUTION_PATIENCE: Duration = Duration::from_secs(5);

/// A process that waits. Without a word it ends with us, and when this is dropped.
#[derive(Debug)]
pub struct Poised {
    running: Running,
    stream: UnixStream,
}

/// Why a process that was to wait did not become a daemon.
#[derive(Debug, thiserror::Error)]
pub enum Unreleased {
    /// It did not get to where it was to wait, or did not hear the word; it will never be the
    /// daemon, and any other start may do better.
    #[error("a process can't be moved into a control group, and wait there: {0}")]
    Outside(io::Error),
    /// The daemon itself can't be started.
    #[error(transparent)]
    Start(#[from] Error),
}

/// Starts one that waits in the group with this entrance. On the main thread: see [`super::spawn`].
pub fn poise(entrance: &Path) -> io::Result<Poised> {
    let (ours, its) = UnixStream::pair()?;
    ours.set_read_timeout(Some(PATIENCE))?;
    ours.set_write_timeout(Some(PATIENCE))?;
    let parent = nix::unistd::getpid();
    let mut prepared = Prepared::new("/proc/self/exe");
    prepared.arg0(NAME).arg(parent.to_string()).arg(entrance);
    prepared.env_clear().stdin(OwnedFd::from(its)).process_group(0);
    #[expect(unsafe_code, reason = "the closure makes only async-signal-safe system calls")]
    unsafe {
        prepared.pre_exec(move || before_exec(parent));
    }
    let child = prepared.spawn()?;
    let running = identify(child, Instant::now()).map_err(io::Error::other)?;
    Ok(Poised { running, stream: ours })
}

impl Poised {
    /// Whether it is in its group, or has said why not: then [`Poised::release`] waits for nothing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut stream = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        poll(&mut stream, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Lets it become the daemon, and returns once it has.
    ///
    /// That is a matter of moments, unless it has been started only now: then the wait is for the
    /// kernel, which moves it. A binary that is still being written to somewhere else holds the
    /// call up for 100 ms at most.
    pub fn release(mut self, command: &Command) -> Result<Running, Unreleased> {
        let failed = |source| Error::Start { binary: command.binary.clone(), source };
        let image = Image::of(command).map_err(failed)?;
        // Somebody may have stopped it while it waited.
        let _ = signal_leader(self.running.daemon, Signal::SIGCONT);
        let outside = match answer(&mut self.stream) {
            Ok(Some(0)) => self.stream.write_all(&encoded(image.words())),
            Ok(Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Ok(None) => Err(io::Error::other("it ended before it was there")),
            Err(error) => Err(error),
        };
        if let Err(error) = outside {
            self.kill();
            return Err(Unreleased::Outside(error));
        }
        self.running.started = Instant::now();
        let _ = self.stream.set_read_timeout(Some(EXECUTION_PATIENCE));
        let executed = match answer(&mut self.stream) {
            // Its end of the stream is closed by the execution alone.
            Ok(None) => return Ok(self.running),
            Ok(Some(errno)) => Ok(io::Error::from_raw_os_error(errno)),
            Err(error) => Err(error),
        };
        // It has the word: while it is there it may yet be a daemon, and a second one.
        self.kill();
        Err(match (executed, self.is_over()) {
            (Err(error), true) => Unreleased::Outside(error),
            (Ok(error) | Err(error), _) => failed(error).into(),
        })
    }

    /// Whether its process, which was killed, ends in the time that may be expected.
    fn is_over(&mut self) -> bool {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if matches!(self.running.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(LOOK_PAUSE_MIN);
        }
        false
    }

    /// Ends it, and waits for that as long as may be expected of a process that does nothing.
    pub async fn dismiss(mut self) {
        self.kill();
        let _ = tokio::time::timeout(PATIENCE, self.running.ended()).await;
    }

    fn kill(&self) {
        if let Err(error) = kill_group(self.running.daemon) {
            tracing::debug!("{error}");
        }
    }
}

/// What the other end says next; `None` once it says no more.
fn answer(stream: &mut UnixStream) -> io::Result<Option<i32>> {
    let mut bytes = [0; 4];
    match stream.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(i32::from_be_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // What the system says of it is `Resource temporarily unavailable`.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer"))
        }
        Err(error) => Err(error),
    }
}

/// For the beginning of the program: where it was started to wait, it does, and comes back only if
/// it can't be the daemon.
#[must_use]
pub fn wait_if_poised(args: &[OsString]) -> Option<ExitCode> {
    let [name, parent, entrance] = args else { return None };
    if name != NAME {
        return None;
    }
    let parent = parent.to_str().and_then(|parent| parent.parse().ok())?;
    // What there is to say is said on the stream; who isn't there hears nothing.
    let _ = wait(Pid::from_raw(parent), Path::new(entrance));
    Some(ExitCode::FAILURE)
}

fn wait(parent: Pid, entrance: &Path) -> io::Result<()> {
    // Another program than the one that forked may have lost what was set there.
    before_exec(parent)?;
    // It would be called after the path that it was started by: `exe`.
    nix::sys::prctl::set_name(SHORT_NAME)?;
    // The copy is closed by the execution.
    let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let entered = std::fs::write(entrance, "0");
    tell(&mut stream, entered.err().map_or(0, |error| errno(&error)))?;
    let image = Image::of_words(decoded(&mut BufReader::new(&stream))?);
    let mut tries = 1;
    loop {
        let Err(error) = image.exec() else { return Ok(()) };
        if !is_busy(&error) || tries == BUSY_TRIES_MAX {
            return tell(&mut stream, errno(&error));
        }
        tries += 1;
        std::thread::sleep(BUSY_PAUSE);
    }
}

fn tell(stream: &mut UnixStream, errno: i32) -> io::Result<()> {
    stream.write_all(&errno.to_be_bytes())
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO as i32)
}

/// How many words, then each with its length; arguments and environment.
fn encoded(lists: &[Vec<CString>; 2]) -> Vec<u8> {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::new();
    for words in lists {
        bytes.extend(number(words.len()));
        for word in words {
            bytes.extend(number(word.as_bytes().len()));
            bytes.extend(word.as_bytes());
        }
    }
    bytes
}

fn decoded(stream: &mut impl Read) -> io::Result<[Vec<CString>; 2]> {
    let mut list = || -> io::Result<Vec<CString>> {
        let words = number(stream)?;
        (0..words)
            .map(|_| {
                let mut word = vec![0; usize::try_from(number(stream)?).unwrap_or_default()];
                stream.read_exact(&mut word)?;
                Ok(CString::new(word)?)
            })
            .collect()
    };
    Ok([list()?, list()?])
}

fn number(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}
