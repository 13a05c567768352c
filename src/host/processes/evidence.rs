//! What ties a daemon's process to a home.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::look::Process;
use super::{Home, Sought, is_of};

/// Variables that tell where a shell was, not what a program is for.
const NOT_TELLING: [&[u8]; 4] = [b"HOME", b"PWD", b"OLDPWD", b"_"];

/// Why `process` is a daemon of that home, or `None` where it isn't or nothing says so.
pub(super) fn evidence(process: &Process, sought: &Sought, home: &Home) -> Option<String> {
    let is_candidate = process.is_named(&sought.daemon_name) || process.is_below(&home.binaries);
    if !is_candidate || asks_for_build_info(process) || sees_another_home(process, home) {
        return None;
    }
    by_files(process, home)
        .or_else(|| by_values(process, home))
        .or_else(|| by_id(process, sought, home))
        .or_else(|| by_same_start(process, sought, home))
}

/// That ends by itself at once, and whoever manages a daemon does it now and then.
fn asks_for_build_info(process: &Process) -> bool {
    process.argv.iter().any(|word| word == "build-info")
}

/// In a container, or under another root, the same path may be another folder.
fn sees_another_home(process: &Process, home: &Home) -> bool {
    let Some(ours) = home.identity else { return false };
    match process.identity_of(&home.real) {
        Ok(theirs) => theirs != ours,
        // Of processes that may not be looked into, nothing is known.
        Err(error) => error.kind() == io::ErrorKind::NotFound && process.working_folder().is_some(),
    }
}

fn by_files(process: &Process, home: &Home) -> Option<String> {
    let served = |path: &PathBuf| home.is_served_by(path);
    if let Some(path) = process.working_folder().filter(served) {
        return Some(format!("its working folder is {}", path.display()));
    }
    if let Some(path) = process.open_files().into_iter().find(served) {
        return Some(format!("it has {} open", path.display()));
    }
    let mapped = process.mapped_files().into_iter().find(served)?;
    Some(format!("it has {} mapped", mapped.display()))
}

fn by_values(process: &Process, home: &Home) -> Option<String> {
    let folder = process.working_folder();
    for word in process.argv.iter().skip(1) {
        let bytes = word.as_bytes();
        let value = bytes.iter().position(|&byte| byte == b'=').and_then(|at| bytes.get(at + 1..));
        for value in [Some(bytes), value].into_iter().flatten() {
            let path = Path::new(OsStr::from_bytes(value));
            if is_served(path, folder.as_deref(), home) {
                return Some(format!("its argument {} names the home", path.display()));
            }
        }
    }
    let mut telling = process.variables().filter(|(name, _)| !NOT_TELLING.contains(name));
    let (name, value) = telling.find(|(_, value)| is_served(Path::new(value), None, home))?;
    let name = String::from_utf8_lossy(name);
    Some(format!("its environment has {name}={}", value.display()))
}

/// Whether a value that somebody wrote down names the home or something of the daemon in it; one
/// that isn't absolute is taken from `folder`.
fn is_served(value: &Path, folder: Option<&Path>, home: &Home) -> bool {
    let path = match folder {
        _ if value.is_absolute() => value.to_owned(),
        Some(folder) if !value.as_os_str().is_empty() => folder.join(value),
        Some(_) | None => return false,
    };
    // Behind a `..`, the letters of a path don't say where it leads.
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    (is_plain && home.is_served_by(&path))
        || fs::canonicalize(&path).is_ok_and(|path| home.is_served_by(&path))
}

/// `--id <x>` means the folder `x` where the daemon keeps its homes, below the user's home.
fn by_id(process: &Process, sought: &Sought, home: &Home) -> Option<String> {
    let id = home.given.file_name()?;
    let named = process.argv.windows(2).any(|pair| match pair {
        [flag, value] => flag == "--id" && value == id,
        _ => false,
    });
    let joined = [b"--id=", id.as_bytes()].concat();
    let named = named || process.argv.iter().any(|word| word.as_bytes() == joined);
    if !named || is_anothers(process, sought, home) {
        return None;
    }
    let user_home = process.user_home()?;
    home.is_below(&user_home)
        .then(|| format!("it runs with --id {} below {}", id.display(), user_home.display()))
}

/// The same arguments and the same `HOME` make the same home, unless something says otherwise.
fn by_same_start(process: &Process, sought: &Sought, home: &Home) -> Option<String> {
    let same = !sought.our_args.is_empty()
        && process.args_of(&sought.daemon_name) == sought.our_args
        && process.user_home().map(PathBuf::into_os_string) == sought.user_home;
    (same && !is_anothers(process, sought, home))
        .then(|| "it runs with the same arguments and the same HOME".to_owned())
}

/// Whether its environment says that it is for another home, or of another instance.
fn is_anothers(process: &Process, sought: &Sought, home: &Home) -> bool {
    process.token().is_some_and(|token| !is_of(token, &sought.token_prefix))
        || process.variable("DAEMON_HOME").is_some_and(|value| !home.is(Path::new(value)))
}
