//! The diagram: as mermaid, and as plain text.

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::{Effect, PhaseName};

use super::states::{transitions, word};

pub(super) fn generated() -> String {
    let mut edges: BTreeMap<(PhaseName, PhaseName), BTreeSet<&str>> = BTreeMap::new();
    let mut ends: BTreeSet<PhaseName> = BTreeSet::new();
    for (state, event, transition) in transitions() {
        if state.recovering {
            continue;
        }
        let (from, to) = (state.phase.name(), transition.state.phase.name());
        if from != to {
            edges.entry((from, to)).or_default().insert(word(&event));
        }
        if transition.effects.iter().any(|effect| matches!(effect, Effect::Exit(_))) {
            ends.insert(to);
        }
    }
    let mut mermaid = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Restarting\n");
    let mut plain = String::from("```text\n");
    for ((from, to), events) in &edges {
        let events = events.iter().copied().collect::<Vec<_>>().join(", ");
        mermaid.push_str(&format!("    {from} --> {to}: {events}\n"));
        plain.push_str(&format!("{from:<11} -> {to:<11}  {events}\n"));
    }
    for phase in ends {
        mermaid.push_str(&format!("    {phase} --> [*]\n"));
        plain.push_str(&format!("{phase:<11} -> (exit)\n"));
    }
    format!("{mermaid}```\n\n{plain}```\n")
}
