//! Files that were lost or damaged are written anew; what was damaged is set aside whole.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{Error, Files};
use crate::disk;
use crate::machine::{Requester, Upgrade, Version};
use crate::release::{self, CurrentVersion, Plan, Rescheduled, UpgradeInfo, UpgradeName, if_there};

/// A file that was put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The file.
    pub file: PathBuf,
    /// Where what was damaged has been put; `None` where there was nothing.
    pub set_aside: Option<PathBuf>,
}

impl Files {
    /// Writes the version file anew, unless somebody has put a good one back meanwhile.
    pub fn restore_version(
        &self,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<Option<Mended>, Error> {
        let read = self.version();
        if read.is_ok() {
            return Ok(None);
        }
        refuse_unreadable(read)?;
        let name = UpgradeName::installed(&version.name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        let details = self.details_of(&info)?;
        let file = self.paths.current_version();
        let set_aside = self.set_aside(&file, at)?;
        release::save(&*self.disk, &file, &CurrentVersion::of(&info, details))?;
        Ok(Some(Mended { file, set_aside }))
    }

    /// Sets aside what is damaged of plan and history, and writes a plan where there is none any
    /// more: with what of `queued` is still there, to the letter. A plan that can be read stays.
    pub fn rebuild_plan(
        &self,
        current: &Version,
        queued: &[Upgrade],
        at: DateTime<Utc>,
    ) -> Result<Vec<Mended>, Error> {
        let mut mended = Vec::new();
        let file = self.paths.history();
        if is_damaged(&self.history()) {
            let set_aside = self.set_aside(&file, at)?;
            mended.push(Mended { file, set_aside });
        }
        let file = self.paths.plan();
        let plan: Plan = match if_there(release::load(&*self.disk, &file)) {
            // The same again: whoever watches it could not read the history until now.
            Ok(Some(plan)) => plan,
            read => {
                refuse_unreadable(read.map_err(Error::from))?;
                let name = UpgradeName::installed(&current.name)?;
                let info = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
                let known = queued.iter().filter_map(|upgrade| self.known(upgrade));
                let plan = known.fold(Plan::new(info), Plan::with);
                let set_aside = self.set_aside(&file, at)?;
                mended.push(Mended { file: file.clone(), set_aside });
                plan
            }
        };
        self.change_data(|| Ok(release::put(&*self.disk, &file, &plan)?))?;
        Ok(mended)
    }

    /// The announcement of an upgrade, from the file in its folder. What its binary says of its
    /// build may have been added there since.
    fn known(&self, upgrade: &Upgrade) -> Option<UpgradeInfo> {
        let name: UpgradeName = upgrade.name.parse().ok()?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name)).ok()?;
        let bare = UpgradeInfo { binary_details: None, ..info.clone() };
        let info = [info, bare]
            .into_iter()
            .find(|info| info.name.as_str() == upgrade.name && info.digest() == upgrade.digest)?;
        let requester = match &upgrade.requester {
            Requester::Plan => None,
            known @ (Requester::Upstream { .. } | Requester::Command { .. }) => Some(known.clone()),
        };
        let rescheduled = upgrade.rescheduled.as_ref().map(|wish| Rescheduled {
            at: upgrade.due_at,
            requester: wish.requester.clone(),
            ignores_windows: wish.ignores_windows,
        });
        let allow_downgrade = upgrade.allow_downgrade;
        Some(UpgradeInfo { requester, allow_downgrade, rescheduled, ..info })
    }

    fn set_aside(&self, path: &Path, at: DateTime<Utc>) -> Result<Option<PathBuf>, Error> {
        let failed = |source| Error::Io { doing: "set aside", path: path.to_owned(), source };
        if self.disk.kind(path).map_err(failed)?.is_none() {
            return Ok(None);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{}", at.format("%Y%m%dT%H%M%S%.9fZ")));
        let aside = path.with_file_name(name);
        self.disk.rename(path, &aside).map_err(failed)?;
        self.disk.sync_dir(disk::folder_of(path)).map_err(failed)?;
        Ok(Some(aside))
    }
}

fn is_damaged<T>(read: &Result<T, Error>) -> bool {
    matches!(read, Err(Error::Release(release::Error::Damaged { .. })))
}

/// What is absent or damaged may be written anew; what the system doesn't hand out may be whole.
fn refuse_unreadable<T>(read: Result<T, Error>) -> Result<(), Error> {
    if is_told(&read) { Ok(()) } else { read.map(drop) }
}

/// Whether it is known what there is: the content, or that there is none that could be used. What
/// the system doesn't hand out at the moment may be whole, and can be read later.
pub fn is_told<T>(read: &Result<T, Error>) -> bool {
    use release::Error::{Absent, Damaged};
    matches!(read, Ok(_) | Err(Error::Release(Absent { .. } | Damaged { .. })))
}
