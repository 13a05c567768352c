//! What a preparation or an attempt has done, in words.

use super::failure;
use crate::machine::{Archive, Attempt, Binary, Failure};
use crate::units::human;

/// What the host calls the source of a binary that lay in its place.
const IN_PLACE: &str = "in place";

pub(super) fn fetched(attempt: u64, bytes: u64, source: &str, sha256: &str) -> String {
    let size = human(bytes);
    // What lay in its place was not fetched from anywhere.
    let from = if source == IN_PLACE { ", in its place" } else { &format!(" from {source}") };
    format!("upgrade {attempt}: the binary is there, {size}{from}, sha256 {sha256}")
}

pub(super) fn room_found(attempt: u64, needed_bytes: u64, free_bytes: u64) -> String {
    let (needed, free) = (human(needed_bytes), human(free_bytes));
    format!("upgrade {attempt}: there is room for the backup, which needs {needed} of {free}")
}

pub(super) fn stood_down(tried: &str) -> String {
    format!("{tried}: what it left half-done is removed, and its lock given back")
}

pub(super) fn copied(attempt: u64, entries: u64, bytes: u64) -> String {
    let entries = counted(entries, "entry", "entries");
    format!("upgrade {attempt}: the home is copied, {entries}, {}", human(bytes))
}

pub(super) fn refreshed(attempt: u64, changed: u64, bytes: u64, keeps_up: bool) -> String {
    let files = counted(changed, "file", "files");
    let what = format!("upgrade {attempt}: {files} changed since, {}", human(bytes));
    let warning = if keeps_up {
        if changed == 1 { ", is copied" } else { ", are copied" }
    } else {
        "; the daemon changes more than can be copied meanwhile, its stop will take longer"
    };
    what + warning
}

pub(super) fn home_restored(tried: &str, aside: &str, moved_aside: u64) -> String {
    format!(
        "{tried}: the data is as the backup has it; what was there ({}) lies in {aside}",
        counted(moved_aside, "file or folder", "files and folders")
    )
}

pub(super) fn committed(tried: &str, back: Option<&Attempt>, left: &str) -> String {
    if !left.is_empty() {
        return format!("{tried}: committed, but some files are still to be moved: {left}");
    }
    let which = if back.is_some() { "version before" } else { "new version" };
    format!("{tried}: committed, the {which} holds")
}

pub(super) fn checked(attempt: u64, of: &Binary) -> String {
    format!("upgrade {attempt}: the binary is the right build, {}", binary(of))
}

pub(super) fn sealed(attempt: u64, of: &Archive) -> String {
    format!("upgrade {attempt}: the backup is sealed, {}", archive(of))
}

pub(super) fn examined(of: &Archive) -> String {
    format!("the backup is read and whole, {}", archive(of))
}

pub(super) fn damaged(archive: &Archive, why: &Failure) -> String {
    format!("the backup {} is no good: {}", archive.path, failure(why))
}

fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

fn archive(archive: &Archive) -> String {
    let entries = counted(archive.entries, "entry", "entries");
    format!("{entries}, {}, {}", human(archive.bytes), archive.path)
}

fn binary(binary: &Binary) -> String {
    format!("{}, sha256 {}", human(binary.bytes), binary.sha256)
}
