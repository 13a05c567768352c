//! As the first process of a container: whatever loses its parent there becomes a child of ours,
//! and stays as a zombie until somebody takes its status.

use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::proc;

/// So long after one has ended the zombies are looked for: many end at once, and none of it is to
/// be done between two daemons.
const REST: Duration = Duration::from_secs(1);

/// Whether that falls to us.
#[must_use]
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Buries, on and on, what has ended and nobody here waits for. Within a runtime.
pub async fn reap() {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => return tracing::warn!("orphans are left as zombies: SIGCHLD: {error}"),
    };
    while ended.recv().await.is_some() {
        tokio::time::sleep(REST).await;
        bury();
    }
}

fn bury() {
    let own = std::process::id();
    for stat in proc::stats().unwrap_or_default() {
        if stat.parent != own || stat.live || proc::is_awaited(stat.pid) {
            continue;
        }
        if let Ok(pid) = i32::try_from(stat.pid) {
            // One that is not ours after all is refused.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}
