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
    /// `journal verify`: a line is damaged, foreign, or does not follow the one before it.
    JournalChain = 10,
    /// `journal verify`: a number is not the next one, or a file of the journal is missing.
    JournalSequence = 11,
    /// `journal verify`: the machine would not have made a transition.
    JournalIllegal = 12,
    /// `journal verify`: the files on disk say something else. `backups verify`: a backup is not
    /// as it was sealed, or a needed one is gone.
    JournalFiles = 13,
    /// `journal verify`: the head that was asked for is not in the chain.
    JournalHead = 14,
    /// `journal verify`: an earlier `run` set a damaged part aside.
    JournalSetAside = 15,
    /// `status`: `run` is up, and the daemon is down.
    StatusDown = 20,
    /// `status`: `run` is not up.
    StatusNotUp = 21,
    /// `status`: the daemon runs, and something needs a person.
    StatusAttention = 22,
    /// `status`: it can't be told.
    StatusUnknown = 23,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
