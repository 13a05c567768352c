//! The environment of a command: the process's, overridden by a `-c` file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::{Config, Error, env_file};

/// The environment of a command: the process's, overridden by a `-c` file.
///
/// An empty variable counts as unset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// Reads the environment and checks every variable of ours.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let mut env = Self { variables: std::env::vars_os().collect() };
        if let Some(path) = file {
            let bytes = std::fs::read(path).map_err(|e| Error::unreadable(path, e))?;
            let pairs = env_file::parse(&bytes).map_err(|(line, problem)| Error::EnvFile {
                path: path.to_owned(),
                line,
                problem,
            })?;
            env.variables.extend(pairs);
        }
        env.check()?;
        Ok(env)
    }

    /// An environment of these variables alone.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self { variables: variables.into_iter().collect() }
    }

    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// Every variable, as the daemon inherits it.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Checks every variable of ours, whether the command at hand needs it or not.
    pub fn check(&self) -> Result<(), Error> {
        Config::draft().set_by_env(self)
    }
}
