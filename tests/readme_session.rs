//! The session that README shows, played by a shell: what is printed today has to look the same.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::daemon::FakeDaemon;
use crate::support::helper::{Guarded, eventually};
use crate::support::site::Site;

const README: &str = include_str!("../README.md");
const BEGIN: &str = "```console\n";
const BACKGROUND: &str = " > run.log 2>&1 &";
/// Of a number; what stands for all of them.
const UNITS: [&str; 9] = ["µs", "ms", "s", "min", "bytes", "KiB", "MiB", "GiB", "B"];
const DIGEST_CHARS: usize = 64;

/// The commands of the session, each with what README says that it prints.
fn session() -> Vec<(&'static str, String)> {
    let (_, rest) = README.split_once(BEGIN).expect("a session");
    let (session, _) = rest.split_once("\n```").unwrap();
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in session.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command, String::new()));
        } else {
            let last = commands.last_mut().expect("a command comes first");
            last.1 += &format!("{line}\n");
        }
    }
    commands
}

/// The words of a text, without what differs from run to run: numbers and their units, digests,
/// who typed it, and how long a bar is.
fn shape(text: &str) -> Vec<String> {
    let mut shape: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|char: char| !char.is_alphanumeric());
        let is_number = bare.starts_with(|char: char| char.is_ascii_digit())
            || bare.len() == DIGEST_CHARS && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_bar = word.starts_with(['█', '▒']);
        let is_user = shape.ends_with(&["the".to_owned(), "user".to_owned()]);
        let word = if is_number {
            "#"
        } else if is_user {
            "somebody"
        } else {
            word
        };
        let is_unit = UNITS.contains(&bare) && shape.last().is_some_and(|last| last == "#");
        let is_again = word == "#" && shape.last().is_some_and(|last| last == "#");
        if !is_bar && !is_unit && !is_again {
            shape.push(word.to_owned());
        }
    }
    shape
}

/// A shell in the user's home, where `nymvisor` is found.
fn shell(site: &Site, command: &str) -> Command {
    let ours = site.command(&["status"]);
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_nymvisor")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(site.path("")).env_clear();
    shell.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", path).env("HOME", site.path("")).stdin(Stdio::null());
    shell
}

fn printed(site: &Site, command: &str) -> String {
    let output = shell(site, command).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command}: {said}");
    said.replace(&*site.path("").to_string_lossy(), "/home/nym/")
}

#[test]
fn the_session_in_readme_is_what_the_commands_print() {
    // Nothing listens there.
    let site = Site::new().with_env("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", "http://127.0.0.1:9/");
    for (name, version) in [("nym-node", "1.0.0"), ("nym-node-1.1.0", "1.1.0")] {
        FakeDaemon::new("nym-node", version).write(&site.path(name));
    }
    let data = site.path(".nym/nym-nodes/my-node/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("db"), vec![7; 1_000_000]).unwrap();

    let until = |event: &str| {
        let wanted = format!("\"{event}\"");
        let show = shell(&site, "nymvisor journal show -o json").output();
        let told = String::from_utf8(show.unwrap().stdout).unwrap();
        told.contains(&wanted).then_some(())
    };
    let mut run = None;
    for (command, wanted) in session() {
        if let Some(command) = command.strip_suffix(BACKGROUND) {
            let mut shell = shell(&site, &format!("exec {command} > run.log 2>&1"));
            run = Some(Guarded(shell.spawn().unwrap()));
            eventually("the daemon", || until("daemon-spawned"));
            continue;
        }
        let printed = printed(&site, command);
        assert_eq!(shape(&printed), shape(&wanted), "{command}\n{printed}");
        if command.contains("add-upgrade") {
            eventually("the upgrade", || until("backup-examined"));
        }
    }
    let mut run = run.expect("a run");
    kill(Pid::from_raw(run.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(run.0.wait().unwrap().success());
}

#[test]
fn what_differs_from_run_to_run_is_left_out_and_nothing_else() {
    let one = "down for 9.8 ms: Draining 1.2\n  ms, in 1m 8s (record 20) ███ by the user a (0)";
    let other = "down for 1 min 2 s: Draining 900 µs, in 3s (record 7) by the user b (10)";
    assert_eq!(shape(one), shape(other));
    assert_ne!(shape("1 segment"), shape("1 segments"));
    assert_ne!(shape("clean"), shape("NOT clean"));
}
