//! Who goes first: what is done beside a daemon stands back while the daemon writes.
//!
//! Priorities don't help a daemon that syncs: it waits for the medium, and the queue of that knows
//! none on most machines. So the work is done in slices. After each the daemon's own account of
//! bytes that went to storage is looked at, and where it grew all threads of the copy rest for a
//! multiple of what the slice took. A daemon that doesn't write costs the copy a look a slice; one
//! that writes now and then, a rest for each time; one that never stops, all but
//! [`1 / (1 + RESTS)`](RESTS) of the time, which is the floor.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, str, thread};

use super::{Cancel, Error};
use crate::proc;

/// Of work between two looks. Less is hardly seen by a daemon that waits for a medium anyway.
pub const SLICE: Duration = Duration::from_millis(10);
/// So many times what the slice took, it is rested after it.
pub const RESTS: u32 = 12;
/// A slice takes as long as the medium, and a process that was stopped may stand in one for hours.
pub const REST_MAX: Duration = Duration::from_secs(1);
/// A cancelled copy doesn't rest longer than this: the daemon may be down by then.
const NAP: Duration = Duration::from_millis(5);
/// Processes come and go more rarely than they write, and to find them costs more.
const LISTED: Duration = Duration::from_millis(500);

/// What a look at the daemon found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It wrote nothing since the look before.
    Quiet,
    /// It did.
    Wrote,
    /// It doesn't show what it writes (hidden, of another user, or with more rights than ours).
    Hidden,
}

/// How long to rest after a slice that took so long. A daemon that can't be seen is taken to write.
#[must_use]
pub fn rest(slice: Duration, look: Look) -> Duration {
    match look {
        Look::Quiet => Duration::ZERO,
        Look::Wrote | Look::Hidden => slice.saturating_mul(RESTS).min(REST_MAX),
    }
}

/// The turns of one piece of work, held by the thread that hands it out.
#[derive(Debug)]
pub(super) struct Courtesy {
    daemon: Option<Daemon>,
    /// When the slice began.
    since: Instant,
    rested: Duration,
    gate: Gate,
}

impl Courtesy {
    /// Towards the processes of this group; without one there is nobody to stand back for.
    pub(super) fn towards(group: Option<u32>) -> Self {
        let mut daemon = group.map(Daemon::of);
        if let Some(daemon) = &mut daemon {
            // What it wrote before is no matter.
            daemon.look();
        }
        Self { daemon, since: Instant::now(), rested: Duration::ZERO, gate: Gate::default() }
    }

    /// For the other threads.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// How long it was rested in all.
    pub(super) fn rested(&self) -> Duration {
        self.rested
    }

    /// To be called between pieces of the work: rests where it is time to.
    pub(super) fn give_way(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        let slice = self.since.elapsed();
        if slice < SLICE {
            return Ok(());
        }
        let rest = rest(slice, daemon.look());
        let rested = if rest.is_zero() { Ok(()) } else { self.rest(rest, cancel) };
        self.since = Instant::now();
        rested
    }

    fn rest(&mut self, rest: Duration, cancel: &Cancel) -> Result<(), Error> {
        self.gate.set(true);
        let since = Instant::now();
        let cancelled = loop {
            let left = rest.saturating_sub(since.elapsed());
            let cancelled = cancel.check();
            if left.is_zero() || cancelled.is_err() {
                break cancelled;
            }
            thread::sleep(left.min(NAP));
        };
        self.rested += since.elapsed();
        self.gate.set(false);
        cancelled
    }
}

/// Where the other threads of the work wait while it is rested.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn hold(&self) -> MutexGuard<'_, bool> {
        // A truth value is whole whoever broke off.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, is_shut: bool) {
        *self.hold() = is_shut;
        self.0.1.notify_all();
    }

    /// Waits until work goes on.
    pub(super) fn pass(&self) {
        let waited = self.0.1.wait_while(self.hold(), |is_shut| *is_shut);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What the processes of a group have written.
#[derive(Debug)]
struct Daemon {
    group: u32,
    processes: Vec<u32>,
    listed: Option<Instant>,
    bytes: u64,
    is_hidden: bool,
}

impl Daemon {
    fn of(group: u32) -> Self {
        Self { group, processes: Vec::new(), listed: None, bytes: 0, is_hidden: false }
    }

    fn look(&mut self) -> Look {
        if self.is_hidden {
            return Look::Hidden;
        }
        match self.written() {
            Ok(bytes) if bytes == self.bytes => Look::Quiet,
            // With a process that ended, its account is gone.
            Ok(bytes) => {
                self.bytes = bytes;
                Look::Wrote
            }
            Err(error) => {
                self.is_hidden = true;
                tracing::info!(
                    "what the daemon writes can't be seen ({error}); the backup is made as slowly \
                     as if it did all the time"
                );
                Look::Hidden
            }
        }
    }

    fn written(&mut self) -> io::Result<u64> {
        if self.listed.is_none_or(|at| at.elapsed() >= LISTED) {
            let ours = std::process::id();
            let stats = proc::stats()?.into_iter();
            let others = stats.filter(|it| it.group == self.group && it.live && it.pid != ours);
            self.processes = others.map(|stat| stat.pid).collect();
            self.listed = Some(Instant::now());
        }
        let mut bytes: u64 = 0;
        for pid in &self.processes {
            match fs::read(format!("/proc/{pid}/io")).and_then(|account| written(&account)) {
                Ok(more) => bytes = bytes.wrapping_add(more),
                Err(_) if proc::is_ending(*pid) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }
}

/// Bytes that a process sent towards storage, not to sockets and pipes: `write_bytes: <number>`.
fn written(account: &[u8]) -> io::Result<u64> {
    let mut lines = account.split(|byte| *byte == b'\n');
    let number = lines.find_map(|line| line.strip_prefix(b"write_bytes: "));
    let number = number.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    number.ok_or_else(|| io::Error::other("its account has no such line"))
}
