//! The shell acts.
//!
//! Its one law: nothing is done that a durable record does not order. It decides nothing. A turn
//! has four steps, numbered in [`Shell::run`] and `Shell::take`.
//!
//! While the journal can't be written, a turn ends in memory (`Shell::hold`): only what keeps
//! the daemon up is done, and facts that lead to anything else wait until it can.

use std::time::Duration;

use crate::host::{Host, Stimulus};
use crate::journal::Journal;
use crate::machine::{
    Code, Effect, Event, Failure, Outcome, Rejected, State, Transition, recover, step,
};
use crate::narrate;

/// From one try to write a failing journal to the next.
const RESTORE_PAUSE: Duration = Duration::from_secs(5);

/// The engine at work: the state, the journal that explains it, and the world.
#[derive(Debug)]
pub struct Shell<H> {
    state: State,
    journal: Journal,
    host: H,
    /// Facts that lead to something that must be on the record first.
    waiting: Vec<Event>,
    outcome: Option<Outcome>,
}

impl<H: Host> Shell<H> {
    /// An engine that goes on from `state`, the one that `journal` leads to.
    pub fn new(state: State, journal: Journal, host: H) -> Self {
        Self { state, journal, host, waiting: Vec::new(), outcome: None }
    }

    /// Runs until the machine ends the run; `started` is the session's first fact.
    pub async fn run(mut self, started: Event) -> Outcome {
        self.take(started);
        if self.journal.is_failing() {
            self.journal_failed("it can't be written since it was opened");
        }
        loop {
            if let Some(outcome) = self.outcome {
                self.restore();
                self.host.close().await;
                return outcome;
            }
            // 1. Wait for something to happen.
            match self.host.next().await {
                Stimulus::Fact(event) => self.take(event),
                Stimulus::Found(observed) => self.take(recover(&self.state, observed)),
                Stimulus::Reminder => self.restore(),
            }
        }
    }

    /// One turn with one fact.
    fn take(&mut self, event: Event) {
        // 2. Decide what follows.
        let transition = match step(&self.state, &event) {
            Ok(transition) => transition,
            Err(rejected) => return log_rejected(&event, rejected),
        };
        if self.journal.is_failing() {
            return self.hold(event, &transition);
        }
        // 3. Remember it, durably.
        match self.journal.append(&self.state, &event, &transition, self.host.now()) {
            Ok(committed) => {
                narrate::log(committed.record(), &self.state, self.journal.head());
                self.host.recorded(committed.record());
                let (state, orders) = committed.into_parts();
                self.enter(state);
                // 4. Do it.
                for order in orders {
                    self.note_exit(order.effect());
                    self.host.perform(order);
                }
                if self.journal.is_failing() {
                    self.journal_failed("its next segment could not be begun");
                }
            }
            Err(error) => {
                // Nothing of the turn has happened: the machine is told first, then asked again;
                // but for the journal's own return, which has not taken place.
                self.journal_failed(&error.to_string());
                if event != Event::JournalRestored {
                    self.take(event);
                }
            }
        }
    }

    fn journal_failed(&mut self, why: &str) {
        let failure = Failure { code: Code::Io, text: why.to_owned() };
        self.host.remind(RESTORE_PAUSE);
        self.take(Event::JournalFailed { failure });
    }

    /// A turn whose record is held in memory.
    fn hold(&mut self, event: Event, transition: &Transition) {
        let Some(unwritten) = self.journal.hold(&event, transition, self.host.now()) else {
            tracing::debug!("{} waits until the journal can be written", event.name());
            self.waiting.push(event);
            return;
        };
        narrate::log(unwritten.record(), &self.state, self.journal.head());
        self.host.recorded(unwritten.record());
        let (state, orders) = unwritten.into_parts();
        self.enter(state);
        for order in orders {
            self.note_exit(order.effect());
            self.host.perform_held(order);
        }
    }

    /// Tries to write what is held; then what has waited has its turn.
    fn restore(&mut self) {
        if !self.journal.is_failing() {
            return;
        }
        if let Err(error) = self.journal.restore(self.host.now()) {
            tracing::debug!("the journal still can't be written: {error}");
            self.host.remind(RESTORE_PAUSE);
            return;
        }
        self.take(Event::JournalRestored);
        for event in std::mem::take(&mut self.waiting) {
            self.take(event);
        }
    }

    fn enter(&mut self, state: State) {
        let knows_now = self.state.recovering && !state.recovering;
        self.state = state;
        self.host.stands(&self.state);
        if knows_now {
            self.host.listen();
        }
    }

    fn note_exit(&mut self, effect: &Effect) {
        if let Effect::Exit(outcome) = effect {
            self.outcome = Some(*outcome);
        }
    }
}

fn log_rejected(event: &Event, rejected: Rejected) {
    match (event, rejected) {
        (Event::AnnouncementReceived { upgrade }, Rejected::Unchanged) => tracing::info!(
            "upstream announces {} (version {}), which changes nothing here: it is installed, \
             queued, not newer, or stands against what was queued by hand",
            upgrade.name,
            upgrade.version,
        ),
        (event, rejected) => tracing::debug!("{} leads nowhere: {rejected:?}", event.name()),
    }
}
