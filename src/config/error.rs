//! What can be wrong with a configuration.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with the configuration, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An environment variable can't be used.
    #[error("the variable {name} is '{value}'; allowed is {allowed}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value, without credentials.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A flag's value can't be used.
    #[error("{flag} is '{value}'; allowed is {allowed}")]
    Flag {
        /// Its name, with the dashes.
        flag: String,
        /// Its value, without credentials.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A line of the `-c` file can't be used.
    #[error("{}, line {line}: {problem}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// The configuration file is malformed.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The configuration file, or a `-c` file, can't be read.
    #[error("can't read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file of the configuration can't be written.
    #[error("can't write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A required setting is missing.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// Which.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no instance.
    #[error(
        "no nymvisor instance in {}; make one with 'nymvisor init --daemon-home <FOLDER> \
         <DAEMON_BINARY>'; if another user's node is meant: sudo -u <USER> nymvisor …; if it lies \
         elsewhere: set NYM_HOME_DIR or NYMVISOR_CONFIG_PATH",
        folder.display()
    )]
    NoInstance {
        /// Where instances are.
        folder: PathBuf,
    },
    /// There is none of this id.
    #[error(
        "the nymvisor instance '{id}' has no {}; {}",
        path.display(),
        known(others)
    )]
    NoSuchInstance {
        /// The id that was asked for.
        id: String,
        /// Where its configuration would be.
        path: PathBuf,
        /// The instances that there are.
        others: Vec<String>,
    },
    /// There are several.
    #[error(
        "several nymvisor instances in {}: {}; say which with NYMVISOR_ID, as in \
         'NYMVISOR_ID={} nymvisor …'",
        folder.display(),
        ids.join(", "),
        ids.first().map_or("<ID>", String::as_str)
    )]
    SeveralInstances {
        /// Where instances are.
        folder: PathBuf,
        /// Their ids.
        ids: Vec<String>,
    },
    /// The id's data belongs to another configuration file.
    #[error(
        "the data of the instance '{id}' belongs to {}, not to {}; give this one another id \
         (nymvisor.id, NYMVISOR_ID), or use that file",
        owner.display(),
        asked.display()
    )]
    Foreign {
        /// The id in question.
        id: String,
        /// The file that the data belongs to.
        owner: PathBuf,
        /// The file that was loaded.
        asked: PathBuf,
    },
}

impl Error {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    pub(super) fn unwritable(path: &Path, source: io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), source }
    }
}

fn known(others: &[String]) -> String {
    if others.is_empty() {
        "there is no other instance either: make one with 'nymvisor init'".to_owned()
    } else {
        format!("there are: {}; set NYMVISOR_ID to one of them", others.join(", "))
    }
}
