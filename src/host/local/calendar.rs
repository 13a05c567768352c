//! Holds that end, and windows that open and close: the wall clock, which may jump.

use chrono::{DateTime, Utc};
use tokio::task::spawn_local;

use super::super::due::until;
use super::super::windows;
use super::LocalHost;
use crate::config::Moment;
use crate::machine::{Event, Wishes};

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
        let calendar = self.setup.config.nymvisor.maintenance_windows.clone().filter(|_| on);
        let teller = self.teller.clone();
        let watch = calendar.map(|calendar| {
            let tell = move |moment| teller.tell(event_of(moment));
            spawn_local(windows::watch(calendar, Utc::now, tell)).abort_handle()
        });
        if let Some(former) = std::mem::replace(&mut self.windows, watch) {
            former.abort();
        }
    }

    pub(super) fn keep_wishes(&mut self, wishes: Wishes) {
        let (path, disk) = (self.setup.paths.wishes(), self.setup.disk.clone());
        let keeper = self.wishes.clone();
        let number = keeper.number();
        self.chore("a hold or a cancellation could not be kept beside the journal", move || {
            keeper
                .keep(number, &*disk, &path, &wishes)
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
