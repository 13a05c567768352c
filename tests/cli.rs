//! The commands, as the real binary does them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use nymvisor::cli::split;
use serde_json::Value;

use crate::support::daemon::FakeDaemon;
use crate::support::site::Site;

#[test]
fn help_texts() {
    let site = Site::new();
    let commands = [
        "",
        "init",
        "run",
        "build-info",
        "daemon-build-info",
        "add-upgrade",
        "config",
        "check",
        "status",
        "retry",
        "upgrades",
        "upgrades list",
        "upgrades show",
        "upgrades cancel",
        "upgrades reschedule",
        "upgrades hold",
        "upgrades release",
        "backups",
        "backups list",
        "backups verify",
        "backups restore",
        "backups prune",
        "prune",
        "journal",
        "journal show",
        "journal timeline",
        "journal export",
        "journal report",
        "journal verify",
        "metrics",
        "metrics show",
        "metrics alerts",
        "metrics dashboard",
        "systemd-unit",
        "completions",
        "man",
        "demo",
    ];
    for command in commands {
        let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let name = if command.is_empty() { "help".to_owned() } else { command.replace(' ', "-") };
        insta::assert_snapshot!(format!("help_{name}"), site.ok(&arguments));
    }
    assert_eq!(site.ok(&["run", "-h"]), site.ok(&["help", "run"]));
}

#[test]
fn our_own_build_info() {
    let site = Site::new();
    let info: Value = serde_json::from_str(&site.ok(&["build-info", "-o", "json"])).unwrap();
    assert_eq!(info["binary_name"], "nymvisor");
    assert_eq!(info["build_version"], env!("CARGO_PKG_VERSION"));
    assert!(info["rustc_version"].as_str().unwrap().starts_with("1."), "{info}");
    assert_eq!(info.as_object().unwrap().len(), 10);
    let text = site.ok(&["build-info"]);
    let labels: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        labels,
        [
            "Binary Name",
            "Build Timestamp",
            "Build Version",
            "Commit SHA",
            "Commit Date",
            "Commit Branch",
            "rustc Version",
            "rustc Channel",
            "cargo Profile",
        ]
    );
    let short = format!("nymvisor {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(site.ok(&["-V"]), short);
    let long = site.ok(&["--version"]);
    assert!(long.starts_with(&short) && long.ends_with(&text), "{long}");
}

#[test]
fn a_usage_error_ends_with_2_and_a_bad_variable_with_3() {
    let site = Site::new();
    for wrong in [&["nonsense"][..], &[], &["config", "--output", "xml"], &["init"]] {
        assert_eq!(site.run(wrong).status, 2, "{wrong:?}");
    }
    let bad = Site::new().with_env("DAEMON_PREPARE_AHEAD", "perhaps").run(&["build-info"]);
    assert_eq!(bad.status, 3);
    assert!(bad.stderr.starts_with("error: the variable DAEMON_PREPARE_AHEAD is 'perhaps'"));
    let none = site.run(&["config"]);
    assert_eq!(none.status, 3);
    assert!(none.stderr.contains("no nymvisor instance in "), "{}", none.stderr);
    assert!(none.stderr.contains("sudo -u <USER> nymvisor"), "{}", none.stderr);
}

#[test]
fn the_env_file_is_taken_before_and_after_the_command() {
    let site = Site::new().initialised();
    let file = site.path("node.env");
    fs::write(&file, "export DAEMON_MAX_STARTUP_FAILURES='77'\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [["-c", file, "config"], ["config", "--config-env-file", file]] {
        assert!(site.ok(&arguments).contains("max startup failures:              77\n"));
    }
    fs::write(file, "X\n").unwrap();
    let bad = site.run(&["-c", file, "config"]);
    assert_eq!(bad.status, 3);
    assert!(bad.stderr.contains("node.env, line 1: expected KEY=VALUE"), "{}", bad.stderr);
}

