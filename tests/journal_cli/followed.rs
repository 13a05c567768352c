//! `journal show --follow`: what comes, as it comes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::machine::Event;
use serde_json::Value;

use super::written::Told;
use crate::support::helper::{DEADLINE, Guarded};

struct Follower {
    child: Guarded,
    lines: Receiver<String>,
}

impl Follower {
    fn start(told: &Told, options: &[&str]) -> Self {
        let arguments = [&["journal", "show", "--follow"], options].concat();
        let mut command = told.site.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child: Guarded(child), lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line in time")
    }

    fn next_seq(&self) -> u64 {
        serde_json::from_str::<Value>(&self.next()).unwrap()["seq"].as_u64().unwrap()
    }

    fn child(&mut self) -> &mut Child {
        &mut self.child.0
    }

    /// Ends it; nothing may have come that was not asked for.
    fn end(&mut self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child().id()).unwrap());
        kill(pid, signal).unwrap();
        assert_eq!(self.child().wait().unwrap().code(), Some(0));
        assert_eq!(self.lines.recv_timeout(DEADLINE).ok(), None);
    }
}

/// Something that the log tells as a warning.
fn mended(told: &mut Told) -> u64 {
    told.append(&Event::FileMended { file: "plan".to_owned(), set_aside: None });
    told.records.last().unwrap().seq
}

#[test]
fn what_comes_is_told_as_it_comes_over_a_new_file_too() {
    let mut told = Told::upgraded();
    let all = told.records.len() as u64;
    let mut follower = Follower::start(&told, &["--output", "json"]);
    // The last ten first.
    for seq in all - 9..=all {
        assert_eq!(follower.next_seq(), seq);
    }
    for round in 0..3 {
        let seq = mended(&mut told);
        assert_eq!(follower.next_seq(), seq);
        told.tear(&format!("s{round}"));
    }
    follower.end(Signal::SIGINT);
}

#[test]
fn the_filters_hold_for_what_comes() {
    let mut told = Told::upgraded();
    let mut follower = Follower::start(&told, &["--failures", "-n", "1"]);
    mended(&mut told);
    assert!(follower.next().contains("plan was missing"), "a failure");
    told.append(&Event::SignalReceived { signal: 1 });
    mended(&mut told);
    assert!(follower.next().contains("plan was missing"), "the next, and not the signal");
    follower.end(Signal::SIGTERM);
}

#[test]
fn a_journal_that_is_not_there_yet_is_waited_for() {
    let told = Told::upgraded();
    let folder = told.folder();
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    let mut follower = Follower::start(&told, &["--output", "json", "-n", "1"]);
    std::thread::sleep(Duration::from_millis(300));
    std::fs::rename(&away, &folder).unwrap();
    let mut seq = follower.next_seq();
    while seq < told.records.len() as u64 {
        seq = follower.next_seq();
    }
    follower.end(Signal::SIGINT);
}
