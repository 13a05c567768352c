//! The phase-by-event table, and what every phase does with its events.

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::{Effect, PhaseName};

use super::states::{events, kind, representatives, transitions, word};

/// One row an event, one column a phase: where it leads.
pub(super) fn overview() -> String {
    let mut cells: BTreeMap<(&str, PhaseName), BTreeSet<PhaseName>> = BTreeMap::new();
    for (state, event, transition) in transitions() {
        if !state.recovering {
            let to = transition.state.phase.name();
            cells.entry((word(&event), state.phase.name())).or_default().insert(to);
        }
    }
    let mut text = String::from("| event |");
    for phase in PhaseName::ALL {
        text.push_str(&format!(" {phase} |"));
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(PhaseName::ALL.len()));
    text.push('\n');
    // Some come with several words to say.
    let mut told = BTreeSet::new();
    for event in events(&representatives()[0]) {
        if !told.insert(word(&event)) {
            continue;
        }
        text.push_str(&format!("| {} |", word(&event)));
        for phase in PhaseName::ALL {
            let to = cells.get(&(word(&event), phase));
            text.push_str(&format!(" {} |", to.map_or("·".to_owned(), |to| cell(phase, to))));
        }
        text.push('\n');
    }
    text
}

fn cell(from: PhaseName, to: &BTreeSet<PhaseName>) -> String {
    let name = |to: &PhaseName| if *to == from { "stays".to_owned() } else { to.to_string() };
    to.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// For each phase: in which of its states an event counts, where it leads and what it orders.
pub(super) fn details() -> String {
    let mut text = String::new();
    for phase in PhaseName::ALL {
        let mut rows: Vec<(&str, String, String, Vec<&str>)> = Vec::new();
        for (state, event, transition) in transitions() {
            if state.recovering || state.phase.name() != phase {
                continue;
            }
            let (was, is) = (kind(&state), kind(&transition.state));
            let to = match transition.state.phase.name() {
                to if to == phase && was == is => "(stays)".to_owned(),
                to => format!("{to}: {is}"),
            };
            let orders: Vec<&str> = transition.effects.iter().map(Effect::name).collect();
            let (event, orders) = (word(&event), orders.join(", "));
            let same =
                rows.iter_mut().find(|row| (&row.0, &row.1, &row.2) == (&event, &to, &orders));
            match same {
                Some(row) if row.3.contains(&kind(&state)) => {}
                Some(row) => row.3.push(kind(&state)),
                None => rows.push((event, to, orders, vec![kind(&state)])),
            }
        }
        rows.sort();
        text.push_str(&format!(
            "**{phase}**\n\n| event | in | leads to | orders |\n|---|---|---|---|\n"
        ));
        for (event, to, orders, within) in rows {
            text.push_str(&format!("| {event} | {} | {to} | {orders} |\n", within.join("; ")));
        }
        text.push('\n');
    }
    text
}
