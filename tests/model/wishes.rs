//! What persons wish of the queue, and the calendar, in the model.

use nymvisor::machine::{Effect, Event, Requester, Rescheduled, Upgrade, Wishes};

use super::engine::Engine;
use super::host::World;
use super::stimulus::catalogue;
use super::values;

/// Holds that end do so after so many minutes.
const HOLD_MINUTES: i64 = 7;

/// The person behind all of it.
pub(crate) fn person() -> Requester {
    values::by_command(catalogue(0)).requester
}

/// The same announcement, at another time.
pub(crate) fn rescheduled(upgrade: &Upgrade, minutes: i64, ignores_windows: bool) -> Upgrade {
    Upgrade {
        announced_for: Some(upgrade.announced_for.unwrap_or(upgrade.due_at)),
        due_at: values::at(minutes),
        rescheduled: Some(Rescheduled { requester: person(), ignores_windows }),
        ..upgrade.clone()
    }
}

/// What a person who wants upgrades held asks for.
pub(crate) fn hold(minutes: Option<i64>) -> Event {
    let until = minutes.map(values::at);
    let (request, run_is_up) = ("r3".to_owned(), Some(true));
    Event::HoldRequested { until, requester: person(), request, run_is_up }
}

pub(crate) fn release() -> Event {
    Event::ReleaseRequested { requester: person(), request: "r4".to_owned() }
}

pub(crate) fn cancel(upgrade: &Upgrade) -> Event {
    let upgrade = upgrade.announcement();
    Event::CancelRequested { upgrade, requester: person(), request: "r5".to_owned() }
}

/// What the calendar says.
pub(crate) fn window(open: bool) -> Event {
    if open {
        Event::WindowOpened { closes_at: Some(values::at(60)) }
    } else {
        Event::WindowClosed { opens_at: Some(values::at(90)) }
    }
}

impl Engine {
    pub(crate) fn hold(&mut self, ends: bool) -> Result<(), String> {
        self.take(hold(ends.then_some(self.world.minutes + HOLD_MINUTES)))
    }

    /// What outlives the journal is not to be released twice.
    pub(crate) fn release(&mut self) -> Result<(), String> {
        self.world.calendar.kept.holding = None;
        self.take(release())
    }

    pub(crate) fn hold_ends(&mut self) -> Result<(), String> {
        let event = self.world.hold_ends();
        event.map_or(Ok(()), |event| self.take(event))
    }

    pub(crate) fn window(&mut self, open: bool) -> Result<(), String> {
        let event = self.world.window(open);
        event.map_or(Ok(()), |event| self.take(event))
    }
}

/// What watches the clock, and what is kept beside the journal.
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub(crate) struct Calendar {
    /// The minute in which a hold ends that is watched.
    pub(crate) hold_end: Option<i64>,
    /// Whether a window was told to be open, while that is asked for.
    pub(crate) window: Option<bool>,
    /// What is kept beside the journal.
    pub(crate) kept: Wishes,
}

impl Calendar {
    /// The process ends.
    pub(super) fn stop(&mut self) {
        self.hold_end = None;
        self.window = None;
    }

    /// Takes an order of this room; `false` where it is none.
    pub(super) fn heeds(&mut self, effect: &Effect) -> bool {
        if let Effect::WatchHold { until } = effect {
            self.hold_end = until.map(|until| (until - values::at(0)).num_minutes());
        }
        if let Effect::WatchWindows(on) = effect {
            self.window = on.then_some(false);
        }
        if let Effect::KeepWishes(wishes) = effect {
            self.kept = wishes.clone();
        }
        matches!(effect, Effect::WatchHold { .. } | Effect::KeepWishes(_) | Effect::WatchWindows(_))
    }
}

impl World {
    pub(crate) fn hold_ends(&mut self) -> Option<Event> {
        let until = self.calendar.hold_end.take()?;
        self.minutes = self.minutes.max(until);
        Some(Event::HoldElapsed { until: values::at(until), at: values::at(self.minutes) })
    }

    pub(crate) fn window(&mut self, open: bool) -> Option<Event> {
        let now = &mut self.calendar.window;
        *now = now.map(|_| open);
        now.map(window)
    }

    /// Another time for what is queued: earlier, or later.
    pub(crate) fn reschedule(&mut self, pick: u8, later: bool) {
        let name = catalogue(pick).name;
        let Some(queue) = self.files.queue.as_mut() else { return };
        let minutes = if later { self.minutes + 15 } else { self.minutes };
        for entry in queue.entries.iter_mut().filter(|entry| entry.name == name) {
            *entry = rescheduled(entry, minutes, pick.is_multiple_of(2));
        }
        queue.entries.sort_by_key(|entry| entry.due_at);
    }
}
