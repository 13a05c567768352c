//! How much of the machine a copy may take while the daemon runs.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::courtesy::Courtesy;
use super::{Cancel, Error};

/// What the system gives to threads that yield to every other.
const NICE: libc::c_int = 19;
/// `ioprio_set` for one thread: class best-effort, its lowest level. The idle class could wait for
/// ever on a busy disk.
const IOPRIO_WHO_PROCESS: libc::c_long = 1;
const IOPRIO_LOWEST: libc::c_long = (2 << 13) | 7;
/// A cancelled copy doesn't sleep longer than this.
const NAP: Duration = Duration::from_millis(50);
/// What may be read at once after a pause in which nothing was.
const BURST: Duration = Duration::from_millis(100);

/// How a copy goes about its work while the daemon runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tempo {
    /// Bytes of the home, or of the archive where that is read back, in a second; `None` is no
    /// limit.
    pub bytes_per_second: Option<u64>,
    /// Lowest CPU and I/O priority.
    pub background: bool,
}

impl Tempo {
    /// Runs `work` on a thread of its own, since a priority that was lowered can't be raised again.
    pub(super) fn run<T: Send>(
        self,
        path: &Path,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let failed = |error| Error::of("starting a thread to copy to", path, error);
        thread::scope(|scope| {
            let background = self.background;
            let spawned =
                thread::Builder::new().name("backup-copy".into()).spawn_scoped(scope, move || {
                    if background {
                        step_back();
                    }
                    work()
                });
            let joined = spawned.map_err(failed)?.join();
            joined.unwrap_or_else(|_| Err(failed(io::Error::other("the thread broke off"))))
        })
    }
}

/// Lowers the calling thread, and all that it starts from now on. What the system refuses is a
/// loss of courtesy, not of the backup.
#[expect(unsafe_code, reason = "two system calls on plain numbers, for which there is no wrapper")]
fn step_back() {
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0_i64, IOPRIO_LOWEST);
    }
}

/// Spreads reading over time, and over what the daemon leaves of it.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: Option<u64>,
    courtesy: Courtesy,
    /// When what was read so far is paid for.
    paid: Instant,
}

impl Pace {
    /// Nothing was read yet.
    pub(super) fn new(bytes_per_second: Option<u64>, courtesy: Courtesy) -> Self {
        Self { bytes_per_second, courtesy, paid: Instant::now() }
    }

    /// How long it was rested for the daemon's sake.
    pub(super) fn rested(&self) -> Duration {
        self.courtesy.rested()
    }

    /// Waits until so many more bytes may be read.
    pub(super) fn take(&mut self, bytes: u64, cancel: &Cancel) -> Result<(), Error> {
        cancel.check()?;
        self.courtesy.give_way(cancel)?;
        let Some(rate) = self.bytes_per_second else { return Ok(()) };
        let cost = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1)))
                .unwrap_or(u64::MAX),
        );
        let earliest = Instant::now().checked_sub(BURST).unwrap_or(self.paid);
        self.paid = self.paid.max(earliest) + cost;
        loop {
            let left = self.paid.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(NAP));
            cancel.check()?;
        }
    }
}
