//! What the journal keeps of a transition, and how a state comes back from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::event::Event;
use super::phase::PhaseName;
use super::state::State;
use super::step::{Rejected, Transition, step};

/// One transition, as it is written. The chain (`prev`, `hash`) is the journal's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Number of the record in this instance's journal, from 1.
    pub seq: u64,
    /// When it was made, UTC.
    pub at: DateTime<Utc>,
    /// The session that made it.
    pub session: String,
    /// The phase before.
    pub from: PhaseName,
    /// What happened.
    pub event: Event,
    /// The phase after.
    pub to: PhaseName,
    /// What was ordered.
    pub effects: Vec<Effect>,
}

/// Why a record can't follow the state that the records before it lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Illegal {
    /// The machine refuses the event in that state.
    Refused(Rejected),
    /// The machine goes elsewhere, or orders something else.
    Differs(Box<Transition>),
}

/// The state after `record`, if the record is what the machine would have made of its event.
pub fn replay(state: &State, record: &Record) -> Result<State, Illegal> {
    let transition = step(state, &record.event).map_err(Illegal::Refused)?;
    let same = transition.from == record.from
        && transition.state.phase.name() == record.to
        && transition.effects == record.effects;
    if same { Ok(transition.state) } else { Err(Illegal::Differs(Box::new(transition))) }
}
