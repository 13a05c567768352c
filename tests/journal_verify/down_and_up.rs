//! A version that is left for an older one, and comes back, was performed twice.

use std::fs;

use nix::sys::signal::Signal;

use super::{CLEAN, FILES, expect, upgrading};
use crate::support::run::Stage;
use crate::support::site::read_json;

fn add(stage: &Stage, version: &str, name: &str, flags: &[&str]) {
    let binary = stage.site.binary("nym-node", version);
    let binary = binary.to_str().unwrap();
    stage.site.ok(&[&["add-upgrade", binary, "--upgrade-name", name, "--now"], flags].concat());
}

#[test]
fn a_history_of_going_down_and_up_again_is_legal() {
    let (stage, mut run) = upgrading();
    add(&stage, "1.0.5", "down", &["--allow-downgrade"]);
    stage.until_log("started 1.0.5", 1);
    stage.until_phase("Running");
    expect(&stage, CLEAN, &["clean"]);
    add(&stage, "1.1.0", "v1.1.0", &["--force"]);
    stage.until_log("started 1.1.0", 2);
    stage.until_phase("Running");
    assert_eq!(stage.history(), ["v1.1.0", "down", "v1.1.0"]);
    let report = expect(&stage, CLEAN, &["clean"]);
    assert!(report["notes"].as_array().unwrap().is_empty(), "{report}");

    // One of the two is missing; or one is there once more than it can have been performed.
    let path = stage.site.data("upgrade-history.json");
    let whole = fs::read(&path).unwrap();
    let mut changed = read_json(&path);
    let entry = changed["history"].as_array_mut().unwrap().pop().unwrap();
    fs::write(&path, changed.to_string()).unwrap();
    expect(&stage, FILES, &["has v1.1.0 1 times, and should 2 times"]);
    changed["history"].as_array_mut().unwrap().extend([entry.clone(), entry]);
    fs::write(&path, changed.to_string()).unwrap();
    expect(&stage, FILES, &["has v1.1.0 3 times, and should 2 times"]);
    fs::write(&path, whole).unwrap();

    // What is rolled back is the last of them.
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.5", 2);
    stage.until_phase("Running");
    assert_eq!(stage.history(), ["v1.1.0", "down"]);
    run.stop(Signal::SIGINT);
    expect(&stage, CLEAN, &["clean"]);
}
