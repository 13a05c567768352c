//! A process that makes a copy ahead, so that its peak of memory is its own too.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nymvisor::host::backup::{Cancel, Job, LiveCopy, Tempo};

use crate::process::mib;

/// Set for the process that copies: the folder in which it finds `home`.
const CHILD: &str = "NYMVISOR_BENCH_COPY";

/// And the process group that it takes for the daemon's: the one of this process.
const DAEMON: &str = "NYMVISOR_BENCH_DAEMON";

/// The process. It tells what it has done in lines of microseconds.
pub(crate) struct Copier {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Copier {
    /// Begins the first pass over `home` in `folder`, at the default settings of `run`.
    pub(crate) fn start(folder: &Path) -> Self {
        let _ = fs::remove_file(archive(folder));
        let group = nix::unistd::getpgrp().to_string();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bench")
            .env(CHILD, folder)
            .env(DAEMON, group)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Waits for the end of the first pass, then for that of its reading back; how long it took.
    pub(crate) fn answer(&mut self) -> Duration {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        Duration::from_micros(line.trim().parse().unwrap())
    }

    /// What is left for the window.
    pub(crate) fn seal(&mut self) -> Duration {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.answer()
    }

    /// Of its memory, as it is printed.
    pub(crate) fn peak(&mut self) -> String {
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
    let daemon = std::env::var(DAEMON).unwrap().parse().unwrap();
    let mut line = String::new();
    let cancel = Cancel::default();
    let tempo = Tempo { bytes_per_second: None, background: true };
    let mut copy = LiveCopy::begin(&job, tempo, Some(daemon)).unwrap();
    println!("{}", copy.pass(&cancel).unwrap().took.as_micros());
    let since = Instant::now();
    copy.settle(&cancel).unwrap();
    println!("{}", since.elapsed().as_micros());
    // Nobody wants it sealed.
    if std::io::stdin().read_line(&mut line).unwrap() == 0 {
        return true;
    }
    let since = Instant::now();
    copy.seal(&cancel).unwrap();
    println!("{}", since.elapsed().as_micros());
    // Until the figures of this process were read.
    std::io::stdin().read_line(&mut line).unwrap();
    true
}

/// Where the archive comes to lie.
pub(crate) fn archive(folder: &Path) -> PathBuf {
    folder.join("backup-preupgrade.tar.zst")
}
