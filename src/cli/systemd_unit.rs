//! `systemd-unit`: a unit for this instance.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::{Uid, User};

use super::{Error, output, user};
use crate::config::{self, Env, Listen, Paths};
use crate::disk::Disk;
use crate::unit::Unit;

/// What the unit is to start.
#[derive(Debug, Args)]
pub(super) struct SystemdUnitArgs {
    /// The user that the node runs as [default: the one to whom the daemon's home belongs]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Arguments for the daemon, as 'run' gets them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    daemon_args: Vec<OsString>,
}

/// Prints it. Nothing is installed.
pub(super) fn systemd_unit(
    disk: &dyn Disk,
    env: &Env,
    env_file: Option<&Path>,
    args: &SystemdUnitArgs,
) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    let mut folders = folders(&paths)?;
    let runtime_folder = socket_folder(config.nymvisor.metrics_listen.as_ref(), &mut folders)?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
    let unit = Unit {
        daemon: config.daemon.name.clone(),
        user: args.user.clone().map_or_else(|| owner_of(paths.home()), Ok)?,
        program: std::env::current_exe().map_err(Error::io("find", Path::new("nymvisor")))?,
        env_file: env_file.map(absolute).transpose()?,
        daemon_args: args.daemon_args.clone(),
        environment: Vec::new(),
        config_file: paths.config_file().to_owned(),
        folders,
        runtime_folder,
        grace: config.daemon.shutdown_grace_period,
    };
    let unit = Unit { environment: environment(env, &paths, &config.nymvisor.id, &unit), ..unit };
    let text = unit.text().map_err(|error| Error::Refused(error.to_string()))?;
    if unit.daemon_args.is_empty() {
        output::warn(
            "the daemon is started without arguments; most need some: \
             nymvisor systemd-unit run --id <ID>",
        );
    }
    warn_of_overrides(env);
    output::print(&text)
}

fn owner_of(folder: &Path) -> Result<String, Error> {
    let meta = std::fs::metadata(folder).map_err(Error::io("look at", folder))?;
    Ok(user::name_of(Uid::from_raw(meta.uid())))
}

/// Everything that nymvisor and the daemon write to. A unit that names what isn't there fails.
fn folders(paths: &Paths) -> Result<Vec<PathBuf>, Error> {
    let folders = [paths.home(), paths.data(), &paths.instance(), paths.backups()];
    for folder in folders {
        if !folder.is_dir() {
            return Err(Error::Unusable(format!(
                "{} is not there, and without it the unit would not start; 'nymvisor init' \
                 makes it",
                folder.display()
            )));
        }
    }
    Ok(folders.map(Path::to_owned).to_vec())
}

/// Where the socket for metrics lies, if there is one: below `/run` systemd makes the folder, any
/// other has to be there, and is written to; not that of everybody.
fn socket_folder(
    listen: Option<&Listen>,
    folders: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>, Error> {
    let Some(Listen::Unix(path)) = listen else { return Ok(None) };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let below = ["/run", "/var/run"].iter().find_map(|run| folder.strip_prefix(run).ok());
    if folder == Path::new("/") || below == Some(Path::new("")) {
        return Err(Error::Refused(format!(
            "the socket {} lies in {} itself, and the unit would have to let all of that be \
             written to; give it a folder of its own, which the unit makes: \
             nymvisor.metrics_listen = \"{}\"",
            path.display(),
            folder.display(),
            Listen::Unix(Path::new("/run/nymvisor").join(path.file_name().unwrap_or_default()))
        )));
    }
    match below.filter(|below| !below.starts_with("user")) {
        Some(below) => Ok(Some(below.to_owned())),
        None if folder.is_dir() => {
            folders.push(folder.to_owned());
            Ok(None)
        }
        None => Err(Error::Unusable(format!(
            "{} is not there, and without it the unit would not start; make it, or name a socket \
             elsewhere in nymvisor.metrics_listen",
            folder.display()
        ))),
    }
}

/// What leads nymvisor to this instance: one that is the only one today need not stay so.
fn environment(env: &Env, paths: &Paths, id: &str, unit: &Unit) -> Vec<(&'static str, OsString)> {
    let mut environment = Vec::new();
    if let Some(folder) = env.get("NYM_HOME_DIR") {
        environment.push(("NYM_HOME_DIR", absolute(folder.as_ref())));
    } else if let Some(home) = env.get("HOME") {
        // systemd sets what the system knows.
        let known = User::from_name(&unit.user).ok().flatten().map(|user| user.dir);
        if known.is_none_or(|known| !config::same_path(&known, home.as_ref())) {
            environment.push(("HOME", absolute(home.as_ref())));
        }
    }
    if env.get("NYMVISOR_CONFIG_PATH").is_some() {
        environment.push(("NYMVISOR_CONFIG_PATH", paths.config_file().into()));
    } else {
        environment.push(("NYMVISOR_ID", id.into()));
    }
    environment
}

fn absolute(path: &Path) -> OsString {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string()
}

/// What holds in this shell alone would be missed.
fn warn_of_overrides(env: &Env) {
    let is_lost = |name: &str| {
        let here = std::env::var_os(name);
        name != "NYMVISOR_ID" && here.is_some() && here.as_deref() == env.get(name)
    };
    let lost: Vec<&str> =
        config::keys().map(|(_, name)| name).filter(|name| is_lost(name)).collect();
    if !lost.is_empty() {
        output::warn(&format!(
            "set here, and not in the unit: {}; put it into the configuration file",
            lost.join(", ")
        ));
    }
}
