//! Down time: from the old daemon's exit to the new one's exec, by the real program over HTTP.
//!
//! The rows are those of a short run; with `NYMVISOR_BENCH_FULL` set those of the figures to reach.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::digest;
use serde_json::json;

use crate::bell::Bell;
use crate::homes::{CHANGING, Home};
use crate::process::{MIB, mib};
use crate::support::run::{Record, Stage};
use crate::support::server::Reply;
use crate::table::{UNKNOWN, difference, is_full, ms, p50_p95, parts, row};

const BINARY_BYTES: usize = 60 * MIB;
const BYTES_PER_SECOND: u64 = 50 * MIB as u64;
const BARE_ROUNDS: usize = 11;
/// For a copy of 4 GiB on a busy machine.
const DEADLINE: Duration = Duration::from_mins(10);
/// Between two looks at the journal, each of which costs a process.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// What becomes of the home once it is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    /// 10 MiB, a page or 100 files before the upgrade is due.
    BeforeDue,
    /// 10 MiB by the daemon, after it was asked to stop.
    AtStop,
}

/// A row: what it is about, the home, the seconds from the announcement to the due time, what
/// changes, how many upgrades are measured, and what the existing tool needs.
struct Case(&'static str, Home, i64, Change, usize, &'static str);

const SHORT: [Case; 4] = [
    Case("256 MiB", Home::Large(256), 0, Change::Nothing, 1, "9070"),
    Case("256 MiB", Home::Large(256), 20, Change::Nothing, 1, "9070"),
    Case("256 MiB, 10 MiB at the stop", Home::Large(256), 20, Change::AtStop, 1, ""),
    Case("10,000 files, 100 changed", Home::Small(10_000), 20, Change::BeforeDue, 1, ""),
];

const FULL: [Case; 7] = [
    Case("256 MiB", Home::Large(256), 0, Change::Nothing, 1, "9070"),
    Case("256 MiB", Home::Large(256), 30, Change::Nothing, 3, "9070"),
    Case("1 GiB", Home::Large(1024), 30, Change::Nothing, 1, "31600"),
    Case("4 GiB, 10 MiB changed", Home::Large(4096), 75, Change::BeforeDue, 1, "120000"),
    Case("4 GiB, 10 MiB at the stop", Home::Large(4096), 75, Change::AtStop, 1, ""),
    Case("a file of 4 GiB, a page changed", Home::One(4096), 75, Change::BeforeDue, 1, ""),
    Case("100,000 files, 100 changed", Home::Small(100_000), 60, Change::BeforeDue, 1, ""),
];

pub(crate) fn print() {
    if is_full() { FULL.iter().for_each(Case::print) } else { SHORT.iter().for_each(Case::print) }
}

/// What one upgrade showed.
struct Shown {
    down: Duration,
    bare: Duration,
    peak: String,
    journal: Down,
}

impl Case {
    fn print(&self) {
        let Self(what, _, ahead, _, rounds, existing) = self;
        let mut shown: Vec<Shown> = (0..*rounds).map(|_| self.upgrade()).collect();
        shown.sort_by_key(|shown| shown.down);
        let Shown { down, bare, peak, journal } = &shown[(shown.len() - 1) / 2];
        let when = if *ahead > 0 { format!("{ahead} s") } else { "at once".to_owned() };
        row(&format!("down: {what}, due {when}"), &ms(*down), "ms", existing);
        row("  by the journal", &ms(journal.total), "ms", UNKNOWN);
        parts(&journal.phases);
        row("  bare stop and exec of the same daemon", &ms(*bare), "ms", UNKNOWN);
        row("  more than bare", &difference(*down, *bare), "ms", UNKNOWN);
        row("  daemon up, announced to ready", &ms(journal.ready), "ms", UNKNOWN);
        row("  daemon up, due to asked to stop", &ms(journal.due), "ms", UNKNOWN);
        row("  peak memory of nymvisor", peak, "MiB", "7.3");
    }

