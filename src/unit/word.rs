//! Words of a unit file: quoted, with `%` and `$` as what they are.

use std::ffi::OsStr;
use std::path::Path;

/// What no unit can hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Control characters, or bytes that are no UTF-8.
    #[error(
        "'{0}' can't stand in a unit: systemd takes no control characters, and nothing that is not \
         UTF-8; rename it, or link to it by another name"
    )]
    Unspeakable(String),
    /// A program's path is taken literally, and may hold less.
    #[error(
        "{0} can't be started by systemd: the path of a program may hold no quote, no backslash \
         and no $; copy nymvisor to /usr/local/bin"
    )]
    Program(String),
}

/// One word of a setting.
///
/// # Errors
/// Control characters, or bytes that are no UTF-8.
pub fn word(text: &OsStr) -> Result<String, Error> {
    let shown = || Error::Unspeakable(text.to_string_lossy().escape_debug().to_string());
    let text = text.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(shown)?;
    let escaped = text.replace('%', "%%");
    let is_plain = |c: char| !c.is_whitespace() && !"\"'\\;#".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(escaped);
    }
    Ok(format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A word of a command line, where `$` begins a variable.
pub(super) fn argument(text: &OsStr) -> Result<String, Error> {
    word(text).map(|word| word.replace('$', "$$"))
}

/// The first word of a command line.
pub(super) fn program(path: &Path) -> Result<String, Error> {
    let refused = |c: char| "\"'\\$".contains(c);
    if path.to_str().is_some_and(|path| path.contains(refused)) {
        return Err(Error::Program(path.display().to_string()));
    }
    word(path.as_os_str())
}
