//! Programs of the system that a test needs.

use std::process::Command;

/// Whether a program is not on this machine. Where it is not, that is said: a test is skipped.
pub(crate) fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        eprintln!("skipped: there is no {program} here");
    }
    missing
}
