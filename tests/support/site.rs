//! A user's home with nymvisor in it, for tests of commands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::FakeDaemon;

/// A user's home in a temporary folder. The daemon is a `nym-node` at home in `node`.
pub(crate) struct Site {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// One in this folder.
    pub(crate) fn within(folder: TempDir) -> Self {
        Self { folder, variables: Vec::new() }
    }

    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.set_env(name, value);
        self
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// With an instance, `nym-node-default`, that runs version 1.0.0.
    pub(crate) fn initialised(self) -> Self {
        self.ok(&self.init_arguments("1.0.0"));
        self
    }

    /// `init` with a binary of this version and the usual home.
    pub(crate) fn init_arguments(&self, version: &str) -> [&'static str; 4] {
        let binary = self.binary("nym-node", version);
        let home = self.path("node");
        let leak = |path: PathBuf| &*path.into_os_string().into_string().unwrap().leak();
        ["init", "--daemon-home", leak(home), leak(binary)]
    }

    /// Writes an operator's binary.
    pub(crate) fn binary(&self, name: &str, version: &str) -> PathBuf {
        let path = self.path(&format!("built/{name}-{version}"));
        FakeDaemon::new(name, version).write(&path);
        path
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Below the daemon's home.
    pub(crate) fn home(&self, below: &str) -> PathBuf {
        self.path("node").join(below)
    }

    /// Below the daemon's data folder.
    pub(crate) fn data(&self, below: &str) -> PathBuf {
        self.path(".nym/nymvisors/data/nym-node").join(below)
    }

    pub(crate) fn config_file(&self, id: &str) -> PathBuf {
        self.path(".nym/nymvisors/instances").join(id).join("config/config.toml")
    }

    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nymvisor"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome {
        let out = self.command(arguments).output().unwrap();
        Outcome {
            status: out.status.code().unwrap(),
            stdout: String::from_utf8(out.stdout).unwrap(),
            stderr: String::from_utf8(out.stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed; gives its stdout.
    pub(crate) fn ok<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        outcome.stdout
    }

    /// Fails with what is new, gone or different since then.
    pub(crate) fn assert_unchanged(&self, before: &BTreeMap<PathBuf, String>) {
        let after = self.tree();
        let all = before.keys().chain(after.keys());
        let changed: Vec<_> = all.filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }

    /// Everything in the folder, with mode, owner and content: equal if nothing has changed.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, String> {
        let root = self.folder.path();
        let entries = walkdir::WalkDir::new(root).min_depth(1).into_iter().map(Result::unwrap);
        entries
            .filter(|entry| entry.path().strip_prefix(root).is_ok_and(|p| !p.starts_with("built")))
            .map(|entry| {
                let meta = entry.path().symlink_metadata().unwrap();
                let content = if meta.is_symlink() {
                    format!("-> {}", fs::read_link(entry.path()).unwrap().display())
                } else if meta.is_dir() {
                    "folder".to_owned()
                } else {
                    String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned()
                };
                let mode = meta.permissions().mode() & 0o7777;
                let shown = entry.path().strip_prefix(root).unwrap().to_owned();
                (shown, format!("{mode:o} {} {content}", meta.uid()))
            })
            .collect()
    }
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
