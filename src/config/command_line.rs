//! A program with its arguments, as the configuration holds it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// A program with its arguments. No shell looks at it: nothing in it is expanded or interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program. Absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl CommandLine {
    /// Reads words with the quoting of a shell; the error says what is allowed.
    ///
    /// A program without its whole path would be another one for each folder in which a command
    /// is typed, and for a service.
    pub(super) fn parse(value: &OsStr) -> Result<Self, String> {
        let allowed = || {
            "a program and its arguments, quoted as for a shell, such as '/usr/local/bin/notify \
             --text \"two words\"'"
                .to_owned()
        };
        let text = value.to_str().filter(|text| !text.contains('\0')).ok_or_else(allowed)?;
        let mut words = shlex::split(text).ok_or_else(allowed)?.into_iter();
        let program = words.next().filter(|word| !word.is_empty()).ok_or_else(allowed)?;
        let program = PathBuf::from(program);
        if !program.is_absolute() {
            let what = "its whole path is needed: neither PATH nor ~ is looked up";
            return Err(format!("{} ({what})", allowed()));
        }
        Ok(Self { program, args: words.collect() })
    }

    /// The program alone, to look at.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

impl fmt::Display for CommandLine {
    /// As it is read again; a path is read from UTF-8 and stays so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.to_string_lossy();
        let words = [program.as_ref()].into_iter().chain(self.args.iter().map(String::as_str));
        // No word holds a NUL, which alone can't be quoted.
        f.write_str(&shlex::try_join(words).unwrap_or_default())
    }
}
