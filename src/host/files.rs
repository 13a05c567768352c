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

use crate::config::Paths;
use crate::disk::{self, Disk, Kind};
use crate::machine::{Code, Failure, Queue, Upgrade, Version};
use crate::release::{self, BuildInfo, History, Plan, Spread, UpgradeInfo, if_there};

mod back;
mod commit;
mod link;
mod mend;
mod names;

pub use mend::{Mended, is_told};
use names::Names;

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
    /// Something else stands where `current` should be.
    #[error(
        "{} is {is}, and should be a link to {}; it is left alone, the daemon runs by its version \
         file, and no upgrade begins. Move it out of the way: {}",
        path.display(), target.display(), disk::mv_aside(path)
    )]
    NoLink {
        /// Where the link should be.
        path: PathBuf,
        /// What there is.
        is: &'static str,
        /// Where the link should lead, relative to its folder.
        target: PathBuf,
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
            Error::Release(_)
            | Error::Io { .. }
            | Error::NoLink { .. }
            | Error::NoDetails { .. } => Code::Io,
        };
        Self { code, text: error.to_string() }
    }
}

/// The files of one instance and of the data folder it uses.
#[derive(Debug, Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    paths: Paths,
    names: Arc<Names>,
    spread: Option<Spread>,
}

impl Files {
    /// The files at `paths`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, paths: Paths) -> Self {
        Self { disk, paths, names: Arc::default(), spread: None }
    }

    /// The same, with what upstream announces spread.
    #[must_use]
    pub fn spread_by(self, spread: Option<Spread>) -> Self {
        Self { spread, ..self }
    }

    /// What this instance's version file names.
    pub fn version(&self) -> Result<Version, Error> {
        let path = self.paths.current_version();
        Ok(release::load_current_version(&*self.disk, &path)?.to_version())
    }

    /// What the plan and the history say.
    pub fn queue(&self) -> Result<Queue, Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        Ok(self.queue_of(&plan, &self.history()?))
    }

    fn queue_of(&self, plan: &Plan, history: &History) -> Queue {
        let is_in_place = |info: &&UpgradeInfo| {
            matches!(self.disk.kind(&self.paths.binary(&info.name)), Ok(Some(Kind::File(_))))
        };
        let name = |info: &UpgradeInfo| info.name.to_string();
        Queue {
            in_place: plan.queued_up.iter().filter(is_in_place).map(name).collect(),
            current: Some(plan.current.to_spread_upgrade(self.spread.as_ref())),
            entries: plan.to_come(self.spread.as_ref()),
            performed: history.standing().map(|entry| name(&entry.info)).collect(),
        }
    }

    fn history(&self) -> Result<History, Error> {
        Ok(if_there(release::load(&*self.disk, &self.paths.history()))?.unwrap_or_default())
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

    /// An upgrade as the plan has it now, if that is still the same announcement.
    pub fn planned(&self, upgrade: &Upgrade) -> Result<Upgrade, Error> {
        Ok(self.announcement(upgrade)?.to_spread_upgrade(self.spread.as_ref()))
    }

    /// Puts an announcement into the plan, its own file first.
    pub fn enqueue(&self, info: &UpgradeInfo) -> Result<(), Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        if plan.queued_up.iter().any(|queued| queued.announces_the_same(info)) {
            return Ok(());
        }
        // A person's wish stands when upstream corrects the same version.
        let known = plan.queued(&info.name).filter(|queued| queued.version == info.version);
        let rescheduled = known.and_then(|queued| queued.rescheduled.clone());
        self.create_folder(&self.paths.version(&info.name))?;
        release::save(&*self.disk, &self.paths.upgrade_info(&info.name), info)?;
        let plan = plan.with(UpgradeInfo { rescheduled, ..info.clone() });
        self.change_data(|| Ok(release::put(&*self.disk, &self.paths.plan(), &plan)?))
    }

    /// Takes upgrades out of the plan.
    pub fn drop_queued(&self, names: &[String]) -> Result<(), Error> {
        let mut plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        plan.queued_up.retain(|queued| !names.iter().any(|name| name == queued.name.as_str()));
        self.change_data(|| Ok(release::put(&*self.disk, &self.paths.plan(), &plan)?))
    }

    /// Keeps what the binary said of itself beside it: the version file needs it at the commit
    /// point, when nothing may be asked any more.
    pub fn keep_details(&self, info: &UpgradeInfo, details: &BuildInfo) -> Result<(), Error> {
        let path = self.paths.upgrade_info(&info.name);
        // A time that a person has set is the plan's.
        let mut kept = UpgradeInfo { rescheduled: None, ..info.clone() };
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
}
