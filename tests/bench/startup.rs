//! From `nymvisor run` to the daemon's exec, with a long journal and with none.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::bell::Bell;
use crate::journal::{RECORDS, Writer, in_memory};
use crate::support::run::Stage;
use crate::table::{UNKNOWN, ms, p50_p95, row};

const ROUNDS: usize = 11;

pub(crate) fn print() {
    let (empty, long) = (Instance::new(), Instance::new());
    let (mut from_none, mut from_long) = (Vec::new(), Vec::new());
    long.put_long_journal();
    for _ in 0..ROUNDS {
        empty.remove_journal();
        from_none.push(empty.start());
        from_long.push(long.start());
    }
    row("start-up to exec, no journal: p50", &ms(p50_p95(from_none).0), "ms", UNKNOWN);
    let name = format!("start-up to exec, {RECORDS} records: p50");
    row(&name, &ms(p50_p95(from_long).0), "ms", UNKNOWN);
}

struct Instance {
    stage: Stage,
    bell: Bell,
}

impl Instance {
    fn new() -> Self {
        let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
        let bell = Bell::new(&stage.site.path(""));
        stage.install(&bell.steady_daemon("1.0.0"));
        Self { stage, bell }
    }

    fn start(&self) -> Duration {
        let since = Instant::now();
        let mut run = self.stage.start(&["run"]);
        let (started, _) = self.bell.until(&self.stage, "started");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{}", self.stage.story());
        started.duration_since(since)
    }

    fn journal(&self) -> PathBuf {
        self.stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal")
    }

    fn remove_journal(&self) {
        let _ = fs::remove_dir_all(self.journal());
    }

    /// Written where it costs little, then copied: it is on the medium before it is read.
    fn put_long_journal(&self) {
        let folder = in_memory();
        let long = folder.path().join("long");
        Writer::begin(&long).fill(RECORDS);
        fs::create_dir_all(self.journal()).unwrap();
        for entry in fs::read_dir(&long).unwrap() {
            let from = entry.unwrap();
            let to = self.journal().join(from.file_name());
            fs::copy(from.path(), &to).unwrap();
            fs::File::open(&to).unwrap().sync_all().unwrap();
        }
    }
}
