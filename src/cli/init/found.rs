//! What `init` finds in the data folder and in the daemon's home.

use std::ffi::OsStr;
use std::path::Path;

use crate::cli::{Error, install};
use crate::config::Paths;
use crate::disk::{Disk, Kind};
use crate::release::{
    BuildInfo, CurrentVersion, History, Plan, UpgradeInfo, UpgradeName, if_there, load,
    load_current_version,
};

/// What is there. Every file was read; one that is damaged has ended the command.
pub(super) struct Found {
    pub(super) plan: Option<Plan>,
    pub(super) link: Option<UpgradeName>,
    pub(super) version: Option<CurrentVersion>,
    pub(super) has_genesis_info: bool,
    history: Option<History>,
    infos: Vec<UpgradeInfo>,
}

impl Found {
    pub(super) fn look(disk: &dyn Disk, paths: &Paths, daemon: &str) -> Result<Self, Error> {
        let genesis = UpgradeName::genesis();
        let plan: Option<Plan> = if_there(load(disk, &paths.plan()))?;
        let version = if_there(load_current_version(disk, &paths.current_version()))?;
        let link = committed_link(disk, paths)?;
        let genesis_info: Option<UpgradeInfo> =
            if_there(load(disk, &paths.upgrade_info(&genesis)))?;
        let has_genesis_info = genesis_info.is_some();
        let mut infos: Vec<UpgradeInfo> = genesis_info.into_iter().collect();
        for name in link.iter().chain(version.as_ref().map(|version| &version.name)) {
            infos.extend(if_there(load(disk, &paths.upgrade_info(name)))?);
        }
        infos.extend(plan.as_ref().map(|plan| plan.current.clone()));
        let history = if_there(load(disk, &paths.history()))?;
        if let Some(version) = &version {
            check_version(disk, paths, version, daemon)?;
        }
        Ok(Self { plan, link, version, has_genesis_info, history, infos })
    }

    /// Nothing is installed: what an interrupted init has left is replaced.
    pub(super) fn is_empty(&self) -> bool {
        self.plan.is_none()
            && self.link.is_none()
            && self.version.is_none()
            && self.history.is_none()
    }

    /// Which installed version this binary is: genesis, or one that is current.
    ///
    /// The same bytes, or the same word about its build: a file that was stripped or signed
    /// again is still that version.
    pub(super) fn version_of(
        &self,
        paths: &Paths,
        binary: &Path,
        details: &BuildInfo,
    ) -> Result<Option<(UpgradeName, Option<UpgradeInfo>)>, Error> {
        let genesis = UpgradeName::genesis();
        let current = [
            self.link.as_ref(),
            self.version.as_ref().map(|version| &version.name),
            self.plan.as_ref().map(|plan| &plan.current.name),
        ];
        for name in std::iter::once(&genesis).chain(current.into_iter().flatten()) {
            let info = self.infos.iter().find(|info| info.name == *name);
            let recorded = info.and_then(|info| info.binary_details.as_ref());
            let own = self.version.as_ref().filter(|version| version.name == *name);
            let same_build = recorded
                .or(own.map(|version| &version.binary_details))
                .is_some_and(|known| details.differs_from(known).is_none());
            if same_build || install::same_bytes(binary, &paths.binary(name))? {
                return Ok(Some((name.clone(), info.cloned())));
            }
        }
        Ok(None)
    }
}

/// The version that `current` points to; `None` where there is no link.
fn committed_link(disk: &dyn Disk, paths: &Paths) -> Result<Option<UpgradeName>, Error> {
    let path = paths.current();
    let unusable = |what: String| {
        Error::Unusable(format!(
            "{} {what}; it must be a link to 'genesis' or to 'upgrades/<name>': see which version \
             is meant, and make it so",
            path.display()
        ))
    };
    match disk.kind(&path).map_err(Error::io("read", &path))? {
        None => return Ok(None),
        Some(Kind::Link) => {}
        Some(Kind::File(_) | Kind::Folder | Kind::Other) => {
            return Err(unusable("is no link".to_owned()));
        }
    }
    let target = disk.read_link(&path).map_err(Error::io("read", &path))?;
    let name = target.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = UpgradeName::installed(name)
        .map_err(|_| unusable(format!("points to {}", target.display())))?;
    let real = |path: &Path| path.canonicalize().ok();
    let folder = real(&path);
    if folder.is_none() || folder != real(&paths.version(&name)) {
        let what = if folder.is_none() { "nothing" } else { "a folder that is none of ours" };
        return Err(unusable(format!("points to {}, {what}", target.display())));
    }
    Ok(Some(name))
}

/// The version that this home runs must be one of this daemon, in this data folder.
fn check_version(
    disk: &dyn Disk,
    paths: &Paths,
    version: &CurrentVersion,
    daemon: &str,
) -> Result<(), Error> {
    let path = paths.current_version();
    let unusable = |text: String| Err(Error::Unusable(format!("{}: {text}", path.display())));
    let known = &version.binary_details.binary_name;
    if known != daemon {
        return unusable(format!("this home belongs to a '{known}', not to a '{daemon}'"));
    }
    let binary = paths.binary(&version.name);
    if !matches!(disk.kind(&binary), Ok(Some(Kind::File(_) | Kind::Link))) {
        let name = &version.name;
        return unusable(format!(
            "it names the version '{name}', of which there is no {}: give the right \
             --upgrade-data-directory",
            binary.display()
        ));
    }
    Ok(())
}
