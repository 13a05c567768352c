//! Runs that don't begin: the daemon runs already, or the installation can't be used.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::daemon::FakeDaemon;
use crate::support::helper::{Guarded, is_live};
use crate::support::run::{End, Run, Stage};
use crate::support::site::Site;

const NOTHING: [&str; 0] = [];

/// Refused with this status, in words, with no daemon started.
fn assert_refused(stage: &Stage, end: &End, status: i32, words: &[&str]) {
    assert_eq!(end.status, Some(status), "{}", end.stderr);
    for word in words {
        assert!(end.stderr.contains(word), "{word} isn't in: {}", end.stderr);
    }
    assert!(end.stdout.is_empty());
    assert_eq!(stage.logged("started"), 0, "{}", stage.story());
}

#[test]
fn a_second_run_of_the_instance_ends_with_5_and_names_the_first() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(5), "{}", end.stderr);
    assert!(end.stderr.contains(&format!("process {}", run.pid())), "{}", end.stderr);
    assert_eq!(stage.daemons(), [daemon]);
    assert!(!run.is_over());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.logged("signal"), 1, "the second run must not touch the daemon");
}

#[test]
fn a_lock_whose_holder_is_dead_is_waited_for() {
    let stage = Stage::new();
    let lock = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/run.lock");
    // Who took it has ended, and the kernel has not yet closed it: its child stands for that.
    let script = "exec 9>>\"$1\"; flock 9; echo $$ >&9; sleep 0.5 >/dev/null 2>&1 &";
    let mut holder = Command::new("sh");
    holder.args(["-c", script, "sh"]).arg(&lock).stdin(Stdio::null());
    assert!(holder.status().unwrap().success());
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn of_runs_that_begin_at_once_exactly_one_goes_on() {
    let stage = Stage::new();
    let mut runs: Vec<_> = (0..4).map(|_| stage.start(&NOTHING)).collect();
    let over = stage.until("all but one to end", || {
        let over: Vec<bool> = runs.iter_mut().map(Run::is_over).collect();
        (over.iter().filter(|over| **over).count() == 3).then_some(over)
    });
    stage.until_started(1);
    for (run, over) in runs.iter_mut().zip(over) {
        let end = if over { run.wait() } else { run.stop(Signal::SIGINT) };
        assert_eq!(end.status, Some(if over { 5 } else { 0 }), "{}", end.stderr);
    }
    assert_eq!(stage.logged("started"), 1);
    stage.assert_consistent();
}

#[test]
fn a_second_instance_on_the_same_home_ends_with_5_and_names_the_first() {
    let mut stage = Stage::new();
    let binary = stage.site.path("built/nym-node-1.0.0");
    stage.site.ok(&["init", "--id", "second", binary.to_str().unwrap()]);
    stage.set("NYMVISOR_ID", "nym-node-default");
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    stage.set("NYMVISOR_ID", "second");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(5), "{}", end.stderr);
    assert!(end.stderr.contains(&format!("process {}", run.pid())), "{}", end.stderr);
    assert_eq!(stage.daemons(), [daemon]);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    // With the first gone, the second may.
    let mut run = stage.start(&NOTHING);
    stage.until_started(2);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn h06_a_daemon_that_runs_without_us_is_named_and_not_doubled() {
    let stage = Stage::new();
    let binary = stage.site.path("elsewhere/nym-node");
    FakeDaemon::new("nym-node", "1.0.0").write(&binary);
    let mut command = Command::new(binary);
    command.env("DAEMON_HOME", stage.site.path("node")).arg("run").process_group(0);
    let daemon = Guarded(command.stdin(Stdio::null()).spawn().unwrap());
    let pid = stage.until_started(1);
    assert_eq!(pid, daemon.0.id());
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(5), "{}", end.stderr);
    assert!(end.stderr.contains(&format!("process {pid}")), "{}", end.stderr);
    assert!(is_live(pid));
    assert_eq!(stage.log().len(), 1, "it was neither signalled nor doubled: {:?}", stage.log());
}

