//! Lines for journald, where stderr leads to it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;

use crate::support::run::Stage;
use crate::support::site::Site;

/// What systemd sets where it has made this file the service's stderr.
fn stream(file: &std::path::Path) -> String {
    let meta = fs::metadata(file).unwrap();
    format!("{}:{}", meta.dev(), meta.ino())
}

#[test]
fn each_line_has_its_priority_and_no_time() {
    let mut stage = Stage::new();
    let stderr = stage.site.path("run-0.stderr");
    File::create(&stderr).unwrap();
    stage.set("JOURNAL_STREAM", &stream(&stderr));
    // The link is mended, which is odd.
    fs::remove_file(stage.site.data("current")).unwrap();
    let mut run = stage.start(&["run"]);
    stage.until_started(1);
    let end = run.stop(Signal::SIGTERM);
    let lines: Vec<&str> = end.stderr.lines().collect();
    assert!(lines.iter().all(|line| ["<3>", "<4>", "<6>"].contains(&&line[..3])), "{lines:#?}");
    let up = lines.iter().find(|line| line.contains("the daemon is up")).unwrap();
    assert!(up.starts_with("<6>Restarting -> Running: the daemon is up, process "), "{up}");
    // The files have their time all the same.
    let logs = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    let log = fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("Z  INFO Restarting -> Running: the daemon is up"), "{log}");

    // The next run's stderr is another file: somebody has redirected it.
    let mut run = stage.start(&["run"]);
    stage.until_started(2);
    let end = run.stop(Signal::SIGTERM);
    assert!(end.stderr.lines().all(|line| line.starts_with("20")), "{}", end.stderr);
}

#[test]
fn an_error_that_ends_a_command_is_one_in_the_journal() {
    let site = Site::new();
    let path = site.path("stderr");
    let file = File::create(&path).unwrap();
    let mut command = site.command(&["config"]);
    command.env("JOURNAL_STREAM", stream(&path)).stderr(file);
    assert_eq!(command.status().unwrap().code(), Some(3));
    let said = fs::read_to_string(path).unwrap();
    assert!(said.starts_with("<3>error: no nymvisor instance in "), "{said}");
}
