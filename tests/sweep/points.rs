//! Where one run changes or opens files: each call, the file it is on, and which one of them it is.

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
    /// Whether files are not the same after it; what is only opened to be read changes nothing.
    pub(crate) changes: bool,
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
        let Self { path, call, number, .. } = self;
        let mut arguments = vec!["-e".to_owned(), format!("trace={call}")];
        arguments.extend(["-e".to_owned(), format!("inject={call}:{what}:when={number}")]);
        if let Some(path) = path {
            arguments.extend(["-P".to_owned(), root.join(path).to_str().unwrap().to_owned()]);
        }
        arguments
    }

    /// A kill, at whatever changes a file.
    pub(crate) fn kills(&self) -> &'static [&'static str] {
        if self.changes { &["signal=KILL"] } else { &[] }
    }

    /// What a full or a broken disk answers. A call on a descriptor of the runtime's own, which
    /// never fails, is not meant.
    pub(crate) fn faults(&self) -> &'static [&'static str] {
        let is_meant = self.changes && (self.path.is_some() || self.call != "write");
        if is_meant { &["ENOSPC", "EIO"] } else { &[] }
    }

    /// What is answered to whoever may not, or has too much open.
    pub(crate) fn refusals(&self) -> &'static [&'static str] {
        let opens = self.call == "openat";
        match (self.path.is_some(), opens, self.changes) {
            (true, true, true) => &["EMFILE", "EACCES", "EROFS"],
            (true, true, false) => &["EMFILE", "EACCES"],
            (true, false, true) if self.is_of_names() => &["EACCES", "EROFS"],
            _ => &[],
        }
    }

    /// A cut of the power, where the medium and not only the page cache has to do with it.
    pub(crate) fn cuts(&self) -> &'static [&'static str] {
        let is_meant = self.changes && (self.call.contains("sync") || self.is_of_names());
        if is_meant { &["power cut"] } else { &[] }
    }

    fn is_of_names(&self) -> bool {
        const OF_NAMES: [&str; 4] = ["rename", "symlink", "unlink", "mkdir"];
        OF_NAMES.iter().any(|name| self.call.starts_with(name))
    }
}

/// What `strace` is told to show them all.
pub(crate) fn trace_all() -> Vec<String> {
    let calls = format!("trace=execve,{}", CALLS.join(","));
    vec!["-y".to_owned(), "-s".to_owned(), "0".to_owned(), "-e".to_owned(), calls]
}

/// The points of a run, from its trace, in the order in which they are met first. Those before
/// byte `since` of the trace are counted, and no more.
///
/// Those of the daemon, and of what else is executed, do not count; nor does a call that failed.
pub(crate) fn of(trace: &str, root: &Path, since: usize) -> Vec<Point> {
    let offset = |line: &str| line.as_ptr() as usize - trace.as_ptr() as usize;
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
        let paths = paths_in(arguments).into_iter();
        let paths = paths.filter_map(|path| Some(path.strip_prefix(root).ok()?.to_owned()));
        let paths: Vec<PathBuf> = paths.filter(|path| !is_what_was_said(path)).collect();
        // `strace` counts a call for each file that it names.
        let mut numbers = BTreeMap::new();
        for path in paths.iter().cloned().map(Some).chain([None]) {
            let count = counts.entry((thread, call, path.clone())).or_default();
            *count += usize::from(!numbers.contains_key(&path));
            numbers.insert(path, *count);
        }
        let changes = call != "openat" || arguments.contains("O_CREAT");
        let Some(path) = the_one(call, paths) else { continue };
        let path = Some(path).filter(|path| has_fixed_name(path));
        let point = Point { call: call.to_owned(), number: numbers[&path], path, changes };
        let counts = offset(line) >= since && !arguments.contains(") = -1 ");
        if counts && !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

/// All files that a call is on, whole: as it names them, or as `strace -y` shows descriptors.
///
/// A name without its folder is that folder: by it alone `strace` can be told of it.
fn paths_in(arguments: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let (mut rest, _answer) = arguments.rsplit_once(") = ").unwrap_or((arguments, ""));
    while let Some(at) = rest.find(['<', '"']) {
        let (before, found) = rest.split_at(at);
        let closing = if found.starts_with('<') { '>' } else { '"' };
        let Some((path, behind)) = found[1..].split_once(closing) else { break };
        let path = PathBuf::from(path);
        if path.is_absolute() && !before.ends_with("AT_FDCWD") && !paths.contains(&path) {
            paths.push(path);
        }
        rest = behind;
    }
    paths
}

/// The file by which a call is told: the first, but of a link its own name, which comes last.
fn the_one(call: &str, mut paths: Vec<PathBuf>) -> Option<PathBuf> {
    if call.starts_with("symlink") { paths.pop() } else { paths.into_iter().next() }
}

/// What a run writes to stderr is no state of ours.
fn is_what_was_said(path: &Path) -> bool {
    path.to_string_lossy().starts_with("run-")
}

/// Backups and requests are named by the time.
fn has_fixed_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !["backup-2", ".request.json", ".answer.json"].iter().any(|part| name.contains(part))
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
