//! The recovery table: every last durable state with everything that can be found.

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::{
    AfterDrain, Event, Link, Observed, Phase, Policy, Queue, Row, State, recover, replay, step,
};
use nymvisor::narrate;

use super::states::{kind, representatives, u1};
use crate::model::values::{at, daemon, policy, queue, version, with_hooks};

/// What is found, in words, and as the machine is told.
struct Facts {
    words: [&'static str; 6],
    observed: Observed,
}

fn facts(state: &State) -> Vec<Facts> {
    let from = state.phase.attempt().map_or(&state.installed, |attempt| &attempt.from);
    let target = state.phase.attempt().map_or(u1().target(), nymvisor::machine::Attempt::target);
    let (alive, old) = (Some(daemon(3)), Some(from.clone()));
    let checked = state.phase.attempt().and_then(|attempt| attempt.binary.clone());
    let checked = checked.or(state.candidate.as_ref().and_then(|c| c.checked_binary().cloned()));
    let other = Some(version("other", "7.0.0"));
    let mut all = Vec::new();
    for (daemon_word, daemon) in [("gone", None), ("alive", alive)] {
        for (version_word, version) in [
            ("old", old.clone()),
            ("new", Some(target.clone())),
            ("other", other.clone()),
            ("absent", None),
        ] {
            for (plan_word, plan) in plans() {
                for (binary_word, binary) in [("as checked", checked.clone()), ("changed", None)] {
                    for (backup_word, backup_holds) in [("holds", true), ("does not hold", false)] {
                        for link in ["genesis", "u1", "astray", "absent", "no link"] {
                            let words = [
                                daemon_word,
                                version_word,
                                plan_word,
                                binary_word,
                                backup_word,
                                link,
                            ];
                            let observed = Observed {
                                at: at(60),
                                daemon,
                                version: version.clone(),
                                queue: plan.clone(),
                                link: match link {
                                    "absent" => Link::Absent,
                                    "astray" => Link::Astray("elsewhere".to_owned()),
                                    "no link" => Link::NoLink,
                                    name => Link::LeadsTo(name.to_owned()),
                                },
                                binary: binary.clone(),
                                backup_holds,
                            };
                            all.push(Facts { words, observed });
                        }
                    }
                }
            }
        }
    }
    all
}

fn plans() -> [(&'static str, Option<Queue>); 4] {
    let moved = Queue { current: Some(u1()), ..queue(&[]) };
    [
        ("asks for it", Some(queue(&[u1()]))),
        ("has moved", Some(moved)),
        ("does not ask", Some(queue(&[]))),
        ("absent", None),
    ]
}

/// Every last durable state, as the next session finds it.
fn begun() -> Vec<(String, State)> {
    let session = |policy| Event::SessionStarted { nymvisor: "0".to_owned(), pid: 1, policy };
    let begin = |state: State, policy: Policy| {
        let last = format!("{}: {}", state.phase.name(), kind(&state));
        let begun = step(&state, &session(policy)).unwrap().state;
        assert!(begun.recovering);
        (last, begun)
    };
    let resumed = representatives().into_iter().filter_map(|state| often_resumed(&state));
    let resumed = resumed
        .map(|state| begin(state, policy()))
        .map(|(last, state)| (format!("{last}, resumed 3 times"), state));
    let at_once = || representatives().into_iter().filter(|state| !state.recovering);
    let hooked = at_once().map(|state| begin(state, with_hooks(policy())));
    at_once().map(|state| begin(state, policy())).chain(hooked).chain(resumed).collect()
}

/// The same state after three crashes.
fn often_resumed(state: &State) -> Option<State> {
    state.phase.attempt().filter(|_| !state.recovering)?;
    let json = serde_json::to_string(state).unwrap();
    Some(serde_json::from_str(&json.replace("\"resumed\":0", "\"resumed\":3")).unwrap())
}

#[derive(Default)]
struct Seen {
    last: BTreeSet<String>,
    words: [BTreeSet<&'static str>; 6],
    leads_to: BTreeSet<String>,
    orders: BTreeSet<&'static str>,
}

fn seen() -> BTreeMap<Row, Seen> {
    let mut rows: BTreeMap<Row, Seen> = BTreeMap::new();
    for (last, state) in begun() {
        for Facts { words, observed } in facts(&state) {
            let event = recover(&state, observed);
            let Event::Recovered { row, .. } = &event else { panic!("{event:?}") };
            let to =
                step(&state, &event).unwrap_or_else(|why| panic!("{why:?}: {last}, {words:?}"));
            let seen = rows.entry(*row).or_default();
            let in_recovery = matches!(&state.phase, Phase::Draining(draining)
                if matches!(draining.then, AfterDrain::Recover { .. }));
            assert!(!in_recovery, "a new session looks anew");
            seen.last.insert(last.clone());
            for (set, word) in seen.words.iter_mut().zip(words) {
                set.insert(word);
            }
            seen.leads_to.insert(format!("{}: {}", to.state.phase.name(), kind(&to.state)));
            seen.orders.extend(to.effects.iter().map(nymvisor::machine::Effect::name));
        }
    }
    rows
}

pub(super) fn generated() -> String {
    let titles = ["daemon", "version file", "plan", "binary", "backup", "link"];
    let counts = [2, 4, 4, 2, 2, 5];
    let mut text = String::new();
    for (row, seen) in seen() {
        let found: Vec<String> = titles
            .iter()
            .zip(&seen.words)
            .zip(counts)
            .filter(|((_, words), count)| words.len() < *count)
            .map(|((title, words), _)| {
                format!("{title} {}", words.iter().copied().collect::<Vec<_>>().join(" or "))
            })
            .collect();
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join("; ");
        let orders = seen.orders.iter().copied().collect::<Vec<_>>().join(", ");
        text.push_str(&format!("**{row:?}**: {}.\n\n", narrate::row(row)));
        text.push_str(&format!("- how that comes about: {}\n", history(row)));
        text.push_str(&format!("- last durable state: {}\n", by_phase(&seen.last)));
        let found = if found.is_empty() { "anything else".to_owned() } else { found.join(", ") };
        text.push_str(&format!("- found: {found}\n- leads to: {}\n", list(&seen.leads_to)));
        text.push_str(&format!("- may order: {orders}\n\n"));
    }
    text
}

/// States by phase; one that was resumed often is named only where no other is.
fn by_phase(states: &BTreeSet<String>) -> String {
    if begun().iter().all(|(last, _)| states.contains(last)) {
        return "any".to_owned();
    }
    let mut phases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for state in states {
        let plain = state.strip_suffix(", resumed 3 times");
        if plain.is_some_and(|plain| states.contains(plain)) {
            continue;
        }
        let (phase, kind) = state.split_once(": ").unwrap();
        phases.entry(phase).or_default().push(kind);
    }
    let phases = phases.into_iter().map(|(phase, kinds)| format!("{phase} ({})", kinds.join("; ")));
    phases.collect::<Vec<_>>().join(", ")
}

/// The physical history that leads to a row.
fn history(row: Row) -> &'static str {
    match row {
        Row::AtRest => {
            "a stop request, a daemon that ended with 0, a manual upgrade; a first start"
        }
        Row::DaemonLost => "SIGKILL, a power cut or a panic while the daemon was up or due",
        Row::DaemonLeftBehind => {
            "nymvisor was killed and the daemon's parent-death signal did not reach it, or the \
             kill came between fork and record: only the token in its environment, or its control \
             group, tells of it"
        }
        Row::GaveUp => "a crash with restarts off, or too many startup failures; then a new run",
        Row::WasFailing => "a kill between the failure of an attempt and the old version's start",
        Row::AttemptTakenUp => "a stop request after the drain had begun",
        Row::AttemptResumed => "a kill or power cut between the drain and the commit point",
        Row::AttemptGivenUp => "the fourth kill of the same attempt: something about it kills us",
        Row::AttemptWithdrawn => "a kill or a stop; the plan was changed by hand, or upgrades held",
        Row::AttemptUnprepared => "a kill or a stop, and then the binary was replaced or removed",
        Row::SwapInterrupted => {
            "a kill or power cut after the rename of the version file, before link or record"
        }
        Row::RollBackResumed => {
            "a kill, a power cut or a stop between the decision to roll back and the commit \
             point, or a step that failed; or `rollback` while nothing ran"
        }
        Row::RollBackSwapInterrupted => {
            "a kill or power cut after the version file was moved back, before link or record"
        }
        Row::VersionMovedOutside => "somebody wrote the version file, or put an old one back",
    }
}

/// One row for each combination, whatever it is; none of the table is never taken.
#[test]
fn every_row_is_reached_and_every_combination_has_one() {
    let rows = seen();
    for row in Row::ALL {
        assert!(rows.contains_key(&row), "{row:?} is never taken");
    }
    let states = begun();
    let combinations: usize = states.iter().map(|(_, state)| facts(state).len()).sum();
    assert!(combinations > 5_000, "{} states, {combinations} combinations", states.len());
}

/// A name that the facts don't lead to is refused: nobody decides but `recover`.
#[test]
fn another_row_than_the_facts_lead_to_is_refused() {
    for (last, state) in begun() {
        for Facts { observed, .. } in facts(&state).into_iter().step_by(7) {
            let event = recover(&state, observed.clone());
            let Event::Recovered { row, .. } = event else { panic!("{event:?}") };
            for other in Row::ALL.into_iter().filter(|other| *other != row) {
                let forged = Event::Recovered { row: other, observed: observed.clone() };
                assert!(step(&state, &forged).is_err(), "{other:?} for {row:?} in {last}");
            }
        }
    }
}

/// Recovery replays like anything else.
#[test]
fn recovery_is_on_the_record() {
    for (_, state) in begun() {
        for Facts { observed, .. } in facts(&state).into_iter().step_by(5) {
            let event = recover(&state, observed);
            let transition = step(&state, &event).unwrap();
            let record = nymvisor::machine::Record {
                seq: 1,
                at: at(0),
                session: "s".to_owned(),
                from: transition.from,
                event,
                to: transition.state.phase.name(),
                effects: transition.effects,
            };
            assert_eq!(replay(&state, &record), Ok(transition.state));
        }
    }
}
