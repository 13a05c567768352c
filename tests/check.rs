//! The preflight: what it finds, what it costs, and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::run::Stage;
use crate::support::server::Reply;
use crate::support::site::Outcome;

mod commands;
mod failing;

const NOTHING: [&str; 0] = [];
const ANNOUNCED: &str = "announced.json";

/// What `check` said.
struct Said {
    status: i32,
    json: Value,
}

impl Said {
    fn of(outcome: &Outcome) -> Self {
        let json = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
        Self { status: outcome.status, json }
    }

    /// The verdicts about a point, with texts and remedies.
    fn about(&self, what: &str) -> Vec<(String, String)> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|finding| finding["what"] == what);
        let text = |finding: &Value| {
            let remedy = finding["remedy"].as_str().unwrap_or_default();
            format!("{} -> {remedy}", finding["text"].as_str().unwrap())
        };
        findings.map(|f| (f["verdict"].as_str().unwrap().to_owned(), text(f))).collect()
    }

    fn failing(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|finding| finding["verdict"] == "fail");
        findings.map(|finding| finding["what"].as_str().unwrap()).collect()
    }

    fn assert_ok(&self) {
        assert_eq!(self.failing(), NOTHING, "{:#}", self.json);
        assert_eq!((self.status, &self.json["verdict"]), (0, &json!("ok")));
    }

    /// Just this point fails; gives what is said about it.
    fn assert_fails(&self, what: &str) -> String {
        assert_eq!(self.failing(), [what], "{:#}", self.json);
        assert_eq!((self.status, &self.json["verdict"]), (1, &json!("fail")));
        self.about(what).into_iter().find(|(verdict, _)| verdict == "fail").unwrap().1
    }
}

fn check(stage: &Stage, arguments: &[&str]) -> Said {
    let arguments = [&["check", "-o", "json"], arguments].concat();
    Said::of(&stage.site.run(&arguments))
}

/// The same about an announcement in a file.
fn check_file(stage: &Stage, announcement: &Value, arguments: &[&str]) -> Said {
    let path = write(stage, announcement);
    check(stage, &[&["--url", path.to_str().unwrap()], arguments].concat())
}

fn write(stage: &Stage, announcement: &Value) -> PathBuf {
    let path = stage.site.path(ANNOUNCED);
    fs::write(&path, announcement.to_string()).unwrap();
    path
}

/// Every file below a folder, with content, mode and times.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let meta = entry.path().symlink_metadata().unwrap();
            let content = if meta.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            let digest = nymvisor::digest::sha256(&content);
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            (entry.into_path(), format!("{:o} {} {times:?} {digest}", meta.mode(), meta.ino()))
        })
        .collect()
}

/// An upgrade that is announced for the far future, so that it is only prepared.
fn later(stage: &Stage, version: &str) -> Value {
    let mut announcement = stage.announcement(version);
    announcement["upgradeTime"] = json!("2999-01-01T00:00:00Z");
    announcement
}

