//! Random stories, with crashes, power cuts and faults anywhere in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use proptest::prelude::{Just, ProptestConfig, Strategy};
use proptest::test_runner::{
    FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner,
};
use proptest::{collection, num, prop_oneof};

use super::disk::{Keep, Reach};
use super::story::{Death, Mishap, Play, Step, Story};
use crate::model::stimulus::{self, Settings};

/// So many in each of the parts of the standard suite.
const STORIES: u32 = 2_600;
/// The parts, which run side by side.
const PARTS: u32 = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let jump = prop_oneof![Just(60), Just(-60), Just(525_600), Just(-525_600)];
    let step = prop_oneof![
        20 => stimulus::any().prop_map(Step::Do),
        4 => Just(Step::Rest),
        4 => prop_oneof![
            Just("fetch-binary"), Just("check-room"), Just("take-lock"), Just("seal-backup"),
            Just("confirm-binary"), Just("confirm-check"), Just("commit-swap"),
            Just("spawn-daemon"), Just("move-shared"), Just("stand-down"), Just("copy-home"),
            Just("refresh-copy"), Just("examine-backup"), Just("restore-home"),
            Just("commit-roll-back"),
        ].prop_map(Step::Until),
        1 => jump.prop_map(Step::Jump),
    ];
    collection::vec(step, 1..24)
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let keep = prop_oneof![
        1 => Just(Keep::Nothing),
        1 => Just(Keep::All),
        1 => Just(Keep::Names),
        1 => Just(Keep::Bytes),
        6 => num::u64::ANY.prop_map(Keep::Seed),
    ];
    let death = prop_oneof![Just(Death::Kill), keep.prop_map(Death::Power)];
    // No longer than the look for the version file is patient.
    let lasts = || prop_oneof![4 => Just(1_u64), 1 => 2..20_u64];
    let reach = prop_oneof![
        lasts().prop_map(Reach::NoRoom),
        (lasts(), proptest::bool::ANY)
            .prop_map(|(lasts, cache_lies)| Reach::Io { lasts, cache_lies }),
    ];
    let at = || prop_oneof![2 => 1..60_u64, 1 => 1..300_u64];
    let mishap = prop_oneof![
        3 => (at(), death.clone()).prop_map(|(at, death)| Mishap::Dies(at, death)),
        2 => (at(), reach.clone()).prop_map(|(at, reach)| Mishap::Fails(at, reach)),
        1 => (at(), reach, 1..60_u64, death)
            .prop_map(|(at, reach, later, death)| Mishap::FailsAndDies(at, reach, later, death)),
    ];
    collection::vec(mishap, 0..5)
}

fn stories() -> impl Strategy<Value = Story> {
    (stimulus::settings(), steps(), mishaps()).prop_map(
        |(settings, steps, mishaps): (Settings, Vec<Step>, Vec<Mishap>)| Story {
            settings,
            steps,
            mishaps,
        },
    )
}

/// How many stories a part tells: the standard number, or its share of what is asked for.
fn count() -> u32 {
    let asked = std::env::var("NYMVISOR_STORIES").ok().map(|text| text.parse::<u32>());
    asked.map_or(STORIES, |asked| asked.expect("NYMVISOR_STORIES is a number") / PARTS)
}

/// The suite tells the same stories each time; whoever asks for a number of them gets new ones.
fn seed(part: &str) -> RngSeed {
    match std::env::var_os("NYMVISOR_STORIES") {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(part.parse().unwrap()),
    }
}

/// Tells random stories. Seeds of those that end badly are kept.
fn tell(part: &str) {
    let config = ProptestConfig {
        cases: count(),
        max_shrink_iters: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
            "proptest-regressions",
        ))),
        source_file: Some(file!()),
        rng_seed: seed(part),
        ..ProptestConfig::default()
    };
    let [sessions, hits] = [const { AtomicU64::new(0) }; 2];
    let since = Instant::now();
    let told = TestRunner::new(config).run(&stories(), |story| {
        let mut play = Play::new(&story);
        let outcome = play.play();
        sessions.fetch_add(u64::from(play.sessions()), Ordering::Relaxed);
        hits.fetch_add(u64::from(play.hits()), Ordering::Relaxed);
        outcome.map_err(TestCaseError::fail)
    });
    let rate = f64::from(count()) / since.elapsed().as_secs_f64();
    let [sessions, hits] = [sessions, hits].map(AtomicU64::into_inner);
    match told {
        Ok(()) => eprintln!(
            "part {part}: {} stories, {sessions} sessions, {hits} crash and fault points hit, \
             0 bad outcomes, {rate:.0} stories/s",
            count()
        ),
        Err(TestError::Fail(why, story)) => {
            let why: String = why.to_string().chars().take(3_000).collect();
            panic!("1 bad outcome: {why}\n{story:?}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn random_stories_end_well_part_1() {
    tell("1");
}

#[test]
fn random_stories_end_well_part_2() {
    tell("2");
}

#[test]
fn random_stories_end_well_part_3() {
    tell("3");
}

#[test]
fn random_stories_end_well_part_4() {
    tell("4");
}