#[test]
fn a_closed_pipe_on_stdout_is_no_error() {
    let site = Site::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for arguments in [&["build-info"][..], &["--help"], &["--version"]] {
        let out = site.command(arguments).stdout(writer.try_clone().unwrap()).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{arguments:?}");
        assert!(out.stderr.is_empty());
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = site.command(&["build-info"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "a full disk is one");
}

/// A command line, our part of it, the daemon's part.
type Split = (&'static [&'static str], &'static [&'static str], Option<&'static [&'static str]>);

#[test]
fn h10_everything_after_run_is_the_daemons() {
    let os = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
    let table: [Split; 11] = [
        (&["n", "run", "run", "--id", "x"], &["n", "run"], Some(&["run", "--id", "x"])),
        (&["n", "run", "--flag"], &["n", "run"], Some(&["--flag"])),
        (&["n", "run", "-c", "x"], &["n", "run"], Some(&["-c", "x"])),
        (&["n", "-c", "f", "run", "-h", "x"], &["n", "-c", "f", "run"], Some(&["-h", "x"])),
        (&["n", "--config-env-file=f", "run"], &["n", "--config-env-file=f", "run"], Some(&[])),
        (&["n", "-c", "run", "run"], &["n", "-c", "run", "run"], Some(&[])),
        (&["n", "run", "--help"], &["n", "run", "--help"], None),
        (&["n", "run", "--", "--help"], &["n", "run"], Some(&["--help"])),
        (&["n", "run", "--", "--", "a"], &["n", "run"], Some(&["--", "a"])),
        (&["n", "run", "a", "--", "b"], &["n", "run"], Some(&["a", "--", "b"])),
        (&["n", "config", "run"], &["n", "config", "run"], None),
    ];
    for (given, ours, daemons) in table {
        assert_eq!(split(os(given)), (os(ours), daemons.map(os)), "{given:?}");
    }
    let odd = OsString::from_vec(b"--x=\xff\xfe".to_vec());
    let given = vec!["n".into(), "run".into(), odd.clone()];
    assert_eq!(split(given), (os(&["n", "run"]), Some(vec![odd])));
}

#[test]
fn the_daemon_is_asked_for_its_build_info() {
    let site = Site::new().initialised();
    let json: Value = serde_json::from_str(&site.ok(&["daemon-build-info", "-o", "json"])).unwrap();
    assert_eq!(json, *FakeDaemon::new("nym-node", "1.0.0").build_info());
    let text = site.ok(&["daemon-build-info"]);
    assert!(text.contains("Build Version:      1.0.0\n"), "{text}");

    fs::remove_file(site.data("genesis/bin/nym-node")).unwrap();
    let gone = site.run(&["daemon-build-info"]);
    assert_eq!(gone.status, 3);
    assert!(gone.stderr.contains("genesis/bin/nym-node does not exist"), "{}", gone.stderr);

    let file = site.home("nymvisor/current-version-info.json");
    fs::write(&file, "{\n").unwrap();
    let damaged = site.run(&["daemon-build-info"]);
    assert_eq!(damaged.status, 3);
    assert!(damaged.stderr.contains("current-version-info.json, line 2, column"));
    assert_eq!(fs::read(&file).unwrap(), b"{\n", "it is never overwritten");
}

#[test]
fn config_shows_the_file_under_the_environment() {
    let site = Site::new().initialised();
    let shown: Value = serde_json::from_str(&site.ok(&["config", "--output=json"])).unwrap();
    assert_eq!(shown["daemon"]["home"], site.home("").to_str().unwrap().trim_end_matches('/'));
    let site = site.with_env("DAEMON_RESTART_ON_FAILURE", "f");
    let shown: Value = serde_json::from_str(&site.ok(&["config", "--output=json"])).unwrap();
    assert_eq!(shown["daemon"]["restart_on_failure"], false);
    fs::write(site.config_file("nym-node-default"), "[nymvisor\n").unwrap();
    let broken = site.run(&["config"]);
    assert_eq!(broken.status, 3);
    assert!(broken.stderr.contains("config.toml, line 1, column 10: "), "{}", broken.stderr);
}
