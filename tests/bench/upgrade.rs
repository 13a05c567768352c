//! Down time: from the old daemon's exit to the new one's exec.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::digest;
use serde_json::json;

use crate::bell::{Bell, random};
use crate::process::{MIB, mib};
use crate::support::run::{Record, Stage};
use crate::support::server::Reply;
use crate::table::{UNKNOWN, ms, p50_p95, parts, row};

const BINARY_BYTES: usize = 60 * MIB;
const BYTES_PER_SECOND: u64 = 50 * MIB as u64;
/// An upgrade that is announced so long ahead is ready when it is due.
const AHEAD: TimeDelta = TimeDelta::seconds(10);
const BARE_ROUNDS: usize = 11;

/// Homes in MiB, and what the existing tool needs for them.
const HOMES: [(usize, &str); 2] = [(16, "2500"), (256, "9070")];

pub(crate) fn print() {
    for (home_mib, existing) in HOMES {
        for ahead in [false, true] {
            print_one(home_mib, ahead, existing);
        }
    }
}

fn print_one(home_mib: usize, ahead: bool, existing: &str) {
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
    fill(&stage.site.home(""), home_mib);
    let bell = Bell::new(&stage.site.path(""));
    stage.install(&bell.steady_daemon("1.0.0"));
    announce(&stage, bell.large_daemon("1.1.0", BINARY_BYTES), ahead);
    let mut run = stage.start(&["run"]);
    bell.until(&stage, "started 1.0.0");
    let (ended, _) = bell.until(&stage, "ended 1.0.0");
    let (started, _) = bell.until(&stage, "started 1.1.0");
    let peak = mib(run.pid(), "VmHWM");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{}", stage.story());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    let records = stage.records();
    if ahead {
        let at = |event: &str| records.iter().position(|record| record.event() == event);
        assert!(at("room-found") < at("came-due"), "not ready when due:\n{}", stage.story());
    }
    let down = Down::of(&records);
    let when = if ahead { "due once ready" } else { "due at once" };
    row(
        &format!("down time, {home_mib} MiB home, {when}"),
        &ms(started.duration_since(ended)),
        "ms",
        existing,
    );
    row("  by the journal", &ms(down.total), "ms", UNKNOWN);
    parts(&down.phases);
    row("  bare stop and exec of the same daemon", &ms(bare(&stage, &bell)), "ms", UNKNOWN);
    row("  peak memory of nymvisor", &peak, "MiB", if ahead { "7.3" } else { UNKNOWN });
}

/// Upstream announces 1.1.0, due at once or [`AHEAD`] of its time.
pub(crate) fn announce(stage: &Stage, binary: Vec<u8>, ahead: bool) {
    let mut announcement = stage.announcement("1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!(digest::sha256(&binary));
    if ahead {
        announcement["upgradeTime"] = json!((Utc::now() + AHEAD).to_rfc3339());
    }
    let reply = Reply::ok(binary).etag("\"1\"").ranges().rate(BYTES_PER_SECOND);
    stage.server.put("/bin/1.1.0", reply);
    stage.publish(&announcement);
}

/// Puts so many MiB into a home, half of it random and half of it text. All of it is on the
/// medium before anything is measured.
fn fill(home: &Path, mib: usize) {
    for number in 0..mib {
        let path = home.join(format!("data/{}/{number}", number % 8));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = if number % 2 == 0 { random(MIB) } else { text(number) };
        fs::write(&path, content).unwrap();
        fs::File::open(&path).unwrap().sync_all().unwrap();
    }
}

/// A MiB that looks like a daemon's log.
fn text(seed: usize) -> Vec<u8> {
    let mut text = String::with_capacity(MIB + 128);
    let mut value = seed as u64;
    while text.len() < MIB {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let (peer, bytes) = (value >> 48, value >> 32 & 0xffff);
        writeln!(text, "INFO mixnode::packets: {bytes} bytes forwarded to peer {peer}").unwrap();
    }
    text.truncate(MIB);
    text.into_bytes()
}

/// What the journal says about the time in which no daemon was up.
struct Down {
    total: Duration,
    /// Each phase and the milliseconds from its record to the next one.
    phases: Vec<(String, String)>,
}

impl Down {
    fn of(records: &[Record]) -> Self {
        let ended = records.iter().position(|record| record.event() == "daemon-ended").unwrap();
        let down = records[ended..].iter().position(|record| record.event() == "daemon-spawned");
        let down = &records[ended..=ended + down.unwrap()];
        let phases = down.windows(2);
        let phases = phases.map(|pair| (pair[0].to().to_owned(), ms(between(&pair[0], &pair[1]))));
        Self { total: between(&down[0], &down[down.len() - 1]), phases: phases.collect() }
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
