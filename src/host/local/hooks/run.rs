//! One command: started, listened to, ended when its time is over, and gone with all of its group.

use std::convert::Infallible;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::super::super::daemon::{self, Running};
use super::output::Listener;
use crate::machine::{Ending, HookEnding};

/// From the polite signal to the last one.
const GRACE: Duration = Duration::from_secs(2);

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host::local) struct Ran {
    /// How it ended.
    pub(in crate::host::local) ending: HookEnding,
    /// The last line that it wrote, or why it could not be started.
    pub(in crate::host::local) said: String,
}

impl Ran {
    pub(super) fn never(said: String) -> Self {
        Self { ending: HookEnding::NeverStarted, said }
    }
}

/// Runs a command to its end, which comes within `patience` and the grace after it. `None` where
/// `stop` came first: then it is ended at once. Its output is logged where it is `called` so.
pub(in crate::host::local) async fn run(
    command: &daemon::Command,
    called: Option<&'static str>,
    patience: Duration,
    mut stop: watch::Receiver<bool>,
) -> Option<Ran> {
    let (mut running, reader) = match daemon::spawn_captured(command) {
        Ok(started) => started,
        Err(error) => return Some(Ran::never(error.to_string())),
    };
    let mut listener = Listener::new(reader, called);
    let to_its_end = async {
        let ending = tokio::select! {
            ending = running.ended() => Some(of(ending)),
            () = sleep(patience) => Some(HookEnding::TimedOut),
            // The sender is there as long as this task may be.
            _ = stop.wait_for(|stop| *stop) => None,
        };
        if !matches!(ending, Some(HookEnding::Exited(_) | HookEnding::Killed(_))) {
            end(&mut running).await;
        }
        daemon::group_gone(running.daemon).await;
        ending
    };
    let heard = async {
        listener.listen().await;
        std::future::pending::<Infallible>().await
    };
    let ending = tokio::select! {
        ending = to_its_end => ending,
        never = heard => match never {},
    };
    let (said, still_open) = listener.conclude();
    // What left the group may hold on to the output: nobody waits for it.
    if let Some(mut listener) = still_open {
        spawn_local(async move { listener.listen().await });
    }
    Some(Ran { ending: ending?, said })
}

/// Politely first.
async fn end(running: &mut Running) {
    if let Err(error) = daemon::signal_group(running.daemon, Signal::SIGTERM) {
        tracing::debug!("{error}");
    }
    if timeout(GRACE, running.ended()).await.is_err() {
        if let Err(error) = daemon::kill_group(running.daemon) {
            tracing::warn!("{error}");
        }
        running.ended().await;
    }
}

fn of(ending: Ending) -> HookEnding {
    match ending {
        Ending::Exited(status) => HookEnding::Exited(status),
        Ending::Killed(signal) => HookEnding::Killed(signal),
        // Not what a child of ours ends with.
        Ending::NeverStarted | Ending::Unseen | Ending::Unhealthy => HookEnding::Exited(-1),
    }
}
