//! Lines for journald, where stderr leads to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::within::started_by;
use crate::support::run::Stage;
use crate::support::site::Site;

/// What systemd sets where it has made this file the service's stderr.
fn stream(file: &std::path::Path) -> String {
    let meta = fs::metadata(file).unwrap();
    format!("{}:{}", meta.dev(), meta.ino())
}

#[test]
fn each_line_has_its_priority_and_no_time() {
    let mut stage = Stage::new();
    let stderr = stage.site.path("run-0.stderr");
    File::create(&stderr).unwrap();
    stage.set("JOURNAL_STREAM", &stream(&stderr));
    // The link is mended, which is odd.
    fs::remove_file(stage.site.data("current")).unwrap();
    let mut run = stage.start(&["run"]);
    stage.until_started(1);
    let end = run.stop(Signal::SIGTERM);
    let lines: Vec<&str> = end.stderr.lines().collect();
    assert!(lines.iter().all(|line| ["<3>", "<4>", "<6>"].contains(&&line[..3])), "{lines:#?}");
    let up = lines.iter().find(|line| line.contains("the daemon is up")).unwrap();
    assert!(up.starts_with("<6>Restarting -> Running: the daemon is up, process "), "{up}");
    // The files have their time all the same.
    let logs = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    let log = fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("Z  INFO Restarting -> Running: the daemon is up"), "{log}");

    // The next run's stderr is another file: somebody has redirected it.
    let mut run = stage.start(&["run"]);
    stage.until_started(2);
    let end = run.stop(Signal::SIGTERM);
    assert!(end.stderr.lines().all(|line| line.starts_with("20")), "{}", end.stderr);
}

/// The fields of an entry, as the native protocol of systemd's journal has them; those with a value
/// of more than one line have its length before it.
fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8(entry[..end].to_vec()).unwrap();
        entry = &entry[end + 1..];
        if let Some((name, value)) = line.split_once('=') {
            fields.insert(name.to_owned(), value.to_owned());
        } else {
            let length = u64::from_le_bytes(entry[..8].try_into().unwrap());
            let end = 8 + usize::try_from(length).unwrap();
            fields.insert(line, String::from_utf8(entry[8..end].to_vec()).unwrap());
            entry = &entry[end + 1..];
        }
    }
    fields
}

#[test]
fn where_the_journal_of_systemd_listens_records_have_fields() {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no mount namespace can be made here (unshare)");
    }
    let mut stage = Stage::new();
    let stderr = stage.site.path("run-0.stderr");
    File::create(&stderr).unwrap();
    stage.set("JOURNAL_STREAM", &stream(&stderr));
    let path = stage.site.path("journald");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let script = format!(
        "set -e\nmount --make-rprivate /\nmount -t tmpfs none /run\nmkdir -p /run/systemd/journal\n\
         ln -s '{}' /run/systemd/journal/socket\nexec \"$@\"\n",
        path.display()
    );
    let arguments = ["--mount", "sh", "-c", &script, "sh"];
    let mut run = stage.start_command(started_by(&stage, "unshare", &arguments));
    let mut buffer = vec![0; 1 << 16];
    let up = loop {
        let length = socket.recv(&mut buffer).unwrap();
        let entry = fields(&buffer[..length]);
        if entry.get("NYMVISOR_EVENT").is_some_and(|event| event == "daemon-spawned") {
            break entry;
        }
    };
    let field = |name: &str| up.get(name).map_or("", String::as_str);
    assert!(field("MESSAGE").starts_with("Restarting -> Running: the daemon is up"), "{up:?}");
    assert_eq!((field("NYMVISOR_FROM"), field("NYMVISOR_TO")), ("Restarting", "Running"));
    assert_eq!((field("PRIORITY"), field("SYSLOG_IDENTIFIER")), ("6", "nymvisor"));
    let record = stage.records().remove(2).0;
    assert_eq!(field("NYMVISOR_RECORD"), record["seq"].to_string());
    assert_eq!(field("NYMVISOR_SESSION"), record["session"].as_str().unwrap());
    drop(socket);
    let end = run.stop(Signal::SIGTERM);
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    // The files have the words alone.
    let logs = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    let log = fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let log = fs::read_to_string(log).unwrap();
    assert!(!log.contains("session="), "{log}");
}

#[test]
fn an_error_that_ends_a_command_is_one_in_the_journal() {
    let site = Site::new();
    let path = site.path("stderr");
    let file = File::create(&path).unwrap();
    let mut command = site.command(&["config"]);
    command.env("JOURNAL_STREAM", stream(&path)).stderr(file);
    assert_eq!(command.status().unwrap().code(), Some(3));
    let said = fs::read_to_string(path).unwrap();
    assert!(said.starts_with("<3>error: no nymvisor instance in "), "{said}");
}
