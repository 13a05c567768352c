//! The backups that there are, by looking.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::Error;
use crate::disk::{Disk, RealDisk};

const PREFIX: &str = "backup-";
const SUFFIX: &str = "-preupgrade";
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";
/// What we write, and what 0.1.x wrote.
const ENDINGS: [&str; 2] = [".tar.zst", ".tar.gz"];

/// An archive in a folder of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// Where it lies.
    pub path: PathBuf,
    /// Name of its folder, which is that of the upgrade it was made for; see
    /// [`super::path_text`].
    pub upgrade: String,
    /// What tells it from the others there: the time in its name, else all of the name.
    pub stem: String,
    /// When it was made, by its name; by the file's time where the name doesn't tell.
    pub at: DateTime<Utc>,
    /// Size in bytes.
    pub bytes: u64,
    /// It is one that this program writes: by its name, and a file of its own, no link.
    pub ours: bool,
}

impl Shelved {
    /// Whether this program can read it.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.path.as_os_str().as_bytes().ends_with(b".tar.zst")
    }
}

/// Every archive one folder below `backups`, oldest first. What is hidden is unfinished, and what
/// doesn't end as an archive is none. A folder that doesn't exist holds none.
pub fn shelf(backups: &Path) -> Result<Vec<Shelved>, Error> {
    let mut found = Vec::new();
    for name in listed(backups)? {
        let folder = backups.join(&name);
        if is_hidden(&name) || !fs::metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        for file in listed(&folder)? {
            if !is_hidden(&file) {
                found.extend(shelved(&folder, &name, &file));
            }
        }
    }
    found.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
    Ok(found)
}

fn listed(folder: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    match RealDisk.list(folder) {
        // It was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|error| Error::of("listing", folder, error)),
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

fn shelved(folder: &Path, upgrade: &OsStr, file: &OsStr) -> Option<Shelved> {
    let name = super::path_text(Path::new(file));
    let bare = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    let stem = bare.strip_prefix(PREFIX).and_then(|bare| bare.strip_suffix(SUFFIX));
    let told = stem.and_then(|stem| NaiveDateTime::parse_from_str(stem, TIME).ok());
    let told = told.map(|time| time.and_utc());
    let path = folder.join(file);
    let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let is_link = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
    let same = told.is_some_and(|told| stem == Some(told.format(TIME).to_string().as_str()));
    Some(Shelved {
        upgrade: super::path_text(Path::new(upgrade)),
        ours: same && !is_link && name.ends_with(ENDINGS[0]),
        stem: stem.unwrap_or(&name).to_owned(),
        at: told.or_else(|| meta.modified().ok().map(DateTime::from)).unwrap_or_default(),
        bytes: meta.len(),
        path,
    })
}
