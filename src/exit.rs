//! The exit codes of every command, in one place.

use std::process::ExitCode;

/// How a command ended, as its exit status tells it.
///
/// A panic (status 101) is never one of them: it would be a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or an orderly end of the run.
    Done = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The configuration or the installation can't be used as it is.
    Unusable = 3,
    /// The daemon failed for good.
    DaemonFailed = 4,
    /// Another `run`, or the daemon itself, is running already.
    RunsAlready = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