#[test]
fn h06_a_daemon_of_another_home_is_left_alone() {
    let (one, other) = (Stage::new(), Stage::new());
    let mut first = one.start(&["run", "--id", "a"]);
    one.until_started(1);
    let mut second = other.start(&["run", "--id", "a"]);
    other.until_started(1);
    assert_eq!(first.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(other.daemons().len(), 1);
    assert_eq!(second.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_missing_binary_is_named_with_3() {
    let stage = Stage::new();
    fs::remove_file(stage.site.data("genesis/bin/nym-node")).unwrap();
    let end = stage.run_to_end(&NOTHING);
    assert_refused(&stage, &end, 3, &["genesis/bin/nym-node", "current-version-info.json"]);
}

#[test]
fn nothing_that_tells_the_version_is_3() {
    for dangling in [false, true] {
        let stage = Stage::new();
        let version = stage.site.home("nymvisor/current-version-info.json");
        let link = stage.site.data("current");
        fs::remove_file(&version).unwrap();
        fs::remove_file(&link).unwrap();
        if dangling {
            std::os::unix::fs::symlink("upgrades/never-was", &link).unwrap();
        }
        let end = stage.run_to_end(&NOTHING);
        assert_refused(&stage, &end, 3, &["current-version-info.json", "current"]);
        assert!(!version.exists());
    }
}

#[test]
fn what_can_be_derived_is_derived_and_the_daemon_starts() {
    type Breakage = fn(&Stage);
    let break_it: [(&str, Breakage); 6] = [
        ("no version file", |stage| {
            fs::remove_file(stage.site.home("nymvisor/current-version-info.json")).unwrap();
        }),
        ("half a version file", |stage| {
            fs::write(stage.site.home("nymvisor/current-version-info.json"), "{\"na").unwrap();
        }),
        ("no link", |stage| fs::remove_file(stage.site.data("current")).unwrap()),
        ("a dangling link", |stage| {
            fs::remove_file(stage.site.data("current")).unwrap();
            std::os::unix::fs::symlink("upgrades/gone", stage.site.data("current")).unwrap();
        }),
        ("no plan", |stage| fs::remove_file(stage.site.data("upgrade-plan.json")).unwrap()),
        ("half a plan", |stage| {
            fs::write(stage.site.data("upgrade-plan.json"), "{\"cur").unwrap();
        }),
    ];
    for (what, break_it) in break_it {
        let stage = Stage::new();
        break_it(&stage);
        let mut run = stage.start(&NOTHING);
        stage.until_started(1);
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{what}");
        assert_eq!(stage.assert_consistent(), "genesis", "{what}");
    }
}

#[test]
fn a_plain_folder_in_the_place_of_the_link_is_not_removed() {
    let stage = Stage::new();
    let link = stage.site.data("current");
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    fs::write(link.join("precious"), "data").unwrap();
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    let order = format!("mv '{0}' '{0}.aside'", link.display());
    stage.until("the word about it", || run.stderr().contains(&order).then_some(()));
    // An upgrade could not be finished: it does not begin, until the folder is out of the way.
    stage.announce("1.1.0");
    let failed = stage.until_event("work-failed", 1);
    assert_eq!(failed.data()["failure"]["code"], "io");
    assert!(failed.data()["failure"]["text"].as_str().unwrap().contains(&order));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(stage.logged("signal"), 1, "the daemon is left alone meanwhile");
    assert_eq!(fs::read_to_string(link.join("precious")).unwrap(), "data");
    fs::rename(&link, stage.site.data("current.aside")).unwrap();
    let mut run = stage.start(&NOTHING);
    stage.until_event("swap-committed", 1);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let shown = stage.site.ok(&["journal", "show"]);
    assert!(shown.contains("`current` is no link, and should lead to genesis"), "{shown}");
    assert!(shown.contains("`current` is mended: absent -> genesis"), "{shown}");
    let count = |text: &str| shown.matches(text).count();
    assert_eq!(count("this is the first session on record"), 1, "{shown}");
    assert!(count(" bytes of ") == 0 && count("there is room for the backup, which needs") == 1);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn configuration_that_cant_be_used_is_3() {
    let stage = Stage::new();
    let file = stage.site.config_file("nym-node-default");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[nymvisor]\nid = \n").unwrap();
    let end = stage.run_to_end(&NOTHING);
    assert_refused(&stage, &end, 3, &["config.toml", "line 2"]);
    fs::write(&file, good).unwrap();
    let stage = stage.with("DAEMON_FAILURE_RESTART_DELAY", "soon");
    let end = stage.run_to_end(&NOTHING);
    assert_refused(&stage, &end, 3, &["DAEMON_FAILURE_RESTART_DELAY", "soon"]);
}

#[test]
fn no_instance_is_3() {
    let outcome = Site::new().run(&["run", "run"]);
    assert_eq!(outcome.status, 3, "{}", outcome.stderr);
}
