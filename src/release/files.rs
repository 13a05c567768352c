//! Reading and writing the files of this module.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CurrentVersion, Error, json_problem};
use crate::disk::{self, Disk, Kind};

/// Mode of what is written: readable for all, as 0.1.x had it; there is nothing secret in it.
const FILE_MODE: u32 = 0o644;

/// Reads a file: absent, unreadable and damaged are told apart.
pub fn load<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> Result<T, Error> {
    let path_buf = || path.to_owned();
    let bytes = disk.read(path).map_err(|source| match (source.kind(), disk.kind(path)) {
        (io::ErrorKind::NotFound, _) => Error::Absent { path: path_buf() },
        (_, Ok(Some(kind @ (Kind::Folder | Kind::Other)))) => {
            Error::NoFile { path: path_buf(), is: disk::in_words(disk, path, &kind) }
        }
        _ => Error::Unreadable { path: path_buf(), source },
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column, problem) = json_problem(&error);
        Error::Damaged { path: path_buf(), line, column, problem }
    })
}

/// Replaces a file at once and durably, also where its content stays the same.
pub fn save<T: Serialize>(disk: &dyn Disk, path: &Path, value: &T) -> Result<(), Error> {
    written(path, value, |bytes| disk::replace(disk, path, bytes, FILE_MODE))
}

/// Replaces a file at once; durably only once the caller has synced its folder.
pub fn put<T: Serialize>(disk: &dyn Disk, path: &Path, value: &T) -> Result<(), Error> {
    written(path, value, |bytes| disk::put(disk, path, bytes, FILE_MODE))
}

fn written<T: Serialize>(
    path: &Path,
    value: &T,
    write: impl FnOnce(&[u8]) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |source| Error::Unwritable { path: path.to_owned(), source };
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|error| failed(io::Error::from(error)))?;
    bytes.push(b'\n');
    write(&bytes).map_err(failed)
}

/// Turns the absence of a file into `None`.
pub fn if_there<T>(loaded: Result<T, Error>) -> Result<Option<T>, Error> {
    match loaded {
        Ok(value) => Ok(Some(value)),
        Err(Error::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads `current-version-info.json`, or what 0.1.x first called it, `current-version.json`.
pub fn load_current_version(disk: &dyn Disk, path: &Path) -> Result<CurrentVersion, Error> {
    match load(disk, path) {
        Err(absent @ Error::Absent { .. }) => {
            let older = path.with_file_name("current-version.json");
            if_there(load(disk, &older))?.ok_or(absent)
        }
        loaded => loaded,
    }
}
