//! What a service manager is told: `sd_notify(3)`, and the watchdog of `sd_watchdog_enabled(3)`.
//!
//! Nothing of it exists where `NOTIFY_SOCKET` is not set. Where it is, a datagram goes out when
//! what it says has changed; a timer runs only while the manager's own one does (until the daemon
//! is first up, and from the beginning of a stop on), and for a watchdog that was asked for.
//!
//! It is done with the standard library: one socket that never blocks, and nothing to depend on.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};

use crate::machine::State;

mod standing;

pub use standing::Standing;

/// How often more time is asked for, and how much of it each time. A disk may stall us for long;
/// an engine that hangs for longer than this is to be ended by the manager's own time-out.
const PULSE: Duration = Duration::from_secs(2);
const MORE_TIME: Duration = Duration::from_secs(30);

/// Nobody means less than this.
const WATCHDOG_PAUSE_MIN: Duration = Duration::from_millis(1);

/// What the manager knows, and what it is to know.
#[derive(Debug, Default)]
struct Told {
    wanted: Standing,
    status: String,
    ready: bool,
    stopping: bool,
    /// Its queue was full the last time.
    behind: bool,
}

/// The manager that started us.
#[derive(Debug)]
pub struct Manager {
    line: Rc<Line>,
    pulse: Option<AbortHandle>,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    told: RefCell<Told>,
}

impl Manager {
    /// The one that this environment names. That it can't be told anything is logged, and is no
    /// reason not to run. Within a runtime.
    #[must_use]
    pub fn of(env: &[(OsString, OsString)]) -> Option<Self> {
        let get = |name: &str| {
            let found = env.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
        };
        let name = get("NOTIFY_SOCKET")?;
        let line = match Line::to(name) {
            Ok(line) => Rc::new(line),
            Err(error) => {
                tracing::warn!("no service manager is told anything: NOTIFY_SOCKET: {error}");
                return None;
            }
        };
        let number = |name| get(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = get("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
        if let Some(micros) = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0) {
            let (line, pause) = (line.clone(), Duration::from_micros(micros) / 2);
            let pause = pause.max(WATCHDOG_PAUSE_MIN);
            spawn_local(async move {
                loop {
                    // A beat that is lost is made up for by the next.
                    let _ = line.send("WATCHDOG=1\n");
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Some(Self { line, pulse: None })
    }

    /// The engine stands so from now on.
    pub fn tell(&mut self, state: &State) {
        self.line.told.borrow_mut().wanted = Standing::of(state);
        self.line.tell();
        if self.pulse.as_ref().is_none_or(AbortHandle::is_finished) && self.line.has_more_to_say() {
            let line = self.line.clone();
            let pulse = spawn_local(async move {
                while line.has_more_to_say() {
                    tokio::time::sleep(PULSE).await;
                    line.tell();
                }
            });
            self.pulse = Some(pulse.abort_handle());
        }
    }
}

impl Line {
    /// A path, or the name of an abstract socket behind an `@`.
    fn to(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            Some((b'/', _)) => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("neither a path nor the name of a Unix socket")),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that doesn't read must not hold up the engine.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, told: RefCell::default() })
    }

    /// Something is to be said though nothing changes: the manager waits for us, for the first
    /// daemon to be up or for our end, or could not take what there was.
    fn has_more_to_say(&self) -> bool {
        let told = self.told.borrow();
        told.behind || told.wanted.needs_time(told.ready, told.stopping)
    }

    /// Says what is new. What could not be delivered is new the next time too.
    fn tell(&self) {
        let mut message = String::new();
        let told = &mut *self.told.borrow_mut();
        let stopping = told.stopping || told.wanted.is_ending;
        let ready = told.ready || (told.wanted.is_up && !stopping);
        if stopping && !told.stopping {
            message.push_str("STOPPING=1\n");
        }
        if ready && !told.ready {
            message.push_str("READY=1\n");
        }
        if told.wanted.status != told.status {
            // Writing to a String can't fail.
            let _ = writeln!(message, "STATUS={}", told.wanted.status);
        }
        if told.wanted.needs_time(ready, stopping) {
            let _ = writeln!(message, "EXTEND_TIMEOUT_USEC={}", MORE_TIME.as_micros());
        }
        let sent = if message.is_empty() { Ok(()) } else { self.send(&message) };
        // One that is gone for good is not tried again and again.
        told.behind = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if sent.is_ok() {
            (told.ready, told.stopping) = (ready, stopping);
            told.status.clone_from(&told.wanted.status);
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        // By its name each time: a manager that was started anew has bound it anew.
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        if let Err(error) = &sent {
            tracing::debug!("the service manager could not be told: {error}");
        }
        sent.map(drop)
    }
}
