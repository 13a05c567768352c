//! Which backups were removed on purpose: nothing else tells them from those that were lost.
//!
//! One name a line, `v1.1.0/backup-….tar.zst`. A name is written down before its backup goes, but
//! for the first where there is no room to write; of one that is there nobody asks.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Error, path_text};
use crate::disk::{Disk, folder_of, replace};

/// The names that are in the file.
#[derive(Debug)]
pub struct Removed {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Removed {
    /// Reads the file; without one, none was removed.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let bytes = match disk.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes.map_err(|error| Error::of("reading", path, error))?,
        };
        let names = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        Ok(Self { path: path.to_owned(), names })
    }

    /// Whether it has this name, as [`name_of`] gives it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds names, durably.
    pub fn add(
        &mut self,
        disk: &dyn Disk,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), Error> {
        let mut all = self.names.clone();
        all.extend(names);
        if all.len() == self.names.len() {
            return Ok(());
        }
        let lines: Vec<&str> = all.iter().map(String::as_str).chain([""]).collect();
        replace(disk, &self.path, lines.join("\n").as_bytes(), 0o600).map_err(|cause| {
            // `Error::of` would speak of a backup that has no room.
            Error::Io { doing: "writing", path: self.path.clone(), cause }
        })?;
        self.names = all;
        Ok(())
    }

    /// Whether a name could not be added for want of room that the end of what lies at `path`
    /// would make.
    #[must_use]
    pub fn lacks_room_of(&self, path: &Path, error: &Error) -> bool {
        let Error::Io { cause, .. } = error else { return false };
        let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
        let here = device(folder_of(&self.path));
        matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            && here.is_some()
            && here == device(path)
    }
}

/// The name that stands for the backup at this path: its folder's and its own. A line break in it
/// is written as `\x0a`.
#[must_use]
pub fn name_of(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let whole = Path::new(folder).join(path.file_name().unwrap_or_default());
    path_text(&whole).replace('\n', "\\x0a").replace('\r', "\\x0d")
}
