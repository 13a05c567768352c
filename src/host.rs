//! What the engine's effects do, and what the engine is told.
//!
//! [`Host`] is all that the shell knows of the world; [`local`] is this machine. The other modules
//! each do one thing and don't know one another.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::journal::{HeldOrder, Order};
use crate::machine::{Event, Observed, Record, State};

pub mod backup;
pub mod cgroup;
pub mod daemon;
pub mod due;
pub mod fetch;
pub mod files;
pub mod http;
pub mod local;
pub mod lock;
pub mod manager;
pub mod memory;
pub mod place;
pub mod probe;
pub mod processes;
pub mod reaper;
pub mod restore;
pub mod room;
pub mod signals;
pub mod upstream;
pub mod watch;
pub mod windows;
pub mod wishes;

/// What a host reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Stimulus {
    /// Something happened.
    Fact(Event),
    /// The answer to [`crate::machine::Effect::Observe`].
    Found(Observed),
    /// What [`Host::remind`] was asked for.
    Reminder,
}

/// The world, as far as the engine can act on it and hear of it.
pub trait Host {
    /// The wall clock.
    fn now(&self) -> DateTime<Utc>;

    /// Begins what is ordered. Whatever takes time goes on behind the caller's back; its outcome
    /// comes out of [`Host::next`].
    fn perform(&mut self, order: Order);

    /// The same for an order of a record that is held in memory.
    fn perform_held(&mut self, order: HeldOrder);

    /// Reports a [`Stimulus::Reminder`] after so long.
    fn remind(&mut self, after: Duration);

    /// The session knows where it stands: announcements, plan and requests may be reported now.
    fn listen(&mut self);

    /// This record was made; the state that it leads to follows. For those who look on.
    fn recorded(&mut self, _record: &Record) {}

    /// The engine stands so from now on; what that orders follows. For those who look on.
    fn stands(&mut self, _state: &State) {}

    /// Waits for what is reported next.
    fn next(&mut self) -> impl Future<Output = Stimulus>;

    /// Ends what is still going on, and gives back what is held.
    fn close(&mut self) -> impl Future<Output = ()>;
}
