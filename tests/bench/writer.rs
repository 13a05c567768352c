//! What a daemon that writes and syncs all the time notices of the copy that is made ahead.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::copier::Copier;
use crate::homes::{Home, noise};
use crate::table::{UNKNOWN, is_full, row};

/// Phases with the copy and phases without take turns.
const TURNS: usize = 4;
const WRITTEN_BYTES: usize = 4096;
/// The file is in the home, and would else be most of it before long.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Between two phases: what the one left behind is no matter of the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Without the copy the rate is known after a while.
const ALONE_MAX: Duration = Duration::from_secs(5);

pub(crate) fn print() {
    let size_mib = if is_full() { 1024 } else { 256 };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    Home::Large(size_mib).make(&home);
    let (rounds, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let (mut alone, mut first, mut read) = (Rate::default(), Rate::default(), Rate::default());
    thread::scope(|scope| {
        scope.spawn(|| write(&home.join("log"), &rounds, &is_over));
        for _ in 0..TURNS {
            forget(&home);
            nix::unistd::sync();
            thread::sleep(PAUSE);
            let mut copier = Copier::start(folder.path());
            let took = first.count(&rounds, || copier.answer());
            read.count(&rounds, || copier.answer());
            drop(copier);
            nix::unistd::sync();
            thread::sleep(PAUSE);
            alone.count(&rounds, || {
                thread::sleep(took.min(ALONE_MAX));
                took
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let of = "4 KiB written and synced on and on";
    row(&format!("{of}: alone"), &format!("{:.0}", alone.a_second()), "/s", UNKNOWN);
    row(&format!("{of}: first pass"), &format!("{:.0}", first.a_second()), "/s", UNKNOWN);
    row("  slow-down", &first.below(&alone), "%", "");
    row(&format!("{of}: read back"), &format!("{:.0}", read.a_second()), "/s", UNKNOWN);
    row("  slow-down", &read.below(&alone), "%", "");
}

/// Rounds in all phases of a kind.
#[derive(Debug, Default)]
struct Rate {
    rounds: u32,
    time: Duration,
}

impl Rate {
    fn count(&mut self, rounds: &AtomicU32, phase: impl FnOnce() -> Duration) -> Duration {
        let (before, since) = (rounds.load(Ordering::Relaxed), Instant::now());
        let took = phase();
        self.rounds += rounds.load(Ordering::Relaxed) - before;
        self.time += since.elapsed();
        took
    }

    fn a_second(&self) -> f64 {
        f64::from(self.rounds) / self.time.as_secs_f64()
    }

    fn below(&self, other: &Self) -> String {
        format!("{:.1}", 100.0 - 100.0 * self.a_second() / other.a_second())
    }
}

/// The daemon.
fn write(path: &Path, rounds: &AtomicU32, is_over: &AtomicBool) {
    let mut file = File::create(path).unwrap();
    let piece = noise(7, WRITTEN_BYTES);
    while !is_over.load(Ordering::Relaxed) {
        file.write_all(&piece).unwrap();
        file.sync_data().unwrap();
        if file.stream_position().unwrap() >= LOG_BYTES_MAX {
            file.set_len(0).unwrap();
            file.rewind().unwrap();
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// The home comes from the medium again.
fn forget(home: &Path) {
    for entry in fs::read_dir(home).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
}
