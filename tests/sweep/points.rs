//! Where one run changes files: each call, the file it is on, and which one of them it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Calls that change the state of files.
const CALLS: [&str; 26] = [
    "chmod",
    "chown",
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fdatasync",
    "fsync",
    "ftruncate",
    "lchown",
    "linkat",
    "mkdir",
    "mkdirat",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "symlink",
    "symlinkat",
    "syncfs",
    "unlink",
    "unlinkat",
    "write",
];

/// The `number`th call of this name on this file, counted in each thread apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// Below the site; none where its name is another in each run, and all files count.
    pub(crate) path: Option<PathBuf>,
    pub(crate) call: String,
    pub(crate) number: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or(Path::new("any file"));
        write!(f, "{} {} of {}", self.call, self.number, path.display())
    }
}

impl Point {
    /// What `strace` is told to do `what` at this point.
    pub(crate) fn inject(&self, root: &Path, what: &str) -> Vec<String> {
        let Self { path, call, number } = self;
        let mut arguments = vec!["-e".to_owned(), format!("trace={call}")];
        arguments.extend(["-e".to_owned(), format!("inject={call}:{what}:when={number}")]);
        if let Some(path) = path {
            arguments.extend(["-P".to_owned(), root.join(path).to_str().unwrap().to_owned()]);
        }
        arguments
    }

    /// Whether it can't be a call on a descriptor of the runtime's own, which never fails.
    pub(crate) fn is_of_a_known_file(&self) -> bool {
        self.path.is_some() || self.call != "write"
    }

    /// Whether the medium, and not only the page cache, has to do with it.
    pub(crate) fn is_of_medium(&self) -> bool {
        const OF_NAMES: [&str; 4] = ["rename", "symlink", "unlink", "mkdir"];
        self.call.contains("sync") || OF_NAMES.iter().any(|name| self.call.starts_with(name))
    }
}

/// What `strace` is told to show them all.
pub(crate) fn trace_all() -> Vec<String> {
    let calls = format!("trace=execve,{}", CALLS.join(","));
    vec!["-y".to_owned(), "-s".to_owned(), "0".to_owned(), "-e".to_owned(), calls]
}

/// The points of a run, from its trace, in the order in which they are met first.
///
/// Those of the daemon, and of what else is executed, do not count; nor does a call that failed.
pub(crate) fn of(trace: &str, root: &Path) -> Vec<Point> {
    let lines = || trace.lines().filter_map(|line| line.split_once(' '));
    let ours = lines().next().unwrap().0;
    let is_execution = |(_, call): &(&str, &str)| call.contains("execve");
    let others: BTreeSet<&str> = lines().filter(is_execution).map(|(id, _)| id).collect();
    let mut counts: BTreeMap<(&str, &str, Option<PathBuf>), usize> = BTreeMap::new();
    let mut points: Vec<Point> = Vec::new();
    for (thread, line) in lines().filter(|(id, _)| *id == ours || !others.contains(id)) {
        let Some((call, arguments)) = line.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&call) {
            continue;
        }
        let path = path_in(call, arguments).filter(|path| path.starts_with(root));
        let path = path.map(|path| path.strip_prefix(root).unwrap().to_owned());
        let path = path.filter(|path| !path.starts_with("run-0.stderr"));
        let of_any = counts.entry((thread, call, None)).or_default();
        *of_any += 1;
        let (mut number, changes) = (*of_any, call != "openat" || arguments.contains("O_CREAT"));
        let Some(path) = path else { continue };
        let path = Some(path).filter(|path| has_fixed_name(path));
        if path.is_some() {
            let count = counts.entry((thread, call, path.clone())).or_default();
            *count += 1;
            number = *count;
        }
        let point = Point { path, call: call.to_owned(), number };
        if changes && !arguments.contains(") = -1 ") && !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

/// The file that a call is on: as `strace -y` shows a descriptor, or as the call names it.
fn path_in(call: &str, arguments: &str) -> Option<PathBuf> {
    let by_descriptor = call.starts_with('f') && !call.ends_with("at");
    let by_descriptor = by_descriptor || ["write", "pwrite64", "syncfs"].contains(&call);
    let (before, after) = if by_descriptor { ('<', '>') } else { ('"', '"') };
    let quoted = |text: &str| {
        let (_, rest) = text.split_once(before)?;
        let (path, rest) = rest.split_once(after)?;
        Some((PathBuf::from(path), rest.to_owned()))
    };
    let (first, rest) = quoted(arguments)?;
    // A link's own name is the second.
    if call.starts_with("symlink") { Some(quoted(&rest)?.0) } else { Some(first) }
}

/// Backups are named by the time.
fn has_fixed_name(path: &Path) -> bool {
    !path.file_name().unwrap_or_default().to_string_lossy().contains("backup-2")
}

/// Some of them, spread evenly, from an offset; all of them where the whole sweep is asked for.
pub(crate) fn chosen(points: &[Point], sample: usize, offset: usize) -> Vec<Point> {
    let step = points.len().div_ceil(sample);
    if is_whole() {
        return points.to_vec();
    }
    points.iter().skip(offset % step).step_by(step).cloned().collect()
}

/// Whether all points are wanted, and not a sample.
pub(crate) fn is_whole() -> bool {
    std::env::var("NYMVISOR_SWEEP").is_ok_and(|value| value == "all")
}
