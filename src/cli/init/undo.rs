//! Taking back what was written when something fails on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::FOLDER_MODE;
use crate::cli::Error;
use crate::disk::{self, Disk, Kind, folder_of};

/// What was made so far, in order.
pub(super) struct Undo<'a> {
    disk: &'a dyn Disk,
    made: Vec<Made>,
}

enum Made {
    Folder(PathBuf),
    /// A file or link where there was none.
    Name(PathBuf),
    /// A file that was there before, with its content and mode.
    Replaced(PathBuf, Vec<u8>, u32),
}

impl<'a> Undo<'a> {
    pub(super) fn new(disk: &'a dyn Disk) -> Self {
        Self { disk, made: Vec::new() }
    }

    /// Creates a folder and those above it that are missing.
    pub(super) fn create_dirs(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        let kind = self.disk.kind(path).map_err(Error::io("create", path))?;
        if matches!(kind, Some(Kind::Folder | Kind::Link)) {
            return Ok(());
        }
        let parent = folder_of(path);
        self.create_dirs(parent, FOLDER_MODE)?;
        self.disk.create_dir(path, mode).map_err(Error::io("create", path))?;
        self.made.push(Made::Folder(path.to_owned()));
        self.disk.sync_dir(parent).map_err(Error::io("sync", parent))
    }

    /// Notes what is there now, before a file or link is written.
    pub(super) fn will_write(&mut self, path: &Path) -> Result<(), Error> {
        let kind = self.disk.kind(path).map_err(Error::io("read", path))?;
        self.made.push(match kind {
            Some(Kind::File(_)) => {
                let bytes = self.disk.read(path).map_err(Error::io("read", path))?;
                let meta = fs::metadata(path).map_err(Error::io("read", path))?;
                Made::Replaced(path.to_owned(), bytes, meta.permissions().mode() & 0o7777)
            }
            None => Made::Name(path.to_owned()),
            // A folder makes the write fail, and links are only replaced where none is there.
            Some(Kind::Folder | Kind::Link | Kind::Other) => return Ok(()),
        });
        Ok(())
    }

    /// Takes everything back, latest first. What can't be is left: the first error is reported.
    pub(super) fn roll_back(self) {
        for made in self.made.into_iter().rev() {
            let _ = match made {
                Made::Folder(path) => fs::remove_dir(path),
                Made::Name(path) => disk::remove_if_there(self.disk, &path),
                Made::Replaced(path, bytes, mode) => disk::replace(self.disk, &path, &bytes, mode),
            };
        }
    }
}
