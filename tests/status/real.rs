//! The command beside real runs, compared with the journal and with `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use nix::sys::signal::Signal;
use nymvisor::disk::RealDisk;
use nymvisor::host::lock::HeldLock;
use nymvisor::journal::{self, Owner};
use nymvisor::machine::{Daemon, Event, State, step};
use nymvisor::proc;
use serde_json::{Value, json};

use crate::journal_verify::forge::Forged;
use crate::model::tale::Tale;
use crate::model::values::{genesis, policy};
use crate::support::run::Stage;
use crate::support::run::process::until_gone;
use crate::support::site::{Site, read_json};

const NOTHING: [&str; 0] = [];

/// Exit status and JSON.
pub(super) fn asked(site: &Site) -> (i32, Value) {
    let outcome = site.run(&["status", "-o", "json"]);
    assert_eq!(outcome.stderr, "");
    let json: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert_eq!(json["exit_status"], outcome.status);
    let text = site.run(&["status"]);
    assert!(text.stdout.starts_with("nym-node-default: "), "{text:?}");
    (outcome.status, json)
}

/// An upgrade that is announced for the far future.
pub(super) fn later(stage: &Stage, version: &str) {
    let mut announcement = stage.announcement(version);
    announcement["upgradeTime"] = json!("2999-01-01T00:00:00Z");
    stage.publish(&announcement);
}

/// Names, content and times of all files.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let shown = |path: &Path| {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        format!(
            "{} {} {}",
            meta.mtime_nsec(),
            meta.ctime_nsec(),
            nymvisor::digest::sha256(&content)
        )
    };
    entries.map(|entry| (entry.path().to_owned(), shown(entry.path()))).collect()
}

#[test]
fn only_initialised() {
    let site = Site::new().initialised();
    let before = tree(&site.path(""));
    let (exit, said) = asked(&site);
    assert_eq!((exit, &said["verdict"]), (21, &json!("not-running")));
    assert_eq!((&said["phase"], &said["journal"]["seq"]), (&Value::Null, &json!(0)));
    assert_eq!(said["daemon"]["version"], json!({ "name": "genesis", "version": "1.0.0" }));
    assert_eq!(said["queue"], json!([]));
    let rooms = said["room"].as_array().unwrap();
    assert!(rooms.iter().all(|room| room["free_bytes"].as_u64() > Some(0)), "{said:#}");
    assert_eq!(tree(&site.path("")), before, "nothing is changed");
}

#[test]
fn prepared_and_not_due_and_then_killed() {
    let stage = Stage::new();
    later(&stage, "1.1.0");
    let mut run = stage.start(&NOTHING);
    let daemon = stage.until_started(1);
    stage.until_event("home-copied", 1);
    let (exit, said) = stage.until("all is well", || {
        let (exit, said) = asked(&stage.site);
        (said["queue"][0]["stage"] == "ready").then_some((exit, said))
    });
    assert_eq!((exit, &said["verdict"]), (0, &json!("ok")), "{said:#}");
    let records = stage.records();
    let last = records.last().unwrap();
    assert_eq!(said["journal"]["seq"], last.0["seq"]);
    assert_eq!(said["journal"]["hash"], last.0["hash"]);
    assert_eq!(said["journal"]["at"], last.0["at"]);
    assert_eq!(said["phase"]["name"], last.to());
    let spawned = records.iter().find(|record| record.event() == "daemon-spawned").unwrap();
    assert_eq!(said["phase"]["since"], spawned.0["at"]);
    assert_eq!(said["daemon"]["since"], spawned.0["at"]);
    assert_eq!(said["daemon"]["pid"], daemon);
    assert_eq!(said["run"]["pid"], run.pid());
    let session = records.iter().find(|record| record.event() == "session-started").unwrap();
    assert_eq!(said["run"]["since"], session.0["at"]);
    let queued = &said["queue"][0];
    assert_eq!((&queued["name"], &queued["due"]), (&json!("v1.1.0"), &json!(false)));
    assert_eq!(queued["requester"]["by"], "upstream");
    assert_eq!(said["expected_down"]["ms"], Value::Null);

    run.kill();
    until_gone(daemon);
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["verdict"]), (21, &json!("not-running")));
    assert_eq!(said["phase"]["name"], "Running", "the journal's last word");
    assert_eq!(said["daemon"]["pid"], Value::Null);
    assert_eq!(said["queue"][0]["stage"], "not-begun");
    // A last line that is half there is no reason not to answer.
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    let segment = folder.join("00000001.jsonl");
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"{\"seq\":99,\"at\":\"20");
    fs::write(&segment, &bytes).unwrap();
    let (exit, torn) = asked(&stage.site);
    assert_eq!((exit, &torn["journal"]), (21, &said["journal"]));
}

