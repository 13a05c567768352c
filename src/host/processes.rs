//! Finds daemons that run without us.
//!
//! Two kinds: what an earlier session left behind carries that session's token in its environment;
//! a stranger (a unit of its own, a 0.1.x nymvisor) must be told by its name *and* by something
//! that ties it to this home, because other homes may be served by the same daemon.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::machine::Daemon;
use crate::proc;

mod evidence;
mod look;
mod manager;

use look::Process;

const TOKEN_VARIABLE: &str = "NYMVISOR_SESSION_TOKEN";
/// How the token of an operator's command ends.
pub const COMMAND_SUFFIX: &str = ":command";

/// Whose processes are looked for.
#[derive(Debug, Clone)]
pub struct Sought {
    /// Home of the daemon.
    pub home: PathBuf,
    /// Name of the daemon's binary.
    pub daemon_name: String,
    /// The folder below which the daemon's binaries lie.
    pub binaries_dir: PathBuf,
    /// What the daemon would be started with.
    pub our_args: Vec<OsString>,
    /// Value of `HOME` that the daemon would be started with.
    pub user_home: Option<OsString>,
    /// This instance's part of the session token, in front of the colon.
    pub token_prefix: String,
    /// This instance's configuration file.
    pub config_path: PathBuf,
    /// This instance's id.
    pub instance_id: String,
}

/// A process that serves the home without us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its process id.
    pub pid: u32,
    /// Its command line, as far as it can be shown as text.
    pub command_line: String,
    /// What ties it to the home.
    pub why: String,
}

/// Whether this very process is there and can still act.
#[must_use]
pub fn is_alive(daemon: Daemon) -> bool {
    proc::stat(daemon.pid).is_ok_and(|stat| stat.live && stat.started_ticks == daemon.started_ticks)
}

/// The processes that carry a token of the instance `token_prefix`, whatever its session.
///
/// Those whose environment this user can't read are not found.
#[must_use]
pub fn leftovers(token_prefix: &str) -> Vec<Daemon> {
    let Left { daemons, commands } = left(token_prefix);
    daemons.into_iter().chain(commands).collect()
}

/// What carries a token of an instance.
#[derive(Debug, Default)]
pub struct Left {
    /// Its daemons, and what they have started.
    pub daemons: Vec<Daemon>,
    /// The operator's commands, and what they have started.
    pub commands: Vec<Daemon>,
}

/// The same as [`leftovers`], told apart.
#[must_use]
pub fn left(token_prefix: &str) -> Left {
    let ourselves = std::process::id();
    let mut found = Left::default();
    for stat in proc::stats().unwrap_or_default() {
        if stat.pid == ourselves || !stat.live {
            continue;
        }
        let process = Process::at(stat);
        if let Some(token) = process.token().filter(|token| is_of(token, token_prefix)) {
            let is_command = token.ends_with(COMMAND_SUFFIX.as_bytes());
            let kind = if is_command { &mut found.commands } else { &mut found.daemons };
            kind.push(Daemon { pid: stat.pid, started_ticks: stat.started_ticks });
        }
    }
    found
}

/// The processes whose program, or the script that it was given first, lies below `folder`, and
/// where below it.
#[must_use]
pub fn programs_below(folder: &Path) -> Vec<(u32, PathBuf)> {
    // The kernel names a program by the path without links, and a script is as it was called.
    let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mut found = Vec::new();
    for stat in proc::stats().unwrap_or_default() {
        let process = Process::at(stat);
        for folder in [folder, &real] {
            let below = process.programs_below(folder).map(|below| (stat.pid, below));
            found.extend(below);
        }
    }
    found
}

/// A daemon of that home which runs without us, or a nymvisor that serves it: the first found.
///
/// What can't be read, in another user's process, counts neither for nor against it; its command
/// line always can. Processes that end while they are looked at are not there.
#[must_use]
pub fn foreign(sought: &Sought) -> Option<Foreign> {
    let home = Home::of(&sought.home, &sought.binaries_dir);
    let stats = proc::stats().unwrap_or_default();
    let ours = ourselves_and_ancestors(&stats);
    let mut strangers = Vec::new();
    for stat in stats.iter().filter(|stat| stat.live && !ours.contains(&stat.pid)) {
        let process = Process::at(*stat);
        // A manager is named rather than its daemon: it would start another one.
        if let Some(why) = manager::evidence(&process, sought, &home) {
            return Some(process.named(why));
        }
        strangers.push(process);
    }
    strangers.iter().find_map(|process| {
        let why = evidence::evidence(process, sought, &home)?;
        Some(process.named(why))
    })
}

fn is_of(token: &[u8], prefix: &str) -> bool {
    token.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
}

/// The daemon's home as it was given, and as the kernel names it.
#[derive(Debug)]
struct Home {
    given: PathBuf,
    real: PathBuf,
    /// The folder of the binaries, as the kernel names it.
    binaries: PathBuf,
    /// Folders in the home that say nothing about whose daemon it is: backups and locks of a
    /// nymvisor, and binaries that several homes share.
    not_telling: Vec<PathBuf>,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl Home {
    fn of(given: &Path, binaries: &Path) -> Self {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (given, real, binaries) = (given.to_owned(), real(given), real(binaries));
        let identity = look::identity(&real);
        let mut not_telling = vec![given.join("nymvisor"), real.join("nymvisor")];
        if binaries.starts_with(&real) {
            not_telling.push(binaries.clone());
        }
        Self { given, real, binaries, not_telling, identity }
    }

    /// Whether `path` names the home itself.
    fn is(&self, path: &Path) -> bool {
        path == self.given
            || path == self.real
            || std::fs::canonicalize(path).is_ok_and(|path| path == self.real)
    }

    /// Whether the home is one of those that a user with this home folder has.
    fn is_below(&self, user_home: &Path) -> bool {
        self.given.starts_with(user_home) || self.real.starts_with(user_home)
    }

    /// Whether `path` is the home or lies below it.
    fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.given) || path.starts_with(&self.real)
    }

    /// Whether `path` is the home or something of the daemon in it.
    fn is_served_by(&self, path: &Path) -> bool {
        self.holds(path) && !self.not_telling.iter().any(|folder| path.starts_with(folder))
    }
}

fn ourselves_and_ancestors(stats: &[proc::Stat]) -> Vec<u32> {
    let mut ours = vec![std::process::id()];
    while let Some(pid) = ours.last().copied()
        && let Some(stat) = stats.iter().find(|stat| stat.pid == pid)
        && stat.parent != 0
        && !ours.contains(&stat.parent)
    {
        ours.push(stat.parent);
    }
    ours
}
