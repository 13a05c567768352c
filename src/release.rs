//! The formats that describe releases: announcements, plan, history, current version.
//!
//! Everything here is checked when it is read, so that the rest of the program never sees a name
//! that is no folder name, a version that can't be compared or a file that is half there.
//! Unknown fields are kept and written back.

use std::io;
use std::path::PathBuf;

use crate::disk;

mod build_info;
mod checksum;
mod files;
mod history;
mod info;
mod lock;
mod name;
mod plan;
mod platform;
mod spread;
mod version;

pub use build_info::BuildInfo;
pub use checksum::Checksum;
pub use files::{if_there, load, load_current_version, put, save};
pub use history::{CurrentVersion, History, HistoryEntry};
pub use info::{LocalBinary, Rescheduled, UpgradeInfo};
pub use lock::PlanLock;
pub use name::UpgradeName;
pub use plan::Plan;
pub use platform::{Platform, platform_key};
pub use spread::Spread;
pub use version::ReleaseVersion;

/// Largest announcement that is looked at, in bytes.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 1024 * 1024;

/// What is wrong with a release or with a file that describes some.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error(
        "{} does not exist; 'nymvisor init' makes what belongs to an installation",
        path.display()
    )]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file is there, but reading it failed.
    #[error("can't read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Something that is no file lies in its place. It is somebody's, and never removed.
    #[error(
        "{} is {is}, and should be a file; nothing replaces it. Move it out of the way, and start \
         `nymvisor run`, which goes by what else it knows: {}",
        path.display(), disk::mv_aside(path)
    )]
    NoFile {
        /// Where the file should be.
        path: PathBuf,
        /// What there is, with its article.
        is: String,
    },
    /// The file's content is not what belongs there. It is never overwritten.
    #[error(
        "{}, line {line}, column {column}: {problem}; repair the file, or move it away",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 where the content as a whole is meant.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The file can't be written.
    #[error("can't write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// An announcement is not what belongs there.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// An announcement is too large to be looked at.
    #[error("an announcement of {bytes} bytes; at most {MAX_ANNOUNCEMENT_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A name that can't be an upgrade's.
    #[error(
        "'{}' can't be the name of an upgrade: {reason}; allowed are 1 to 128 letters, digits, \
         '.', '_', '-' and '+', not starting with '.' or '-', other than 'genesis', 'current' \
         and 'upgrades'",
        shorten(text)
    )]
    Name {
        /// The refused name.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A version that can't be compared.
    #[error("'{}' is no version such as 1.2.3 (semver): {problem}", shorten(text))]
    Version {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A checksum that can't be used.
    #[error("the checksum '{}' can't be used: {problem}", shorten(text))]
    Checksum {
        /// The refused text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else holds a lock for too long.
    #[error(
        "{} is locked by another process, which was waited for {waited:?}; see whether another \
         nymvisor command hangs, then try again",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
}

/// What comes from outside may be long and hold control characters: neither gets into a message.
fn shorten(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Line, column and text of a JSON error, the position taken out of the text.
fn json_problem(error: &serde_json::Error) -> (usize, usize, String) {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let position = format!(" at line {line} column {column}");
    (line, column, text.strip_suffix(&position).unwrap_or(&text).to_owned())
}
