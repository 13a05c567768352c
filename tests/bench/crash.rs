//! From a crash of the daemon to its restart, beyond the delay that is configured.

use std::time::Duration;

use crate::bell::Bell;
use crate::support::run::Stage;
use crate::table::{UNKNOWN, ms, p50_p95, row};

const CRASHES: usize = 20;
const DELAY: Duration = Duration::from_millis(100);

pub(crate) fn print() {
    let stage = Stage::new()
        .with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h")
        .with("DAEMON_FAILURE_RESTART_DELAY", &format!("{}ms", DELAY.as_millis()))
        .with("DAEMON_MAX_STARTUP_FAILURES", &(CRASHES + 1).to_string());
    let bell = Bell::new(&stage.site.path(""));
    stage.install(&bell.crashing_daemon("1.0.0"));
    let mut run = stage.start(&["run"]);
    bell.until(&stage, "started");
    let beyond = (0..CRASHES).map(|_| {
        let (crashed, _) = bell.until(&stage, "crashed");
        let (started, _) = bell.until(&stage, "started");
        started.duration_since(crashed).saturating_sub(DELAY)
    });
    let (p50, p95) = p50_p95(beyond.collect());
    assert_eq!(run.wait().status, Some(4), "the last crash is one too many");
    row("crash to restart, beyond the delay: p50", &ms(p50), "ms", UNKNOWN);
    row("crash to restart, beyond the delay: p95", &ms(p95), "ms", UNKNOWN);
}
