//! Gives the system back what this process holds of its memory and doesn't need for now.
//!
//! Most of what a quiet supervisor holds is its own code, and the kernel maps 16 pages around each
//! that is touched once: what a start or an exchange over TLS went through stays for weeks.

use std::fs;
use std::ops::Range;

use nix::libc;

/// Where the kernel tells what is mapped, and what of it was written to.
const MAPPINGS: &str = "/proc/self/smaps";

/// Gives back the pages of files that nothing has changed, and free pages of the heap.
///
/// Nothing is lost by it: the former stay in the page cache, and are found there at the next touch.
/// Takes a millisecond or two; where the kernel doesn't tell enough, it does less, or nothing.
pub fn give_back() {
    trim_heap();
    let Ok(text) = fs::read(MAPPINGS) else { return };
    for mapping in untouched(&String::from_utf8_lossy(&text)) {
        let_go(&mapping);
    }
}

/// The private mappings of files, by a text of the form of `/proc/<pid>/smaps`, that can't be
/// written to and of which no page is other than in the file.
///
/// Relocated tables are read-only as well, but were written to before they became so: they can't
/// be had from the file again, whether they are in memory or swapped out.
#[must_use]
pub fn untouched(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // The mapping whose properties are being read, and whether none of it is changed in memory.
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("Anonymous:"), bytes) => {
                candidate = candidate.map(|(range, _)| (range, bytes == Some("0")));
            }
            // The kernel tells it after the former.
            (Some("Swap:"), Some("0")) => {
                found.extend(candidate.take().filter(|(_, is_unchanged)| *is_unchanged));
            }
            (Some(property), _) if property.ends_with(':') => {}
            (Some(addresses), Some("r--p" | "r-xp")) if words.nth(3).is_some_and(is_path) => {
                candidate = range(addresses).map(|range| (range, false));
            }
            _ => candidate = None,
        }
    }
    found.into_iter().map(|(range, _)| range).collect()
}

fn is_path(name: &str) -> bool {
    name.starts_with('/')
}

fn range(addresses: &str) -> Option<Range<usize>> {
    let (start, end) = addresses.split_once('-')?;
    let parse = |digits| usize::from_str_radix(digits, 16).ok();
    Some(parse(start)?..parse(end)?).filter(|range| !range.is_empty())
}

/// Unmaps the pages, not the range.
#[expect(
    unsafe_code,
    reason = "a system call for which there is no safe wrapper; the pages are those of the file, \
              nobody can write to them, and whoever touches one is given it again"
)]
fn let_go(mapping: &Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(mapping.start);
    unsafe {
        libc::madvise(start, mapping.len(), libc::MADV_DONTNEED);
    }
}

/// Lets all threads share one heap; to be called before there are any.
///
/// Otherwise each has one of its own, whose top is never given back. Our threads allocate rarely,
/// and large pieces at that: they don't wait for one another.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call of the C library on plain numbers, without a wrapper")]
pub fn share_one_heap() {
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Other C libraries have one.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// The C library keeps what was freed in case it is wanted again.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call of the C library, safe from any thread, without a wrapper")]
fn trim_heap() {
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries do so by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}
