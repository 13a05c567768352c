//! What processes see, what is on the medium, and what is still on its way there.
//!
//! Files and folders stand apart from their names. Every change is made to the live side at once
//! and waits until its file or its folder is synced; a power cut decides what of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::super::chooser::Chooser;

pub(super) type Inode = usize;

/// What a name may stand for.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Bytes),
    Folder(Names),
    Link(PathBuf),
}

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pending: Vec<Change>,
    /// So often it was changed: what tells a file from itself with other content.
    pub(super) changes: u64,
    /// `live` shows what is lost.
    is_lie: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A folder's entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) live: BTreeMap<OsString, Inode>,
    pub(super) durable: BTreeMap<OsString, Inode>,
    pending: Vec<Edit>,
}

/// One operation on a folder: what each name it touches stands for after it. Kept or lost whole.
type Edit = Vec<(OsString, Option<Inode>)>;

/// What a power cut keeps of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    All,
    /// Names, and no bytes: a file that was never synced is empty.
    Names,
    /// Bytes, and no names.
    Bytes,
    /// As the seed chooses, each for itself.
    Seed(u64),
}

impl Bytes {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (live, durable) = (bytes.to_vec(), bytes.to_vec());
        Self { live, durable, ..Self::default() }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let at = self.live.len();
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.change(Change::Truncate(len));
    }

    fn change(&mut self, change: Change) {
        self.changes += 1;
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The pages count as clean, and were never written. The cache may hold them for a while.
    pub(super) fn fail_sync(&mut self, cache_lies: bool) {
        self.pending.clear();
        self.is_lie = true;
        if !cache_lies {
            self.end_of_lies();
        }
    }

    fn end_of_lies(&mut self) {
        if std::mem::take(&mut self.is_lie) {
            self.live.clone_from(&self.durable);
            for change in &self.pending {
                change.apply(&mut self.live);
            }
        }
    }

    fn cut(&mut self, keep: Keep, chooser: &mut Chooser) {
        let pending = std::mem::take(&mut self.pending);
        self.is_lie = false;
        let kept = match keep {
            Keep::Nothing | Keep::Names => 0,
            Keep::All | Keep::Bytes => pending.len(),
            Keep::Seed(_) => chooser.below(pending.len() + 1),
        };
        for change in pending.into_iter().take(kept) {
            match (change, keep) {
                (Change::Write { at, bytes }, Keep::Seed(_)) => {
                    Change::Write { at, bytes: torn(bytes, chooser) }.apply(&mut self.durable);
                }
                (change, _) => change.apply(&mut self.durable),
            }
        }
        self.live.clone_from(&self.durable);
    }
}

/// Whole, cut short, or with a hole in it.
fn torn(mut bytes: Vec<u8>, chooser: &mut Chooser) -> Vec<u8> {
    match chooser.below(3) {
        0 => {}
        _ if bytes.is_empty() => {}
        1 => bytes.truncate(chooser.below(bytes.len())),
        _ => {
            let from = chooser.below(bytes.len());
            let length = 1 + chooser.below(bytes.len() - from);
            bytes[from..from + length].fill(0);
        }
    }
    bytes
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                // What was lost before it is a hole.
                to.resize(to.len().max(end), 0);
                to[*at..end].copy_from_slice(bytes);
            }
            Self::Truncate(len) => to.resize(*len, 0),
        }
    }
}

impl Names {
    pub(super) fn edit(&mut self, edit: Edit) {
        apply(&edit, &mut self.live);
        self.pending.push(edit);
    }

    pub(super) fn sync(&mut self) {
        for edit in self.pending.drain(..) {
            apply(&edit, &mut self.durable);
        }
    }

    /// One that touches a name after an operation that is lost is lost with it.
    fn cut(&mut self, keep: Keep, chooser: &mut Chooser) {
        let mut lost = BTreeSet::new();
        for edit in std::mem::take(&mut self.pending) {
            let chosen = match keep {
                Keep::Nothing | Keep::Bytes => false,
                Keep::All | Keep::Names => true,
                Keep::Seed(_) => chooser.flip(),
            };
            if chosen && !edit.iter().any(|(name, _)| lost.contains(name)) {
                apply(&edit, &mut self.durable);
            } else {
                lost.extend(edit.into_iter().map(|(name, _)| name));
            }
        }
        self.live.clone_from(&self.durable);
    }
}

fn apply(edit: &Edit, to: &mut BTreeMap<OsString, Inode>) {
    for (name, inode) in edit {
        match inode {
            Some(inode) => drop(to.insert(name.clone(), *inode)),
            None => drop(to.remove(name)),
        }
    }
}

impl Node {
    pub(super) fn end_of_lies(&mut self) {
        if let Self::File(bytes) = self {
            bytes.end_of_lies();
        }
    }

    pub(super) fn cut(&mut self, keep: Keep, chooser: &mut Chooser) {
        match self {
            Self::File(bytes) => bytes.cut(keep, chooser),
            Self::Folder(names) => names.cut(keep, chooser),
            Self::Link(_) => {}
        }
    }
}
