//! Every state that the machine can reach under small bounds, and what holds in each.
//!
//! A search in breadth over engines on the simulated machine. An engine's own steps are free;
//! crashes, faults and stop requests are bounded. Engines that differ only in numbers they have
//! drawn are one ([`canonical`]). What follows from an engine does not depend on the bounds, so it
//! is worked out once; the bounds are then counted along the edges.
//!
//! `NYMVISOR_EXPLORE=all` searches further than the suite has time for.

mod beginning;
mod bounds;
mod canonical;
mod graph;
mod moves;
mod store;
mod verdict;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nymvisor::machine::{PhaseName, Policy};

use crate::model::values;
use crate::state_machine_md::states::{transitions, word};
use beginning::Beginning;
use bounds::{Bounds, Left};
use graph::Graph;
use verdict::{Pair, Pairs};

/// No run without faults is longer, wherever it begins.
const STEPS_MAX: u32 = 60;

/// Edges of the tables that the model can't take, each with the reason.
const UNREACHED: [(Pair, &str); 1] = [(
    ("file-mended", PhaseName::Running, PhaseName::Running),
    "the model tells of a mended file at once, and so before the daemon is started",
)];

/// How long the searches with one kind of settings may take where they go far: with four kinds on
/// two cores, a quarter of an hour for all.
const FAR: Duration = Duration::from_mins(6);

fn usual() -> Policy {
    Policy { max_startup_failures: 2, ..values::policy() }
}

fn unprepared() -> Policy {
    Policy { prepare_ahead: false, skip_backup: true, ..usual() }
}

fn no_restarts() -> Policy {
    Policy {
        restart_on_failure: false,
        restart_after_upgrade: false,
        prunes_backups: true,
        ..usual()
    }
}

fn rolls_back() -> Policy {
    Policy { rollback_on_failed_upgrade: true, ..usual() }
}

fn keeps_windows() -> Policy {
    Policy { keeps_windows: true, ..usual() }
}

fn with_commands() -> Policy {
    values::with_hooks(rolls_back())
}

