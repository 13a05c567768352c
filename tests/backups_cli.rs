//! `nymvisor backups`, on archives that real upgrades made.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::run::{Run, Stage};
use crate::support::site::Outcome;

mod interrupted;
mod listed;
mod missing;
mod pruned;
mod restored;
mod retention;
mod unpacked;
mod verified;

pub(crate) const NOTHING: [&str; 0] = [];

/// Runs upgrades to these versions, one after the other, and goes on running. Every backup is
/// examined.
pub(crate) fn running(versions: &[&str]) -> (Stage, Run) {
    let stage = Stage::new();
    stage.switch("precious", "before the first");
    let run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    for version in versions {
        stage.announce(version);
        stage.until_log(&format!("started {version}"), 1);
        stage.until_phase("Running");
        stage.until("the backup's examination", || {
            list(&stage).iter().all(|it| it["examined"] == true).then_some(())
        });
        stage.switch("precious", &format!("of {version}"));
        stage.switch(&format!("added-by-{version}"), "new");
    }
    (stage, run)
}

/// The same, stopped.
pub(crate) fn upgraded(versions: &[&str]) -> Stage {
    let (stage, run) = running(versions);
    stop(&stage, run);
    stage
}

pub(crate) fn stop(stage: &Stage, mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}\n{}", end.stderr, stage.story());
}

fn json(stage: &Stage, arguments: &[&str]) -> Value {
    let with_output = [&["backups"], arguments, &["-o", "json"]].concat();
    serde_json::from_str(&stage.site.ok(&with_output)).unwrap()
}

pub(crate) fn list(stage: &Stage) -> Vec<Value> {
    json(stage, &["list"])["backups"].as_array().unwrap().clone()
}

fn names(stage: &Stage) -> Vec<String> {
    list(stage).iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn path(backup: &Value) -> PathBuf {
    backup["path"].as_str().unwrap().into()
}

fn read(stage: &Stage, name: &str) -> String {
    fs::read_to_string(stage.site.home(name)).unwrap_or_else(|error| format!("{name}: {error}"))
}

/// A command that must end so, and say that.
pub(crate) fn refused(stage: &Stage, arguments: &[&str], status: i32, said: &str) -> Outcome {
    let outcome = stage.site.run(arguments);
    assert_eq!(outcome.status, status, "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(said), "{arguments:?}: {said:?} in {}", outcome.stderr);
    outcome
}
