//! A medium in memory that can be told to fail.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use nymvisor::disk::{Disk, DiskFile, Kind};

/// Folders and files, and a count of what was done to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    reads: Vec<PathBuf>,
    changes: usize,
    fails_at: Option<usize>,
    /// All that it can hold, where it is full.
    capacity: Option<usize>,
}

impl Inner {
    fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// Counts one change, and refuses it if it is the one that is to fail.
    fn change(&mut self) -> io::Result<()> {
        self.changes += 1;
        if self.fails_at == Some(self.changes) {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        Ok(())
    }
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// A copy that goes its own way.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        let inner = self.inner();
        copy.inner().folders.clone_from(&inner.folders);
        copy.inner().files.clone_from(&inner.files);
        drop(inner);
        copy
    }

    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        self.inner().files[path].clone()
    }

    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        self.inner().files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.inner().files.keys().cloned().collect()
    }

    /// Which files were read since the last question.
    pub(crate) fn take_reads(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.inner().reads)
    }

    pub(crate) fn changes(&self) -> usize {
        self.inner().changes
    }

    /// Nothing more fits, until something is removed.
    pub(crate) fn full_from_now_on(&self) {
        let mut inner = self.inner();
        inner.capacity = Some(inner.used());
    }

    /// The change with this number, from now on counted from 1, will fail.
    pub(crate) fn fail_at(&self, number: Option<usize>) {
        let mut inner = self.inner();
        inner.changes = 0;
        inner.fails_at = number;
    }
}

#[derive(Debug)]
struct File {
    memory: Memory,
    path: PathBuf,
}

impl DiskFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.memory.inner();
        let fails = inner.change();
        // A failing disk has taken some of it, a full one what still fits.
        let room = inner.capacity.map_or(usize::MAX, |capacity| capacity - inner.used());
        let takes = if fails.is_err() { bytes.len() / 2 } else { bytes.len().min(room) };
        inner.files.get_mut(&self.path).unwrap().extend_from_slice(&bytes[..takes]);
        fails?;
        if takes < bytes.len() {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.memory.inner().change()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.memory.inner();
        inner.change()?;
        inner.files.get_mut(&self.path).unwrap().truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

impl Disk for Memory {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let inner = self.inner();
        if path == Path::new("/") || inner.folders.iter().any(|folder| folder == path) {
            return Ok(Some(Kind::Folder));
        }
        Ok(inner.files.get(path).map(|bytes| Kind::File(bytes.len() as u64)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut inner = self.inner();
        inner.reads.push(path.to_owned());
        inner.files.get(path).cloned().ok_or(ErrorKind::NotFound.into())
    }

    fn read_link(&self, _: &Path) -> io::Result<PathBuf> {
        Err(ErrorKind::Unsupported.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.inner();
        let within = inner.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(within.map(|path| path.file_name().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path, _: u32) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.change()?;
        if inner.files.insert(path.to_owned(), Vec::new()).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(Box::new(File { memory: self.clone(), path: path.to_owned() }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if !self.inner().files.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(Box::new(File { memory: self.clone(), path: path.to_owned() }))
    }

    fn create_dir(&self, path: &Path, _: u32) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        inner.folders.push(path.to_owned());
        Ok(())
    }

    fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.change()?;
        let bytes = inner.files.remove(from).ok_or(ErrorKind::NotFound)?;
        inner.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.files.remove(path).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.inner().change()
    }
}
