//! The operator's commands and the health check, with real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::run::{Run, Stage};

mod after;
mod before;
mod health;
mod process;

const NOTHING: [&str; 0] = [];

/// Every run of the command adds this line to `hooks.log`.
const NOTE: &str = r#"echo "$NYMVISOR_HOOK in=$NYMVISOR_PHASE upgrade=$NYMVISOR_UPGRADE_NAME \
from=$NYMVISOR_FROM_NAME/$NYMVISOR_FROM_VERSION to=$NYMVISOR_TO_NAME/$NYMVISOR_TO_VERSION \
code=$NYMVISOR_FAILURE_CODE next=$NYMVISOR_FAILURE_NEXT" >> "$HOME/hooks.log""#;

/// A script of the operator's.
fn script(stage: &Stage, name: &str, body: &str) -> PathBuf {
    let path = stage.site.path(name);
    let beside = path.with_extension("new");
    fs::write(&beside, format!("#!/bin/sh\n{NOTE}\n{body}\n")).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, &path).unwrap();
    path
}

/// A stage with such a command, `pre-upgrade` for example.
fn with_command(mut stage: Stage, hook: &str, body: &str) -> Stage {
    let path = script(&stage, &format!("{hook}.sh"), body);
    let variable = format!("DAEMON_{}_COMMAND", hook.to_uppercase().replace('-', "_"));
    stage.set(&variable, path.to_str().unwrap());
    stage
}

fn hooked(hook: &str, body: &str) -> Stage {
    with_command(Stage::new(), hook, body)
}

/// What the commands have noted.
fn noted(stage: &Stage) -> Vec<String> {
    let log = fs::read_to_string(stage.site.path("hooks.log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

/// Waits until so many notes begin so; gives the last of them.
fn until_noted(stage: &Stage, beginning: &str, count: usize) -> String {
    stage.until(&format!("note {count} of {beginning}"), || {
        let noted = noted(stage);
        let mut found = noted.into_iter().filter(|line| line.starts_with(beginning));
        found.nth(count - 1)
    })
}

/// With the daemon up.
fn started(stage: &Stage) -> Run {
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.until_phase("Running");
    run
}

fn end(stage: &Stage, mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}\n{}", end.stderr, stage.story());
    stage.site.ok(&["journal", "verify"]);
}

/// Longer than any test.
const FOR_EVER: &str = "exec sleep 1000";

/// How long a command may go on in the worst case before the test calls that a hang.
const SOON: Duration = Duration::from_secs(20);
