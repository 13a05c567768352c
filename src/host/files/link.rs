//! `current`, the link to the folder of the version that the data folder runs.

use std::io;
use std::path::Path;

use super::{Error, Files};
use crate::config::Paths;
use crate::disk::{self, Disk, Kind};
use crate::machine::{Link, Version};
use crate::release::{self, UpgradeInfo, UpgradeName};

impl Files {
    /// What stands in the place of `current`.
    pub fn link(&self) -> Result<Link, Error> {
        let path = self.paths.current();
        let failed = |source| Error::Io { doing: "read", path: path.clone(), source };
        match self.disk.kind(&path).map_err(failed)? {
            None => return Ok(Link::Absent),
            Some(Kind::Link) => {}
            Some(Kind::File(_) | Kind::Folder | Kind::Other) => return Ok(Link::NoLink),
        }
        let target = self.disk.read_link(&path).map_err(failed)?;
        let resolved = self.paths.data().join(&target);
        let name = resolved.file_name().map(|name| name.to_string_lossy().into_owned());
        let leads_somewhere =
            |name: &UpgradeName| self.paths.version(name) == resolved && self.is_folder(&resolved);
        let name = name.and_then(|name| UpgradeName::installed(&name).ok()).filter(leads_somewhere);
        Ok(match name {
            Some(name) => Link::LeadsTo(name.to_string()),
            None => Link::Astray(target.to_string_lossy().into_owned()),
        })
    }

    /// Whether `current` can be made to lead to a version: a file or folder in its place is
    /// somebody's, and nothing replaces it.
    pub fn check_link(&self) -> Result<(), Error> {
        let should = self.version().and_then(|version| Ok(UpgradeName::installed(&version.name)?));
        self.refuse_no_link(&should.unwrap_or_else(|_| UpgradeName::genesis()))
    }

    fn refuse_no_link(&self, name: &UpgradeName) -> Result<(), Error> {
        let path = self.paths.current();
        match self.disk.kind(&path) {
            Ok(Some(kind @ (Kind::File(_) | Kind::Folder | Kind::Other))) => Err(Error::NoLink {
                path,
                is: if kind == Kind::Folder { "a folder" } else { "a file" },
                target: Paths::link_target(name),
            }),
            Ok(Some(Kind::Link) | None) => Ok(()),
            Err(source) => Err(Error::Io { doing: "read", path, source }),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        matches!(self.disk.kind(path), Ok(Some(Kind::Folder)))
    }

    /// The version whose folder `current` leads to.
    pub fn version_by_link(&self) -> Result<Option<Version>, Error> {
        let Link::LeadsTo(name) = self.link()? else { return Ok(None) };
        let name = UpgradeName::installed(&name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        Ok(Some(info.to_upgrade().target()))
    }

    /// Makes `current` lead to a version, unless it does already. What is no link stays.
    pub fn mend_link(&self, name: &UpgradeName) -> Result<(), Error> {
        self.with_link(name, disk::replace_link)
    }

    /// The same where the caller syncs the folder.
    pub(super) fn put_link(&self, name: &UpgradeName) -> Result<(), Error> {
        self.with_link(name, disk::put_link)
    }

    fn with_link(
        &self,
        name: &UpgradeName,
        make: impl FnOnce(&dyn Disk, &Path, &Path) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.refuse_no_link(name)?;
        let path = self.paths.current();
        let target = Paths::link_target(name);
        if self.disk.read_link(&path).is_ok_and(|there| there == target) {
            return Ok(());
        }
        make(&*self.disk, &target, &path).map_err(|source| Error::Io {
            doing: "make a link of",
            path,
            source,
        })
    }
}
