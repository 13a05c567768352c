//! Which backups go, as a function.

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::config::Retention;
use nymvisor::host::backup::retention::{Candidate, Fate, fates};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

fn now() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn of_days(days: i64) -> Candidate {
    Candidate { at: now() - TimeDelta::days(days), ours: true, needed: false, damaged: false }
}

fn kept(count: Option<u32>, days: Option<u64>) -> Retention {
    Retention { count, age: days.map(|days| Duration::from_secs(days * DAY)) }
}

#[test]
fn the_table() {
    use Fate::{BeyondCount, Foreign, Last, Needed, TooOld, Within};
    let plain = [of_days(40), of_days(30), of_days(20), of_days(10)];
    let foreign = |days| Candidate { ours: false, ..of_days(days) };
    let needed = |days| Candidate { needed: true, ..of_days(days) };
    let damaged = |days| Candidate { damaged: true, ..of_days(days) };
    let cases: [(&[Candidate], Retention, &[Fate]); 13] = [
        (&plain, kept(Some(2), None), &[BeyondCount, BeyondCount, Within, Last]),
        (&plain, kept(None, Some(25)), &[TooOld, TooOld, Within, Last]),
        (&plain, kept(Some(3), Some(25)), &[BeyondCount, TooOld, Within, Last]),
        (&plain, kept(Some(9), Some(99)), &[Within, Within, Within, Last]),
        (&plain, kept(Some(1), Some(1)), &[BeyondCount, BeyondCount, BeyondCount, Last]),
        // Exactly as old as the age is not older.
        (&plain, kept(None, Some(30)), &[TooOld, Within, Within, Last]),
        (&[needed(40), of_days(1)], kept(Some(1), Some(2)), &[Needed, Last]),
        (&[of_days(1), of_days(-5)], kept(None, Some(2)), &[Within, Last]),
        // What is not ours neither goes nor counts.
        (&[of_days(9), foreign(8), foreign(7)], kept(Some(1), Some(1)), &[Last, Foreign, Foreign]),
        // Nothing can be put back from a damaged one.
        (&[of_days(9), damaged(8)], kept(Some(1), Some(1)), &[Last, TooOld]),
        (&[damaged(9), damaged(8)], kept(None, Some(1)), &[TooOld, Last]),
        (&[damaged(2), damaged(1), of_days(3)], kept(Some(1), None), &[Within, Within, Last]),
        (&[], kept(Some(1), None), &[]),
    ];
    assert_eq!(fates(&plain, None, now()), [Within, Within, Within, Last]);
    for (at, (all, retention, expected)) in cases.into_iter().enumerate() {
        assert_eq!(fates(all, Some(retention), now()), expected, "case {at}");
    }
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let parts = (-3_i64..60, any::<[bool; 3]>());
    parts.prop_map(|(days, [ours, needed, damaged])| Candidate {
        ours,
        needed,
        damaged,
        ..of_days(days)
    })
}

proptest! {
    #[test]
    fn what_must_stay_stays(
        all in prop::collection::vec(any_candidate(), 0..12),
        count in prop::option::of(1_u32..6),
        days in prop::option::of(1_u64..50),
    ) {
        let found = fates(&all, Some(kept(count, days)), now());
        prop_assert_eq!(found.len(), all.len());
        let pairs = || all.iter().zip(&found);
        for (it, fate) in pairs() {
            prop_assert!(!fate.goes() || (it.ours && !it.needed), "{:?}", it);
            prop_assert!(!fate.goes() || count.is_some() || days.is_some());
        }
        // Of those that something can be put back from, one at least is left.
        let sound = |it: &Candidate| it.ours && !it.damaged;
        let left = pairs().filter(|(it, fate)| sound(it) && !fate.goes()).count();
        prop_assert!(left > 0 || !all.iter().any(sound));
        let ours_left = pairs().filter(|(it, fate)| it.ours && !fate.goes()).count();
        prop_assert!(ours_left > 0 || !all.iter().any(|it| it.ours));
        // No more stay than are to be kept, but for those that something holds.
        let within = pairs().filter(|(it, fate)| sound(it) && **fate == Fate::Within).count();
        prop_assert!(count.is_none_or(|count| within < count as usize + 1));
        // Who decides once more, on what is left, finds nothing more to remove.
        let rest: Vec<Candidate> =
            pairs().filter(|(_, fate)| !fate.goes()).map(|(it, _)| *it).collect();
        prop_assert!(fates(&rest, Some(kept(count, days)), now()).iter().all(|fate| !fate.goes()));
    }
}
