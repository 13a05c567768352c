//! `init`: makes an instance, and the data folder where there is none yet.
//!
//! Everything is looked at and checked first, then written in an order that leaves no instance
//! half made: the configuration file comes last. What fails on the way is undone.

use std::path::Path;

use super::output::{hint, warn};
use super::{Error, config as show, install, probe, sharing, user};
use crate::config::{self, Config, Env, Paths};
use crate::disk::{self, Disk, folder_of};
use crate::release::{self, BuildInfo, CurrentVersion, Plan, UpgradeInfo, UpgradeName};

mod flags;
mod found;
mod target;
mod undo;

pub(super) use flags::InitArgs;
use found::Found;
use target::Target;
use undo::Undo;

const FOLDER_MODE: u32 = 0o755;
/// Backups hold keys.
const BACKUP_FOLDER_MODE: u32 = 0o700;

/// What init will write; everything else stays as it is.
struct Todo {
    genesis_binary: bool,
    genesis_info: bool,
    plan: Option<Plan>,
    link: Option<UpgradeName>,
    version: Option<CurrentVersion>,
}

/// Makes an instance, or changes the configuration of one.
pub(super) fn init(disk: &dyn Disk, env: &Env, args: &InitArgs) -> Result<(), Error> {
    let binary =
        std::path::absolute(&args.daemon_binary).map_err(Error::io("find", &args.daemon_binary))?;
    let root = Target::early_checks(env, args)?;
    let details = probe::ask(&binary)?;
    probe::version_of(&binary, &details)?;
    let Target { config, paths } = Target::of(disk, env, args, root, &details)?;
    check_owners(&paths)?;
    let todo = decide(disk, &paths, &binary, &details)?;
    for text in warnings(disk, &config, &paths) {
        warn(&text);
    }
    let mut undo = Undo::new(disk);
    let written = write_data(disk, &mut undo, &binary, &details, &todo, &paths)
        .and_then(|()| write_instance(disk, &mut undo, &todo, &config, &paths));
    if let Err(error) = written {
        undo.roll_back();
        return Err(error);
    }
    if let Err(error) = sharing::register(disk, &paths) {
        warn(&format!("`prune` elsewhere can't know of this instance: {error}"));
    }
    show::print_config(args.output, &config)?;
    hint(&format!(
        "next: `nymvisor run …` with what {} is started with, or as a service, with the same: \
         `nymvisor systemd-unit … | sudo tee /etc/systemd/system/{0}.service`",
        config.daemon.name
    ));
    Ok(())
}

/// A backup folder of the operator's choice may be anybody's, as long as it can be written.
fn check_owners(paths: &Paths) -> Result<(), Error> {
    let (instance, nymvisor) = (paths.instance(), paths.home_nymvisor());
    let folders: [&Path; 5] =
        [paths.home(), &nymvisor, paths.data(), &instance, paths.config_file()];
    user::check_owner(folders)
}

/// What is there decides what is to be written, and whether this binary fits it.
fn decide(
    disk: &dyn Disk,
    paths: &Paths,
    binary: &Path,
    details: &BuildInfo,
) -> Result<Todo, Error> {
    let found = Found::look(disk, paths, &details.binary_name)?;
    let genesis = UpgradeInfo::genesis(details.clone())?;
    if found.is_empty() {
        return Ok(Todo {
            genesis_binary: true,
            genesis_info: true,
            plan: Some(Plan::new(genesis.clone())),
            link: Some(UpgradeName::genesis()),
            version: Some(CurrentVersion::of(&genesis, details.clone())),
        });
    }
    let Some((name, info)) = found.version_of(paths, binary, details)? else {
        return Err(Error::Refused(format!(
            "{} (version {}) is neither the genesis nor the current version of the installation \
             in {}; to upgrade to it: nymvisor add-upgrade {} --upgrade-name <NAME>",
            binary.display(),
            details.build_version,
            paths.data().display(),
            binary.display()
        )));
    };
    let info = info.unwrap_or(genesis);
    let committed = found.plan.as_ref().map_or(&info, |plan| &plan.current);
    Ok(Todo {
        genesis_binary: false,
        genesis_info: name.is_genesis() && !found.has_genesis_info,
        link: found.link.is_none().then(|| committed.name.clone()),
        plan: found.plan.is_none().then(|| Plan::new(info.clone())),
        version: found.version.is_none().then(|| CurrentVersion::of(&info, details.clone())),
    })
}

fn warnings(disk: &dyn Disk, config: &Config, paths: &Paths) -> Vec<String> {
    let mut warnings = Vec::new();
    let home = paths.home();
    if !home.exists() {
        warnings.push(format!("{} did not exist; it is created", home.display()));
    }
    // An instance that can't be read is no reason to refuse another one.
    for other in config::instances(disk, paths.root()).unwrap_or_default() {
        let Ok(Some(its)) = config::read(disk, &other.config_file) else { continue };
        let itself = config::same_path(&other.config_file, paths.config_file());
        if !itself && config::same_path(&its.daemon.home, &config.daemon.home) {
            warnings.push(format!(
                "the instance '{}' has the same home, {}; only one of them can run at a time",
                other.id,
                home.display()
            ));
        }
    }
    warnings
}

/// The part that instances share.
fn write_data(
    disk: &dyn Disk,
    undo: &mut Undo,
    binary: &Path,
    details: &BuildInfo,
    todo: &Todo,
    paths: &Paths,
) -> Result<(), Error> {
    let genesis = UpgradeName::genesis();
    undo.create_dirs(&paths.upgrades(), FOLDER_MODE)?;
    if todo.genesis_binary {
        let place = paths.binary(&genesis);
        undo.create_dirs(folder_of(&place), FOLDER_MODE)?;
        undo.will_write(&place)?;
        install::binary(binary, &place)?;
    }
    if todo.genesis_info {
        let path = paths.upgrade_info(&genesis);
        undo.will_write(&path)?;
        release::save(disk, &path, &UpgradeInfo::genesis(details.clone())?)?;
    }
    if let Some(plan) = &todo.plan {
        undo.will_write(&paths.plan())?;
        release::save(disk, &paths.plan(), plan)?;
    }
    if let Some(name) = &todo.link {
        let path = paths.current();
        undo.will_write(&path)?;
        let written = disk::replace_link(disk, &Paths::link_target(name), &path);
        written.map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// The part that is this instance's own.
fn write_instance(
    disk: &dyn Disk,
    undo: &mut Undo,
    todo: &Todo,
    config: &Config,
    paths: &Paths,
) -> Result<(), Error> {
    undo.create_dirs(&paths.home_nymvisor(), FOLDER_MODE)?;
    undo.create_dirs(paths.backups(), BACKUP_FOLDER_MODE)?;
    undo.create_dirs(&paths.instance_data(), FOLDER_MODE)?;
    undo.create_dirs(folder_of(paths.config_file()), FOLDER_MODE)?;
    if let Some(version) = &todo.version {
        undo.will_write(&paths.current_version())?;
        release::save(disk, &paths.current_version(), version)?;
    }
    undo.will_write(&paths.claim())?;
    config::claim(disk, paths)?;
    undo.will_write(paths.config_file())?;
    Ok(config::write(disk, paths.config_file(), config)?)
}
