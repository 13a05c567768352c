//! Where the group that this process is in lies in the file system.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::PROCESSES;

/// The path of a process's group in the cgroup2 hierarchy, from that hierarchy's root as this
/// process sees it. `process` is a number, or `self`.
#[must_use]
pub fn path_of(process: &str) -> Option<PathBuf> {
    let content = fs::read(format!("/proc/{process}/cgroup")).ok()?;
    // Version 1 hierarchies have another number, or a name, in front.
    let path = content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    // One that lies outside of what this process may see.
    let is_outside = path.components().any(|part| part == Component::ParentDir);
    (path.is_absolute() && !is_outside).then_some(path)
}

/// The folders that show the group that this process is in: where several are mounted, all.
#[must_use]
pub fn candidates() -> Vec<PathBuf> {
    let Some(own) = path_of("self") else { return Vec::new() };
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found = folders(&mounts, &own);
    found.retain(|folder| is_ours(folder));
    found
}

/// The folders that show the group with the path `own`, by the content of `mountinfo`; nobody has
/// looked whether it is so.
#[must_use]
pub fn folders(mountinfo: &[u8], own: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        // Between the options and the type there may be any number of fields, and then a dash.
        let kind = words.iter().position(|word| *word == b"-").and_then(|at| words.get(at + 1));
        let (Some(root), Some(mounted)) = (words.get(3), words.get(4)) else { continue };
        if kind != Some(&b"cgroup2".as_slice()) {
            continue;
        }
        if let Ok(below) = own.strip_prefix(unescaped(root)) {
            let folder = unescaped(mounted).join(below);
            if !found.contains(&folder) {
                found.push(folder);
            }
        }
    }
    found
}

/// Another mount may hide the one that was found, and a name be another's by now.
fn is_ours(folder: &Path) -> bool {
    let own = std::process::id().to_string();
    let pids = fs::read_to_string(folder.join(PROCESSES)).unwrap_or_default();
    pids.lines().any(|pid| pid == own)
}

/// The kernel writes blanks and the like as `\040`.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}
