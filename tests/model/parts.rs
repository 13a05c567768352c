//! An engine taken to pieces, each of which many engines share.

use std::rc::Rc;

use nymvisor::machine::{Event, State};

use super::engine::{Durable, Engine};
use super::files::Files;
use super::host::World;
use super::oracle::Oracle;

/// What an engine is, apart from how it came there.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) state: Rc<State>,
    pub(crate) files: Rc<Files>,
    /// Without its files.
    pub(crate) world: Rc<World>,
    pub(crate) oracle: Rc<Oracle>,
    pub(crate) rest: Rc<Rest>,
}

/// What is little, or mostly empty.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(crate) struct Rest {
    up: bool,
    waiting: Vec<Event>,
    durable: Option<Box<Durable>>,
}

impl Engine {
    /// Takes it to pieces.
    pub(crate) fn into_parts(mut self) -> (State, Files, World, Oracle, Rest) {
        let files = std::mem::take(&mut self.world.files);
        let rest = Rest { up: self.up, waiting: self.waiting, durable: self.durable };
        (self.state, files, self.world, self.oracle, rest)
    }
}

impl Parts {
    /// The engine that they make; it does not check its records twice.
    pub(crate) fn engine(&self) -> Engine {
        let mut world = (*self.world).clone();
        world.files = (*self.files).clone();
        let rest = (*self.rest).clone();
        let durable = rest.durable.as_ref();
        Engine {
            state: (*self.state).clone(),
            world,
            records: Vec::new(),
            states: Vec::new(),
            up: rest.up,
            first: durable
                .map_or_else(|| Rc::clone(&self.state), |held| Rc::new(held.state.clone())),
            waiting: rest.waiting,
            durable: rest.durable,
            oracle: (*self.oracle).clone(),
            sessions: 0,
            checks_twice: false,
        }
    }
}
