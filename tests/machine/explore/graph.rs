//! The search itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use super::moves::{Cost, Move, moves};
use super::{Pair, canonical, verdict};
use crate::model::engine::Engine;

/// How often the bounded things may happen, in the order of [`Cost::ALL`] without what is free.
pub(super) type Left = [u8; 5];

/// What a search is bounded by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) upgrades: u8,
    pub(super) left: Left,
    /// A search ends when it knows so many states; the shallowest come first.
    pub(super) states_max: usize,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [crashes, daemon, faults, stops, journal] = self.left;
        write!(
            f,
            "{} upgrades, {crashes} crashes, {daemon} daemon crashes, {faults} faults, {stops} \
             stops, {journal} journal failures",
            self.upgrades
        )
    }
}

/// One engine, and what follows from it as far as that was worked out.
struct Node {
    text: Option<Box<[u8]>>,
    /// By cost: where the moves lead.
    edges: [Option<Vec<u32>>; 6],
    /// Where a run without faults goes from here; `None` where it rests.
    good: Option<u32>,
    /// From where it was first reached, and by what.
    from: Option<(u32, Move)>,
    /// The largest remainders of the bounds it was reached with.
    reached: Vec<Left>,
}

/// What was found.
pub(super) struct Graph {
    bounds: Bounds,
    nodes: Vec<Node>,
    known: HashMap<u128, u32>,
    pairs: BTreeMap<Pair, u64>,
    transitions: u64,
}

impl Graph {
    pub(super) fn new(first: Engine, bounds: Bounds) -> Self {
        let mut graph = Self {
            bounds,
            nodes: Vec::new(),
            known: HashMap::new(),
            pairs: BTreeMap::new(),
            transitions: 0,
        };
        graph.enter(&canonical::text(first), None);
        graph
    }

    pub(super) fn states(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn transitions(&self) -> u64 {
        self.transitions
    }

    pub(super) fn pairs(&self) -> &BTreeMap<Pair, u64> {
        &self.pairs
    }

    /// Goes as far as the bounds allow; `false` where there were more states than it may look at.
    pub(super) fn search(&mut self) -> Result<bool, String> {
        let mut queue = VecDeque::from([(0_u32, self.bounds.left)]);
        while let Some((at, left)) = queue.pop_front() {
            if !self.is_new(at, left) {
                continue;
            }
            if self.nodes.len() >= self.bounds.states_max {
                return Ok(false);
            }
            for (index, cost) in Cost::ALL.into_iter().enumerate() {
                let Some(left) = spend(left, index) else { continue };
                for to in self.edges(at, index, cost)? {
                    queue.push_back((to, left));
                }
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

    fn edges(&mut self, at: u32, index: usize, cost: Cost) -> Result<Vec<u32>, String> {
        let node = &self.nodes[at as usize];
        if let Some(edges) = &node.edges[index] {
            return Ok(edges.clone());
        }
        let engine = canonical::engine(&self.text(at));
        let mut edges = Vec::new();
        if cost == Cost::Free {
            let to = self.follow(at, &engine, &Move::GoOn)?;
            self.nodes[at as usize].good = to;
            edges.extend(to);
        }
        for step in moves(&engine, cost, self.bounds.upgrades) {
            edges.extend(self.follow(at, &engine, &step)?);
        }
        edges.sort_unstable();
        edges.dedup();
        self.nodes[at as usize].edges[index] = Some(edges.clone());
        Ok(edges)
    }

    /// Makes one move; `None` where it changes nothing.
    fn follow(&mut self, at: u32, engine: &Engine, step: &Move) -> Result<Option<u32>, String> {
        let mut next = engine.clone();
        let made = step.make(&mut next).and_then(|()| verdict::of_move(engine, &next));
        if let Err(why) = made {
            let mut story = self.story(at);
            story.push(step.clone());
            return Err(format!("{why}\n{story:#?}\n{:#?}", engine.state));
        }
        self.transitions += next.records.len() as u64;
        verdict::pairs(engine, &next, &mut self.pairs);
        if next.is_as(engine) || verdict::repeats_itself(&next) {
            return Ok(None);
        }
        let text = canonical::text(next);
        let to = self.enter(&text, Some((at, step.clone())));
        Ok((to != at).then_some(to))
    }

    fn enter(&mut self, text: &str, from: Option<(u32, Move)>) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap();
        match self.known.entry(hash(text)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                free.insert(next);
                let text = Some(zstd::bulk::compress(text.as_bytes(), 1).unwrap().into());
                let edges = [const { None }; 6];
                self.nodes.push(Node { text, edges, good: None, from, reached: Vec::new() });
                next
            }
        }
    }

    fn text(&self, at: u32) -> String {
        let packed = self.nodes[at as usize].text.as_ref().unwrap();
        String::from_utf8(zstd::bulk::decompress(packed, 1 << 20).unwrap()).unwrap()
    }

    /// The moves that lead to a node.
    fn story(&self, at: u32) -> Vec<Move> {
        let mut story = Vec::new();
        let mut node = &self.nodes[at as usize];
        while let Some((from, step)) = &node.from {
            story.push(step.clone());
            node = &self.nodes[*from as usize];
        }
        story.reverse();
        story
    }

    /// From everywhere, a run without faults comes to rest, and rests well. Gives the longest way.
    pub(super) fn judge(&self) -> Result<u32, String> {
        let mut steps: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for at in 0..self.nodes.len() {
            let mut way = vec![];
            let mut next = at;
            while steps[next].is_none() {
                way.push(next);
                if way.len() > self.nodes.len() {
                    return Err(format!(
                        "no end in sight: {:#?}",
                        self.story(u32::try_from(at).unwrap())
                    ));
                }
                if let Some(good) = self.nodes[next].good {
                    next = good as usize;
                } else {
                    self.rests(next)?;
                    steps[next] = Some(0);
                    way.pop();
                    break;
                }
            }
            let mut length = steps[next].unwrap_or_default();
            for passed in way.into_iter().rev() {
                length += 1;
                steps[passed] = Some(length);
            }
        }
        Ok(steps.into_iter().flatten().max().unwrap_or_default())
    }

    fn rests(&self, at: usize) -> Result<(), String> {
        let at = u32::try_from(at).unwrap();
        verdict::of_rest(canonical::engine(&self.text(at)))
            .map_err(|why| format!("{why}\n{:#?}", self.story(at)))
    }
}

fn spend(left: Left, index: usize) -> Option<Left> {
    let mut left = left;
    if let Some(of) = index.checked_sub(1) {
        left[of] = left[of].checked_sub(1)?;
    }
    Some(left)
}

/// 128 bits: among millions of texts no two share them.
fn hash(text: &str) -> u128 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(text.as_bytes());
    u128::from_be_bytes(digest[..16].try_into().unwrap())
}
