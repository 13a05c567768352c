//! What one upgrade leaves in the journal, and how often each phase of it waits for the medium.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bell::Bell;
use crate::support::run::{Record, Stage};
use crate::table::{UNKNOWN, parts, row};
use crate::upgrade::announce;

const SYNCS: &str = "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync";

pub(crate) fn print() {
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
    fs::write(stage.site.home("data"), vec![7; 1024]).unwrap();
    let bell = Bell::new(&stage.site.path(""));
    stage.install(&bell.steady_daemon("1.0.0"));
    announce(&stage, bell.steady_daemon("1.1.0"), false);
    let trace = stage.site.path("syncs");
    let is_traced = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let command = stage.run_command(&["run"]);
    let command = if is_traced { traced(&command, &trace) } else { command };
    let mut run = stage.start_command(command);
    let (_, line) = bell.until("started 1.1.0");
    let parent = line.rsplit(' ').next().unwrap().parse().unwrap();
    stage.until_event("daemon-spawned", 2);
    kill(Pid::from_raw(parent), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().status, Some(0), "{}", stage.story());
    assert_eq!(stage.assert_consistent(), "v1.1.0");

    let (records, bytes) = upgrade(&stage);
    row("journal of one upgrade: records", &records.len().to_string(), "", UNKNOWN);
    row("journal of one upgrade: bytes", &bytes.to_string(), "B", UNKNOWN);
    if is_traced {
        let syncs = syncs(&trace, &records);
        let total: usize = syncs.iter().map(|(_, count)| count).sum();
        row("syncs of one upgrade, each record's own included", &total.to_string(), "", UNKNOWN);
        let named = syncs.into_iter().map(|(phase, count)| (phase, count.to_string()));
        parts(&named.collect::<Vec<_>>());
    } else {
        row("syncs of one upgrade", "no strace", "", UNKNOWN);
    }
}

/// The same command, with the syncs of all its threads written to a file.
fn traced(command: &Command, trace: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-ttt", "-e", SYNCS, "-o"]).arg(trace);
    traced.arg(command.get_program()).args(command.get_args());
    traced.env_clear().current_dir(command.get_current_dir().unwrap());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
}

/// The records from the announcement to the new daemon, and the bytes of their lines.
fn upgrade(stage: &Stage) -> (Vec<Record>, usize) {
    let shown = stage.site.ok(&["journal", "show", "--output", "json"]);
    let all = shown.lines().map(|line| (Record(serde_json::from_str(line).unwrap()), line));
    let mut all: Vec<_> =
        all.skip_while(|(record, _)| record.event() != "announcement-received").collect();
    let last = all.iter().position(|(record, _)| record.event() == "daemon-spawned").unwrap();
    all.truncate(last + 1);
    let bytes = all.iter().map(|(_, line)| line.len() + 1).sum();
    (all.into_iter().map(|(record, _)| record).collect(), bytes)
}

/// How many syncs began in each phase. A phase begins with the record that leads to it, which is
/// synced within it; the first is the preparation.
fn syncs(trace: &Path, records: &[Record]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for record in records {
        if counts.last().is_none_or(|(phase, _)| phase != record.to()) {
            counts.push((record.to().to_owned(), 0));
        }
    }
    for at in times(trace) {
        let Some(last) = records.iter().rposition(|record| record.at().timestamp_micros() <= at)
        else {
            continue;
        };
        let mut passed = records[..=last].iter().map(Record::to).collect::<Vec<_>>();
        passed.dedup();
        counts[passed.len() - 1].1 += 1;
    }
    counts
}

/// When each sync began, in microseconds since 1970. One that is shown in two lines counts once.
fn times(trace: &Path) -> Vec<i64> {
    let trace = fs::read_to_string(trace).unwrap();
    let began = trace.lines().filter(|line| line.contains("sync(") || line.contains("sync_file_"));
    began
        .filter(|line| !line.contains(" resumed>"))
        .map(|line| {
            let time = line.split_ascii_whitespace().nth(1).unwrap();
            time.replace('.', "").parse().unwrap()
        })
        .collect()
}
