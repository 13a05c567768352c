//! The demo, run for real, and what it draws.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::cli::demo::page;
use tempfile::tempdir;

use crate::support::groups;
use crate::support::helper::{Guarded, eventually};

mod terminal;

const WIDTH: usize = 80;

fn demo(temp: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nymvisor"));
    command.arg("demo").args(args).env("TMPDIR", temp).stdin(Stdio::null());
    command
}

/// Runs the demo to its end; nothing of it may be left.
fn shown(args: &[&str]) -> (Output, String) {
    let temp = tempdir().unwrap();
    let output = demo(temp.path(), args).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(fits(&text), "{text}");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "something is left");
    assert_eq!(processes_of(temp.path()), Vec::<u32>::new(), "somebody is left");
    (output, text)
}

fn fits(text: &str) -> bool {
    text.lines().all(|line| line.chars().count() <= WIDTH && !line.contains('\x1b'))
}

/// Live processes that have this folder in their command line or their environment.
fn processes_of(folder: &Path) -> Vec<u32> {
    let sought = folder.as_os_str().as_encoded_bytes();
    let names = |pid: u32, file: &str| {
        let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        content.windows(sought.len()).any(|part| part == sought)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| names(*pid, "cmdline") || names(*pid, "environ")).collect()
}

/// What the demo shows as expected ends with 0 and contains these.
fn shows(args: &[&str], lines: &[&str]) -> String {
    let (output, text) = shown(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{said}");
    assert_eq!(said, "");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in lines {
        assert!(flat.contains(line), "no '{line}' in:\n{text}");
    }
    assert!(!text.contains("  NO   "), "{text}");
    text
}

/// The names of the rows of the timeline, from the attempt on.
fn phases(text: &str) -> String {
    let rows = text.lines().skip_while(|line| !line.starts_with("Attempt 1, "));
    let names = rows.skip(1).take_while(|line| !line.is_empty()).map(|line| {
        assert!(line.contains(['█', '▒']), "{line}");
        line.get(2..13).unwrap().trim_end()
    });
    names.collect::<Vec<_>>().join(", ")
}

#[test]
fn an_upgrade_is_shown_and_really_happens() {
    let text = shows(
        &[],
        &[
            "-> Running the daemon is up",
            "announced: v1.1.0 (version 1.1.0)",
            "-> BackingUp",
            "-> Swapping",
            "committed, the new version holds",
            "The daemon was down for",
            "version nym-node 1.0.0 before, 1.1.0 now",
            "- ./data/node.db",
            "journal head ",
            "yes the version file says 1.1.0",
            "yes 'current' leads to upgrades/v1.1.0",
            "yes the backup is there and can be read to its end",
            "yes 'nymvisor run' ended with status 0",
            "yes 'nymvisor journal verify --backups' finds nothing wrong",
            "1. A node runs",
            "2. Upstream announces 1.1.0",
            "3. Prepared while the node runs",
            "4. Due: ",
            "5. What is on the record",
        ],
    );
    assert_eq!(
        phases(&text),
        "Draining, BackingUp, Locking, Downloading, Verifying, Swapping, Restarting, daemon down"
    );
}

#[test]
fn downloading_fails_with_the_daemon_up() {
    let text = shows(
        &["--fail", "downloading"],
        &["404 Not Found", "[http-status]", "yes the daemon ran on", "$ nymvisor retry v1.1.0"],
    );
    assert!(!text.contains("-> BackingUp"), "{text}");
}

#[test]
fn verifying_fails_with_the_daemon_up() {
    let wanted = ["[digest-mismatch]", "yes the daemon ran on", "$ nymvisor retry v1.1.0"];
    let text = shows(&["--fail", "verifying"], &wanted);
    assert!(!text.contains("-> BackingUp"), "{text}");
}

#[test]
fn locking_fails_with_the_daemon_up() {
    let wanted = ["is locked by process", "[lock-busy]", "yes the daemon ran on"];
    let text = shows(&["--fail", "locking"], &wanted);
    assert!(!text.contains("-> BackingUp"), "{text}");
}

#[test]
fn draining_takes_the_grace_period_and_the_upgrade_goes_on() {
    shows(
        &["--fail", "draining"],
        &["the grace period is over", "was ended by SIGKILL", "yes the version file says 1.1.0"],
    );
}

#[test]
fn backing_up_fails_and_the_old_version_is_back() {
    shows(
        &["--fail", "backing-up"],
        &["-> Failed upgrade 1 failed", "Not a directory", "yes the old version is up again"],
    );
}

#[test]
fn swapping_fails_and_the_old_version_is_back() {
    let text = shows(
        &["--fail", "swapping"],
        &["Is a directory", "yes the old version is up again", "yes no backup is left"],
    );
    assert_eq!(
        phases(&text),
        "Draining, BackingUp, Locking, Downloading, Verifying, Swapping, Failed, Restarting, \
         daemon down"
    );
}

#[test]
fn restarting_fails_and_the_run_ends() {
    shows(
        &["--fail", "restarting"],
        &["can't start", "The daemon is down since", "yes 'nymvisor run' ended with status 4"],
    );
}

#[test]
fn running_fails_and_the_run_ends() {
    shows(
        &["--fail", "running"],
        &[
            "the daemon exited with status 3",
            "The daemon was down again for",
            "The daemon is down again since",
            "yes the new version failed to start twice",
            "yes 'nymvisor run' ended with status 4",
        ],
    );
}

#[test]
fn settings_of_the_caller_and_odd_folders_change_nothing() {
    let temp = tempdir().unwrap();
    let odd = temp.path().join("it's an $odd \"folder\"");
    fs::create_dir(&odd).unwrap();
    let mut command = demo(&odd, &[]);
    command.envs([("http_proxy", "http://127.0.0.1:1"), ("NYMVISOR_ID", "another")]);
    command.envs([("DAEMON_HOME", "/nowhere"), ("DAEMON_ALLOW_BINARIES_DOWNLOAD", "false")]);
    command.env("NYM_HOME_DIR", temp.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(fs::read_dir(&odd).unwrap().count(), 0);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_demo_cleans_up() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let temp = tempdir().unwrap();
        let mut command = demo(temp.path(), &[]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The demo, its run and the daemon: all three know the folder.
        eventually("three processes", || (processes_of(temp.path()).len() >= 3).then_some(()));
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("error: {signal}: the demo was interrupted\n"));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
        assert_eq!(processes_of(temp.path()), Vec::<u32>::new());
    }
}

#[test]
fn a_killed_demo_takes_its_processes_along() {
    let temp = tempdir().unwrap();
    let mut child = Guarded(demo(temp.path(), &[]).stdout(Stdio::null()).spawn().unwrap());
    eventually("three processes", || (processes_of(temp.path()).len() >= 3).then_some(()));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    eventually("their end", || processes_of(temp.path()).is_empty().then_some(()));
    // No later session does that for an instance that goes with its folder.
    let folder = fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
    groups::remove(&groups::of_instances(&folder.join(".nym/nymvisors/instances")));
}

#[test]
fn what_is_kept_can_be_looked_at() {
    let temp = tempdir().unwrap();
    let output = demo(temp.path(), &["--keep", "--fail", "verifying"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(processes_of(temp.path()), Vec::<u32>::new());
    let folder = fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
    assert!(text.contains(&format!("NYM_HOME_DIR='{}'", folder.display())), "{text}");
    let nymvisor = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nymvisor"));
        command.args(args).env("NYM_HOME_DIR", &folder).output().unwrap()
    };
    let journal = nymvisor(&["journal", "show"]);
    assert!(String::from_utf8_lossy(&journal.stdout).contains("[digest-mismatch]"));
    // What the demo says that an operator would type.
    assert_eq!(nymvisor(&["retry", "v1.1.0"]).stdout, b"v1.1.0 is tried again\n");
}

/// What the demo says that an operator would type when the new version was given up.
#[test]
fn the_way_back_from_a_version_that_does_not_start_works() {
    for phase in ["running", "restarting"] {
        let temp = tempdir().unwrap();
        let output = demo(temp.path(), &["--keep", "--fail", phase]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let folder = fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
        let nymvisor = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_nymvisor"));
            command.args(args).env("NYM_HOME_DIR", &folder).env("HOME", &folder);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let old = folder.join("nym-node");
        let back = ["--upgrade-name", "back-to-v1.0.0", "--allow-downgrade", "--now"];
        let added = nymvisor(&[&["add-upgrade", old.to_str().unwrap()], &back[..]].concat());
        assert!({ added }.status().unwrap().success());
        let run = nymvisor(&["run", "run"]).spawn().unwrap();
        let mut run = Guarded(run);
        let ledger = folder.join("home/data/ledger.log");
        fs::write(&ledger, "").unwrap();
        eventually("the old version at work", || {
            fs::read_to_string(&ledger).unwrap().contains("1.0.0 entry").then_some(())
        });
        kill(Pid::from_raw(run.0.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(run.0.wait().unwrap().success());
    }
}

#[test]
fn the_help_shows_the_phases_and_hides_the_daemon() {
    let help = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_nymvisor")).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let phases = help(&["demo", "--help"]);
    for phase in ["downloading", "verifying", "locking", "draining", "backing-up", "swapping"] {
        assert!(phases.contains(&format!("- {phase}:")), "{phases}");
    }
    assert!(!help(&["--help"]).contains("play-daemon"));
}

#[test]
fn text_is_wrapped_between_words_and_long_paths_behind_a_slash() {
    assert_eq!(page::wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(page::wrap("/aa/bb/cc x", 7), ["/aa/bb/", "cc x"]);
    assert_eq!(page::wrap("äääääääää", 4), ["ääää", "ääää", "ä"]);
    assert_eq!(page::wrap("", 4), [""]);
    assert_eq!(page::wrap("a", 0), ["a"]);
}

#[test]
fn digests_are_cut_short_and_nothing_else() {
    let digest = "0123456789abcdef".repeat(4);
    let text = format!("sha256 {digest}, not {}x", &digest[..63]);
    let short = page::shorten_digests(&text);
    assert_eq!(short, format!("sha256 0123456789ab…, not {}x", &digest[..63]));
}
