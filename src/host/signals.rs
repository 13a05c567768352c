//! Requests that arrive as signals.

use std::future::poll_fn;
use std::task::Poll;
use std::{fs, io};

use nix::sys::signal::{self, SigSet};
use tokio::signal::unix::{Signal as Stream, SignalKind};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, SIGTERM or SIGQUIT: end the daemon, then ourselves.
    Stop(signal::Signal),
    /// SIGHUP, SIGUSR1 or SIGUSR2: meant for the daemon.
    Forward(signal::Signal),
}

/// Asking comes first: where several signals wait, a request to stop is seen before the others.
const HEARD: [Signal; 6] = [
    Signal::Stop(signal::Signal::SIGTERM),
    Signal::Stop(signal::Signal::SIGINT),
    Signal::Stop(signal::Signal::SIGQUIT),
    Signal::Forward(signal::Signal::SIGHUP),
    Signal::Forward(signal::Signal::SIGUSR1),
    Signal::Forward(signal::Signal::SIGUSR2),
];

/// The system refused a handler.
#[derive(Debug, thiserror::Error)]
#[error("can't listen for {signal}: {source}")]
pub struct Error {
    /// The signal.
    pub signal: signal::Signal,
    /// The system's answer.
    pub source: io::Error,
}

/// The stream of requests. From its making on none of these signals ends the process, and none is
/// lost; equal ones that arrive before they are read may count as one.
#[derive(Debug)]
pub struct Signals {
    heard: Vec<(Signal, Stream)>,
    /// Held for its handler alone: a launcher that ignores SIGCHLD hands that down, and the kernel
    /// then throws the status of every child away.
    _children: Stream,
}

impl Signals {
    /// Begins to listen. To be called before anything else is started, within the runtime.
    ///
    /// A SIGHUP that is ignored already (`nohup`) stays so, for the daemon too. Signals that a
    /// launcher has blocked, and whose mask exec hands down, are let through again.
    pub fn listen() -> Result<Self, Error> {
        let mut heard = Vec::with_capacity(HEARD.len());
        let mut let_through = SigSet::from_iter([signal::Signal::SIGCHLD]);
        for wanted in HEARD {
            let (Signal::Stop(signal) | Signal::Forward(signal)) = wanted;
            let_through.add(signal);
            if signal == signal::Signal::SIGHUP && is_ignored(signal) {
                continue;
            }
            heard.push((wanted, stream(signal)?));
        }
        let children = stream(signal::Signal::SIGCHLD)?;
        // Only now that each has its handler: one that waits would end the process.
        let_through
            .thread_unblock()
            .map_err(|errno| Error { signal: signal::Signal::SIGCHLD, source: errno.into() })?;
        Ok(Self { heard, _children: children })
    }

    /// Waits for the next request. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.heard {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn stream(signal: signal::Signal) -> Result<Stream, Error> {
    tokio::signal::unix::signal(SignalKind::from_raw(signal as i32))
        .map_err(|source| Error { signal, source })
}

/// Whether this process ignores `signal`, by the mask in `/proc/self/status`.
fn is_ignored(signal: signal::Signal) -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}
