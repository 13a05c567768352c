//! What the daemon has started that left its process group: one `setsid` is all it takes.
//!
//! Such a process carries the session's token. A look at all processes takes milliseconds, which
//! the time between two daemons hasn't got. So it is taken while the daemon still runs, and from
//! then on orphans come to us instead of the system's first process: where there was none, whether
//! one has come since is one call. Where there was one, it is looked at all processes again.

use std::fs;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use super::{
    GONE_WARNING_AFTER, LOOK_PAUSE_MAX, LOOK_PAUSE_MIN, TOKEN_VARIABLE, id, signal_leader,
};
use crate::machine::Daemon;
use crate::proc;

/// The processes of one daemon that are not in its group.
#[derive(Debug)]
pub struct Strays {
    daemon: Daemon,
    token: String,
    /// There was none when a watch was begun, and what tells if one comes.
    watch: Option<Watch>,
}

/// What tells of one that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// It becomes a child of ours.
    Orphans,
    /// The control group holds it.
    Group,
}

impl Strays {
    /// Those of a daemon that has ended, or ends unasked. `token` is the one it was started with.
    #[must_use]
    pub fn of(daemon: Daemon, token: String) -> Self {
        Self { daemon, token, watch: None }
    }

    /// Begins to watch, before the daemon is asked to end.
    #[must_use]
    pub fn watched(daemon: Daemon, token: String) -> Self {
        // What is orphaned before this call is found by the look after it.
        let is_told = set_child_subreaper(true).is_ok();
        let saw_none = is_told && look(daemon, &token).is_empty();
        Self { daemon, token, watch: saw_none.then_some(Watch::Orphans) }
    }

    /// The same for a daemon with a control group of its own, in which these processes are: what is
    /// in it will be ended with it, and what has left it was moved by somebody, which is rare. So
    /// they are looked for once more only if there is one now.
    #[must_use]
    pub fn beyond(daemon: Daemon, token: String, members: &[u32]) -> Self {
        let found = look(daemon, &token);
        let are_none = found.iter().all(|stray| members.contains(&stray.pid));
        Self { daemon, token, watch: are_none.then_some(Watch::Group) }
    }

    /// Whose they are.
    #[must_use]
    pub fn daemon(&self) -> Daemon {
        self.daemon
    }

    /// Ends them, and waits until they can't act. The daemon has ended, and its group is gone.
    ///
    /// Those whose environment this user can't read are not found.
    pub async fn gone(self) {
        let since = Instant::now();
        let (mut pause, mut ended, mut warned) = (LOOK_PAUSE_MIN, Vec::new(), false);
        loop {
            let left = self.left().await;
            if left.is_empty() {
                break;
            }
            for stray in &left {
                if !ended.contains(stray) {
                    ended.push(*stray);
                    tracing::warn!(
                        "process {} was started by the daemon and had left its group; it is killed",
                        stray.pid
                    );
                }
                if let Err(error) = signal_leader(*stray, Signal::SIGKILL) {
                    tracing::debug!("{error}");
                }
            }
            if !warned && since.elapsed() > GONE_WARNING_AFTER {
                warned = true;
                let pids: Vec<u32> = left.iter().map(|stray| stray.pid).collect();
                tracing::warn!("processes of the daemon are still there after SIGKILL: {pids:?}");
            }
            tokio::time::sleep(pause).await;
            pause = LOOK_PAUSE_MAX.min(pause * 2);
        }
        for stray in ended {
            // The system's first process buries those that are not ours.
            let _ = waitpid(id(stray.pid), Some(WaitPidFlag::WNOHANG));
        }
        let _ = set_child_subreaper(false);
    }

    async fn left(&self) -> Vec<Daemon> {
        // One that was seen may hang under the system's first process, and so does what it starts.
        match self.watch {
            Some(Watch::Group) => return Vec::new(),
            Some(Watch::Orphans) if !has_children() => return Vec::new(),
            Some(Watch::Orphans) | None => {}
        }
        let (daemon, token) = (self.daemon, self.token.clone());
        tokio::task::spawn_blocking(move || look(daemon, &token)).await.unwrap_or_default()
    }
}

/// The live processes that carry the token and are not in the daemon's group. They are younger
/// than the daemon.
fn look(daemon: Daemon, token: &str) -> Vec<Daemon> {
    let entry = format!("{TOKEN_VARIABLE}={token}");
    let carries = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it == entry.as_bytes())
    };
    let stats = proc::stats().unwrap_or_default().into_iter();
    let strays = stats.filter(|stat| {
        stat.live
            && stat.group != daemon.pid
            && stat.pid != std::process::id()
            && stat.started_ticks >= daemon.started_ticks
            && carries(stat.pid)
    });
    strays.map(|stat| Daemon { pid: stat.pid, started_ticks: stat.started_ticks }).collect()
}

/// Whether any process is a child of ours, a dead one included.
fn has_children() -> bool {
    waitid(Id::All, peek()) != Err(Errno::ECHILD)
}

/// Buries what has ended in the daemon's group, and has come to us. The daemon itself is not ours
/// to bury: whoever started it waits for its status.
pub(super) fn bury_group(daemon: Daemon) {
    while let Ok(ended) = waitid(Id::PGid(id(daemon.pid)), peek()) {
        let (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = ended else { return };
        if pid == id(daemon.pid) || waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}

/// A look that leaves everything as it is.
fn peek() -> WaitPidFlag {
    WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT
}
