//! Every state that the machine can reach under small bounds, and what holds in each.
//!
//! A search in breadth over engines on the simulated machine. An engine's own steps are free;
//! crashes, faults and stop requests are bounded. Engines that differ only in numbers they have
//! drawn are one ([`canonical`]). What follows from an engine does not depend on the bounds, so it
//! is worked out once; the bounds are then counted along the edges.
//!
//! `NYMVISOR_EXPLORE=all` searches further than the suite has time for.

mod canonical;
mod graph;
mod moves;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::{PhaseName, Policy};

use crate::model::engine::Engine;
use crate::model::stimulus::catalogue;
use crate::model::tale::Tale;
use crate::model::values;
use crate::state_machine_md::states::{transitions, word};
use graph::{Bounds, Graph};

/// Event, the phase it meets, the phase it leads to.
pub(super) type Pair = (String, PhaseName, PhaseName);

/// The settings that lead different ways.
fn policies() -> Vec<(&'static str, Policy)> {
    let usual = Policy { max_startup_failures: 2, ..values::policy() };
    vec![
        ("usual", usual.clone()),
        (
            "unprepared, no backup",
            Policy { prepare_ahead: false, skip_backup: true, ..usual.clone() },
        ),
        (
            "no restarts",
            Policy { restart_on_failure: false, restart_after_upgrade: false, ..usual.clone() },
        ),
        ("rolls back", Policy { rollback_on_failed_upgrade: true, ..usual }),
    ]
}

/// No run without faults is longer, wherever it begins.
const STEPS_MAX: u32 = 60;

/// Why some pairs of the tables are not taken: their searches are cut off before.
const DEEPER: &str = "lies deeper than the searches of the suite go";

const BY_HAND: &str = "files are lost by somebody's hand alone, which the searches leave out";

/// Pairs of the tables that the searches of the suite may miss, each with the reason.
const UNREACHED: [(&str, PhaseName, &str); 31] = [
    ("announcement-received", PhaseName::BackingUp, DEEPER),
    ("announcement-received", PhaseName::Locking, DEEPER),
    ("plan-lost", PhaseName::Draining, DEEPER),
    ("plan-lost", PhaseName::BackingUp, DEEPER),
    ("plan-lost", PhaseName::Locking, DEEPER),
    ("queue-read", PhaseName::BackingUp, DEEPER),
    ("queue-read", PhaseName::Locking, DEEPER),
    ("work-failed", PhaseName::BackingUp, DEEPER),
    ("work-failed", PhaseName::Locking, DEEPER),
    ("work-failed", PhaseName::Swapping, DEEPER),
    ("swap-committed", PhaseName::Failed, DEEPER),
    ("backup-sealed", PhaseName::Failed, "what is cancelled ends at once in the model"),
    ("file-mended", PhaseName::Running, BY_HAND),
    ("journal-failed", PhaseName::BackingUp, DEEPER),
    ("journal-failed", PhaseName::Locking, DEEPER),
    ("roll-back-requested", PhaseName::Draining, DEEPER),
    ("roll-back-requested", PhaseName::BackingUp, DEEPER),
    ("roll-back-requested", PhaseName::Locking, DEEPER),
    ("roll-back-requested", PhaseName::Downloading, DEEPER),
    ("roll-back-requested", PhaseName::Verifying, DEEPER),
    ("roll-back-requested", PhaseName::Swapping, DEEPER),
    ("roll-back-requested", PhaseName::Failed, DEEPER),
    ("stop-requested", PhaseName::Failed, DEEPER),
    ("file-mended", PhaseName::Draining, BY_HAND),
    ("file-mended", PhaseName::BackingUp, BY_HAND),
    ("file-mended", PhaseName::Locking, BY_HAND),
    ("file-mended", PhaseName::Downloading, BY_HAND),
    ("file-mended", PhaseName::Verifying, BY_HAND),
    ("file-mended", PhaseName::Swapping, BY_HAND),
    ("file-mended", PhaseName::Failed, BY_HAND),
    ("work-failed", PhaseName::Failed, "a version file that can't be read is told of in a story"),
];

