//! One group: made, looked at, ended with all that is in it, and removed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PROCESSES;

const LOOK_PAUSE_MIN: Duration = Duration::from_millis(1);
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(100);
/// Processes that outlive SIGKILL for so long are stuck in the kernel: somebody should know.
const GONE_WARNING_AFTER: Duration = Duration::from_secs(5);
/// So many processes are named; where there are more, there is something that forks on and on.
const NAMED_MAX: usize = 8;

/// What the kernel writes for a process that is in none of our process namespaces.
const UNSEEN: u32 = 0;

/// Why a group of this instance's name is not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spared {
    /// This process is in it: a daemon of this very instance has started it.
    Ourselves,
    /// Somebody from outside of our process namespace: there, another file system may have an
    /// instance at the same path. What a daemon of ours has started we would see.
    Unseen,
}

/// A control group of ours, with those that its processes may have made below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    pub(super) fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file into which a process writes 0 to get into it.
    #[must_use]
    pub fn entrance(&self) -> PathBuf {
        self.path.join(PROCESSES)
    }

    /// Whether any process is in it, or below it, that can still act. Zombies don't count.
    pub fn is_populated(&self) -> io::Result<bool> {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => Ok(events.lines().any(|line| line == "populated 1")),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The processes in it and below it. One that forks on and on is another one by the time that
    /// its number is read.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        let mut found = self.pids();
        found.retain(|pid| *pid != UNSEEN);
        found
    }

    fn pids(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for group in self.all() {
            let pids = fs::read_to_string(group.join(PROCESSES)).unwrap_or_default();
            found.extend(pids.lines().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        found
    }

    /// Who is in it that keeps a later session from ending it.
    #[must_use]
    pub fn spared_for(&self) -> Option<Spared> {
        let pids = self.pids();
        if pids.contains(&std::process::id()) {
            return Some(Spared::Ourselves);
        }
        pids.contains(&UNSEEN).then_some(Spared::Unseen)
    }

    /// Sends SIGKILL to all that is in it, and to what they start meanwhile.
    pub fn kill(&self) -> io::Result<()> {
        match self.order("cgroup.kill") {
            // The kernel has it since 5.14.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.kill_each();
                Ok(())
            }
            done => done,
        }
    }

    /// The same for a kernel that has no order for it. What is frozen can't fork, and dies of the
    /// signal all the same; what was forked before is found the next time.
    pub fn kill_each(&self) {
        let _ = self.order("cgroup.freeze");
        for pid in self.members() {
            if let Ok(pid) = i32::try_from(pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    /// Nothing is created: where there is no such file, the kernel would call that forbidden.
    fn order(&self, name: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path.join(name))?.write_all(b"1")
    }

    /// Ends what is in it, and waits until nobody in it can act; `told` gets the processes that
    /// were there, the first of them that is, if there were any.
    ///
    /// Like the wait for a daemon's process group it never gives up, and warns once.
    pub async fn gone(&self, told: impl FnOnce(&[u32])) {
        let since = Instant::now();
        let (mut pause, mut told, mut warned) = (LOOK_PAUSE_MIN, Some(told), false);
        while self.is_populated().unwrap_or_else(|error| self.is_lost(&error)) {
            if let Some(told) = told.take() {
                let mut members = self.members();
                members.truncate(NAMED_MAX);
                told(&members);
            }
            if let Err(error) = self.kill() {
                tracing::debug!("{}: {error}", self.path.display());
                self.kill_each();
            }
            if !warned && since.elapsed() > GONE_WARNING_AFTER {
                warned = true;
                tracing::warn!(
                    "processes of the daemon are still there after SIGKILL: {:?} in {}",
                    self.members(),
                    self.path.display()
                );
            }
            tokio::time::sleep(pause).await;
            pause = LOOK_PAUSE_MAX.min(pause * 2);
        }
    }

    /// What can't be asked holds nothing up: the process group was looked at as well.
    fn is_lost(&self, error: &io::Error) -> bool {
        tracing::warn!("{} can't be asked whether anybody is in it: {error}", self.path.display());
        false
    }

    /// Removes it, with what its processes made below it. Fails where anybody is in it.
    pub fn remove(&self) -> io::Result<()> {
        for group in self.all().iter().rev() {
            match fs::remove_dir(group) {
                Err(error) if !is_gone(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// It and those below it, each before what it holds.
    fn all(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path.clone()];
        let mut at = 0;
        while let Some(group) = found.get(at) {
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let below: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
            found.extend(below);
            at += 1;
        }
        found
    }
}

/// A group that is removed while it is looked at: there is nothing, or nothing any more.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32)
}
