//! `status --watch`: on a terminal, in a pipe, and how it ends.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::real::later;
use crate::support::helper::{Guarded, eventually};
use crate::support::run::Stage;
use crate::support::terminal::on_terminal;

const NOTHING: [&str; 0] = [];

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
}

fn exit(child: &mut Child) -> Option<i32> {
    eventually("its end", || child.try_wait().unwrap()).code()
}

/// The processor time that a process has taken so far, in ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn in_a_pipe_a_change_is_a_line() {
    let stage = Stage::new();
    let mut command = stage.site.command(&["status", "--watch", "-o", "json"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Guarded(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["verdict"], "not-running");
    later(&stage, "1.1.0");
    let mut run = stage.start(&NOTHING);
    let mut before = Value::Null;
    loop {
        let said = next();
        let seq = said["journal"]["seq"].as_u64();
        assert!(before["journal"]["seq"].as_u64() <= seq, "{before:#}{said:#}");
        if said["queue"][0]["stage"] == "ready" && said["verdict"] == "ok" {
            break;
        }
        before = said;
    }
    let used = ticks(child.0.id());
    std::thread::sleep(std::time::Duration::from_secs(2));
    // A loop that doesn't wait would have taken 200.
    assert!(ticks(child.0.id()) - used < 50, "it is busy");
    interrupt(&child.0);
    assert_eq!(exit(&mut child.0), Some(0));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn on_a_terminal_it_is_drawn_anew_and_ended_by_a_key() {
    let stage = Stage::new();
    // The end of a page: all of it was written.
    let out = on_terminal(&stage.site.command(&["status", "-w"]), (24, 80), "\u{1b}[J");
    let told = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{told}");
    assert!(told.starts_with("\u{1b}[2J\u{1b}[Hnym-node-default: "), "{told:?}");
    assert!(told.contains("is NOT up.\u{1b}[K\r\n"), "{told:?}");
    assert!(!told.contains("\u{1b}[3") && !told.contains("\u{1b}[1m"), "no colours: {told:?}");
}

/// What scrolls is not redrawn in its place.
#[test]
fn on_a_small_terminal_no_more_is_drawn_than_it_has_room_for() {
    let stage = Stage::new();
    let out = on_terminal(&stage.site.command(&["status", "-w"]), (10, 40), "\u{1b}[J");
    let told = String::from_utf8(out.stdout).unwrap();
    let page = told.split("\u{1b}[J").next().unwrap();
    assert!(page.contains("nym-node-default: `nymvisor run` is NOT\u{1b}[K\r\n"), "{page:?}");
    assert!(page.contains("more lines in `nymvisor status`"), "{page:?}");
    let lines: Vec<&str> = page.split("\u{1b}[K\r\n").collect();
    assert!(lines.len() == 10 && lines[9].is_empty(), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.chars().count() <= 40), "{lines:?}");
}

#[test]
fn on_a_terminal_that_can_not_be_redrawn_a_change_is_a_line() {
    let stage = Stage::new();
    let mut command = stage.site.command(&["status", "-w"]);
    let out = on_terminal(command.env("TERM", "dumb"), (24, 80), "is NOT up");
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(!told.contains('\u{1b}') && told.contains(" run is NOT up; 1.0.0 down"), "{told:?}");
}

#[test]
fn who_reads_no_more_ends_it() {
    let stage = Stage::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = stage.site.command(&["status", "--watch"]);
    let child = command.stdout(OwnedFd::from(writer)).spawn().unwrap();
    drop(command);
    let mut child = Guarded(child);
    let mut lines = BufReader::new(reader).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains(" run is NOT up; 1.0.0 down"), "{first}");
    drop(lines);
    assert_eq!(exit(&mut child.0), Some(0));
}
