//! Two instances of one daemon share the data folder; each upgrades for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{archives, end, started, until_runs};
use crate::support::run::Stage;
use crate::support::site::read_json;

/// The second instance, beside the stage's own.
struct Second<'a> {
    stage: &'a Stage,
    child: Option<Child>,
}

impl<'a> Second<'a> {
    fn new(stage: &'a Stage) -> Self {
        let second = Self { stage, child: None };
        fs::create_dir_all(second.home("")).unwrap();
        let binary = stage.site.binary("nym-node", "1.0.0");
        let out = second.command(&["init", binary.to_str().unwrap()]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        second
    }

    fn home(&self, below: &str) -> PathBuf {
        self.stage.site.path("second").join(below)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.site.command(arguments);
        command.env("DAEMON_HOME", self.stage.site.path("second")).env("NYMVISOR_ID", "second");
        command
    }

    fn start(&mut self) {
        let said = fs::File::create(self.stage.site.path("second.stderr")).unwrap();
        let mut command = self.command(&["run", "run"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.child = Some(command.spawn().unwrap());
    }

    fn said(&self) -> String {
        fs::read_to_string(self.stage.site.path("second.stderr")).unwrap_or_default()
    }

    fn until_logs(&self, text: &str) {
        let log = self.home("events.log");
        self.stage.until(&format!("{text:?} of the second; it said: {}", self.said()), || {
            fs::read_to_string(&log).unwrap_or_default().contains(text).then_some(())
        });
    }

    fn version(&self) -> Value {
        read_json(&self.home("nymvisor/current-version-info.json"))["name"].clone()
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", self.said());
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The first instance needs a name as soon as there are two.
fn stage() -> Stage {
    Stage::after(|_| {}).with("NYMVISOR_ID", "nym-node-default")
}

fn assert_shared(stage: &Stage, names: &[&str]) {
    assert_eq!(stage.history(), names, "{}", stage.story());
    let last = names.last().unwrap();
    let plan = read_json(&stage.site.data("upgrade-plan.json"));
    assert_eq!(plan["current"]["name"], *last);
    assert_eq!(plan["queuedUp"], serde_json::json!([]));
    let link = fs::read_link(stage.site.data("current")).unwrap();
    assert_eq!(link, Path::new("upgrades").join(last));
}

#[test]
fn h21_both_upgrade_for_themselves_with_one_history_entry() {
    let stage = stage();
    let mut second = Second::new(&stage);
    let (run, _) = started(&stage);
    second.start();
    second.until_logs("started 1.0.0");
    for version in ["1.1.0", "1.2.0"] {
        stage.announce(version);
        stage.until_log(&format!("started {version}"), 1);
        second.until_logs(&format!("started {version}"));
        stage.until("both versions", || (second.version() == format!("v{version}")).then_some(()));
    }
    until_runs(&stage, "1.2.0");
    assert_shared(&stage, &["v1.1.0", "v1.2.0"]);
    for home in [stage.site.home("nymvisor/backups"), second.home("nymvisor/backups")] {
        assert_eq!(archives(&home).len(), 2, "each has its own backups");
    }
    second.end();
    end(run);
}

#[test]
fn h21_one_that_was_away_catches_up_and_starts_again() {
    let stage = stage();
    let mut second = Second::new(&stage);
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    until_runs(&stage, "1.1.0");
    stage.announce("1.2.0");
    until_runs(&stage, "1.2.0");
    assert_eq!(second.version(), "genesis");
    second.start();
    second.until_logs("started 1.2.0");
    stage.until("its version", || (second.version() == "v1.2.0").then_some(()));
    let log = fs::read_to_string(second.home("events.log")).unwrap();
    assert!(!log.contains("started 1.1.0"), "{log}");
    assert_shared(&stage, &["v1.1.0", "v1.2.0"]);
    second.end();
    second.start();
    stage.until("its next start", || {
        let log = fs::read_to_string(second.home("events.log")).unwrap();
        (log.matches("started 1.2.0").count() == 2).then_some(())
    });
    second.end();
    end(run);
}

#[test]
fn h21_init_of_a_second_instance_after_an_upgrade() {
    let stage = stage();
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    let mut second = Second::new(&stage);
    second.start();
    second.until_logs("started 1.1.0");
    second.end();
    assert_shared(&stage, &["v1.1.0"]);
    end(run);
}

/// What one instance cancels, the other performs; the one that is left behind stays where it is.
#[test]
fn what_one_cancels_the_other_performs() {
    let stage = stage();
    let mut second = Second::new(&stage);
    let (run, pid) = started(&stage);
    super::add_ok(&stage, "1.1.0", "--upgrade-delay 1h");
    stage.until_event("home-copied", 1);
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    second.start();
    second.until_logs("started 1.0.0");
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now"]);
    second.until_logs("started 1.1.0");
    stage.until("its version", || (second.version() == "v1.1.0").then_some(()));
    stage.until("the plan that it has moved on", || {
        let plan = read_json(&stage.site.data("upgrade-plan.json"));
        (plan["current"]["name"] == "v1.1.0").then_some(())
    });
    super::until_polled(&stage, 2);
    assert_eq!(stage.daemons(), [pid], "{}", stage.story());
    let own = read_json(&stage.site.home("nymvisor/current-version-info.json"));
    assert_eq!(own["name"], "genesis");
    second.end();
    end(run);
}
