//! What `run` costs while nothing happens.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::bell::Bell;
use crate::process::{mib, sleeps, status};
use crate::support::run::Stage;
use crate::table::{UNKNOWN, row};

/// After the startup period: `run` gives memory back once it was quiet for seconds.
const SETTLING: Duration = Duration::from_secs(8);
const WATCHED: Duration = Duration::from_secs(20);

pub(crate) fn print() {
    let known = ["6.9", UNKNOWN];
    // Unset, and on any port.
    for ((name, listen), resident) in
        [("idle", ""), ("idle, metrics", "127.0.0.1:0")].into_iter().zip(known)
    {
        print_one(name, listen, resident);
    }
}

fn print_one(name: &str, listen: &str, known: &str) {
    let stage = Stage::new()
        .with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h")
        .with("NYMVISOR_METRICS_LISTEN", listen)
        .with("DAEMON_STARTUP_PERIOD_DURATION", "1s");
    let bell = Bell::new(&stage.site.path(""));
    stage.install(&bell.steady_daemon("1.0.0"));
    let mut run = stage.start(&["run"]);
    stage.until_event("startup-passed", 1);
    std::thread::sleep(SETTLING);
    row(&format!("{name}: resident"), &mib(run.pid(), "VmRSS"), "MiB", known);
    row(&format!("{name}: resident, anonymous"), &mib(run.pid(), "RssAnon"), "MiB", UNKNOWN);
    row(&format!("{name}: threads"), &status(run.pid(), "Threads").to_string(), "", UNKNOWN);
    let (before, since) = (sleeps(run.pid()), Instant::now());
    std::thread::sleep(WATCHED);
    let woken = u32::try_from(sleeps(run.pid()) - before).unwrap();
    let a_minute = f64::from(woken) * 60.0 / since.elapsed().as_secs_f64();
    row(&format!("{name}: wake-ups of all threads"), &format!("{a_minute:.1}"), "/minute", UNKNOWN);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}
