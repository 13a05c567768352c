//! Holds that end, and windows that open and close: the wall clock, which may jump.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::{spawn_blocking, spawn_local};

use super::super::due::until;
use super::super::windows;
use super::super::wishes::Keeper;
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

    /// Who is told that it is granted can rely on it, whatever becomes of the journal: see
    /// [`Keeping::settled`].
    pub(super) fn keep_wishes(&mut self, wishes: Wishes) {
        let (path, disk) = (self.setup.paths.wishes(), self.setup.disk.clone());
        let keeper = self.wishes.keeper.clone();
        let number = keeper.number();
        let done = spawn_blocking(move || {
            let kept = keeper.keep(number, &*disk, &path, &wishes);
            kept.map_err(|error| format!("{}: {error}", path.display()))
        });
        let word = self.wishes.word.clone();
        self.chores.push(spawn_local(async move {
            let kept = done.await.map_err(|error| error.to_string()).flatten();
            if let Err(error) = &kept {
                tracing::error!(
                    "what is held or cancelled is not kept beside the journal: {error}"
                );
            }
            word.send_modify(|word| {
                if word.number < number {
                    *word = Word { number, error: kept.err() };
                }
            });
        }));
    }
}

/// What is kept beside the journal, by word after word.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeping {
    keeper: Arc<Keeper>,
    /// The last one that was written, or could not be.
    word: watch::Sender<Word>,
}

#[derive(Debug, Clone, Default)]
struct Word {
    number: u64,
    error: Option<String>,
}

impl Keeping {
    /// Waits until all that is to be kept by now has been written; why it could not be, where this
    /// had to wait.
    pub(super) async fn settled(&self) -> Option<String> {
        let last = self.keeper.last();
        if self.word.borrow().number >= last {
            return None;
        }
        let mut word = self.word.subscribe();
        let word = word.wait_for(|word| word.number >= last).await.ok()?;
        word.error.clone()
    }
}

/// What the calendar says, as a fact.
fn event_of(moment: Moment) -> Event {
    match moment {
        Moment::Open { closes_at } => Event::WindowOpened { closes_at },
        Moment::Closed { opens_at } => Event::WindowClosed { opens_at },
    }
}
