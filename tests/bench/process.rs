//! What the kernel counts of a process.

use std::fs;

/// Bytes in a MiB.
pub(crate) const MIB: usize = 1024 * 1024;

/// A number of `/proc/<pid>/status`; sizes are in KiB.
pub(crate) fn status(pid: u32, field: &str) -> u64 {
    number(&format!("/proc/{pid}/status"), field)
}

/// How often all threads that are there now have gone to sleep by themselves, and so been woken.
pub(crate) fn sleeps(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: fs::DirEntry| {
        number(task.path().join("status").to_str().unwrap(), "voluntary_ctxt_switches")
    };
    tasks.map(|task| of(task.unwrap())).sum()
}

/// A size of `/proc/<pid>/status`, as it is printed.
pub(crate) fn mib(pid: u32, field: &str) -> String {
    format!("{:.1}", kib_to_mib(status(pid, field)))
}

#[expect(clippy::cast_precision_loss, reason = "memory of a process is far below 2^53 KiB")]
fn kib_to_mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn number(path: &str, field: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap().split_ascii_whitespace().next().unwrap().parse().unwrap()
}
