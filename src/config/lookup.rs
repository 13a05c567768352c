//! Which configuration file a command means.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Config, Env, Error, Paths, Root, file};
use crate::disk::{self, Disk, Kind};

/// An instance: a folder that holds `config/config.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Name of its folder.
    pub id: String,
    /// Its configuration file.
    pub config_file: PathBuf,
}

/// Loads the configuration that a command means, environment included, and derives its paths.
pub fn load(disk: &dyn Disk, env: &Env) -> Result<(Config, Paths), Error> {
    env.check()?;
    let root = Root::of(env)?;
    let path = find_config(disk, &root, env)?;
    let mut config = file::read(disk, &path)?.ok_or_else(|| {
        Error::unreadable(&path, std::io::Error::from(std::io::ErrorKind::NotFound))
    })?;
    config.set_by_env(env)?;
    let config = config.finish()?;
    let paths = Paths::new(disk, root, path, &config);
    check_claim(disk, &paths)?;
    Ok((config, paths))
}

/// The file: `$NYMVISOR_CONFIG_PATH`, or that of `$NYMVISOR_ID`, or that of the only instance.
pub fn find_config(disk: &dyn Disk, root: &Root, env: &Env) -> Result<PathBuf, Error> {
    if let Some(path) = env.get("NYMVISOR_CONFIG_PATH") {
        let path = Path::new(path);
        return std::path::absolute(path).map_err(|e| Error::unreadable(path, e));
    }
    let all = instances(disk, root)?;
    if let Some(id) = env.get("NYMVISOR_ID").and_then(OsStr::to_str) {
        let path = root.config_of(id);
        if disk.kind(&path).map_err(|e| Error::unreadable(&path, e))?.is_none() {
            let others = all.into_iter().map(|instance| instance.id).collect();
            return Err(Error::NoSuchInstance { id: id.to_owned(), path, others });
        }
        return Ok(path);
    }
    match all.as_slice() {
        [] => Err(Error::NoInstance { folder: root.instances() }),
        [only] => Ok(only.config_file.clone()),
        several => Err(Error::SeveralInstances {
            folder: root.instances(),
            ids: several.iter().map(|instance| instance.id.clone()).collect(),
        }),
    }
}

/// Every instance, sorted by id.
pub fn instances(disk: &dyn Disk, root: &Root) -> Result<Vec<Instance>, Error> {
    let folder = root.instances();
    let names = match disk.list(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::unreadable(&folder, error)),
    };
    let instance = |name: std::ffi::OsString| {
        let config_file = folder.join(&name).join("config/config.toml");
        let there = matches!(disk.kind(&config_file), Ok(Some(Kind::File(_) | Kind::Link)));
        let id = name.to_string_lossy().into_owned();
        there.then_some(Instance { id, config_file })
    };
    Ok(names.into_iter().filter_map(instance).collect())
}

/// Refuses an id whose data belongs to another configuration file.
///
/// It belongs to the instance's own file, or to the one that has claimed it.
pub fn check_claim(disk: &dyn Disk, paths: &Paths) -> Result<(), Error> {
    let asked = paths.config_file();
    let id = paths.instance().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = paths.root().config_of(&id);
    let claimed = disk.read(&paths.claim()).ok().map(|bytes| {
        PathBuf::from(std::ffi::OsString::from_vec(
            bytes.strip_suffix(b"\n").unwrap_or(&bytes).to_vec(),
        ))
    });
    for owner in [Some(own), claimed].into_iter().flatten() {
        let exists = matches!(disk.kind(&owner), Ok(Some(_)));
        if exists && !same_path(&owner, asked) {
            return Err(Error::Foreign { id, owner, asked: asked.to_owned() });
        }
    }
    Ok(())
}

/// Notes whose the instance's data is, where its configuration file is not the instance's own.
pub fn claim(disk: &dyn Disk, paths: &Paths) -> Result<(), Error> {
    let marker = paths.claim();
    if paths.config_file() == paths.instance().join("config/config.toml") {
        return Ok(());
    }
    let mut bytes = paths.config_file().as_os_str().as_bytes().to_vec();
    bytes.push(b'\n');
    let unwritable = |e| Error::unwritable(&marker, e);
    disk::create_dirs(disk, disk::folder_of(&marker), 0o755).map_err(unwritable)?;
    disk::replace(disk, &marker, &bytes, 0o644).map_err(unwritable)
}

/// Whether two paths, links followed, are the same.
#[must_use]
pub fn same_path(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}
