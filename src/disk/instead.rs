//! What lies where something else should, in words, and the command that moves it away.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Disk, Kind};

/// What `path` is, with its article: `a folder`, `a link to /mnt/journal`.
#[must_use]
pub fn in_words(disk: &dyn Disk, path: &Path, kind: &Kind) -> String {
    match kind {
        Kind::File(_) => "a file".to_owned(),
        Kind::Folder => "a folder".to_owned(),
        Kind::Link => match disk.read_link(path) {
            Ok(target) => format!("a link to {}", target.display()),
            Err(_) => "a link".to_owned(),
        },
        Kind::Other => "a socket, FIFO or device".to_owned(),
    }
}

/// Whether a plain file lies at `path`; else what is wrong, and what to do about what lies there.
pub fn expect_file(disk: &dyn Disk, path: &Path) -> Result<(), String> {
    match disk.kind(path) {
        Ok(Some(Kind::File(_))) => Ok(()),
        Ok(None) => Err(format!("{} is missing", path.display())),
        Ok(Some(kind)) => Err(format!(
            "{} is {}, and should be a file; move it out of the way: {}",
            path.display(),
            in_words(disk, path, &kind),
            mv_aside(path)
        )),
        Err(error) => Err(format!("{} can't be looked at: {error}", path.display())),
    }
}

/// The command that moves `path` out of the way, for a shell: `mv '/a/b' '/a/b.aside'`.
#[must_use]
pub fn mv_aside(path: &Path) -> String {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    format!("mv {} {}", quoted(path.as_os_str().as_bytes()), quoted(aside.as_bytes()))
}

/// One word of a shell command. What can't be shown as it is takes the `$'…'` of bash and zsh.
fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut word = String::from("$'");
            for byte in bytes {
                let _ = match byte {
                    b'\'' | b'\\' => write!(word, "\\{}", char::from(*byte)),
                    b' '..=b'~' => write!(word, "{}", char::from(*byte)),
                    // Three digits always: what follows may be a digit of the name.
                    _ => write!(word, "\\{byte:03o}"),
                };
            }
            word.push('\'');
            word
        }
    }
}
