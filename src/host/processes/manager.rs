//! Another nymvisor, of whatever version, that serves the same home.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::look::Process;
use super::{Home, Sought};

const NAME: &str = "nymvisor";

/// Why `process` is a nymvisor that runs a daemon of that home, or `None`.
pub(super) fn evidence(process: &Process, sought: &Sought, home: &Home) -> Option<String> {
    if !process.is_named(NAME) {
        return None;
    }
    let started = Started::parse(process.args_of(NAME))?;
    let settings = Settings { process, file: started.variables(process) };
    // This one overrides whatever the configuration says.
    if let Some(named) = settings.get("DAEMON_HOME") {
        return home
            .is(Path::new(&named))
            .then(|| "it is a nymvisor, and its DAEMON_HOME is the home".to_owned());
    }
    if let Some(config) = settings.config_path().or_else(|| settings.only_config()) {
        let config = process.resolve(&config);
        let at = config.display();
        if is_same(&config, &sought.config_path) {
            let id = &sought.instance_id;
            return Some(format!("it is a nymvisor that runs the instance {id}, {at}"));
        }
        if home_in(&config).is_some_and(|named| home.is(&named)) {
            return Some(format!("it is a nymvisor, and its configuration {at} names the home"));
        }
    }
    let mut open = process.open_files().into_iter();
    let path = open.find(|path| home.holds(path))?;
    Some(format!("it is a nymvisor that has {} open", path.display()))
}

/// A nymvisor's command line, as far as it was a `run`.
struct Started {
    env_file: Option<OsString>,
}

impl Started {
    /// The first word that is no option must be `run`; what follows is the daemon's.
    fn parse(args: &[OsString]) -> Option<Self> {
        let mut env_file = None;
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"run" {
                return Some(Self { env_file });
            } else if bytes == b"-c" || bytes == b"--config-env-file" {
                env_file = words.next().cloned();
            } else if let Some(value) = bytes
                .strip_prefix(b"--config-env-file=")
                .or_else(|| bytes.strip_prefix(b"-c="))
                .or_else(|| bytes.strip_prefix(b"-c"))
            {
                env_file = Some(OsString::from_vec(value.to_vec()));
            } else if !bytes.starts_with(b"-") {
                return None;
            }
        }
        None
    }

    /// What its env file sets. Only plain lines are understood: it is evidence, not configuration.
    fn variables(&self, process: &Process) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(file) = &self.env_file else { return Vec::new() };
        let content = fs::read(process.resolve(Path::new(file))).unwrap_or_default();
        let lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        lines
            .filter_map(|line| {
                let line = line.strip_prefix(b"export ").unwrap_or(line);
                let equals = line.iter().position(|&byte| byte == b'=')?;
                let (name, value) = line.split_at(equals);
                Some((name.trim_ascii().to_vec(), unquoted(value.get(1..)?).to_vec()))
            })
            .collect()
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        plain => plain,
    }
}

/// What the other one was told: its env file goes before its environment.
struct Settings<'a> {
    process: &'a Process,
    file: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Settings<'_> {
    fn get(&self, name: &str) -> Option<OsString> {
        let set = self.file.iter().rev().find(|(set, _)| set == name.as_bytes());
        set.map(|(_, value)| OsStr::from_bytes(value).to_owned())
            .or_else(|| self.process.variable(name).map(OsStr::to_owned))
            .filter(|value| !value.is_empty())
    }

    /// The configuration file that it was told to use.
    fn config_path(&self) -> Option<PathBuf> {
        if let Some(path) = self.get("NYMVISOR_CONFIG_PATH") {
            return Some(PathBuf::from(path));
        }
        let id = self.get("NYMVISOR_ID")?;
        Some(self.instances()?.join(id).join("config/config.toml"))
    }

    fn instances(&self) -> Option<PathBuf> {
        let root = self.get("NYM_HOME_DIR").map(PathBuf::from);
        let root = root.or_else(|| self.process.user_home())?;
        Some(root.join(".nym/nymvisors/instances"))
    }

    /// Told nothing, it takes the one instance that there is.
    fn only_config(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.instances()?).ok()?;
        let configs = entries.flatten().map(|entry| entry.path().join("config/config.toml"));
        let mut configs = configs.filter(|path| path.is_file());
        configs.next().filter(|_| configs.next().is_none())
    }
}

/// The daemon's home that a configuration file names, if it is one.
fn home_in(config: &Path) -> Option<PathBuf> {
    let content = fs::read_to_string(config).ok()?;
    let table: toml::Table = content.parse().ok()?;
    table.get("daemon")?.get("home")?.as_str().map(PathBuf::from)
}

/// Whether both paths name one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}
