//! Every path of an installation.

use std::path::{Path, PathBuf};

use super::{Config, Env, Error};
use crate::disk::{Disk, Kind};
use crate::release::UpgradeName;

/// How the names begin of what a restore unpacks and moves aside on a file system that is mounted
/// below the daemon's home, and so within its data. It is no part of any backup.
pub const ASIDE_PREFIX: &str = ".nymvisor-restore-";

/// The folder of all instances: `~/.nym/nymvisors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// In `$NYM_HOME_DIR`, or else in the user's home.
    pub fn of(env: &Env) -> Result<Self, Error> {
        let missing =
            || Error::Missing { what: "your home folder", remedy: "set HOME or NYM_HOME_DIR" };
        let from_passwd = || {
            let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
            user.map(|user| user.dir)
        };
        let home = env.get("NYM_HOME_DIR").or_else(|| env.get("HOME")).map(PathBuf::from);
        let home = home.or_else(from_passwd).ok_or_else(missing)?;
        let home = std::path::absolute(home).map_err(|_| missing())?;
        Ok(Self(home.join(".nym/nymvisors")))
    }

    /// `~/.nym/nymvisors/instances`
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default`
    #[must_use]
    pub fn instance(&self, id: &str) -> PathBuf {
        self.instances().join(id)
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/config/config.toml`
    #[must_use]
    pub fn config_of(&self, id: &str) -> PathBuf {
        self.instance(id).join("config/config.toml")
    }

    /// `~/.nym/nymvisors/data`
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

/// Every path of an installation. All are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: Root,
    config_file: PathBuf,
    id: String,
    daemon: String,
    data: PathBuf,
    home: PathBuf,
    backups: PathBuf,
}

impl Paths {
    /// The paths of an instance with this configuration, read from (or to be written to) there.
    #[must_use]
    pub fn new(disk: &dyn Disk, root: Root, config_file: PathBuf, config: &Config) -> Self {
        let daemon = config.daemon.name.clone();
        let data = match &config.nymvisor.upgrade_data_directory {
            Some(custom) if holds_installation(disk, custom) => custom.clone(),
            Some(custom) => custom.join(&daemon),
            None => root.data().join(&daemon),
        };
        let home = config.daemon.home.clone();
        let backups = match &config.daemon.backup_data_directory {
            Some(custom) => custom.clone(),
            None => home.join("nymvisor/backups"),
        };
        Self { root, config_file, id: config.nymvisor.id.clone(), daemon, data, home, backups }
    }