#[test]
fn what_would_succeed_is_said_to_and_nothing_at_all_is_changed() {
    let temporary = tempfile::tempdir().unwrap();
    let stage = Stage::new().with("TMPDIR", temporary.path().to_str().unwrap());
    let url = stage.server.url("/other.json");
    let announcement = stage.announcement("1.1.0");
    stage.server.put("/other.json", Reply::ok(announcement.to_string()));
    let file = write(&stage, &announcement);
    let before = tree(&stage.site.path(""));
    for arguments in
        [vec!["--url", &url], vec!["--url", file.to_str().unwrap()], vec!["--url", &url, "--fetch"]]
    {
        let said = check(&stage, &arguments);
        said.assert_ok();
        assert_eq!(said.json["version"], 1);
        assert_eq!(said.json["upgrade"]["name"], "v1.1.0");
        assert_eq!(said.json["upgrade"]["queued"], false);
        assert_eq!(said.json["running"], false);
        assert_eq!(said.about("build-info").len(), usize::from(arguments.contains(&"--fetch")));
    }
    assert_eq!(tree(&stage.site.path("")), before);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn beside_a_run_it_changes_nothing_either_and_knows_what_is_prepared() {
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
    stage.publish(&later(&stage, "1.1.0"));
    let mut run = stage.start(&NOTHING);
    stage.until("the upgrade is ready", || {
        let state = stage.site.run(&["journal", "show", "-n", "1"]).stdout;
        let events = stage.events();
        events.iter().any(|event| event == "home-copied" || event == "room-found").then_some(state)
    });
    stage.until_log("started 1.0.0", 1);
    stage.until("quiet", || {
        let before = stage.records().len();
        std::thread::sleep(std::time::Duration::from_millis(500));
        (stage.records().len() == before).then_some(())
    });
    let before = tree(&stage.site.path(".nym"));
    let home = tree(&stage.site.home("nymvisor"));
    for arguments in [&[][..], &["v1.1.0"], &["v1.1.0", "--fetch"]] {
        let said = check(&stage, arguments);
        said.assert_ok();
        assert_eq!(said.json["running"], true);
        assert_eq!(said.json["upgrade"]["queued"], true);
        assert!(said.about("binary")[0].1.contains("in its place"), "{:#}", said.json);
        assert_eq!(said.about("build-info")[0].0, "ok");
        assert!(said.about("run")[0].1.contains(&run.pid().to_string()));
        assert!(said.about("time")[0].1.contains("2999-01-01T00:00:00Z, in "));
    }
    assert_eq!(tree(&stage.site.path(".nym")), before);
    assert_eq!(tree(&stage.site.home("nymvisor")), home);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn no_file_is_opened_for_writing() {
    let stage = Stage::new();
    let file = write(&stage, &stage.announcement("1.1.0"));
    let log = stage.site.path("trace");
    let mut command = std::process::Command::new("strace");
    let ours = stage.site.command(&["check", "--url", file.to_str().unwrap()]);
    let calls = "trace=openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,\
                 link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,ftruncate,utimensat";
    command.args(["-f", "-e", calls, "-o"]).arg(&log).arg(ours.get_program()).args(ours.get_args());
    command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.output().unwrap().status.success());
    let trace = fs::read_to_string(log).unwrap();
    assert!(trace.contains("upgrade-plan.json"), "{trace}");
    let changes = |line: &&str| {
        let is_open = line.contains("open(") || line.contains("openat(");
        let is_read = line.contains("O_RDONLY") && !line.contains("O_CREAT");
        line.contains('(') && !(is_open && is_read) && !line.contains("\"/dev/null\"")
    };
    let changes: Vec<&str> = trace.lines().filter(changes).collect();
    assert!(changes.is_empty(), "{changes:#?}");
}

#[test]
fn text_fits_a_terminal_and_tells_what_to_do() {
    let stage = Stage::new();
    let mut announcement = stage.announcement("0.9.0");
    announcement["platforms"]["any"]["checksum"] = json!("");
    let file = write(&stage, &announcement);
    let said = stage.site.run(&["check", "--url", file.to_str().unwrap()]);
    assert_eq!(said.status, 1);
    assert!(said.stdout.starts_with("v0.9.0, version 0.9.0\n\n"), "{}", said.stdout);
    assert!(said.stdout.contains("\nFAIL  version       0.9.0 is not newer"), "{}", said.stdout);
    assert!(said.stdout.contains("\n                    -> if it is meant"), "{}", said.stdout);
    assert!(said.stdout.ends_with("It would NOT succeed: 2 points stand in its way.\n"));
    for line in said.stdout.lines() {
        let fits = line.chars().count() <= 80 || line.trim_start().split(' ').count() <= 4;
        assert!(fits, "{line}");
    }
}

#[test]
fn estimates_rest_on_the_last_upgrade_once_there_is_one() {
    let stage = Stage::new();
    fs::write(stage.site.home("precious"), vec![7; 3_000_000]).unwrap();
    let next = stage.announcement("1.2.0");
    let said = check_file(&stage, &next, &[]);
    let before = &said.json["estimates"];
    assert!(before["basis"].as_str().unwrap().contains("no run to estimate from"), "{before}");
    assert!(before["read_bytes_per_second"].as_u64().unwrap() > 0);
    assert!(before["copy_ms"].is_u64() && before["down_ms"].is_null());
    let text = stage.site.ok(&["check", "--url", stage.site.path(ANNOUNCED).to_str().unwrap()]);
    assert!(text.contains("copy will take at least "), "{text}");

    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.0.0", 1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let records = stage.records();
    let position = |found: &dyn Fn(&crate::support::run::Record) -> bool| {
        records.iter().position(found).unwrap()
    };
    let drained = position(&|record| record.from() == "Running" && record.to() == "Draining");
    let committed = position(&|record| record.event() == "swap-committed");
    let up = records[committed..].iter().find(|record| record.event() == "daemon-spawned").unwrap();
    let down_ms = (up.at() - records[drained].at()).num_milliseconds();

    let said = check_file(&stage, &next, &[]);
    said.assert_ok();
    let estimates = &said.json["estimates"];
    assert!(estimates["copy_ms"].is_u64() && estimates["fetch_ms"].is_u64(), "{estimates}");
    // The home has hardly grown, and what is copied ahead isn't scaled.
    assert!((estimates["down_ms"].as_i64().unwrap() - down_ms).abs() <= down_ms / 10 + 2);
    assert!(estimates["read_bytes_per_second"].is_null());
    let text = stage.site.ok(&["check", "--url", stage.site.path(ANNOUNCED).to_str().unwrap()]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the daemon will be down for about "), "{text}");
    assert!(words.ends_with("It would succeed."), "{text}");
}

#[test]
fn what_is_no_obstacle_is_told_all_the_same() {
    let stage = Stage::new().with("DAEMON_ENFORCE_DOWNLOAD_CHECKSUM", "false");
    let mut announcement = stage.announcement("1.1.0");
    announcement["manual"] = json!(true);
    let platform = &mut announcement["platforms"]["any"];
    platform["checksum"] = json!("");
    platform["urls"] = json!([stage.server.url("/gone")]);
    let said = check_file(&stage, &announcement, &["--fetch"]);
    said.assert_ok();
    let verdicts = |what: &str| -> Vec<String> {
        said.about(what).into_iter().map(|(verdict, _)| verdict).collect()
    };
    assert_eq!(verdicts("afterwards"), ["warn"]);
    assert_eq!(verdicts("checksum"), ["warn"]);
    assert_eq!(verdicts("download"), ["ok", "warn"]);
    assert_eq!(verdicts("fetch"), ["ok"]);
    assert_eq!(verdicts("run"), ["warn"]);
    assert!(said.json["estimates"]["fetch_ms"].is_u64());
}
