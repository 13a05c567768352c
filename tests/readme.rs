//! README says of every command, option, key, variable and exit status what it is.

use std::collections::BTreeSet;
use std::process::Command;

const README: &str = include_str!("../README.md");

/// Sub-commands whose help is looked at.
const COMMANDS: [&[&str]; 34] = [
    &[],
    &["init"],
    &["run"],
    &["config"],
    &["add-upgrade"],
    &["check"],
    &["status"],
    &["retry"],
    &["rollback"],
    &["upgrades", "list"],
    &["upgrades", "show"],
    &["upgrades", "cancel"],
    &["upgrades", "reschedule"],
    &["upgrades", "hold"],
    &["upgrades", "release"],
    &["backups", "list"],
    &["backups", "verify"],
    &["backups", "restore"],
    &["backups", "prune"],
    &["prune"],
    &["journal", "show"],
    &["journal", "timeline"],
    &["journal", "export"],
    &["journal", "report"],
    &["journal", "verify"],
    &["metrics", "show"],
    &["metrics", "alerts"],
    &["metrics", "dashboard"],
    &["systemd-unit"],
    &["completions"],
    &["man"],
    &["build-info"],
    &["daemon-build-info"],
    &["demo"],
];

fn help(command: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_nymvisor"))
        .args(command)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(out.status.success(), "{command:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// The words of a text that may be names of options, keys or variables.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).collect()
}

#[test]
fn every_command_and_option_is_described() {
    let described = words(README);
    for command in COMMANDS {
        let help = help(command);
        let options =
            words(&help).into_iter().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options {
            assert!(described.contains(option), "{option} of {command:?} is not in README");
        }
    }
    let overview = help(&[]);
    let commands = overview.lines().filter_map(|line| line.strip_prefix("  ")).filter_map(|line| {
        let name = line.split(' ').next()?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '-').then_some(name)
    });
    for command in
        commands.filter(|name| !name.is_empty() && !name.starts_with('-') && *name != "help")
    {
        assert!(README.contains(&format!("`{command}")), "{command} is not in README");
    }
}

#[test]
fn every_key_and_variable_is_described() {
    let described = words(README);
    for (key, variable) in nymvisor::config::keys() {
        assert!(described.contains(key.as_str()), "{key} is not in README");
        assert!(described.contains(variable), "{variable} is not in README");
    }
}

/// The example of a command is a script that says so at night alone.
#[test]
fn the_example_of_a_command_runs() {
    let (_, rest) = README.split_once("```sh\n#!/bin/sh\n# For all four keys").unwrap();
    let script = rest.split_once('\n').unwrap().1.split_once("```").unwrap().0;
    for (hour, status) in [("03", 0), ("12", 31)] {
        let clock = format!("date() {{ echo {hour}; }}\n{script}");
        let mut sh = Command::new("/bin/sh");
        let said = sh.arg("-euc").arg(clock).env("NYMVISOR_HOOK", "pre-upgrade").output().unwrap();
        assert_eq!(said.status.code(), Some(status), "{said:?}");
    }
}

#[test]
fn every_exit_status_is_described() {
    let source = include_str!("../src/exit.rs");
    let statuses =
        source.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    for (name, status) in statuses {
        assert!(README.contains(&format!("\n| {status} | ")), "status {status} ({name})");
    }
}
