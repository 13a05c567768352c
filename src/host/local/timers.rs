//! Timers of monotonic time, and the wait for an upgrade's time, which is the wall clock's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::spawn_local;

use super::super::due::until;
use super::LocalHost;
use crate::machine::{Event, Timer};

impl LocalHost {
    pub(super) fn start_timer(&mut self, timer: Timer, after: Duration) {
        let teller = self.teller.clone();
        let fired = event_of(&timer);
        let task = spawn_local(async move {
            tokio::time::sleep(after).await;
            teller.tell(fired);
        });
        self.stop_timer(&timer);
        self.timers.insert(timer, task.abort_handle());
    }

    pub(super) fn stop_timer(&mut self, timer: &Timer) {
        if let Some(task) = self.timers.remove(timer) {
            task.abort();
        }
    }

    pub(super) fn watch_due(&mut self, attempt: u64, at: DateTime<Utc>) {
        let teller = self.teller.clone();
        let task = spawn_local(async move {
            let now = until(at, Utc::now).await;
            teller.tell(Event::CameDue { attempt, at: now });
        });
        if let Some(former) = self.due.replace(task.abort_handle()) {
            former.abort();
        }
    }
}

/// What a timer tells when it fires.
fn event_of(timer: &Timer) -> Event {
    match timer {
        Timer::Grace => Event::GraceElapsed,
        Timer::RestartDelay => Event::DelayElapsed,
        Timer::Startup => Event::StartupPassed,
        Timer::Pause { name, digest } => {
            Event::PauseElapsed { name: name.clone(), digest: digest.clone() }
        }
    }
}
