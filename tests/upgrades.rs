//! Upgrades end to end: real daemons, a real upstream on loopback, the real program.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::daemon::FakeDaemon;
use crate::support::run::{ANNOUNCED_AT, Record, Run, Stage};
use crate::support::server::Reply;
use crate::support::site::{Outcome, read_json};

mod announcements;
mod commands;
mod examined;
mod full_disk;
mod held_back;
mod killed;
mod literal_order;
mod new_times;
mod plan_file;
mod retention;
mod settings;
mod two_instances;
mod ways;
mod windows;
mod wishes;

/// The phases of an upgrade, after the daemon has been running.
const ALL_PHASES: [&str; 8] = [
    "Draining",
    "BackingUp",
    "Locking",
    "Downloading",
    "Verifying",
    "Swapping",
    "Restarting",
    "Running",
];

/// `run`, with its first daemon up; gives the daemon's process id as well.
fn started(stage: &Stage) -> (Run, u32) {
    let before = stage.logged("started");
    let run = stage.start(&["run"]);
    let pid = stage.until_started(before + 1);
    stage.until_phase("Running");
    (run, pid)
}

/// `add-upgrade` of a binary of this version under the name `v<version>`.
fn add(stage: &Stage, version: &str, flags: &str) -> Outcome {
    let binary = stage.site.binary("nym-node", version);
    add_binary(stage, &binary, &format!("v{version}"), flags)
}

fn add_binary(stage: &Stage, binary: &Path, name: &str, flags: &str) -> Outcome {
    let mut arguments = vec!["add-upgrade", binary.to_str().unwrap(), "--upgrade-name", name];
    arguments.extend(flags.split_whitespace());
    stage.site.run(&arguments)
}

fn add_ok(stage: &Stage, version: &str, flags: &str) {
    let outcome = add(stage, version, flags);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
}

/// Waits until the daemon of this version is up, and everything agrees that it is.
fn until_runs(stage: &Stage, version: &str) {
    stage.until_log(&format!("started {version}"), 1);
    stage.until("the record of the start", || {
        stage.records().last().filter(|record| record.to() == "Running").map(drop)
    });
    assert_eq!(stage.assert_consistent(), format!("v{version}"), "{}", stage.story());
}

/// Ends the run in order.
fn end(mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
}

/// Waits until an upgrade fails with this code; gives the failure's text.
fn until_fails(stage: &Stage, code: &str) -> String {
    let found = |record: &Record| {
        record.event() == "work-failed" && record.data()["failure"]["code"] == code
    };
    stage.until(&format!("a failure {code}"), || {
        let record = stage.records().into_iter().find(found)?;
        Some(record.data()["failure"]["text"].as_str().unwrap().to_owned())
    })
}

/// The daemon that was up at first is up still, and none was started since.
fn assert_never_stopped(stage: &Stage, pid: u32) {
    assert_eq!(stage.daemons(), [pid], "{}", stage.story());
    assert_eq!(stage.logged("started"), 1, "{}", stage.story());
    assert_eq!(stage.logged("signal"), 0, "{}", stage.story());
    assert!(stage.phases().iter().all(|phase| phase == "Running" || phase == "Restarting"));
    assert_eq!(archives(&stage.site.home("nymvisor/backups")), [] as [PathBuf; 0]);
}

/// Waits until upstream was asked so many times more.
fn until_polled(stage: &Stage, times: usize) {
    let before = stage.server.count(ANNOUNCED_AT);
    stage.until("polls", || (stage.server.count(ANNOUNCED_AT) >= before + times).then_some(()));
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

/// The backups below a folder.
fn archives(folder: &Path) -> Vec<PathBuf> {
    let is_archive = |path: &PathBuf| path.to_string_lossy().ends_with("-preupgrade.tar.zst");
    files(folder).into_iter().filter(is_archive).collect()
}

/// Names of what is in a backup.
fn names_in(archive: &Path) -> Vec<String> {
    let file = fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let entries = archive.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The requester of the upgrade with this name, wherever the journal has it.
fn requester(stage: &Stage, name: &str) -> Value {
    let records = stage.records();
    let mut found = Vec::new();
    for record in &records {
        for effect in record.0["effects"].as_array().unwrap() {
            let upgrades = effect.as_object().into_iter().flat_map(|effect| effect.values());
            found.extend(
                upgrades
                    .map(|effect| &effect["upgrade"])
                    .filter(|upgrade| upgrade["name"] == name)
                    .map(|upgrade| upgrade["requester"].clone()),
            );
        }
    }
    let first = found.first().unwrap_or_else(|| panic!("no {name} in the journal")).clone();
    assert!(found.iter().all(|requester| *requester == first), "{found:?}");
    first
}

/// Serves another binary at a path and announces it so.
fn serve(stage: &Stage, announcement: &mut Value, path: &str, binary: &FakeDaemon) {
    let script = binary.script();
    stage.server.put(path, Reply::ok(script.as_bytes()));
    announcement["platforms"]["any"]["url"] = stage.server.url(path).into();
    announcement["platforms"]["any"]["checksum"] =
        nymvisor::digest::sha256(script.as_bytes()).into();
}

/// What the plan has queued.
fn queued(stage: &Stage) -> Vec<String> {
    let plan = read_json(&stage.site.data("upgrade-plan.json"));
    let entries = plan["queuedUp"].as_array().unwrap().iter();
    entries.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}
