//! The shell acts.
//!
//! Its one law: nothing is done that a durable record does not order. It decides nothing. A turn
//! has four steps, numbered in [`Shell::run`] and [`Shell::take`].

use crate::host::{Host, Stimulus};
use crate::journal::{self, Journal, Order};
use crate::machine::{Effect, Event, Outcome, Rejected, State, recover, step};
use crate::narrate;

/// The engine at work: the state, the journal that explains it, and the world.
#[derive(Debug)]
pub struct Shell<H> {
    state: State,
    journal: Journal,
    host: H,
}

impl<H: Host> Shell<H> {
    /// An engine that goes on from `state`, the one that `journal` leads to.
    pub fn new(state: State, journal: Journal, host: H) -> Self {
        Self { state, journal, host }
    }

    /// Runs until the machine ends the run; `started` is the session's first fact.
    pub async fn run(mut self, started: Event) -> Result<Outcome, journal::Error> {
        let mut turn = self.take(started)?;
        while turn.is_none() {
            // 1. Wait for something to happen.
            let event = match self.host.next().await {
                Stimulus::Fact(event) => event,
                Stimulus::Found(observed) => recover(&self.state, observed),
            };
            turn = self.take(event)?;
        }
        self.host.close().await;
        turn.map_or(Ok(Outcome::Done), Ok)
    }

    /// One turn with one fact. The run's outcome, if this ends it.
    fn take(&mut self, event: Event) -> Result<Option<Outcome>, journal::Error> {
        // 2. Decide what follows.
        let transition = match step(&self.state, &event) {
            Ok(transition) => transition,
            Err(rejected) => {
                log_rejected(&event, rejected);
                return Ok(None);
            }
        };
        // 3. Remember it, durably.
        let committed = self.journal.append(event, transition, self.host.now())?;
        narrate::log(committed.record(), self.journal.head());
        let was_recovering = self.state.recovering;
        let (state, orders) = committed.into_parts();
        self.state = state;
        // 4. Do it.
        let outcome = self.perform(orders);
        if was_recovering && !self.state.recovering && outcome.is_none() {
            self.host.listen();
        }
        Ok(outcome)
    }

    fn perform(&mut self, orders: Vec<Order>) -> Option<Outcome> {
        let mut outcome = None;
        for order in orders {
            if let Effect::Exit(end) = order.effect() {
                outcome = Some(*end);
            } else {
                self.host.perform(order);
            }
        }
        outcome
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
