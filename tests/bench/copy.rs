//! The backup that is made ahead: how fast, in how much memory, and what is left for the window.
//!
//! Each copy is made by a process of its own, whose peak of memory is its own too. The sizes are
//! those of a short run; with `NYMVISOR_BENCH_FULL` set they are those of the figures to reach.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nymvisor::host::backup::{Cancel, Job, LiveCopy, Tempo};

use crate::process::{MIB, mib};
use crate::table::{UNKNOWN, ms, p50_p95, row};

/// Set for the process that copies: the folder in which it finds `home`.
const CHILD: &str = "NYMVISOR_BENCH_COPY";
const FULL: &str = "NYMVISOR_BENCH_FULL";
const ROUNDS: usize = 3;
const FILE_MIB: usize = 8;
const CHANGED_FILES: usize = 100;

pub(crate) fn print() {
    let full = std::env::var_os(FULL).is_some();
    small_files(if full { 100_000 } else { 10_000 });
    large_files(if full { 1024 } else { 128 }, ROUNDS);
    if full {
        large_files(4096, 1);
    }
}

fn large_files(size_mib: usize, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let names: Vec<PathBuf> =
        (0..size_mib / FILE_MIB).map(|n| home.join(format!("{n:05}"))).collect();
    for (seed, path) in (0..).zip(&names) {
        let bytes = if seed % 2 == 0 { noise(seed, FILE_MIB * MIB) } else { text(seed) };
        fs::write(path, bytes).unwrap();
    }
    nix::unistd::sync();
    let (mut ours, mut tars, mut windows, mut changed) = (vec![], vec![], vec![], vec![]);
    let mut peak = String::new();
    for round in 0..rounds {
        let mut copier = Copier::start(folder.path());
        ours.push(copier.answer());
        let _settled = copier.answer();
        windows.push(copier.seal());
        tars.push(tar(&home, &folder.path().join("tar")));
        let mut copier = Copier::start(folder.path());
        let _ = (copier.answer(), copier.answer());
        // 10 MiB, in 10 files.
        for path in names.iter().take(10) {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(&noise(round as u64, MIB), 0).unwrap();
            file.set_len(MIB as u64).unwrap();
        }
        changed.push(copier.seal());
        peak = copier.peak();
    }
    let rate = |times| {
        let seconds = p50_p95(times).0.as_secs_f64();
        format!("{:.0}", f64::from(u32::try_from(size_mib).unwrap()) / seconds)
    };
    let of = format!("copy ahead, {size_mib} MiB");
    row(&format!("{of}: first pass"), &rate(ours), "MiB/s", "34");
    row(&format!("{of}: tar -I 'zstd -3 -T2'"), &rate(tars), "MiB/s", UNKNOWN);
    row(&format!("{of}: peak of memory"), &peak, "MiB", "7.3");
    row(&format!("{of}: window, nothing changed"), &ms(p50_p95(windows).0), "ms", UNKNOWN);
    row(&format!("{of}: window, 10 MiB changed"), &ms(p50_p95(changed).0), "ms", UNKNOWN);
}

fn small_files(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let path = |n: usize| home.join(format!("{}/{n}", n / 1000));
    for n in 0..count {
        fs::create_dir_all(path(n).parent().unwrap()).unwrap();
        fs::write(path(n), text_of(n as u64, 1000)).unwrap();
    }
    nix::unistd::sync();
    std::thread::sleep(Duration::from_millis(100));
    let mut copier = Copier::start(folder.path());
    let (first, settled) = (copier.answer(), copier.answer());
    for n in 0..CHANGED_FILES {
        fs::write(path(n * count / CHANGED_FILES), noise(n as u64, 1000)).unwrap();
    }
    let window = copier.seal();
    let of = format!("copy ahead, {count} files of 1 kB");
    row(&format!("{of}: first pass"), &ms(first), "ms", UNKNOWN);
    row(&format!("{of}: read back"), &ms(settled), "ms", UNKNOWN);
    row(&format!("{of}: peak of memory"), &copier.peak(), "MiB", UNKNOWN);
    row(&format!("{of}: window, {CHANGED_FILES} changed"), &ms(window), "ms", UNKNOWN);
    let size = fs::metadata(archive(folder.path())).unwrap().len();
    row(&format!("{of}: archive"), &(size / 1024).to_string(), "KiB", UNKNOWN);
    let tar_time = tar(&home, &folder.path().join("tar"));
    row(&format!("{of}: tar -I 'zstd -3 -T2'"), &ms(tar_time), "ms", UNKNOWN);
    let size = fs::metadata(folder.path().join("tar")).unwrap().len();
    row(&format!("{of}: its archive"), &(size / 1024).to_string(), "KiB", UNKNOWN);
}

/// A process that copies, and tells what it has done in lines of microseconds.
struct Copier {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Copier {
    fn start(folder: &Path) -> Self {
        let _ = fs::remove_file(archive(folder));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bench")
            .env(CHILD, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn answer(&mut self) -> Duration {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        Duration::from_micros(line.trim().parse().unwrap())
    }

    fn seal(&mut self) -> Duration {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.answer()
    }

    fn peak(&mut self) -> String {
        mib(self.child.id(), "VmHWM")
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Whether this process is one that copies; then it has.
#[expect(clippy::print_stdout, reason = "it is how the process answers")]
pub(crate) fn is_child() -> bool {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return false };
    let job = Job {
        home: folder.join("home"),
        leave_out: Vec::new(),
        archive: archive(&folder),
        workers: 2,
        level: 3,
    };
    let mut line = String::new();
    let cancel = Cancel::default();
    let mut copy = LiveCopy::begin(&job, Tempo::default(), None).unwrap();
    println!("{}", copy.pass(&cancel).unwrap().took.as_micros());
    let since = Instant::now();
    copy.settle(&cancel).unwrap();
    println!("{}", since.elapsed().as_micros());
    std::io::stdin().read_line(&mut line).unwrap();
    let since = Instant::now();
    copy.seal(&cancel).unwrap();
    println!("{}", since.elapsed().as_micros());
    // Until the figures of this process were read.
    std::io::stdin().read_line(&mut line).unwrap();
    true
}

fn archive(folder: &Path) -> PathBuf {
    folder.join("backup-preupgrade.tar.zst")
}

fn tar(home: &Path, to: &Path) -> Duration {
    let since = Instant::now();
    let made = Command::new("tar").args(["-I", "zstd -3 -T2", "-cf"]).arg(to).arg(home).output();
    assert!(made.unwrap().status.success());
    since.elapsed()
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

fn text(seed: u64) -> Vec<u8> {
    text_of(seed, FILE_MIB * MIB)
}

/// Words of an alphabet of 16 letters, from a list of 4096.
fn text_of(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 8);
    for word in noise(seed, bytes).chunks_exact(2) {
        let number = u16::from_le_bytes([word[0], word[1] & 15]);
        for shift in [0, 4, 8, 3, 7].iter().take(3 + usize::from(number % 3)) {
            out.push(b"etaoinshrdlucmfw"[usize::from(number >> shift & 15)]);
        }
        out.push(b' ');
        if out.len() >= bytes {
            break;
        }
    }
    out.truncate(bytes);
    out
}
