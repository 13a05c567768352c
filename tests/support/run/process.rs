//! What a stage hands out: a run under way, how it ended, and records of the journal.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::DEADLINE;
use crate::support::helper::{eventually, is_live};

/// A record of the journal, as `journal show --output json` prints it.
#[derive(Debug, Clone)]
pub(crate) struct Record(pub(crate) Value);

/// A `run` under way. It is killed when it is dropped, and its process group with it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) child: Child,
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
}

/// How a `run` ended and what it said.
#[derive(Debug)]
pub(crate) struct End {
    /// Its exit status; none where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl End {
    /// What it said last.
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

impl Record {
    /// The event's name.
    pub(crate) fn event(&self) -> &str {
        let event = &self.0["event"];
        let named = event.as_object().and_then(|fields| fields.keys().next());
        named.map(String::as_str).or_else(|| event.as_str()).unwrap()
    }

    /// What the event tells.
    pub(crate) fn data(&self) -> &Value {
        &self.0["event"][self.event()]
    }

    pub(crate) fn from(&self) -> &str {
        self.0["from"].as_str().unwrap()
    }

    pub(crate) fn to(&self) -> &str {
        self.0["to"].as_str().unwrap()
    }

    pub(crate) fn at(&self) -> DateTime<Utc> {
        self.0["at"].as_str().unwrap().parse().unwrap()
    }
}

impl Run {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(id(self.pid()), signal).unwrap();
    }

    /// Lets it do nothing until SIGCONT; returns once all of its threads stand still.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let is_stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('T'))
        };
        eventually("the stop of all threads", || {
            let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            threads.flatten().all(is_stopped).then_some(())
        });
    }

    /// What it has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// What has come out of stdout so far.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        fs::read(&self.stdout).unwrap()
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> End {
        let stderr = self.stderr.clone();
        let what = || String::from_utf8_lossy(&fs::read(&stderr).unwrap_or_default()).into_owned();
        let end = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "the run doesn't end:\n{}", what());
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.code().is_some() || status.signal() == Some(9), "{status}\n{}", what());
        End { status: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(&mut self, signal: Signal) -> End {
        self.signal(signal);
        self.wait()
    }

    /// Kills nymvisor itself, as the system might, and nothing else.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Its group, where it has one of its own.
            let _ = killpg(id(self.pid()), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until a process is gone or a zombie.
pub(crate) fn until_gone(pid: u32) {
    eventually(&format!("the end of process {pid}"), || (!is_live(pid)).then_some(()));
}

pub(super) fn id(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap())
}
