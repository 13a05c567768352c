//! What `execve` is called with.
//!
//! The standard library's own way into a program ends in `execvp`, which hands a file that the
//! kernel doesn't know to a shell: half a binary, or a saved page of HTML, would be run line by
//! line. Here such a file is the error that the kernel says it is.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::libc::{self, c_char};

use super::{Command, NOT_INHERITED, TOKEN_VARIABLE};

/// A program with its arguments and its environment, ready for a child that may not allocate.
#[derive(Debug)]
pub(super) struct Image {
    /// What the pointers point to.
    words: [Vec<CString>; 2],
    argv: Pointers,
    envp: Pointers,
}

/// A list of C strings as system calls take it.
#[derive(Debug)]
struct Pointers(Vec<*const c_char>);

#[expect(unsafe_code, reason = "what they point to is owned beside them and never changed")]
unsafe impl Send for Pointers {}
#[expect(unsafe_code, reason = "what they point to is owned beside them and never changed")]
unsafe impl Sync for Pointers {}

impl Pointers {
    fn to(words: &[CString]) -> Self {
        Self(words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect())
    }
}

impl Image {
    /// Fails where a word holds a NUL, which no program can be given.
    pub(super) fn of(command: &Command) -> io::Result<Self> {
        let arguments = [command.binary.as_os_str()]
            .into_iter()
            .chain(command.args.iter().map(OsString::as_os_str))
            .map(|word| CString::new(word.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let environment = environment(command)
            .into_iter()
            .map(|(name, value)| {
                let mut entry = name.into_vec();
                entry.push(b'=');
                entry.extend(value.into_vec());
                CString::new(entry)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of_words([arguments, environment]))
    }

    /// Arguments, the program first, and environment.
    pub(super) fn of_words(words: [Vec<CString>; 2]) -> Self {
        let [argv, envp] = words.each_ref().map(|words| Pointers::to(words));
        Self { words, argv, envp }
    }

    /// What [`Image::of_words`] makes it from.
    pub(super) fn words(&self) -> &[Vec<CString>; 2] {
        &self.words
    }

    /// Becomes the program; what comes back is why not. For a child between fork and exec.
    pub(super) fn exec(&self) -> io::Result<()> {
        let Some(program) = self.argv.0.first() else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        #[expect(unsafe_code, reason = "all three are what execve asks for, and owned by us")]
        unsafe {
            libc::execve(*program, self.argv.0.as_ptr(), self.envp.0.as_ptr());
        }
        Err(io::Error::last_os_error())
    }
}

/// Our environment without what is for us alone, and with what was asked for.
fn environment(command: &Command) -> Vec<(OsString, OsString)> {
    let is_set = |name: &OsStr| {
        name == TOKEN_VARIABLE || command.envs.iter().any(|(set, _)| set.as_os_str() == name)
    };
    let is_inherited = |name: &OsStr| {
        !NOT_INHERITED.iter().any(|kept| name == *kept)
            && !command.remove_env.iter().any(|removed| removed == name)
    };
    let ours = std::env::vars_os().filter(|(name, _)| !is_set(name));
    let token = (OsString::from(TOKEN_VARIABLE), OsString::from(&command.token));
    let all = ours.chain(command.envs.iter().cloned());
    all.filter(|(name, _)| is_inherited(name)).chain([token]).collect()
}
