//! What one upgrade leaves in the journal, and how often each phase of it waits for the medium.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::TimeDelta;
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
    announce(&stage, bell.steady_daemon("1.1.0"), TimeDelta::zero());
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
    let (_, line) = bell.until(&stage, "started 1.1.0");
    let parent = line.rsplit(' ').next().unwrap().parse().unwrap();
    stage.until_event("daemon-spawned", 2);
    kill(Pid::from_raw(parent), Signal::SIGINT).unwrap();
    assert_eq!(run.wait().status, Some(0), "{}", stage.story());
    assert_eq!(stage.assert_consistent(), "v1.1.0");

    let upgrade = Upgrade::of(&stage);
    row("journal of one upgrade: records", &upgrade.records.len().to_string(), "", UNKNOWN);
    row("journal of one upgrade: bytes", &upgrade.bytes.to_string(), "B", UNKNOWN);
    if is_traced {
        let syncs = upgrade.syncs(&times(&trace));
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

/// From the announcement to the new daemon.
struct Upgrade {
    records: Vec<Record>,
    /// Of the records' lines.
    bytes: usize,
    /// When the first record after it was made, in microseconds since 1970.
    over: i64,
}

impl Upgrade {
    fn of(stage: &Stage) -> Self {
        let shown = stage.site.ok(&["journal", "show", "--output", "json"]);
        let all = shown.lines().map(|line| (Record(serde_json::from_str(line).unwrap()), line));
        let mut all: Vec<_> =
            all.skip_while(|(record, _)| record.event() != "announcement-received").collect();
        let last = all.iter().position(|(record, _)| record.event() == "daemon-spawned").unwrap();
        let over = all[last + 1].0.at().timestamp_micros();
        all.truncate(last + 1);
        let bytes = all.iter().map(|(_, line)| line.len() + 1).sum();
        Self { records: all.into_iter().map(|(record, _)| record).collect(), bytes, over }
    }

    /// How many syncs began in each phase. A phase begins with the record that leads to it, which
    /// is synced within it.
    fn syncs(&self, times: &[i64]) -> Vec<(String, usize)> {
        let mut syncs: Vec<(String, usize)> = Vec::new();
        let ends = self.records.iter().skip(1).map(|record| record.at().timestamp_micros());
        for (record, end) in self.records.iter().zip(ends.chain([self.over])) {
            let span = record.at().timestamp_micros()..end;
            let count = times.iter().filter(|time| span.contains(time)).count();
            match syncs.last_mut() {
                Some((phase, sum)) if phase.starts_with(record.to()) => *sum += count,
                Some(_) => syncs.push((record.to().to_owned(), count)),
                None => syncs.push((format!("{} (preparing)", record.to()), count)),
            }
        }
        syncs
    }
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
