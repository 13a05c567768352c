//! The backup that is made ahead: how fast, in how much memory, what is left for the window, and
//! what a daemon notices of it.
//!
//! The sizes are those of a short run; with `NYMVISOR_BENCH_FULL` set they are those of the figures
//! to reach.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::copier::{Copier, archive};
use crate::homes::{CHANGED_FILES, Home};
use crate::table::{UNKNOWN, is_full, mib_per_second, ms, p50_p95, row};

const ROUNDS: usize = 3;

pub(crate) fn print() {
    let full = is_full();
    small_files(if full { 100_000 } else { 10_000 });
    large_files(if full { 1024 } else { 256 }, ROUNDS);
    if full {
        large_files(4096, 1);
    }
}

fn large_files(size_mib: usize, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    Home::Large(size_mib).make(&home);
    let (mut ours, mut settled, mut tars, mut synced) = (vec![], vec![], vec![], vec![]);
    let (mut windows, mut changed) = (vec![], vec![]);
    let mut peak = String::new();
    for round in 0..rounds {
        let mut copier = Copier::start(folder.path());
        ours.push(copier.answer());
        settled.push(copier.answer());
        windows.push(copier.seal());
        drop(copier);
        let (made, on_medium) = tar(&home, &folder.path().join("tar"));
        tars.push(made);
        synced.push(on_medium);
        let mut copier = Copier::start(folder.path());
        let _ = (copier.answer(), copier.answer());
        Home::Large(size_mib).change(&home, round as u64);
        changed.push(copier.seal());
        peak = copier.peak();
    }
    let rate = |times| mib_per_second(size_mib, p50_p95(times).0);
    let of = format!("copy ahead, {size_mib} MiB");
    row(&format!("{of}: first pass"), &rate(ours), "MiB/s", "34");
    row(&format!("{of}: tar -I 'zstd -3 -T2'"), &rate(tars), "MiB/s", UNKNOWN);
    row(&format!("{of}: the same and sync"), &rate(synced), "MiB/s", UNKNOWN);
    row(&format!("{of}: sync, read back"), &ms(p50_p95(settled).0), "ms", UNKNOWN);
    row(&format!("{of}: peak of memory"), &peak, "MiB", "7.3");
    row(&format!("{of}: window, nothing changed"), &ms(p50_p95(windows).0), "ms", UNKNOWN);
    row(&format!("{of}: window, 10 MiB changed"), &ms(p50_p95(changed).0), "ms", UNKNOWN);
}

fn small_files(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    Home::Small(count).make(&home);
    std::thread::sleep(Duration::from_millis(100));
    let mut copier = Copier::start(folder.path());
    let (first, settled) = (copier.answer(), copier.answer());
    Home::Small(count).change(&home, 1);
    let window = copier.seal();
    let of = format!("copy ahead, {count} files of 1 kB");
    row(&format!("{of}: first pass"), &ms(first), "ms", UNKNOWN);
    row(&format!("{of}: read back"), &ms(settled), "ms", UNKNOWN);
    row(&format!("{of}: peak of memory"), &copier.peak(), "MiB", UNKNOWN);
    row(&format!("{of}: window, {CHANGED_FILES} changed"), &ms(window), "ms", UNKNOWN);
    let size = fs::metadata(archive(folder.path())).unwrap().len();
    row(&format!("{of}: archive"), &(size / 1024).to_string(), "KiB", UNKNOWN);
    let (made, _) = tar(&home, &folder.path().join("tar"));
    row(&format!("{of}: tar -I 'zstd -3 -T2'"), &ms(made), "ms", UNKNOWN);
    let size = fs::metadata(folder.path().join("tar")).unwrap().len();
    row(&format!("{of}: its archive"), &(size / 1024).to_string(), "KiB", UNKNOWN);
}

/// Until it has ended, and until what it wrote is on the medium.
fn tar(home: &Path, to: &Path) -> (Duration, Duration) {
    let since = Instant::now();
    let made = Command::new("tar").args(["-I", "zstd -3 -T2", "-cf"]).arg(to).arg(home).output();
    assert!(made.unwrap().status.success());
    let made = since.elapsed();
    File::open(to).unwrap().sync_all().unwrap();
    (made, since.elapsed())
}
