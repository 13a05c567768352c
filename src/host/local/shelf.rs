//! Backups that are no longer needed.

use std::path::Path;

use chrono::Utc;

use super::LocalHost;
use crate::config::{Config, Paths};
use crate::disk::Disk;
use crate::host::backup::retention::{decide, flaw_of_newest, remove};
use crate::host::backup::{Records, path_of, path_text, shelf};
use crate::journal::Owner;
use crate::machine::{Archive, Event};

impl LocalHost {
    pub(super) fn discard_backup(&mut self, archive: Archive) {
        self.chore("an archive that is not needed could not be removed", move || {
            remove(&path_of(&archive)).map_err(|error| error.to_string())
        });
    }

    /// What can't be found out now is found out after another start.
    pub(super) fn review_backups(&mut self) {
        let (setup, teller) = (self.setup.clone(), self.teller.clone());
        let (config, paths, disk) = (setup.config.clone(), setup.paths.clone(), setup.disk.clone());
        self.chore("backups beyond the retention", move || {
            let archives = outlived(&*disk, &config, &paths)?;
            if !archives.is_empty() {
                teller.tell(Event::BackupsOutlived { archives });
            }
            Ok(())
        });
    }
}

fn outlived(disk: &dyn Disk, config: &Config, paths: &Paths) -> Result<Vec<Archive>, String> {
    // A person's restore that was interrupted may still need any.
    if paths.restoring().exists() {
        return Ok(Vec::new());
    }
    let owner = Owner { instance: config.nymvisor.id.clone(), daemon: config.daemon.name.clone() };
    let records =
        Records::read(disk, &paths.journal(), &owner).map_err(|error| error.to_string())?;
    let shelf = shelf(paths.backups()).map_err(|error| error.to_string())?;
    let decided = decide(&shelf, &records, config.daemon.backup_retention, Utc::now());
    if let Some((newest, flaw)) = flaw_of_newest(&decided, &records) {
        return Err(format!(
            "nothing is removed: {}, the newest that would stay, is not whole: {flaw}; \
             `nymvisor backups verify` tells which are",
            newest.path.display()
        ));
    }
    let goes = decided.into_iter().filter(|(_, fate)| fate.goes());
    let archive = |path: &Path| {
        let known = records.of(path)?.archive.clone();
        Some(Archive { path: path_text(path), ..known })
    };
    Ok(goes.filter_map(|(shelved, _)| archive(&shelved.path)).collect())
}
