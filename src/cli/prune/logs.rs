//! Log files. `run` removes them by the same rule, when a day begins.

use chrono::Utc;

use super::super::Error;
use super::{Item, Part, Task, outlived};
use crate::disk::remove_if_there;
use crate::logs::{self, LogFile};

pub(super) fn prune(task: &Task<'_>) -> Part {
    let retention = task.config.nymvisor.log_retention;
    Part::of("logs", "nymvisor.log_retention", retention, all(task))
}

fn all(task: &Task<'_>) -> Result<Vec<Item>, Error> {
    let folder = task.paths.logs();
    let retention = task.config.nymvisor.log_retention;
    let files = logs::list(&folder, retention, Utc::now()).map_err(Error::io("list", &folder))?;
    for file in files.iter().filter(|file| file.outlived.is_some() && !task.dry_run) {
        remove_if_there(task.disk, &file.path).map_err(Error::io("remove", &file.path))?;
    }
    Ok(files.into_iter().map(item).collect())
}

fn item(file: LogFile) -> Item {
    let (why, text) = file.outlived.map_or(("within", "within what is kept"), outlived);
    Item {
        name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: file.path,
        bytes: file.bytes,
        goes: file.outlived.is_some(),
        why,
        text: text.to_owned(),
    }
}
