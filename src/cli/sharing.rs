//! Instances of elsewhere that share a data folder: each that keeps its own data under another
//! `~/.nym/nymvisors` leaves a mark in the folder, by which `prune` finds and asks it.
//!
//! Those of the folder's own root need none, for they are found beside one another.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::config::Paths;
use crate::digest;
use crate::disk::{self, Disk, Kind};

/// The folder of the marks, in a data folder.
const MARKS: &str = ".used-by";
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// An instance that uses a data folder of another root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    instance: String,
    folder: PathBuf,
}

/// An instance that has left its mark.
#[derive(Debug)]
pub(super) struct Sharer {
    /// Its mark.
    pub(super) mark: PathBuf,
    /// Its folder, `…/instances/<id>`.
    pub(super) folder: PathBuf,
}

/// Leaves this instance's mark, where it needs one and there is none yet.
pub(super) fn register(disk: &dyn Disk, paths: &Paths) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt;
    if paths.data().starts_with(paths.root().data()) {
        return Ok(());
    }
    let folder = paths.instance();
    let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut number = digest::sha256(folder.as_os_str().as_bytes());
    number.truncate(16);
    let file = paths.data().join(MARKS).join(format!("{number}.json"));
    let mark = serde_json::json!(Mark { instance: id, folder }).to_string() + "\n";
    if disk.read(&file).is_ok_and(|there| there == mark.as_bytes()) {
        return Ok(());
    }
    disk::create_dirs(disk, disk::folder_of(&file), FOLDER_MODE)
        .and_then(|()| disk::replace(disk, &file, mark.as_bytes(), FILE_MODE))
        .map_err(Error::io("write", &file))
}

/// All that have left a mark in this data folder.
pub(super) fn registered(disk: &dyn Disk, data: &Path) -> Result<Vec<Sharer>, Error> {
    let folder = data.join(MARKS);
    let names = match disk.list(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(Error::io("list", &folder))?,
    };
    let is_mark =
        |name: &&std::ffi::OsString| Path::new(name).extension() == Some(OsStr::new("json"));
    names.iter().filter(is_mark).map(|name| read(disk, folder.join(name))).collect()
}

fn read(disk: &dyn Disk, mark: PathBuf) -> Result<Sharer, Error> {
    let unusable = |why: String| {
        Error::Refused(format!(
            "{} should name an instance that uses this data folder: {why}; remove the file, and \
             start that instance once",
            mark.display()
        ))
    };
    match disk.kind(&mark).map_err(Error::io("look at", &mark))? {
        Some(Kind::File(_)) => {}
        Some(kind @ (Kind::Folder | Kind::Link | Kind::Other)) => {
            return Err(unusable(format!("it is {}", disk::in_words(disk, &mark, &kind))));
        }
        None => return Err(unusable("it is gone".to_owned())),
    }
    let bytes = disk.read(&mark).map_err(Error::io("read", &mark))?;
    let Mark { folder, .. } =
        serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(Sharer { mark, folder })
}