#[test]
fn the_uptime_is_that_of_the_very_process() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    let pid = stage.until_started(1);
    stage.until_phase("Running");
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["daemon"]["pid"]), (0, &json!(pid)));
    let uptime = said["daemon"]["uptime_ms"].as_u64().unwrap();
    let boot = fs::read_to_string("/proc/uptime").unwrap();
    // Hundredths of a second, as ticks are.
    let boot: u64 = boot.split(' ').next().unwrap().replace('.', "").parse().unwrap();
    let ticks = proc::stat(pid).unwrap().started_ticks;
    // The answer is older than this.
    let now = (boot - ticks) * 10;
    assert!(uptime <= now && now - uptime < 30_000, "{uptime} {now}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["phase"]["text"]), (21, &json!("the last run ended in order")));
}

#[test]
fn the_durations_of_an_upgrade_are_those_of_the_journal() {
    let mut stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let (exit, said) = asked(&stage.site);
    assert_eq!(exit, 0, "{said:#}");
    let done = &said["last_upgrade"];
    assert_eq!(done["to"], json!({ "name": "v1.1.0", "version": "1.1.0" }));
    let records = stage.records();
    let drained = records.iter().position(|record| record.to() == "Draining").unwrap();
    let spawned = records.iter().rposition(|record| record.event() == "daemon-spawned").unwrap();
    let between = |from: usize, to: usize| {
        (records[to].at() - records[from].at()).num_microseconds().unwrap()
    };
    let spent = done["phases"].as_array().unwrap().iter();
    let whole: i64 = spent.map(|spent| spent["us"].as_i64().unwrap()).sum();
    // Each phase is cut to whole microseconds.
    let told = between(drained, spawned);
    assert!((told - 8..=told).contains(&whole), "{whole} of {told}");
    let ended = records.iter().position(|record| record.event() == "daemon-ended").unwrap();
    assert_eq!(done["down_us"], between(ended, spawned));
    assert_eq!(said["daemon"]["restarts"], 1);
    assert_eq!(said["daemon"]["last_restart"]["why"], "the upgrade to v1.1.0 (1.1.0)");
    assert_eq!(said["expected_down"]["ms"], between(drained, spawned) / 1000);
    // A roll-back would need its backup.
    fs::remove_dir_all(stage.site.home("nymvisor/backups")).unwrap();
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["attention"][0]["command"]), (22, &json!("nymvisor backups verify")));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    // One that leaves the data as it is does not.
    stage.set("DAEMON_ROLLBACK_RESTORES_DATA", "false");
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    stage.until_phase("Running");
    let (exit, said) = asked(&stage.site);
    assert_eq!(exit, 0, "{said:#}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn what_needs_a_person_is_told_with_the_command_that_settles_it() {
    let stage = Stage::new();
    let mut announcement = stage.announcement("1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!("00".repeat(32));
    stage.publish(&announcement);
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.until_event("work-failed", 1);
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["verdict"]), (22, &json!("attention")), "{said:#}");
    assert_eq!(said["attention"][0]["command"], "nymvisor retry v1.1.0");
    assert_eq!(said["held"][0]["hold"], "quarantine");
    assert_eq!(said["last_failure"]["code"], "digest-mismatch");
    assert_eq!(said["last_failure"]["upgrade"], "v1.1.0");

    // A damaged plan as well: it is said, and the rest all the same.
    fs::write(stage.site.data("upgrade-plan.json"), "{").unwrap();
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["queue"]), (22, &Value::Null));
    assert!(said["daemon"]["pid"].is_u64(), "{said:#}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_daemon_that_is_down_and_a_journal_that_is_damaged() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "60s");
    let mut run = stage.start(&NOTHING);
    let pid = stage.until_started(1);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    stage.until_event("daemon-ended", 1);
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["verdict"]), (20, &json!("down")), "{said:#}");
    assert_eq!(said["last_failure"]["event"], "daemon-ended");
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    let segment = folder.join("00000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("daemon-spawned", "daemon-spawneD", 1)).unwrap();
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["verdict"]), (23, &json!("unknown")), "{said:#}");
    assert!(said["journal"]["damage"].as_str().unwrap().contains("00000001.jsonl, line"));
    run.kill();
    let version = stage.site.home("nymvisor/current-version-info.json");
    assert_eq!(read_json(&version)["name"], "genesis");
}

