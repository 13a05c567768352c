//! The journal by itself: how fast it is replayed, and what an append costs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use nymvisor::disk::RealDisk;
use nymvisor::journal::{self, Journal, Owner, read_segment};
use nymvisor::machine::{
    Daemon, Ending, Event, Hooks, Link, Observed, Policy, Queue, State, Version, recover, step,
};
use tempfile::TempDir;

use crate::table::{UNKNOWN, p50_p95, row, us};

/// Records of the long journal.
pub(crate) const RECORDS: usize = 100_000;
const APPENDS: usize = 500;
const ROUNDS: usize = 7;

pub(crate) fn print() {
    print_replay();
    print_append();
}

fn print_replay() {
    let folder = in_memory();
    let long = folder.path().join("long");
    Writer::begin(&long).fill(RECORDS);
    let segments = segments(&long);
    let bytes: usize = segments.iter().map(Vec::len).sum();
    let replay = || segments.iter().map(|bytes| replayed(bytes)).sum::<usize>();
    let (records, took) = fastest(replay);
    let rate = f64::from(u32::try_from(records).unwrap()) / took.as_secs_f64();
    row("journal: records replayed a second", &format!("{rate:.0}"), "/s", UNKNOWN);
    row("  bytes of a record", &(bytes / records).to_string(), "B", UNKNOWN);
    row("  segments of that journal", &segments.len().to_string(), "", UNKNOWN);
    let (_, took) = fastest(|| Writer::begin(&long));
    row("  opened, its last segment replayed", &us(took), "us", UNKNOWN);
}

fn print_append() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::begin(&folder.path().join("journal"));
    writer.start_daemon();
    let segment = folder.path().join("journal/00000001.jsonl");
    let mut bare =
        OpenOptions::new().create(true).append(true).open(folder.path().join("bare")).unwrap();
    let (mut appends, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..APPENDS {
        let before = fs::metadata(&segment).unwrap().len();
        let since = Instant::now();
        writer.take(&Event::SignalReceived { signal: 1 });
        appends.push(since.elapsed());
        let line = fs::metadata(&segment).unwrap().len() - before;
        let line = vec![b'x'; usize::try_from(line).unwrap()];
        let since = Instant::now();
        bare.write_all(&line).unwrap();
        bare.sync_data().unwrap();
        syncs.push(since.elapsed());
    }
    let ((append_p50, append_p95), (sync_p50, sync_p95)) = (p50_p95(appends), p50_p95(syncs));
    row("journal: append and sync: p50", &us(append_p50), "us", UNKNOWN);
    row("  bare write and fdatasync: p50", &us(sync_p50), "us", UNKNOWN);
    row("journal: append and sync: p95", &us(append_p95), "us", UNKNOWN);
    row("  bare write and fdatasync: p95", &us(sync_p95), "us", UNKNOWN);
}

/// The shortest of some rounds: what disturbs a computation only ever makes it longer.
fn fastest<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let rounds = (0..ROUNDS).map(|_| {
        let since = Instant::now();
        let result = work();
        (result, since.elapsed())
    });
    rounds.min_by_key(|(_, took)| *took).unwrap()
}

fn segments(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn replayed(bytes: &[u8]) -> usize {
    let content = read_segment(bytes, &owner()).unwrap();
    assert_eq!(content.good_bytes, bytes.len() as u64, "{:?}", content.rest);
    content.records.len()
}

/// A folder where a sync costs nothing, if there is one.
pub(crate) fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// As [`crate::support::site::Site`] is initialised.
fn owner() -> Owner {
    Owner { instance: "nym-node-default".to_owned(), daemon: "nym-node".to_owned() }
}

fn installed() -> Version {
    Version { name: "genesis".to_owned(), version: "1.0.0".to_owned() }
}

fn policy() -> Policy {
    Policy {
        restart_on_failure: true,
        restart_after_upgrade: true,
        prepare_ahead: true,
        skip_backup: false,
        rollback_on_failed_upgrade: false,
        rollback_restores_data: true,
        prunes_backups: false,
        keeps_windows: false,
        hooks: Hooks::default(),
        checks_health: false,
        max_startup_failures: 10,
        failure_restart_delay_ms: 10_000,
        startup_period_ms: 120_000,
        shutdown_grace_ms: 10_000,
    }
}

/// The engine without a world: every event is stepped and recorded, and its orders forgotten.
pub(crate) struct Writer {
    journal: Journal,
    state: State,
    records: usize,
}

impl Writer {
    /// A session on the journal in `folder`, which is begun where there is none.
    pub(crate) fn begin(folder: &Path) -> Self {
        let initial = State::initial(installed(), policy());
        let session = "20260101T000000.000Z-4711".to_owned();
        let opened =
            journal::open(Arc::new(RealDisk), folder, owner(), session, initial, Utc::now());
        let opened = opened.unwrap();
        assert_eq!(opened.mishap, None);
        Self { journal: opened.journal, state: opened.state, records: 0 }
    }

    /// A session with a daemon that ends again and again, until there are so many records, and an
    /// orderly end.
    pub(crate) fn fill(mut self, records: usize) {
        self.start_daemon();
        let ended = Event::DaemonEnded { ending: Ending::Exited(1), uptime_ms: 3_600_000 };
        while self.records < records {
            self.take(&ended);
            self.take(&Event::GroupGone);
            self.take(&Event::DelayElapsed);
            self.take(&spawned());
        }
        self.take(&Event::StopRequested { signal: 15 });
        self.take(&ended);
        self.take(&Event::GroupGone);
    }

    fn start_daemon(&mut self) {
        let (nymvisor, pid) = (env!("CARGO_PKG_VERSION").to_owned(), 4711);
        self.take(&Event::SessionStarted { nymvisor, pid, policy: policy() });
        let observed = Observed {
            at: Utc::now(),
            daemon: None,
            version: Some(installed()),
            queue: Some(Queue::default()),
            link: Link::LeadsTo(installed().name),
            binary: None,
            backup_holds: false,
        };
        self.take(&recover(&self.state, observed));
        self.take(&spawned());
    }

    fn take(&mut self, event: &Event) {
        let transition = step(&self.state, event).unwrap();
        let committed = self.journal.append(&self.state, event, &transition, Utc::now()).unwrap();
        (self.state, _) = committed.into_parts();
        self.records += 1;
    }
}

fn spawned() -> Event {
    Event::DaemonSpawned { daemon: Daemon { pid: 4712, started_ticks: 123_456_789 } }
}