/// Where a search begins.
fn beginning(from: Option<PhaseName>, policy: &Policy) -> Engine {
    let first = catalogue(0);
    match from {
        None => Engine::new(policy.clone()),
        Some(PhaseName::Running) => {
            let mut tale = Tale::running(policy.clone());
            tale.queue(&first);
            tale.engine
        }
        Some(phase) => Tale::at(policy.clone(), &first, phase).engine,
    }
}

/// Which settings are searched how far. The bounds of a search that begins in the middle of an
/// upgrade are counted from there.
fn bounds() -> Vec<(usize, Option<PhaseName>, Bounds)> {
    let within = |upgrades, left, states_max| Bounds { upgrades, left, states_max };
    if std::env::var("NYMVISOR_EXPLORE").is_ok_and(|how| how == "all") {
        return (0..policies().len())
            .map(|at| (at, None, within(2, [3, 3, 1, 1, 1], 200_000)))
            .collect();
    }
    vec![
        (0, None, within(1, [0, 0, 0, 0, 1], 2000)),
        (0, None, within(1, [0, 0, 0, 1, 0], 2000)),
        (0, None, within(1, [1, 0, 0, 0, 0], 2000)),
        (0, None, within(1, [0, 0, 1, 0, 0], 400)),
        (0, Some(PhaseName::Running), within(1, [0, 1, 1, 0, 0], 600)),
        (0, Some(PhaseName::Downloading), within(2, [0, 0, 1, 1, 1], 1200)),
        (0, None, within(1, [0, 1, 0, 0, 0], 2000)),
        (1, None, within(1, [1, 0, 0, 0, 0], 2000)),
        (1, None, within(1, [0, 0, 0, 1, 0], 2000)),
        (2, None, within(1, [0, 1, 0, 0, 0], 2000)),
        (3, None, within(1, [0, 2, 0, 0, 0], 2000)),
    ]
}

#[test]
fn no_state_within_the_bounds_breaks_a_promise() {
    let policies = policies();
    let mut taken: BTreeMap<Pair, u64> = BTreeMap::new();
    for (which, from, bounds) in bounds() {
        let (name, policy) = &policies[which];
        let mut graph = Graph::new(beginning(from, policy), bounds);
        let is_all = graph.search().unwrap_or_else(|why| panic!("{name}: {why}"));
        let longest = graph.judge().unwrap_or_else(|why| panic!("{name}: {why}"));
        eprintln!(
            "{name}, {}, {bounds}: {} {} states, {} transitions, at most {longest} steps to rest",
            from.map_or("from the beginning".to_owned(), |phase| format!("from {phase}")),
            if is_all { "all" } else { "the first" },
            graph.states(),
            graph.transitions(),
        );
        assert!(longest <= STEPS_MAX, "{longest} steps to rest");
        for (pair, times) in graph.pairs() {
            *taken.entry(pair.clone()).or_default() += times;
        }
    }
    every_pair_is_taken(&taken);
}

fn every_pair_is_taken(taken: &BTreeMap<Pair, u64>) {
    let legal: BTreeSet<Pair> = transitions()
        .iter()
        .filter(|(before, ..)| !before.recovering)
        .map(|(before, event, after)| (word(event), before.phase.name(), after.state.phase.name()))
        .collect();
    let explained = |(event, phase, _): &&Pair| {
        UNREACHED.iter().any(|(other, of, _)| event == other && phase == of)
    };
    let (known, missing): (Vec<&Pair>, Vec<&Pair>) =
        legal.iter().filter(|pair| !taken.contains_key(*pair)).partition(explained);
    let more: Vec<&Pair> = taken.keys().filter(|pair| !legal.contains(*pair)).collect();
    let met = legal.len() - known.len() - missing.len();
    eprintln!(
        "{met} of the {} edges of the tables, and {} more: {more:?}",
        legal.len(),
        more.len()
    );
    for (event, phase, to) in known {
        let why = UNREACHED.iter().find(|(other, of, _)| event == other && phase == of);
        eprintln!("not taken: {event} from {phase} to {to}: {}", why.unwrap().2);
    }
    assert!(missing.is_empty(), "nothing leads here: {missing:?}");
}
