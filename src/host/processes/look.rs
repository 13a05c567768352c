//! One process, as far as it can be read.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::{Foreign, TOKEN_VARIABLE};
use crate::config::redact_text;
use crate::proc::Stat;

/// What the kernel appends to the name of a file that has been removed or replaced.
const DELETED: &[u8] = b" (deleted)";
/// The kernel cuts a process's short name to so many bytes.
const SHORT_NAME_BYTES: usize = 15;
/// Programs whose second argument, not their own name, says what runs.
const INTERPRETERS: [&[u8]; 9] =
    [b"sh", b"bash", b"dash", b"ash", b"busybox", b"python", b"perl", b"ruby", b"node"];

/// One process. What could not be read is empty or `None`.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) stat: Stat,
    pub(super) argv: Vec<OsString>,
    exe: Option<PathBuf>,
    short_name: Vec<u8>,
    /// `NAME=value`; `None` where it may not be read.
    environment: Option<Vec<Vec<u8>>>,
}

impl Process {
    pub(super) fn at(stat: Stat) -> Self {
        let read = |name: &str| fs::read(of(stat.pid, name)).ok();
        let split = |bytes: Vec<u8>| -> Vec<Vec<u8>> {
            let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
            bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
        };
        let argv = split(read("cmdline").unwrap_or_default());
        let mut short_name = read("comm").unwrap_or_default();
        short_name.truncate(short_name.trim_ascii_end().len());
        Self {
            stat,
            argv: argv.into_iter().map(OsString::from_vec).collect(),
            exe: fs::read_link(of(stat.pid, "exe")).ok().map(undeleted),
            short_name,
            environment: read("environ").map(split),
        }
    }

    pub(super) fn named(&self, why: String) -> Foreign {
        let words: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        Foreign { pid: self.stat.pid, command_line: redact_text(&words.join(" ")), why }
    }

    /// Whether a program of this name runs here, itself or as a script.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let short = name.get(..SHORT_NAME_BYTES).unwrap_or(name);
        self.exe.as_deref().and_then(Path::file_name).is_some_and(|file| file.as_bytes() == name)
            || self.short_name == short
            || self.word_of(name).is_some()
    }

    /// Whether the program is one of those below `folder`.
    pub(super) fn is_below(&self, folder: &Path) -> bool {
        self.exe.as_deref().is_some_and(|exe| exe.starts_with(folder))
    }

    /// What it runs, itself or as a script, as far as that is below `folder`: from there on.
    pub(super) fn programs_below(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        let words = self.argv.iter().take(2).map(PathBuf::from);
        let programs = self.exe.iter().cloned().chain(words);
        programs.filter_map(move |program| program.strip_prefix(folder).ok().map(Path::to_owned))
    }

    /// Where in `argv` the program's name stands: first, or second after an interpreter.
    fn word_of(&self, name: &[u8]) -> Option<usize> {
        let word = |index: usize| {
            let word = self.argv.get(index)?;
            Path::new(word).file_name().map(OsStr::as_bytes)
        };
        if word(0) == Some(name) {
            return Some(0);
        }
        let first = word(0)?;
        let interpreted = INTERPRETERS.iter().any(|interpreter| {
            // With the version that Python and others add: python3.11.
            first
                .strip_prefix(*interpreter)
                .is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
        });
        (interpreted && word(1) == Some(name)).then_some(1)
    }

    /// What it was started with, after the program's name.
    pub(super) fn args_of(&self, name: &str) -> &[OsString] {
        let from = self.word_of(name.as_bytes()).unwrap_or(0) + 1;
        self.argv.get(from..).unwrap_or_default()
    }

    /// Whether its environment may be read.
    pub(super) fn is_open(&self) -> bool {
        self.environment.is_some()
    }

    /// Names and values of its environment.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&[u8], &OsStr)> {
        self.environment.iter().flatten().filter_map(|entry| {
            let equals = entry.iter().position(|&byte| byte == b'=')?;
            Some((entry.get(..equals)?, OsStr::from_bytes(entry.get(equals + 1..)?)))
        })
    }

    /// A variable of its environment; an empty one counts as unset.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let mut variables = self.variables();
        let found = variables.find(|(found, _)| *found == name.as_bytes());
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    pub(super) fn token(&self) -> Option<&[u8]> {
        self.variable(TOKEN_VARIABLE).map(OsStr::as_bytes)
    }

    /// `HOME`, or the home of its user where the environment may not be read.
    pub(super) fn user_home(&self) -> Option<PathBuf> {
        if self.is_open() {
            return self.variable("HOME").map(PathBuf::from);
        }
        let status = fs::read_to_string(of(self.stat.pid, "status")).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let uid = uids.split_ascii_whitespace().next()?.parse().ok()?;
        User::from_uid(Uid::from_raw(uid)).ok()?.map(|user| user.dir)
    }

    pub(super) fn working_folder(&self) -> Option<PathBuf> {
        fs::read_link(of(self.stat.pid, "cwd")).ok().map(undeleted)
    }

    /// A path as this process understands it.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.working_folder() {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        }
    }

    /// The files that it has open.
    pub(super) fn open_files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(of(self.stat.pid, "fd")) else { return Vec::new() };
        let links = entries.flatten().map(|entry| fs::read_link(entry.path()));
        links.flatten().map(undeleted).collect()
    }

    /// The files that are mapped into its memory.
    pub(super) fn mapped_files(&self) -> Vec<PathBuf> {
        let maps = fs::read(of(self.stat.pid, "maps")).unwrap_or_default();
        // Everything in front of the path is numbers and flags.
        let paths = maps.split(|&byte| byte == b'\n').filter_map(|line| {
            let start = line.iter().position(|&byte| byte == b'/')?;
            line.get(start..).map(|path| undeleted(OsString::from_vec(path.to_vec()).into()))
        });
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.dedup();
        paths
    }

    /// Device and inode of what `path` is for this process, which may have another root.
    pub(super) fn identity_of(&self, path: &Path) -> Result<(u64, u64), std::io::Error> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let meta = fs::metadata(of(self.stat.pid, "root").join(below))?;
        Ok((meta.dev(), meta.ino()))
    }
}

/// Device and inode of a file that is there.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn undeleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(before) => PathBuf::from(OsStr::from_bytes(before)),
        None => path,
    }
}
