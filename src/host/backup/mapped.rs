//! The files that a daemon can write to without a system call.
//!
//! A store through a shared mapping stamps the file only when its page was clean: one whose page
//! is dirty already leaves no trace until the page was written back. So a file that any process of
//! the daemon was ever seen to have mapped, shared and writable, is never held to be unchanged for
//! its times. It is told by its inode number alone: the device in `/proc/<pid>/maps` is not the
//! one that `stat` gives on file systems made of several (btrfs, overlays). Another file that has
//! the number elsewhere is looked at once too often, which does no harm.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, str};

use crate::proc;

/// While a copy is under way, this often. What is mapped for less goes unseen.
const PAUSE: Duration = Duration::from_millis(250);

/// What was ever seen.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// The daemon's process group.
    group: Option<u32>,
    inodes: BTreeSet<u64>,
    /// Somebody's maps can't be read: every file may be mapped.
    blind: bool,
    looked: Option<Instant>,
}

impl Mapped {
    /// Nothing yet. Without a group there is no daemon.
    pub(super) fn by(group: Option<u32>) -> Self {
        Self { group, ..Self::default() }
    }

    /// Another group takes the place of the former, whose mappings count on.
    pub(super) fn follow(&mut self, group: Option<u32>) {
        self.group = group;
    }

    /// Whether a file has to be taken for mapped.
    pub(super) fn has(&self, inode: u64) -> bool {
        self.blind || self.inodes.contains(&inode)
    }

    /// Looks again, if the last look is some time ago.
    pub(super) fn look_now_and_then(&mut self) {
        if self.group.is_some() && self.looked.is_none_or(|at| at.elapsed() >= PAUSE) {
            self.look();
        }
    }

    /// Looks at all processes of the group.
    pub(super) fn look(&mut self) {
        let Some(group) = self.group else { return };
        match proc::stats() {
            Ok(stats) => {
                for stat in stats.iter().filter(|stat| stat.group == group && stat.live) {
                    self.look_at(stat.pid);
                }
            }
            Err(error) => self.turn_blind(&error),
        }
        self.looked = Some(Instant::now());
    }

    fn look_at(&mut self, pid: u32) {
        match fs::read(format!("/proc/{pid}/maps")) {
            Ok(maps) => maps.split(|byte| *byte == b'\n').for_each(|line| self.take(line)),
            Err(_) if proc::is_ending(pid) => {}
            Err(error) => self.turn_blind(&error),
        }
    }

    fn turn_blind(&mut self, error: &io::Error) {
        if !self.blind {
            tracing::warn!(
                "what the daemon has mapped can't be seen ({error}); its files are compared by \
                 content"
            );
        }
        self.blind = true;
    }

    /// `<range> <rwxs or p> <offset> <device> <inode>   <path>`
    fn take(&mut self, line: &[u8]) {
        let mut fields = line.splitn(6, |byte| *byte == b' ');
        let mode = fields.nth(1).unwrap_or_default();
        if mode.get(1) != Some(&b'w') || mode.get(3) != Some(&b's') {
            return;
        }
        let inode: Option<u64> =
            fields.nth(2).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        self.inodes.extend(inode.filter(|inode| *inode != 0));
        // An overlay shows the inode of the file below it.
        let path = path_of(fields.next().unwrap_or_default().trim_ascii_start());
        if path.is_absolute() {
            self.inodes.extend(fs::metadata(path).map(|meta| meta.ino()));
        }
    }
}

/// The kernel writes a line feed as `\012`, and all else as it is.
fn path_of(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match after.strip_prefix(b"012") {
            Some(after) if *first == b'\\' => {
                path.push(b'\n');
                rest = after;
            }
            _ => {
                path.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}
