//! What nymvisor does while no daemon is up, as `strace` shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What is looked at: whatever is on files, processes or the network.
pub(crate) const TRACE: &str = "trace=%file,%desc,%process,%network";

/// All calls of nymvisor's own threads between the end of one daemon and the execution of the next.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By call: waits for the medium.
    pub(crate) syncs: BTreeMap<String, Vec<PathBuf>>,
    pub(crate) renames: Vec<PathBuf>,
    pub(crate) removals: Vec<PathBuf>,
    /// Files and folders that were opened, by how often.
    pub(crate) opens: BTreeMap<PathBuf, usize>,
    /// Folders whose names were read, by how often.
    pub(crate) listings: BTreeMap<PathBuf, usize>,
    /// Bytes from and to files below the site, by file.
    pub(crate) read: BTreeMap<PathBuf, u64>,
    pub(crate) written: BTreeMap<PathBuf, u64>,
    /// Looks at a file's traits.
    pub(crate) looks: usize,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    /// Calls that concern the network.
    pub(crate) network: Vec<String>,
}

/// One call, put together from the two lines that `strace` may show it in.
struct Call<'a> {
    name: &'a str,
    arguments: String,
    /// Whether it began before the window: what it did is not of it.
    before: bool,
}

impl Tally {
    /// Of the window after the end of the process `daemon`, up to the execution of `binary`.
    pub(crate) fn of(trace: &str, root: &Path, daemon: u32, binary: &Path) -> Self {
        let lines: Vec<(&str, &str)> = trace
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, line)| (id, line.trim_start()))
            .collect();
        let is_execution = |line: &str| line.starts_with("execve");
        let ours = lines[0].0;
        let others: BTreeSet<&str> =
            lines.iter().filter(|(_, line)| is_execution(line)).map(|(id, _)| *id).collect();
        let is_ours = |id: &str| id == ours || !others.contains(id);
        let daemon = daemon.to_string();
        let ended = |(id, line): &(&str, &str)| *id == daemon && line.starts_with("+++ ");
        let begin = lines.iter().position(ended).expect("the old daemon ends");
        let binary = format!("\"{}\"", binary.display());
        let started = |(_, line): &(&str, &str)| is_execution(line) && line.contains(&binary);
        let end = begin + lines[begin..].iter().position(started).expect("the new one is started");

        let mut tally = Self::default();
        let mut under_way: BTreeMap<&str, Call<'_>> = BTreeMap::new();
        for (at, (id, line)) in lines.iter().enumerate().take(end) {
            if !is_ours(id) {
                continue;
            }
            let before = at < begin;
            if let Some(rest) = line.strip_prefix("<... ") {
                let Some(mut call) = under_way.remove(id) else { continue };
                call.arguments += rest.split_once("resumed>").map_or("", |(_, rest)| rest);
                if !call.before {
                    tally.take(&call, root);
                }
                continue;
            }
            let Some((name, arguments)) = line.split_once('(') else { continue };
            let call = Call { name, arguments: arguments.to_owned(), before };
            if let Some(begun) = arguments.strip_suffix("<unfinished ...>") {
                under_way.insert(id, Call { arguments: begun.to_owned(), ..call });
            } else if !before {
                tally.take(&call, root);
            }
        }
        // A call that doesn't return before the window is over is in it all the same.
        under_way.into_values().filter(|call| !call.before).for_each(|it| tally.take(&it, root));
        tally
    }

    fn take(&mut self, call: &Call<'_>, root: &Path) {
        let Call { name, arguments, .. } = call;
        let (arguments, answer) = arguments.rsplit_once(" = ").unwrap_or((arguments, "?"));
        let done = answer.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        let done: u64 = done.parse().unwrap_or(0);
        let path = path_in(arguments);
        let on_file = path.as_ref().filter(|path| path.starts_with(root)).cloned();
        match *name {
            "fsync" | "fdatasync" | "sync" | "syncfs" | "msync" | "sync_file_range" => {
                self.syncs.entry((*name).to_owned()).or_default().push(path.unwrap_or_default());
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                self.renames.push(path.unwrap_or_default());
            }
            "unlink" | "unlinkat" | "rmdir" if !answer.starts_with('-') => {
                self.removals.push(path.unwrap_or_default());
            }
            "open" | "openat" if !answer.starts_with('-') => {
                *self.opens.entry(path_in(answer).unwrap_or_default()).or_default() += 1;
            }
            // The last of those that read a folder to its end.
            "getdents64" if done == 0 => {
                *self.listings.entry(path.unwrap_or_default()).or_default() += 1;
            }
            "read" | "pread64" | "readv" | "preadv" | "preadv2" => {
                if let Some(path) = on_file {
                    *self.read.entry(path).or_default() += done;
                }
            }
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => {
                if let Some(path) = on_file {
                    *self.written.entry(path).or_default() += done;
                }
            }
            "sendfile" | "copy_file_range" | "splice" => {
                panic!("nobody counts the bytes of {name}({arguments}");
            }
            "statx" | "newfstatat" | "fstat" | "stat" | "lstat" => self.looks += 1,
            "clone" | "clone3" | "fork" | "vfork" if arguments.contains("CLONE_THREAD") => {
                self.threads += 1;
            }
            "clone" | "clone3" | "fork" | "vfork" => self.processes += 1,
            // A pair of sockets of one's own leads nowhere.
            "socket" | "connect" | "accept" | "accept4" | "sendto" | "sendmsg" | "sendmmsg"
            | "recvfrom" | "recvmsg" | "recvmmsg"
                if !arguments.contains("UNIX") =>
            {
                self.network.push(format!("{name}({arguments}"));
            }
            _ => {}
        }
    }

    pub(crate) fn syncs(&self) -> usize {
        self.syncs.values().map(Vec::len).sum()
    }

    /// How often a file was opened; folders of the walk are told by [`Self::listings`].
    pub(crate) fn opens_of_files(&self) -> usize {
        let files = self.opens.iter().filter(|(path, _)| !self.listings.contains_key(*path));
        files.map(|(_, times)| times).sum()
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.values().sum()
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.written.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "syncs              {:8}", self.syncs())?;
        writeln!(f, "renames            {:8}", self.renames.len())?;
        writeln!(f, "removals           {:8}", self.removals.len())?;
        writeln!(f, "files opened       {:8}", self.opens.values().sum::<usize>())?;
        writeln!(f, "folders read       {:8}", self.listings.values().sum::<usize>())?;
        writeln!(f, "looks at files     {:8}", self.looks)?;
        writeln!(f, "bytes read         {:8}", self.bytes_read())?;
        writeln!(f, "bytes written      {:8}", self.bytes_written())?;
        writeln!(f, "processes begun    {:8}", self.processes)?;
        writeln!(f, "threads begun      {:8}", self.threads)?;
        writeln!(f, "calls on a network {:8}", self.network.len())
    }
}

/// The first file that a call is on, whole: as it names it, or as `strace -y` shows a descriptor.
fn path_in(arguments: &str) -> Option<PathBuf> {
    let mut rest = arguments;
    loop {
        let (before, found) = rest.split_at(rest.find(['<', '"'])?);
        let closing = if found.starts_with('<') { '>' } else { '"' };
        let (path, behind) = found[1..].split_once(closing)?;
        if path.starts_with('/') && !before.ends_with("AT_FDCWD") {
            return Some(PathBuf::from(path));
        }
        rest = behind;
    }
}
