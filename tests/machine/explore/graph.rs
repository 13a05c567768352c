//! The search itself.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use nymvisor::machine::Record;

use super::bounds::{Bounds, Left, spend};
use super::canonical;
use super::moves::{Cost, Move, moves};
use super::store::{Key, Store};
use super::verdict::{self, Pairs};
use crate::model::engine::Engine;

/// Where a run without faults goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Good {
    NotWorkedOut,
    To(u32),
    /// Nothing is left to do.
    Rests,
}

/// One engine, and what follows from it as far as that was worked out.
struct Node {
    key: Key,
    /// By cost: where the moves lead.
    edges: [Option<Box<[u32]>>; Cost::ALL.len()],
    /// Where a run without faults goes from here.
    good: Good,
    /// From where it was first reached, and by which move of which cost.
    from: Option<(u32, u8, u16)>,
    /// The largest remainders of the bounds it was reached with.
    reached: Vec<Left>,
}

/// A run without faults that is longer has no end.
const WAY_MAX: usize = 10_000;

/// What was found.
pub(super) struct Graph {
    bounds: Bounds,
    nodes: Vec<Node>,
    known: HashMap<Key, u32>,
    store: Store,
    /// Records that came back from the journal as they were.
    kept: HashSet<u128>,
    pairs: Pairs,
    transitions: u64,
}

impl Graph {
    pub(super) fn new(mut first: Engine, bounds: Bounds) -> Self {
        let mut graph = Self {
            bounds,
            nodes: Vec::new(),
            known: HashMap::new(),
            store: Store::default(),
            kept: HashSet::new(),
            pairs: Pairs::new(),
            transitions: 0,
        };
        canonical::renumber(&mut first);
        graph.enter(first, None);
        graph
    }

    pub(super) fn states(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions
    }

    pub(super) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Goes as far as the bounds allow; `false` where there were more states than it may look at.
    pub(super) fn search(&mut self) -> Result<bool, String> {
        let began = Instant::now();
        let mut queue = self.bounds.left.iter().map(|left| (0_u32, *left)).collect::<VecDeque<_>>();
        while let Some((at, left)) = queue.pop_front() {
            if !self.is_new(at, left) {
                continue;
            }
            let is_late = || began.elapsed() >= self.bounds.share;
            if self.nodes.len() >= self.bounds.states_max || is_late() {
                return Ok(false);
            }
            for (index, cost) in Cost::ALL.into_iter().enumerate() {
                let Some(left) = spend(left, index) else { continue };
                self.work_out(at, index, cost)?;
                let edges = self.nodes[at as usize].edges[index].iter().flatten();
                queue.extend(edges.map(|to| (*to, left)));
            }
        }
        Ok(true)
    }

    /// Whether `at` was not yet reached with as much left; if so, it is now.
    fn is_new(&mut self, at: u32, left: Left) -> bool {
        let covers = |more: &Left, less: &Left| more.iter().zip(less).all(|(m, l)| m >= l);
        let reached = &mut self.nodes[at as usize].reached;
        if reached.iter().any(|before| covers(before, &left)) {
            return false;
        }
        reached.retain(|before| !covers(&left, before));
        reached.push(left);
        true
    }

    fn work_out(&mut self, at: u32, index: usize, cost: Cost) -> Result<(), String> {
        if self.nodes[at as usize].edges[index].is_some() {
            return Ok(());
        }
        let parts = self.store.parts(self.nodes[at as usize].key);
        let engine = parts.engine();
        let mut edges = Vec::new();
        for (step, which) in moves(&engine, cost, self.bounds.upgrades).iter().zip(0_u16..) {
            let from = (at, u8::try_from(index).unwrap(), which);
            let to = self.follow(&engine, parts.engine(), step, from)?;
            if *step == Move::GoOn {
                self.nodes[at as usize].good = to.map_or(Good::Rests, Good::To);
            }
            edges.extend(to);
        }
        edges.sort_unstable();
        edges.dedup();
        self.nodes[at as usize].edges[index] = Some(edges.into());
        Ok(())
    }

