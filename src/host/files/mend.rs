//! Files that were lost or damaged are written anew; what was damaged is set aside whole.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{Error, Files};
use crate::disk;
use crate::machine::Version;
use crate::release::{self, CurrentVersion, Plan, UpgradeInfo, UpgradeName, if_there};

impl Files {
    /// Writes the version file anew; a damaged one is set aside. Where it has been put, if so.
    pub fn restore_version(
        &self,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<Option<PathBuf>, Error> {
        let name = UpgradeName::installed(&version.name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        let details = self.details_of(&info)?;
        let path = self.paths.current_version();
        let aside = self.set_aside(&path, at)?;
        release::save(&*self.disk, &path, &CurrentVersion::of(&info, details))?;
        Ok(aside)
    }

    /// Sets aside what is damaged of plan and history, and writes a plan with nothing queued where
    /// there is none any more. Where the damaged files have been put.
    pub fn rebuild_plan(
        &self,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<Vec<PathBuf>, Error> {
        let mut aside = Vec::new();
        if is_damaged(&self.history()) {
            aside.extend(self.set_aside(&self.paths.history(), at)?);
        }
        let path = self.paths.plan();
        let plan = match if_there(release::load(&*self.disk, &path)) {
            // Written all the same: whoever watches it could not read the history until now.
            Ok(Some(plan)) => plan,
            Ok(None) => self.empty_plan(version)?,
            Err(_) => {
                let plan = self.empty_plan(version)?;
                aside.extend(self.set_aside(&path, at)?);
                plan
            }
        };
        release::save(&*self.disk, &path, &plan)?;
        Ok(aside)
    }

    fn empty_plan(&self, version: &Version) -> Result<Plan, Error> {
        let name = UpgradeName::installed(&version.name)?;
        let info = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        Ok(Plan::new(info))
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