    /// The folder of all instances.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/config/config.toml`, or
    /// `$NYMVISOR_CONFIG_PATH`
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// `~/.nym/nymvisors/instances/nym-node-default`, wherever the configuration file is
    #[must_use]
    pub fn instance(&self) -> PathBuf {
        self.root.instance(&self.id)
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data`
    #[must_use]
    pub fn instance_data(&self) -> PathBuf {
        self.instance().join("data")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/journal`
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.instance_data().join("journal")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/requests`
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.instance_data().join("requests")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/logs`
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.instance_data().join("logs")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/wishes.json`: what is held and cancelled
    #[must_use]
    pub fn wishes(&self) -> PathBuf {
        self.instance_data().join("wishes.json")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/spread-seed`: drawn once
    #[must_use]
    pub fn spread_seed(&self) -> PathBuf {
        self.instance_data().join("spread-seed")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/control-groups`
    #[must_use]
    pub fn control_groups(&self) -> PathBuf {
        self.instance_data().join("control-groups")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/run.lock`
    #[must_use]
    pub fn instance_lock(&self) -> PathBuf {
        self.instance_data().join("run.lock")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/prune.lock`: while old files are removed
    #[must_use]
    pub fn prune_lock(&self) -> PathBuf {
        self.instance_data().join("prune.lock")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/removed-backups`: the names of those
    /// that were removed on purpose, one a line
    #[must_use]
    pub fn removed_backups(&self) -> PathBuf {
        self.instance_data().join("removed-backups")
    }

    /// `~/.nym/nymvisors/instances/nym-node-default/data/belongs-to`: names the configuration
    /// file, where that is not the instance's own
    #[must_use]
    pub fn claim(&self) -> PathBuf {
        self.instance_data().join("belongs-to")
    }

    /// `nym-node`
    #[must_use]
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// `~/.nym/nymvisors/data/nym-node`: versions, plan and history, shared by instances
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// `~/.nym/nymvisors/data/nym-node/genesis`
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.data.join("genesis")
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrades`
    #[must_use]
    pub fn upgrades(&self) -> PathBuf {
        self.data.join("upgrades")
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrades/v1.1.0`, or `…/genesis`
    #[must_use]
    pub fn version(&self, name: &UpgradeName) -> PathBuf {
        self.data.join(Self::link_target(name))
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrades/v1.1.0/bin/nym-node`
    #[must_use]
    pub fn binary(&self, name: &UpgradeName) -> PathBuf {
        self.version(name).join("bin").join(&self.daemon)
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrades/v1.1.0/upgrade-info.json`
    #[must_use]
    pub fn upgrade_info(&self, name: &UpgradeName) -> PathBuf {
        self.version(name).join("upgrade-info.json")
    }

    /// `~/.nym/nymvisors/data/nym-node/current`: a link to the committed version
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.data.join("current")
    }

    /// What `current` says for a version: `upgrades/v1.1.0`, or `genesis`
    #[must_use]
    pub fn link_target(name: &UpgradeName) -> PathBuf {
        if name.is_genesis() {
            PathBuf::from("genesis")
        } else {
            Path::new("upgrades").join(name.as_str())
        }
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrade-plan.json`
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.data.join("upgrade-plan.json")
    }

    /// `~/.nym/nymvisors/data/nym-node/.locks/plan`: a folder below the plan's, so that locking
    /// doesn't wake whoever watches that one
    #[must_use]
    pub fn plan_lock(&self) -> PathBuf {
        self.data.join(".locks/plan")
    }

    /// `~/.nym/nymvisors/data/nym-node/.locks/add-upgrade`: one command at a time copies a binary
    #[must_use]
    pub fn add_lock(&self) -> PathBuf {
        self.data.join(".locks/add-upgrade")
    }

    /// `~/.nym/nymvisors/data/nym-node/.locks/fetch-v1.1.0`: while its binary is fetched
    #[must_use]
    pub fn fetch_lock(&self, name: &str) -> PathBuf {
        self.data.join(".locks").join(format!("fetch-{name}"))
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrade-history.json`
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.data.join("upgrade-history.json")
    }

    /// `~/.nym/nymvisors/data/nym-node/upgrade.lock`: while an upgrade runs
    #[must_use]
    pub fn upgrade_lock(&self) -> PathBuf {
        self.data.join("upgrade.lock")
    }

    /// `~/.nym/nym-nodes/default-nym-node`
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor`
    #[must_use]
    pub fn home_nymvisor(&self) -> PathBuf {
        self.home.join("nymvisor")
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/rollbacks`: what roll-backs moved aside
    #[must_use]
    pub fn rollbacks(&self) -> PathBuf {
        self.home_nymvisor().join("rollbacks")
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/restoring.json`: while `backups restore` puts
    /// the home back
    #[must_use]
    pub fn restoring(&self) -> PathBuf {
        self.home_nymvisor().join("restoring.json")
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/current-version-info.json`
    #[must_use]
    pub fn current_version(&self) -> PathBuf {
        self.home_nymvisor().join("current-version-info.json")
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/run.lock`
    #[must_use]
    pub fn home_lock(&self) -> PathBuf {
        self.home_nymvisor().join("run.lock")
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/backups`
    #[must_use]
    pub fn backups(&self) -> &Path {
        &self.backups
    }

    /// `~/.nym/nym-nodes/default-nym-node/nymvisor/backups/v1.1.0`
    #[must_use]
    pub fn backup_of(&self, name: &UpgradeName) -> PathBuf {
        self.backups.join(name.as_str())
    }
}

/// A custom folder that 0.1.x used without the daemon's name appended.
fn holds_installation(disk: &dyn Disk, folder: &Path) -> bool {
    let is = |name: &str| disk.kind(&folder.join(name)).ok().flatten();
    matches!(is("current"), Some(Kind::Link | Kind::Folder))
        && matches!(is("upgrade-plan.json"), Some(Kind::File(_) | Kind::Link))
}