    /// Makes one move; `None` where it changes nothing.
    fn follow(
        &mut self,
        engine: &Engine,
        mut next: Engine,
        step: &Move,
        from: (u32, u8, u16),
    ) -> Result<Option<u32>, String> {
        let made = step.make(&mut next).and_then(|()| verdict::of_move(engine, &next));
        made.map_err(|why| self.accuse(&why, engine, step, from.0))?;
        self.transitions += next.records.len() as u64;
        verdict::pairs(engine, &next, &mut self.pairs);
        if verdict::repeats_itself(&next) {
            return Ok(None);
        }
        let before = self.nodes.len();
        let records = std::mem::take(&mut next.records);
        let states = std::mem::take(&mut next.states);
        canonical::renumber(&mut next);
        let to = self.enter(next, Some(from));
        if self.nodes.len() > before {
            verdict::replays(engine, &records, &states, |record| self.is_known(record))
                .map_err(|why| self.accuse(&why, engine, step, from.0))?;
        }
        Ok((to != from.0).then_some(to))
    }

    fn is_known(&mut self, record: &Record) -> bool {
        !self.kept.insert(super::store::digest(&(&record.event, &record.effects)))
    }

    fn accuse(&self, why: &str, engine: &Engine, step: &Move, at: u32) -> String {
        let mut story = self.story(at);
        story.push(step.clone());
        format!("{why}\n{story:#?}\n{:#?}", engine.state)
    }

    fn enter(&mut self, engine: Engine, from: Option<(u32, u8, u16)>) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap();
        let key = self.store.put(engine);
        match self.known.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                free.insert(next);
                let edges = [const { None }; Cost::ALL.len()];
                self.nodes.push(Node {
                    key,
                    edges,
                    good: Good::NotWorkedOut,
                    from,
                    reached: Vec::new(),
                });
                next
            }
        }
    }

    fn engine(&self, at: u32) -> Engine {
        self.store.parts(self.nodes[at as usize].key).engine()
    }

    /// The moves that lead to a node.
    fn story(&self, at: u32) -> Vec<Move> {
        let mut story = Vec::new();
        let mut next = self.nodes[at as usize].from;
        while let Some((from, cost, which)) = next {
            let cost = Cost::ALL[usize::from(cost)];
            let mut moves = moves(&self.engine(from), cost, self.bounds.upgrades);
            story.push(moves.swap_remove(usize::from(which)));
            next = self.nodes[from as usize].from;
        }
        story.reverse();
        story
    }

    /// From everywhere, a run without faults comes to rest, and rests well. Gives the longest way.
    pub(super) fn judge(&mut self) -> Result<u32, String> {
        let mut steps: Vec<Option<u32>> = Vec::new();
        for at in 0..self.nodes.len() {
            let mut way = vec![];
            let mut next = at;
            loop {
                let known = self.nodes.len();
                steps.resize(known, None);
                if steps[next].is_some() {
                    break;
                }
                if way.len() > WAY_MAX {
                    let at = u32::try_from(at).unwrap();
                    return Err(format!("no end in sight: {:#?}", self.story(at)));
                }
                let Some(to) = self.goes_on(next)? else {
                    self.rests(next)?;
                    steps[next] = Some(0);
                    break;
                };
                way.push(next);
                next = to as usize;
            }
            let mut length = steps[next].unwrap_or_default();
            for passed in way.into_iter().rev() {
                length += 1;
                steps[passed] = Some(length);
            }
        }
        Ok(steps.into_iter().flatten().max().unwrap_or_default())
    }

    /// Where a run without faults goes from a node. Beyond where a search was cut off, that is all
    /// that is worked out.
    fn goes_on(&mut self, at: usize) -> Result<Option<u32>, String> {
        match self.nodes[at].good {
            Good::To(to) => return Ok(Some(to)),
            Good::Rests => return Ok(None),
            Good::NotWorkedOut => {}
        }
        let parts = self.store.parts(self.nodes[at].key);
        let from = (u32::try_from(at).unwrap(), 0, 0);
        let to = self.follow(&parts.engine(), parts.engine(), &Move::GoOn, from)?;
        self.nodes[at].good = to.map_or(Good::Rests, Good::To);
        Ok(to)
    }

    fn rests(&self, at: usize) -> Result<(), String> {
        let at = u32::try_from(at).unwrap();
        verdict::of_rest(self.engine(at)).map_err(|why| format!("{why}\n{:#?}", self.story(at)))
    }
}
