//! Operations are counted, and one of them goes wrong.

use std::io;
use std::path::{Path, PathBuf};

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Look,
    Read,
    Open,
    Create,
    Write,
    Sync,
    Truncate,
    Rename,
    Remove,
    SyncDir,
}

impl Op {
    /// Whether anything is different after it.
    pub(crate) fn changes(self) -> bool {
        !matches!(self, Self::Look | Self::Read | Self::Open)
    }

    /// Whether it takes room.
    pub(crate) fn takes_room(self) -> bool {
        matches!(self, Self::Create | Self::Write | Self::Rename | Self::Sync)
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// From here on nothing is done any more.
    Stop,
    /// This operation fails, and so do those that follow, so many in all: no room.
    NoRoom(u64),
    /// The same with an error of input and output. After a failed sync what was to be synced is
    /// gone; while `cache_lies`, readers still see it.
    Io { lasts: u64, cache_lies: bool },
}

/// Something goes wrong at the operation of this number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: u64,
    pub(crate) reach: Reach,
    /// From the operation of this number on nothing is done any more.
    pub(crate) stops_at: Option<u64>,
}

impl Fault {
    pub(crate) fn new(at: u64, reach: Reach) -> Self {
        Self { at, reach, stops_at: None }
    }
}

/// The marker of what a stopped world answers, once it has stopped.
const STOPPED: &str = "the world has stopped";

#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    count: u64,
    fault: Option<Fault>,
    hit: bool,
    stopped: bool,
    quiet: bool,
    trace: Option<Vec<(Op, PathBuf)>>,
}

impl Counter {
    pub(super) fn plan(&mut self, fault: Option<Fault>) {
        *self = Self { fault, trace: self.trace.take(), ..Self::default() };
    }

    pub(super) fn plan_if_none(&mut self, fault: Fault) {
        if self.fault.is_none() || self.hit {
            self.plan(Some(fault));
        }
    }

    pub(super) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    pub(super) fn trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    pub(super) fn traced(&mut self) -> Vec<(Op, PathBuf)> {
        self.trace.take().unwrap_or_default()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn was_hit(&self) -> bool {
        self.hit
    }

    pub(super) fn cache_lies(&self) -> bool {
        matches!(self.fault, Some(Fault { reach: Reach::Io { cache_lies: true, .. }, .. }))
    }

    /// Whether the error is that of an operation that was under way, not of a later one.
    pub(super) fn is_first(error: &io::Error) -> bool {
        error.to_string() != STOPPED
    }

    pub(super) fn count(&mut self, op: Op, path: &Path) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        if self.stopped {
            return Err(io::Error::other(STOPPED));
        }
        self.count += 1;
        if let Some(trace) = &mut self.trace {
            trace.push((op, path.to_owned()));
        }
        let Some(fault) = self.fault else { return Ok(()) };
        let lasts = |lasts: u64| (fault.at..fault.at + lasts).contains(&self.count);
        if fault.stops_at.is_some_and(|at| self.count >= at) {
            self.stopped = true;
            self.hit = true;
            return Err(io::Error::from_raw_os_error(nix::libc::EINTR));
        }
        let error = match fault.reach {
            Reach::Stop if self.count >= fault.at => {
                self.stopped = true;
                nix::libc::EINTR
            }
            Reach::NoRoom(times) if lasts(times) && op.takes_room() => nix::libc::ENOSPC,
            Reach::Io { lasts: times, .. } if lasts(times) => nix::libc::EIO,
            Reach::Stop | Reach::NoRoom(_) | Reach::Io { .. } => return Ok(()),
        };
        self.hit = true;
        Err(io::Error::from_raw_os_error(error))
    }
}
