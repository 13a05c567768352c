//! The files that say which version runs and which comes: version file, plan, history, link.
//!
//! An instance runs what its version file names; that file's rename is the commit point. Plan,
//! history and link belong to the data folder, which instances share: the first to commit an
//! upgrade moves them. Every function gives the same result when it is done twice.
//!
//! Callers hold the plan's lock around whatever changes plan or history.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::Paths;
use crate::disk::{self, Disk, Kind};
use crate::machine::{Code, Failure, Queue, Upgrade, Version};
use crate::release::{
    self, BuildInfo, CurrentVersion, History, Plan, UpgradeInfo, UpgradeName, if_there,
};

mod back;

/// What could not be done with one of the files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or written, or is damaged.
    #[error("{}", narrate_release(.0))]
    Release(#[from] release::Error),
    /// The system refused a file operation.
    #[error("can't {doing} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The announcement is no longer in the plan as it was.
    #[error("{name} is no longer announced as it was: the plan was changed meanwhile")]
    Changed {
        /// Name of the upgrade.
        name: String,
    },
    /// Nothing tells which build of the binary it is.
    #[error(
        "{} has no binaryDetails, which current-version-info.json needs; run \
         `nymvisor add-upgrade --add-binary` for it", path.display()
    )]
    NoDetails {
        /// The announcement's file.
        path: PathBuf,
    },
}

/// The sources of release errors hold the system's words, which are needed in one line.
fn narrate_release(error: &release::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Changed { .. } => Code::AnnouncementChanged,
            Error::Io { source, .. }
            | Error::Release(release::Error::Unwritable { source, .. })
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                Code::NoRoom
            }
            Error::Release(_) | Error::Io { .. } | Error::NoDetails { .. } => Code::Io,
        };
        Self { code, text: error.to_string() }
    }
}

/// The files of one instance and of the data folder it uses.
#[derive(Debug, Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    paths: Paths,
}