/// So many upgrades, and what is bounded: crashes of nymvisor, crashes of the daemon, faults, stop
/// requests and roll-backs by hand, failures of the journal.
type Rung = (u8, &'static [Left]);

/// Three crashes, of nymvisor or of the daemon.
const THREE: &[Left] = &[[3, 0, 0, 0, 0], [2, 1, 0, 0, 0], [1, 2, 0, 0, 0], [0, 3, 0, 0, 0]];

/// What the suite has time for: most of it is searched to its end, the last two are cut off.
const NEAR: [Rung; 8] = [
    (1, &[[1, 1, 0, 0, 0]]),
    (1, &[[0, 2, 0, 0, 0]]),
    (1, &[[2, 0, 0, 0, 0]]),
    (1, &[[1, 0, 0, 1, 0]]),
    (1, &[[0, 1, 0, 1, 0]]),
    (1, &[[0, 0, 1, 0, 0]]),
    (1, &[[0, 0, 0, 1, 1]]),
    (2, &[[0, 0, 0, 0, 0]]),
];

/// First what is to be searched to its end, then further and further until the time is over.
const ALL: [Rung; 8] = [
    (2, THREE),
    (1, &[[1, 1, 0, 0, 1]]),
    (1, &[[3, 3, 0, 1, 0]]),
    (1, &[[1, 0, 1, 0, 0]]),
    (2, &[[1, 0, 0, 1, 0], [0, 1, 0, 1, 0]]),
    (1, &[[1, 1, 1, 1, 1]]),
    (2, &[[3, 3, 0, 0, 0]]),
    (2, &[[3, 3, 1, 1, 1]]),
];

/// States that one search of the suite may look at, and one that goes far.
const STATES_MAX: [usize; 2] = [6_000, 30_000_000];

/// Whether all was searched.
fn search(name: &str, from: Beginning, policy: &Policy, bounds: Bounds, taken: &mut Pairs) -> bool {
    let began = Instant::now();
    let mut graph = Graph::new(from.engine(policy), bounds);
    let is_all = graph.search().unwrap_or_else(|why| panic!("{name}: {why}"));
    let longest = graph.judge().unwrap_or_else(|why| panic!("{name}: {why}"));
    let seconds = began.elapsed().as_secs_f64();
    eprintln!(
        "{name}, {from}, {bounds}: {} {} states, {} transitions, {} pairs, at most {longest} steps \
         to rest; {:.0} states/s",
        if is_all { "all" } else { "cut off after" },
        graph.states(),
        graph.transitions(),
        graph.pairs().len(),
        f64::from(u32::try_from(graph.states()).unwrap()) / seconds,
    );
    assert!(longest <= STEPS_MAX, "{longest} steps to rest");
    for (pair, times) in graph.pairs() {
        *taken.entry(*pair).or_default() += times;
    }
    is_all
}

/// One kind of settings, from the beginning: no state breaks a promise, and no edge is taken that
/// the tables don't know.
fn explore(name: &str, policy: &Policy) {
    let is_far = std::env::var("NYMVISOR_EXPLORE").is_ok_and(|how| how == "all");
    let (rungs, states_max) =
        if is_far { (&ALL[..], STATES_MAX[1]) } else { (&NEAR[..], STATES_MAX[0]) };
    // What runs beside the daemon multiplies the states.
    let states_max = if policy.hooks.is_none() { states_max } else { states_max * 3 };
    let mut taken = Pairs::new();
    let ends = Instant::now() + FAR;
    for (at, (upgrades, left)) in (1..).zip(rungs) {
        // All that it takes for the first, then half of what is left, and all of it for the last.
        let remains = ends.saturating_duration_since(Instant::now());
        let share = match at {
            1 => Duration::MAX,
            _ if at == rungs.len() => remains,
            _ => remains / 2,
        };
        let bounds = Bounds { upgrades: *upgrades, left, states_max, share };
        let is_all = search(name, Beginning::First, policy, bounds, &mut taken);
        // Windows that open and close at any time make more states than there is time for.
        let is_cut = at > 1 || policy.keeps_windows;
        assert!(is_all || is_cut, "{name}: more than {states_max} states");
    }
    let legal = legal();
    let more: Vec<&Pair> = taken.keys().filter(|pair| !legal.contains(*pair)).collect();
    eprintln!("{name}: {} of the {} edges of the tables", taken.len(), legal.len());
    assert!(more.is_empty(), "state-machine.md does not know {more:?}");
}

#[test]
fn with_usual_settings_no_state_breaks_a_promise() {
    explore("usual", &usual());
}

#[test]
fn unprepared_and_without_backups_no_state_breaks_a_promise() {
    explore("unprepared, no backup", &unprepared());
}

#[test]
fn without_restarts_no_state_breaks_a_promise() {
    explore("no restarts", &no_restarts());
}

#[test]
fn with_roll_backs_no_state_breaks_a_promise() {
    explore("rolls back", &rolls_back());
}

#[test]
fn within_windows_no_state_breaks_a_promise() {
    explore("windows", &keeps_windows());
}

#[test]
fn with_commands_and_a_health_check_no_state_breaks_a_promise() {
    explore("commands", &with_commands());
}

/// The edges of the tables, between phases.
fn legal() -> BTreeSet<Pair> {
    transitions()
        .iter()
        .filter(|(before, ..)| !before.recovering)
        .map(|(before, event, after)| (word(event), before.phase.name(), after.state.phase.name()))
        .collect()
}

/// Those that an attempt goes through.
fn phases_between() -> impl Iterator<Item = PhaseName> {
    PhaseName::ALL.into_iter().filter(|phase| {
        !matches!(phase, PhaseName::Running | PhaseName::Restarting | PhaseName::Failed)
    })
}

/// From the middle of each phase, whatever can happen there: every edge is taken, and no other.
#[test]
fn every_legal_pair_of_phase_and_event_is_taken() {
    let mut taken = Pairs::new();
    let within = |left, states_max| Bounds { upgrades: 2, left, states_max, share: Duration::MAX };
    let anything = |states_max| within(&[[1, 2, 2, 2, 1]], states_max);
    for phase in phases_between() {
        search("usual", Beginning::At(phase), &usual(), anything(1500), &mut taken);
        let faults = within(&[[0, 0, 2, 0, 0]], 600);
        search("usual", Beginning::Unread(phase), &usual(), faults, &mut taken);
    }
    let finished = within(&[[1, 0, 2, 0, 0]], 1500);
    search("usual", Beginning::At(PhaseName::Swapping), &usual(), finished, &mut taken);
    for from in [Beginning::First, Beginning::Ready, Beginning::Waits, Beginning::Failed] {
        search("usual", from, &usual(), anything(1500), &mut taken);
    }
    let due = within(&[[0, 1, 0, 1, 1], [0, 1, 1, 0, 0]], 2500);
    search("usual", Beginning::Due, &usual(), due, &mut taken);
    search("usual", Beginning::Pauses, &usual(), within(&[[0; 5]], 2500), &mut taken);
    search("usual", Beginning::FilesLost, &usual(), within(&[[0, 0, 1, 0, 0]], 2500), &mut taken);
    let (name, fault) = ("unprepared, no backup", within(&[[0, 0, 1, 0, 0]], 2500));
    search(name, Beginning::Waits, &unprepared(), fault, &mut taken);
    for from in [Beginning::Ready, Beginning::At(PhaseName::Downloading)] {
        search(name, from, &unprepared(), anything(800), &mut taken);
    }
    for from in [Beginning::Upgraded, Beginning::FailsStart, Beginning::GoesBack] {
        search("rolls back", from, &rolls_back(), anything(2500), &mut taken);
    }
    let name = "commands";
    for phase in phases_between() {
        let told = within(&[[0, 0, 0, 0, 0]], 300);
        search(name, Beginning::Told(phase), &with_commands(), told, &mut taken);
    }
    let fails = within(&[[0, 0, 2, 1, 0]], 2500);
    for steps in 0..7 {
        let unhealthy = within(&[[0, 0, 1, 0, 0]], 300);
        search(name, Beginning::Unhealthy(steps), &with_commands(), unhealthy, &mut taken);
    }
    for from in [Beginning::First, Beginning::Asked] {
        search(name, from, &with_commands(), fails, &mut taken);
    }
    search("no restarts", Beginning::Ready, &no_restarts(), anything(800), &mut taken);
    let waits = within(&[[1, 1, 0, 2, 1]], 2500);
    for from in [Beginning::First, Beginning::Ready, Beginning::Waits] {
        search("windows", from, &keeps_windows(), waits, &mut taken);
    }
    let ends = Policy { keeps_windows: true, ..no_restarts() };
    let stops = within(&[[0, 1, 0, 1, 0]], 2500);
    search("windows, no restarts", Beginning::Prepared, &ends, stops, &mut taken);
    let legal = legal();
    let excused = |pair: &Pair| UNREACHED.iter().any(|(other, _)| other == pair);
    let missing: Vec<&Pair> =
        legal.iter().filter(|pair| taken.contains_key(*pair) == excused(pair)).collect();
    let more: Vec<&Pair> = taken.keys().filter(|pair| !legal.contains(*pair)).collect();
    eprintln!("{} of the {} edges of the tables", taken.len(), legal.len());
    for (pair, why) in UNREACHED {
        eprintln!("not taken: {pair:?}: {why}");
    }
    assert!(missing.is_empty(), "not taken, or excused in vain: {missing:?}; unknown: {more:?}");
    assert!(more.is_empty(), "state-machine.md does not know {more:?}");
}
