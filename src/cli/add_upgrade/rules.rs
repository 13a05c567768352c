//! What may be queued on top of what is installed.

use std::path::Path;

use crate::cli::{Error, install, output};
use crate::config::Paths;
use crate::digest::Algorithm;
use crate::disk::Disk;
use crate::machine::{Order, compare};
use crate::release::{
    BuildInfo, CurrentVersion, History, Plan, ReleaseVersion, UpgradeInfo, UpgradeName, if_there,
    load, load_current_version,
};

/// What is installed and queued, read under the plan's lock.
pub(super) struct Installed {
    pub(super) plan: Plan,
    history: History,
    current: CurrentVersion,
}

impl Installed {
    pub(super) fn read(disk: &dyn Disk, paths: &Paths) -> Result<Self, Error> {
        Ok(Self {
            plan: load(disk, &paths.plan())?,
            history: if_there(load(disk, &paths.history()))?.unwrap_or_default(),
            current: load_current_version(disk, &paths.current_version())?,
        })
    }

    /// A name that runs, or that was installed with another binary, is not used again.
    pub(super) fn check_name(
        &self,
        paths: &Paths,
        name: &UpgradeName,
        binary: &Path,
    ) -> Result<(), Error> {
        if self.current.name == *name {
            return Err(Error::Refused(format!(
                "'{name}' is the version that runs; give another --upgrade-name"
            )));
        }
        let installed = self.plan.current.name == *name || self.history.find(name).is_some();
        let place = paths.binary(name);
        if installed && place.symlink_metadata().is_err() {
            return Err(Error::Refused(format!(
                "'{name}' was installed before, and its binary is no longer here to be compared; \
                 give another --upgrade-name"
            )));
        }
        if installed && !install::same_bytes(binary, &place)? {
            return Err(Error::Refused(format!(
                "'{name}' was installed before, with another binary; give another --upgrade-name"
            )));
        }
        Ok(())
    }

    /// Only the operator's word lets a version in that is not newer.
    pub(super) fn check_version(
        &self,
        version: &ReleaseVersion,
        allow_downgrade: bool,
    ) -> Result<(), Error> {
        if allow_downgrade {
            return Ok(());
        }
        // Another instance of the data folder may be ahead of this one.
        for installed in [&self.current.version, &self.plan.current.version] {
            if compare(&version.to_string(), &installed.to_string()) != Order::Newer {
                return Err(Error::Refused(format!(
                    "the version {version} is not newer than {installed}, which runs; \
                     --allow-downgrade queues it all the same"
                )));
            }
        }
        Ok(())
    }
}

/// The binary must be this daemon's.
pub(super) fn check_daemon(binary: &Path, details: &BuildInfo, daemon: &str) -> Result<(), Error> {
    if details.binary_name == daemon {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} is a '{}', and this instance runs a '{daemon}'; give the binary of that, or another \
         NYMVISOR_ID",
        binary.display(),
        details.binary_name.escape_debug()
    )))
}

/// The binary must be the announced one.
pub(super) fn check_announced(
    binary: &Path,
    details: &BuildInfo,
    announced: &UpgradeInfo,
) -> Result<(), Error> {
    let refuse = |what: &str, wanted: &str, found: &str| {
        Err(Error::Refused(format!(
            "{} is not what '{}' announces: its {what} is {found}, not {wanted}; to queue it all \
             the same, give another --upgrade-name and no --add-binary",
            binary.display(),
            announced.name
        )))
    };
    let version = announced.version.to_string();
    if details.build_version != version {
        return refuse("build_version", &version, &details.build_version);
    }
    if let Some(wanted) = &announced.binary_details
        && let Some((field, wanted, found)) = details.differs_from(wanted)
    {
        return refuse(field, wanted, found);
    }
    Ok(())
}

/// Says so where a binary is not the announced file: it may be the operator's own build.
pub(super) fn warn_of_other_bytes(announced: &UpgradeInfo, sha256: &str) -> Result<(), Error> {
    let Some(platform) = announced.platform() else { return Ok(()) };
    let sha256_announced =
        platform.checksum()?.filter(|checksum| checksum.algorithm == Algorithm::Sha256);
    if let Some(wanted) = sha256_announced.filter(|wanted| wanted.hex != sha256) {
        output::warn(&format!(
            "the announced file has the SHA-256 {}, this one {sha256}; it is yours to vouch for",
            wanted.hex
        ));
    }
    Ok(())
}
