//! A daemon for tests: a small shell script that answers build-info and can be supervised.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

/// A daemon for tests.
///
/// Asked for build-info it prints it. Otherwise it takes its home from `--home <dir>` (or
/// `--home=<dir>`, or `$DAEMON_HOME`), writes `daemon.pid` and `daemon.version` there, adds a line
/// to `events.log` for everything that happens (`started <version> <pid>`, `signal <NAME>`,
/// `helper <pid>`, `exit <status>`), stays up, and ends with 0 on INT or TERM.
///
/// Switches, each a file in the home or a variable (`FAKE_` and the name in upper case with `_`),
/// where a file with `.<version>` behind its name counts for that version alone:
/// `exit-at-start` (its content is the status), `ignore-int`, `helper` (starts one in the group).
#[derive(Debug, Clone)]
pub(crate) struct FakeDaemon {
    build_info: Value,
}

impl FakeDaemon {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let build_info = json!({
            "binary_name": name,
            "build_timestamp": "2026-01-01T00:00:00Z",
            "build_version": version,
            "commit_sha": "c0ffee",
            "commit_timestamp": "2026-01-01T00:00:00Z",
            "commit_branch": "main",
            "rustc_version": "1.80.0",
            "rustc_channel": "stable",
            "cargo_profile": "release",
            "cargo_triple": "x86_64-unknown-linux-gnu",
        });
        Self { build_info }
    }

    /// Another word in its build info.
    pub(crate) fn with(mut self, field: &str, value: &str) -> Self {
        self.build_info[field] = json!(value);
        self
    }

    pub(crate) fn build_info(&self) -> &Value {
        &self.build_info
    }

    pub(crate) fn script(&self) -> String {
        let version = self.build_info["build_version"].as_str().unwrap();
        SCRIPT.replace("@INFO@", &self.build_info.to_string()).replace("@VERSION@", version)
    }

    /// Writes it as an executable file.
    pub(crate) fn write(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Beside and renamed: a fork elsewhere may hold the written file open (ETXTBSY).
        let beside = path.with_extension("new");
        fs::write(&beside, self.script()).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(beside, path).unwrap();
    }
}

const SCRIPT: &str = r#"#!/bin/sh
version='@VERSION@'
if [ "$2" = build-info ]; then
    printf '%s\n' '@INFO@'
    exit 0
fi
home=${DAEMON_HOME:-.}
previous=
for argument in "$@"; do
    [ "$previous" = --home ] && home=$argument
    case $argument in --home=*) home=${argument#--home=} ;; esac
    previous=$argument
done
say() { printf '%s\n' "$*" >> "$home/events.log"; }
switch() { # name, variable's value: prints what it is set to
    if [ -f "$home/$1.$version" ]; then cat "$home/$1.$version"; return 0; fi
    if [ -f "$home/$1" ]; then cat "$home/$1"; return 0; fi
    [ -n "$2" ] && printf '%s' "$2"
}
if switch ignore-int "$FAKE_IGNORE_INT" > /dev/null; then
    trap 'say signal INT' INT
else
    trap 'say signal INT; exit 0' INT
fi
trap 'say signal TERM; exit 0' TERM
trap 'say signal HUP' HUP
trap 'say signal USR1' USR1
trap 'say signal USR2' USR2
printf '%s' "$$" > "$home/daemon.pid"
printf '%s' "$version" > "$home/daemon.version"
if switch helper "$FAKE_HELPER" > /dev/null; then
    sleep 1000 &
    say helper $!
fi
say started "$version" $$
if status=$(switch exit-at-start "$FAKE_EXIT_AT_START"); then
    say exit "$status"
    exit "$status"
fi
while :; do sleep 0.05 & wait $!; done
"#;
