//! The file of a download under way, its lock, its running digests and the note beside it.
//!
//! The note says which bytes the part is a beginning of: without one that fits, what is there is
//! thrown away. Everything here blocks and belongs off the runtime.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::{Algorithm, Digests, Hex};
use crate::disk::{self, Disk, RealDisk};

/// Read at a time when what is there is digested.
const BLOCK_BYTES: usize = 1024 * 1024;

/// What a part is a beginning of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// SHA-256 (hex) of the URL without credentials.
    pub(super) url_digest: String,
    /// A strong entity tag or a date, as it goes into `If-Range`.
    pub(super) validator: String,
    /// Size of the whole in bytes.
    pub(super) total: u64,
    /// The checksum (hex) that the whole is to have, where there is one.
    #[serde(default)]
    pub(super) expected: Option<String>,
}

/// What shows that a server has the file that a part is a beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The server itself: it gave the validator.
    Validator,
    /// The checksum of the whole, in the end.
    Checksum,
}

/// A locked part.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
    algorithm: Algorithm,
    digests: Digests,
    bytes: u64,
    note: Option<Note>,
}

impl Part {
    /// Opens or creates the part, takes its lock and digests what is there.
    ///
    /// With `keep` false nothing that is there is used.
    pub(super) fn open(path: &Path, algorithm: Algorithm, keep: bool) -> Result<Self, Error> {
        let file = open_locked(path)?;
        let digests = Digests::new(algorithm);
        let mut part =
            Self { path: path.to_owned(), file, algorithm, digests, bytes: 0, note: None };
        if keep {
            part.digest_present()?;
            part.note = fs::read(note_path(path))
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        } else {
            part.restart()?;
        }
        Ok(part)
    }

    /// So many bytes are there.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The note, if something of that whole is there and something is missing, and on what
    /// going on from here would rest.
    pub(super) fn resumable(
        &self,
        url_digest: &str,
        expected: Option<&str>,
    ) -> Option<(&Note, Proof)> {
        let note = self.note.as_ref().filter(|note| self.bytes > 0 && self.bytes < note.total)?;
        if note.url_digest == url_digest {
            return Some((note, Proof::Validator));
        }
        let is_same = expected.is_some() && note.expected.as_deref() == expected;
        is_same.then_some((note, Proof::Checksum))
    }

    /// The digests of what is there.
    pub(super) fn digest(&self) -> Hex {
        self.digests.clone().finish()
    }

    /// Empties the part; the note goes first, so that it never describes other bytes.
    fn restart(&mut self) -> Result<(), Error> {
        self.remove_note()?;
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| Error::io("empty", &self.path, error))?;
        self.digests = Digests::new(self.algorithm);
        self.bytes = 0;
        Ok(())
    }

    /// Makes ready for the missing bytes of a whole of `total`.
    pub(super) fn resume(&mut self, total: Option<u64>) -> Result<(), Error> {
        self.check_room(total.unwrap_or_default().saturating_sub(self.bytes))
    }

    /// Makes ready for all bytes: empties the part, looks for room, writes the note.
    pub(super) fn begin(&mut self, note: Option<Note>, total: Option<u64>) -> Result<(), Error> {
        self.restart()?;
        self.check_room(total.unwrap_or_default())?;
        if let Some(note) = &note {
            let path = note_path(&self.path);
            let text = serde_json::to_vec(note).map_err(io::Error::from);
            text.and_then(|text| disk::replace(&RealDisk, &path, &text, 0o600))
                .map_err(|error| Error::io("write", &path, error))?;
        }
        self.note = note;
        Ok(())
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::io("write", &self.path, error))?;
        self.digests.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes the whole durable; the note has done its work.
    pub(super) fn seal(mut self) -> Result<u64, Error> {
        let synced =
            self.file.sync_data().and_then(|()| RealDisk.sync_dir(disk::folder_of(&self.path)));
        synced.map_err(|error| Error::io("sync", &self.path, error))?;
        self.remove_note()?;
        Ok(self.bytes)
    }

    /// Removes the part and its note.
    pub(super) fn discard(mut self) -> Result<(), Error> {
        self.remove_note()?;
        disk::remove_if_there(&RealDisk, &self.path)
            .map_err(|error| Error::io("remove", &self.path, error))
    }

    fn remove_note(&mut self) -> Result<(), Error> {
        let path = note_path(&self.path);
        self.note = None;
        disk::remove_if_there(&RealDisk, &path).map_err(|error| Error::io("remove", &path, error))
    }

    fn digest_present(&mut self) -> Result<(), Error> {
        let failed = |error| Error::io("read", &self.path, error);
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = match self.file.read(&mut block) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            self.digests.update(bytes);
            self.bytes += read as u64;
        }
    }

    /// Refuses at once what can't fit, instead of filling the file system first.
    fn check_room(&self, missing: u64) -> Result<(), Error> {
        // A file system that can't tell its room gets the benefit of the doubt.
        let Ok(room) = nix::sys::statvfs::fstatvfs(&self.file) else { return Ok(()) };
        let free = room.blocks_available().saturating_mul(room.fragment_size());
        if missing > free {
            let why = format!("{missing} bytes are needed, {free} are free");
            return Err(Error::NoRoom { path: self.path.clone(), why });
        }
        Ok(())
    }
}

/// The path of the note that belongs to a part.
pub(super) fn note_path(part: &Path) -> PathBuf {
    let mut name = OsString::from(part);
    name.push(".json");
    name.into()
}

/// Removes what an unfinished download has left, if anything.
pub(super) fn remove_left(part: &Path) -> Result<(), Error> {
    for path in [note_path(part), part.to_owned()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn open_locked(path: &Path) -> Result<File, Error> {
    let failed = |error| Error::io("open", path, error);
    match RealDisk.create(path, 0o600) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    if !opened.is_file() {
        return Err(failed(io::Error::other("not a plain file; remove it")));
    }
    match disk::try_lock(&file) {
        Ok(true) => {}
        Ok(false) => return Err(Error::Busy { path: path.to_owned() }),
        Err(error) => return Err(failed(error)),
    }
    // Whoever held the lock may have given the file its final name meanwhile.
    let named = fs::symlink_metadata(path);
    match named.map(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
        Ok(true) => Ok(file),
        Ok(false) | Err(_) => Err(Error::Busy { path: path.to_owned() }),
    }
}