#[test]
fn what_cannot_be_read_of_the_past_is_told() {
    let stage = Stage::new();
    let mut run = stage.start(&NOTHING);
    stage.until_started(1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    Forged::read(&folder).split(&[2]).write();
    assert!(asked(&stage.site).1["journal"].get("unread").is_none());
    let first = folder.join("00000001.jsonl");
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.replacen("session-started", "session-starteD", 1)).unwrap();
    let (exit, said) = asked(&stage.site);
    assert_eq!((exit, &said["journal"]["damage"]), (21, &json!(null)), "{said:#}");
    let unread = said["journal"]["unread"][0].as_str().unwrap();
    assert!(unread.starts_with("00000001.jsonl, line 2: its hash does not fit"), "{unread}");
    let text = stage.site.run(&["status"]).stdout;
    assert!(text.contains("what is told of the past may lack something:"), "{text}");
}

/// A session of this very process, whose daemon it is as well, if it was started then.
fn pretend(site: &Site, started_ticks: u64) {
    let pid = std::process::id();
    let folder = site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    journal::create_folder(&RealDisk, &folder).unwrap();
    let owner = Owner { instance: "nym-node-default".to_owned(), daemon: "nym-node".to_owned() };
    let first = State::initial(genesis(), policy());
    let disk = Arc::new(RealDisk);
    let opened = journal::open(disk, &folder, owner, "s1".to_owned(), first, Utc::now()).unwrap();
    let (mut book, mut state) = (opened.journal, opened.state);
    for record in Tale::running(policy()).engine.records {
        let event = match record.event {
            Event::SessionStarted { nymvisor, policy, .. } => {
                Event::SessionStarted { nymvisor, policy, pid }
            }
            Event::DaemonSpawned { .. } => {
                Event::DaemonSpawned { daemon: Daemon { pid, started_ticks } }
            }
            event => event,
        };
        let transition = step(&state, &event).unwrap();
        let committed = book.append(&state, &event, &transition, Utc::now()).unwrap();
        state = committed.into_parts().0;
    }
}

#[test]
fn a_process_with_the_daemons_number_is_asked_when_it_began() {
    let began = proc::stat(std::process::id()).unwrap().started_ticks;
    for (ticks, exit) in [(began, 0), (began + 1, 20)] {
        let site = Site::new().initialised();
        pretend(&site, ticks);
        let lock = site.path(".nym/nymvisors/instances/nym-node-default/data/run.lock");
        let content = format!("{}\n", std::process::id());
        let _held = HeldLock::acquire(&lock, 0o600, &content).unwrap();
        let (said, json) = asked(&site);
        assert_eq!(said, exit, "{json:#}");
        assert_eq!(json["daemon"]["pid"].is_u64(), exit == 0);
        assert_eq!(json["daemon"]["uptime_ms"].is_u64(), exit == 0);
    }
}
