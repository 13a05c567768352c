//! Everything that can be told of a folder, for comparison.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// One thing in a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    what: What,
    attributes: Vec<(OsString, Vec<u8>)>,
}

#[derive(PartialEq, Eq)]
enum What {
    Folder,
    Link(PathBuf),
    /// Content, and the first path of the same inode in the order of paths.
    File(Vec<u8>, PathBuf),
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => write!(f, "folder"),
            Self::Link(target) => write!(f, "link to {}", target.display()),
            Self::File(bytes, first) => write!(f, "{} bytes, as {first:?}", bytes.len()),
        }
    }
}

pub(crate) type Tree = BTreeMap<PathBuf, Thing>;

/// Reads a tree; sockets, FIFOs and devices are not in it.
pub(crate) fn read(root: &Path) -> Tree {
    let (mut tree, mut firsts) = (BTreeMap::new(), HashMap::new());
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_owned();
        let what = if meta.is_dir() {
            What::Folder
        } else if meta.is_symlink() {
            What::Link(fs::read_link(entry.path()).unwrap())
        } else if meta.is_file() {
            let first = firsts.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone());
            What::File(fs::read(entry.path()).unwrap(), first.clone())
        } else {
            continue;
        };
        let mut attributes: Vec<_> = xattr::list(entry.path())
            .map(|names| {
                names
                    .filter_map(|name| {
                        let value = xattr::get(entry.path(), &name).unwrap()?;
                        Some((name, value))
                    })
                    .collect()
            })
            .unwrap_or_default();
        attributes.sort();
        let thing = Thing {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            what,
            attributes,
        };
        tree.insert(path, thing);
    }
    tree
}

/// Compares two trees, and tells the first difference in few words.
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (read(left), read(right));
    let paths = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&left), paths(&right));
    for (path, thing) in &left {
        assert!(thing == &right[path], "{}: {thing:?} became {:?}", path.display(), right[path]);
    }
}

/// Sets a modification time without following a link.
pub(crate) fn set_mtime(path: &Path, seconds: i64, nanos: i64) {
    let time = TimeSpec::new(seconds, nanos);
    utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}

/// Bytes that a file takes on the medium.
pub(crate) fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// A name of any bytes.
pub(crate) fn name(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
