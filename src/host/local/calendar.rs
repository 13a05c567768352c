//! Holds that end, and windows that open and close: the wall clock, which may jump.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::spawn_local;

use super::super::due::until;
use super::super::wishes;
use super::LocalHost;
use crate::config::Moment;
use crate::machine::{Event, Wishes};

/// The clock may be set, and the machine may sleep, so it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

impl LocalHost {
    pub(super) fn watch_hold(&mut self, end: Option<DateTime<Utc>>) {
        let teller = self.teller.clone();
        let watch = end.map(|end| {
            spawn_local(async move {
                let at = until(end, Utc::now).await;
                teller.tell(Event::HoldElapsed { until: end, at });
            })
            .abort_handle()
        });
        if let Some(former) = std::mem::replace(&mut self.hold, watch) {
            former.abort();
        }
    }

    pub(super) fn watch_windows(&mut self, on: bool) {
        let windows = self.setup.config.nymvisor.maintenance_windows.clone().filter(|_| on);
        let teller = self.teller.clone();
        let watch = windows.map(|windows| {
            spawn_local(async move {
                let mut told = None;
                loop {
                    let now = Utc::now();
                    let moment = windows.at(now);
                    if told != Some(moment) {
                        told = Some(moment);
                        teller.tell(event_of(moment));
                    }
                    tokio::time::sleep(next_look(moment, now)).await;
                }
            })
            .abort_handle()
        });
        if let Some(former) = std::mem::replace(&mut self.windows, watch) {
            former.abort();
        }
    }

    pub(super) fn keep_wishes(&mut self, wishes: Wishes) {
        let (path, disk) = (self.setup.paths.wishes(), self.setup.disk.clone());
        self.chore("a hold or a cancellation could not be kept beside the journal", move || {
            wishes::keep(&*disk, &path, &wishes)
                .map_err(|error| format!("{}: {error}", path.display()))
        });
    }
}

/// What the calendar says, as a fact.
fn event_of(moment: Moment) -> Event {
    match moment {
        Moment::Open { closes_at } => Event::WindowOpened { closes_at },
        Moment::Closed { opens_at } => Event::WindowClosed { opens_at },
    }
}

fn next_look(moment: Moment, now: DateTime<Utc>) -> Duration {
    let changes_at = match moment {
        Moment::Open { closes_at } => closes_at,
        Moment::Closed { opens_at } => opens_at,
    };
    let left = changes_at.and_then(|at| (at - now).to_std().ok()).unwrap_or(LOOK_AGAIN);
    // Not before the moment itself, by a clock in milliseconds.
    left.min(LOOK_AGAIN) + Duration::from_millis(1)
}
