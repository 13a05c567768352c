//! Which instance `init` is to make, and with which configuration.

use std::path::{Path, PathBuf};

use super::InitArgs;
use crate::cli::Error;
use crate::config::{self, Config, Env, Paths, Root};
use crate::disk::Disk;
use crate::release::BuildInfo;

/// The instance to make, or to change.
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) paths: Paths,
}

impl Target {
    /// Checks every flag, before the binary is asked. Gives the folder of all instances.
    pub(super) fn early_checks(env: &Env, args: &InitArgs) -> Result<Root, Error> {
        layered(Config::draft(), env, args)?;
        Ok(Root::of(env)?)
    }

    /// Reads what is there of the instance, and checks that this daemon fits it.
    pub(super) fn of(
        disk: &dyn Disk,
        env: &Env,
        args: &InitArgs,
        root: Root,
        details: &BuildInfo,
    ) -> Result<Self, Error> {
        let name = &details.binary_name;
        let given = layered(Config::draft(), env, args)?;
        let file = match named_file(&root, env, &given)? {
            Some(file) => file,
            None => root.config_of(&config::default_id(name)),
        };
        let before = config::read(disk, &file)?;
        let mut config = layered(before.clone().unwrap_or_else(Config::draft), env, args)?;
        if config.daemon.name.is_empty() {
            // A daemon's own word is checked by the rules of its variable.
            config
                .set_by_flag("daemon.name", "the binary's own name", name.as_ref())
                .map_err(|error| Error::Refused(error.to_string()))?;
        }
        if config.daemon.name != *name {
            return Err(Error::Refused(format!(
                "the binary is a '{name}', but the daemon's name is '{}' (by {}); give another \
                 binary, or another --id",
                config.daemon.name,
                if before.is_some() { file.display().to_string() } else { "DAEMON_NAME".into() }
            )));
        }
        if config.daemon.home.as_os_str().is_empty() {
            return Err(no_home());
        }
        let config = config.finish()?;
        if let Some(before) = before
            && !config::same_path(&before.daemon.home, &config.daemon.home)
        {
            return Err(Error::Refused(format!(
                "the instance '{}' exists, with the home {}; for the home {} give another --id, \
                 or edit {}",
                config.nymvisor.id,
                before.daemon.home.display(),
                config.daemon.home.display(),
                file.display()
            )));
        }
        let paths = Paths::new(disk, root, file, &config);
        config::check_claim(disk, &paths)?;
        for folder in [paths.home(), paths.data(), paths.backups()] {
            check_folder(folder)?;
        }
        Ok(Self { config, paths })
    }
}

/// The environment over the flags over what is there already.
fn layered(mut config: Config, env: &Env, args: &InitArgs) -> Result<Config, Error> {
    for (key, flag, value) in args.given() {
        config.set_by_flag(key, flag, value)?;
    }
    config.set_by_env(env)?;
    Ok(config)
}

/// The configuration file, as far as environment and flags say which.
fn named_file(root: &Root, env: &Env, given: &Config) -> Result<Option<PathBuf>, Error> {
    if let Some(path) = env.get("NYMVISOR_CONFIG_PATH") {
        let path = Path::new(path);
        return std::path::absolute(path).map(Some).map_err(Error::io("find", path));
    }
    let id = match (given.nymvisor.id.as_str(), given.daemon.name.as_str()) {
        ("", "") => return Ok(None),
        ("", name) => config::default_id(name),
        (id, _) => id.to_owned(),
    };
    Ok(Some(root.config_of(&id)))
}

/// A folder, or nothing yet; a file in its place would only be found out half-way.
fn check_folder(path: &Path) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(Error::Unusable(format!(
            "{} is not a folder; name another, or move it away",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn no_home() -> Error {
    Error::Usage(
        "the daemon's home is missing: give --daemon-home <FOLDER>, or set DAEMON_HOME".to_owned(),
    )
}