    fn upgrade(&self) -> Shown {
        let Self(what, home, ahead, change, ..) = *self;
        let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
        let folder = stage.site.home("data");
        home.make(&folder);
        let bell = Bell::new(&stage.site.path(""));
        stage.install(&match change {
            Change::AtStop => bell.busy_daemon("1.0.0", &folder, CHANGING),
            Change::Nothing | Change::BeforeDue => bell.steady_daemon("1.0.0"),
        });
        let new = bell.large_daemon("1.1.0", BINARY_BYTES);
        let due = announce(&stage, new, TimeDelta::seconds(ahead));
        let mut run = stage.start(&["run"]);
        bell.until(&stage, "started 1.0.0");
        if ahead > 0 {
            wait_for(&stage, "home-copied");
            if change == Change::BeforeDue {
                home.change(&folder, 1);
            }
            assert!(Utc::now() < due, "{what}: not ready when due\n{}", stage.story());
        }
        let (ended, _) = bell.until(&stage, "ended 1.0.0");
        let (started, _) = bell.until(&stage, "started 1.1.0");
        // Its reading of the whole archive counts as well.
        wait_for(&stage, "backup-examined");
        let peak = mib(run.pid(), "VmHWM");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{}", stage.story());
        assert_eq!(stage.assert_consistent(), "v1.1.0");
        let bare = bare(&stage, &bell);
        let journal = Down::of(&stage.records());
        Shown { down: started.duration_since(ended), bare, peak, journal }
    }
}

fn wait_for(stage: &Stage, event: &str) {
    let end = Instant::now() + DEADLINE;
    while !stage.events().iter().any(|found| found == event) {
        assert!(Instant::now() < end, "no {event} in the journal\n{}", stage.story());
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// Upstream announces 1.1.0, due so long from now; gives that time.
pub(crate) fn announce(stage: &Stage, binary: Vec<u8>, ahead: TimeDelta) -> DateTime<Utc> {
    let due = Utc::now() + ahead;
    let mut announcement = stage.announcement("1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!(digest::sha256(&binary));
    if ahead > TimeDelta::zero() {
        announcement["upgradeTime"] = json!(due.to_rfc3339());
    }
    let reply = Reply::ok(binary).etag("\"1\"").ranges().rate(BYTES_PER_SECOND);
    stage.server.put("/bin/1.1.0", reply);
    stage.publish(&announcement);
    due
}

/// What the journal says about the time in which no daemon was up.
struct Down {
    total: Duration,
    /// Each phase and the milliseconds from its record to the next one.
    phases: Vec<(String, String)>,
    /// From the announcement to the end of the copy.
    ready: Duration,
    /// From the due time, or the end of the copy if that is later, to the request to stop.
    due: Duration,
}

impl Down {
    fn of(records: &[Record]) -> Self {
        let ended = records.iter().position(|record| record.event() == "daemon-ended").unwrap();
        let down = records[ended..].iter().position(|record| record.event() == "daemon-spawned");
        let down = &records[ended..=ended + down.unwrap()];
        let phases = down.windows(2);
        let phases = phases.map(|pair| (pair[0].to().to_owned(), ms(between(&pair[0], &pair[1]))));
        let first =
            |event| records.iter().find(|record: &&Record| record.event() == event).unwrap();
        let copied = first("home-copied");
        let due = if first("came-due").at() > copied.at() { first("came-due") } else { copied };
        let asked = records.iter().find(|record| record.to() == "Draining").unwrap();
        Self {
            total: between(&down[0], &down[down.len() - 1]),
            phases: phases.collect(),
            ready: between(first("announcement-received"), copied),
            due: between(due, asked),
        }
    }
}

fn between(from: &Record, to: &Record) -> Duration {
    (to.at() - from.at()).to_std().unwrap_or_default()
}

/// The same two binaries, stopped and started by nobody but this program; the median.
fn bare(stage: &Stage, bell: &Bell) -> Duration {
    let old = stage.site.data("genesis/bin/nym-node");
    let new = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    let rounds = (0..BARE_ROUNDS).map(|_| {
        let mut child = Command::new(&old).spawn().unwrap();
        bell.until(stage, "started 1.0.0");
        let ended = end(&mut child);
        let mut child = Command::new(&new).spawn().unwrap();
        let (started, _) = bell.until(stage, "started 1.1.0");
        end(&mut child);
        started.duration_since(ended)
    });
    p50_p95(rounds.collect()).0
}

fn end(child: &mut Child) -> Instant {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Not SIGINT: a shell may have set that aside for what runs in its background.
    kill(pid, Signal::SIGTERM).unwrap();
    child.wait().unwrap();
    Instant::now()
}