impl Files {
    /// The files at `paths`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, paths: Paths) -> Self {
        Self { disk, paths }
    }

    /// What this instance's version file names.
    pub fn version(&self) -> Result<Version, Error> {
        let path = self.paths.current_version();
        Ok(release::load_current_version(&*self.disk, &path)?.to_version())
    }

    /// What the plan and the history say.
    pub fn queue(&self) -> Result<Queue, Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        let history = self.history()?;
        let is_in_place = |info: &&UpgradeInfo| {
            matches!(self.disk.kind(&self.paths.binary(&info.name)), Ok(Some(Kind::File(_))))
        };
        let name = |info: &UpgradeInfo| info.name.to_string();
        Ok(Queue {
            in_place: plan.queued_up.iter().filter(is_in_place).map(name).collect(),
            current: Some(plan.current.to_upgrade()),
            entries: plan.queued_up.iter().map(UpgradeInfo::to_upgrade).collect(),
            performed: history.standing().map(|entry| name(&entry.info)).collect(),
        })
    }

    fn history(&self) -> Result<History, Error> {
        Ok(if_there(release::load(&*self.disk, &self.paths.history()))?.unwrap_or_default())
    }

    /// The name that `current` leads to, where it leads to a version's folder.
    pub fn link(&self) -> Result<Option<String>, Error> {
        let path = self.paths.current();
        let failed = |source| Error::Io { doing: "read", path: path.clone(), source };
        if self.disk.kind(&path).map_err(failed)? != Some(Kind::Link) {
            return Ok(None);
        }
        let target = self.disk.read_link(&path).map_err(failed)?;
        let resolved = self.paths.data().join(target);
        let name = resolved.file_name().map(|name| name.to_string_lossy().into_owned());
        let leads_somewhere =
            |name: &UpgradeName| self.paths.version(name) == resolved && self.is_folder(&resolved);
        Ok(name
            .and_then(|name| UpgradeName::installed(&name).ok())
            .filter(leads_somewhere)
            .map(|name| name.to_string()))
    }

    fn is_folder(&self, path: &Path) -> bool {
        matches!(self.disk.kind(path), Ok(Some(Kind::Folder)))
    }

    /// The version whose folder `current` leads to.
    pub fn version_by_link(&self) -> Result<Option<Version>, Error> {
        let Some(name) = self.link()? else { return Ok(None) };
        let name = UpgradeName::installed(&name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        Ok(Some(info.to_upgrade().target()))
    }

    /// The whole announcement of an upgrade, if the plan still has it to the letter.
    pub fn announcement(&self, upgrade: &Upgrade) -> Result<UpgradeInfo, Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        let Plan { current, queued_up, .. } = plan;
        queued_up
            .into_iter()
            .chain([current])
            .find(|info| info.name.as_str() == upgrade.name && info.digest() == upgrade.digest)
            .ok_or_else(|| Error::Changed { name: upgrade.name.clone() })
    }

    /// Puts an announcement into the plan, its own file first.
    pub fn enqueue(&self, info: &UpgradeInfo) -> Result<(), Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        if plan.queued_up.iter().any(|queued| queued.announces_the_same(info)) {
            return Ok(());
        }
        self.create_folder(&self.paths.version(&info.name))?;
        release::save(&*self.disk, &self.paths.upgrade_info(&info.name), info)?;
        release::save(&*self.disk, &self.paths.plan(), &plan.with(info.clone()))?;
        Ok(())
    }

    /// Takes upgrades out of the plan.
    pub fn drop_queued(&self, names: &[String]) -> Result<(), Error> {
        let mut plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        plan.queued_up.retain(|queued| !names.iter().any(|name| name == queued.name.as_str()));
        Ok(release::save(&*self.disk, &self.paths.plan(), &plan)?)
    }

    /// Keeps what the binary said of itself beside it: the version file needs it at the commit
    /// point, when nothing may be asked any more.
    pub fn keep_details(&self, info: &UpgradeInfo, details: &BuildInfo) -> Result<(), Error> {
        let path = self.paths.upgrade_info(&info.name);
        let mut kept = info.clone();
        kept.binary_details = Some(details.clone());
        self.create_folder(&self.paths.version(&info.name))?;
        match if_there(release::load::<UpgradeInfo>(&*self.disk, &path)) {
            Ok(Some(there)) if there == kept => Ok(()),
            Ok(_) | Err(_) => Ok(release::save(&*self.disk, &path, &kept)?),
        }
    }

    fn create_folder(&self, path: &Path) -> Result<(), Error> {
        disk::create_dirs(&*self.disk, path, 0o755).map_err(|source| Error::Io {
            doing: "create",
            path: path.to_owned(),
            source,
        })
    }

    /// Moves the version file (the commit point), then history, plan and link.
    ///
    /// An error means that nothing is committed. What could not be moved after the commit point
    /// comes back in words; the next start moves it.
    pub fn commit(&self, upgrade: &Upgrade, at: DateTime<Utc>) -> Result<String, Error> {
        let info =
            self.announcement(upgrade).or_else(|error| self.info_in_place(upgrade, error))?;
        if self.version().ok().as_ref() != Some(&upgrade.target()) {
            let version = CurrentVersion::of(&info, self.details_of(&info)?);
            release::save(&*self.disk, &self.paths.current_version(), &version)?;
        }
        Ok(self.move_shared(info, at).err().map(|error| error.to_string()).unwrap_or_default())
    }

    /// After the commit point the plan may have been changed by hand; the upgrade's own file holds
    /// what was performed.
    fn info_in_place(&self, upgrade: &Upgrade, error: Error) -> Result<UpgradeInfo, Error> {
        let name = UpgradeName::installed(&upgrade.name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        if self.version().ok().as_ref() == Some(&upgrade.target()) { Ok(info) } else { Err(error) }
    }

    fn details_of(&self, info: &UpgradeInfo) -> Result<BuildInfo, Error> {
        let path = self.paths.upgrade_info(&info.name);
        let kept: Option<UpgradeInfo> = if_there(release::load(&*self.disk, &path))?;
        kept.and_then(|kept| kept.binary_details)
            .or_else(|| info.binary_details.clone())
            .ok_or(Error::NoDetails { path })
    }

    fn move_shared(&self, info: UpgradeInfo, at: DateTime<Utc>) -> Result<(), Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        let name = info.name.clone();
        if plan.current.name != name {
            let history = self.history()?;
            let is_last = history
                .history
                .last()
                .is_some_and(|entry| entry.info.name == name && entry.rolled_back_at.is_none());
            if !is_last {
                let history = history.with(at, info.clone());
                release::save(&*self.disk, &self.paths.history(), &history)?;
            }
            release::save(&*self.disk, &self.paths.plan(), &plan.committed(info))?;
        }
        self.mend_link(&name)
    }

    /// Makes `current` lead to a version, unless it does already.
    pub fn mend_link(&self, name: &UpgradeName) -> Result<(), Error> {
        let path = self.paths.current();
        let target = Paths::link_target(name);
        if self.disk.read_link(&path).is_ok_and(|there| there == target) {
            return Ok(());
        }
        disk::replace_link(&*self.disk, &target, &path).map_err(|source| Error::Io {
            doing: "make a link of",
            path,
            source,
        })
    }

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
