//! Nodes that are told the same perform it at different times, each always at the same.

use std::path::Path;
use std::time::Duration;

use nymvisor::disk::RealDisk;
use nymvisor::machine::{Requester, Upgrade};
use nymvisor::release::{Plan, Rescheduled, Spread, UpgradeInfo};

use crate::model::values::{at, by_command, upgrade};
use crate::sim::install::{announcement, details};

const HOUR: Duration = Duration::from_hours(1);

/// In parts of the span.
fn parts(spread: &Spread, digest: &str) -> f64 {
    let offset = spread.later(at(0), digest) - at(0);
    offset.as_seconds_f64() / HOUR.as_secs_f64()
}

#[test]
fn the_times_of_many_nodes_are_spread_evenly_and_within_the_span() {
    const NODES: usize = 2000;
    let mut tenths = [0_usize; 10];
    for node in 0..NODES {
        let part = parts(&Spread::new(&format!("{node:064x}"), HOUR), "digest");
        assert!((0.0..1.0).contains(&part), "{part}");
        let tenth = (0..10).rfind(|tenth| part >= f64::from(*tenth) / 10.0).unwrap();
        tenths[usize::try_from(tenth).unwrap()] += 1;
    }
    // The seeds are fixed: this holds or it doesn't, the same each time.
    assert!(tenths.iter().all(|count| (150..250).contains(count)), "{tenths:?}");
}

#[test]
fn a_node_draws_once_and_another_upgrade_has_another_time() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("spread-seed");
    let drawn = || Spread::drawn(&RealDisk, &seed, HOUR).unwrap().unwrap();
    assert_eq!(Spread::known(&RealDisk, &seed, HOUR), None);
    let first = drawn();
    assert_eq!(drawn(), first);
    assert_eq!(Spread::known(&RealDisk, &seed, HOUR), Some(first.clone()));
    assert!(first.later(at(0), "one") != first.later(at(0), "other"));
    assert_ne!(Spread::for_now(HOUR), first);
    std::fs::write(&seed, "no seed").unwrap();
    assert_ne!(drawn(), first, "what is no seed is drawn anew");
}

#[test]
fn without_the_key_nothing_is_drawn_and_nothing_is_later() {
    let none = Path::new("/nowhere/at/all");
    assert_eq!(Spread::drawn(&RealDisk, none, Duration::ZERO).unwrap(), None);
    assert_eq!(Spread::known(&RealDisk, none, Duration::ZERO), None);
    let info = announcement(&upgrade("u1", "1.1.0", 10));
    assert_eq!(info.to_spread_upgrade(None), info.to_upgrade());
    assert_eq!(info.to_upgrade().announced_for, None);
}

/// Only what upstream announces is spread; a person's word is meant as it is.
#[test]
fn what_a_person_queued_or_rescheduled_is_not_spread() {
    let spread = Spread::new("seed", HOUR);
    let announced = announcement(&upgrade("u1", "1.1.0", 10));
    let spread_by = |info: &UpgradeInfo| info.to_spread_upgrade(Some(&spread));
    let upgrade: Upgrade = spread_by(&announced);
    assert!(upgrade.due_at > at(10) && upgrade.due_at < at(70), "{upgrade:?}");
    assert_eq!(upgrade.announced_for, Some(at(10)));
    assert_eq!(spread_by(&announced), upgrade);

    let queued = announcement(&by_command(crate::model::values::upgrade("u2", "1.2.0", 10)));
    assert_eq!(spread_by(&queued).due_at, at(10));
    let requester = Requester::Command { uid: 7, user: "op".to_owned() };
    let wish = Rescheduled { at: at(3), requester, ignores_windows: true };
    let wished = UpgradeInfo { rescheduled: Some(wish), ..announced.clone() };
    let upgrade = spread_by(&wished);
    assert_eq!((upgrade.due_at, upgrade.announced_for), (at(3), Some(at(10))));
    assert!(upgrade.rescheduled.unwrap().ignores_windows);
    // It is the same announcement all the same, also for upstream's next word.
    assert_eq!(wished.digest(), announced.digest());
    assert_eq!(wished.announced(), announced.announced());
    assert!(wished.announces_the_same(&announced));
}

/// What comes first is what is performed first, here.
#[test]
fn the_queue_is_in_the_order_of_the_times_that_count() {
    let genesis = UpgradeInfo::genesis(details("1.0.0")).unwrap();
    let (first, second) = (upgrade("u1", "1.1.0", 10), upgrade("u2", "1.2.0", 11));
    let plan = Plan::new(genesis).with(announcement(&first)).with(announcement(&second));
    let orders: std::collections::BTreeSet<Vec<String>> = (0..40)
        .map(|node| Spread::new(&format!("seed {node}"), HOUR))
        .map(|spread| plan.to_come(Some(&spread)))
        .inspect(|entries| assert!(entries.is_sorted_by_key(|entry| entry.due_at)))
        .map(|entries| entries.into_iter().map(|entry| entry.name).collect())
        .collect();
    assert_eq!(orders.len(), 2, "{orders:?}");
    let wish = Rescheduled { at: at(5), requester: Requester::Plan, ignores_windows: false };
    let second = UpgradeInfo { rescheduled: Some(wish), ..announcement(&second) };
    let amended = plan.amended(&second);
    assert_eq!(amended.queued_up[0].name.as_str(), "u2");
    assert_eq!(amended.to_come(None)[0].name, "u2");
}
