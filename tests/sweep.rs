//! An upgrade, or a roll-back, of the real program, killed or failing at each call that changes a
//! file.
//!
//! The standard suite takes a sample of the points, `NYMVISOR_SWEEP=all` takes every one.

mod ends;
pub(crate) mod points;
pub(crate) mod stories;
pub(crate) mod trial;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;

use points::Point;
use stories::{Pool, Story, Template};
use trial::Trial;

/// How many points of a story are tried in the standard suite.
const KILLS: usize = 5;
const FAULTS: usize = 4;
/// Most of a trial is waiting.
const WORKERS: usize = 3;

/// Another thread may do what the trace saw one do, and nothing is hit then.
const TRIES: usize = 3;

/// One point to try, of one story, and what goes wrong there.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) story: Story,
    pub(crate) point: Point,
    mishap: &'static str,
}

/// What is to be tried, and how many points there are to choose from for each kind of story.
#[derive(Debug)]
pub(crate) struct Jobs {
    chosen: Vec<Job>,
    of: BTreeMap<&'static str, usize>,
}

/// What came of those of one kind.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    hit: usize,
    bad: Vec<String>,
}

/// Tries them all, a few at a time, prints what came out, and fails if anything did that must not.
/// `attempt` tells whether what it aimed at was hit.
pub(crate) fn sweep(what: &str, jobs: Jobs, workers: usize, attempt: impl Fn(&Job) -> bool + Sync) {
    let tallies: Mutex<BTreeMap<&str, Tally>> = Mutex::default();
    let chosen = Mutex::new(jobs.chosen.into_iter());
    let next = || chosen.lock().unwrap().next();
    let work = || {
        while let Some(job) = next() {
            let attempts = || (0..TRIES).any(|_| attempt(&job));
            let outcome = catch_unwind(AssertUnwindSafe(attempts));
            let mut tallies = tallies.lock().unwrap();
            let tally = tallies.entry(job.story.kind()).or_default();
            tally.tried += 1;
            match outcome {
                Ok(true) => tally.hit += 1,
                Ok(false) => eprintln!("not hit: {job:?}"),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = format!("{job:?}: {}", text.unwrap_or_default());
                    eprintln!("bad: {text}");
                    tally.bad.push(text);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let tallies = tallies.into_inner().unwrap();
    for (kind, Tally { tried, hit, bad }) in &tallies {
        let (of, bad) = (jobs.of[kind], bad.len());
        eprintln!("{what}, {kind}: {tried} of {of} points tried, {hit} hit, {bad} ended badly");
    }
    for Tally { tried, hit, bad } in tallies.values() {
        assert!(bad.is_empty(), "{}", bad.join("\n\n"));
        // One in a sample is one that the threads shared out otherwise.
        assert!(hit + 1 + tried / 10 >= *tried, "{hit} of {tried}");
    }
}

pub(crate) fn has_strace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let there = traced.is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: strace is not there, or may not trace");
    }
    there
}

impl Jobs {
    /// Points of all stories, each with every one of its mishaps, or in a sample with one of them.
    /// The stories come in turn, so that a few installations of each will do.
    pub(crate) fn new(
        pool: &Pool<Template>,
        sample: usize,
        mishaps: fn(&Point) -> &'static [&'static str],
    ) -> Self {
        let (mut chosen, mut of) = (Vec::new(), BTreeMap::new());
        for (offset, story) in Story::ALL.into_iter().enumerate() {
            let mut points = pool.with(story, |template| Trial::new(template).points());
            points.retain(|point| !mishaps(point).is_empty());
            let all = points.iter().map(|point| mishaps(point).len()).sum::<usize>();
            *of.entry(story.kind()).or_default() += all;
            let points = points::chosen(&points, sample, offset * 3).into_iter().enumerate();
            for (place, point) in points {
                let all = mishaps(&point);
                let turn = (place + offset) % all.len();
                let here = if points::is_whole() { all } else { &all[turn..=turn] };
                let job = |mishap: &&'static str| Job { story, point: point.clone(), mishap };
                chosen.extend(here.iter().map(job).map(|job| (place, job)));
            }
        }
        chosen.sort_by_key(|(place, job)| (*place, job.story));
        Self { chosen: chosen.into_iter().map(|(_, job)| job).collect(), of }
    }
}

#[test]
fn h14_h15_h16_killed_at_any_call_it_ends_old_or_new_and_then_new() {
    if !has_strace() {
        return;
    }
    let pool = Pool::new(Template::new);
    let jobs = Jobs::new(&pool, KILLS, Point::kills);
    let killed = |trial: &Trial<'_>, point: &Point| {
        let hit = trial.killed_at(point);
        if point.number == 1 {
            // The next session is killed there too, if it does the same again.
            trial.killed_at(point);
        }
        trial.assert_ends_well();
        hit
    };
    sweep("kills", jobs, WORKERS, |job| {
        pool.with(job.story, |template| killed(&Trial::new(template), &job.point))
    });
}

#[test]
fn h30_whatever_call_fails_a_daemon_is_up_and_the_upgrade_is_done_later() {
    sweep_errors("faults", Point::faults);
}

#[test]
fn whatever_may_not_be_opened_or_changed_a_daemon_is_up_and_the_upgrade_is_done_later() {
    sweep_errors("refusals", Point::refusals);
}

fn sweep_errors(what: &str, errors: fn(&Point) -> &'static [&'static str]) {
    if !has_strace() {
        return;
    }
    let pool = Pool::new(Template::new);
    let failing = |trial: &Trial<'_>, point: &Point, error: &str| {
        let hit = trial.failing_at(point, error);
        trial.assert_ends_well();
        hit
    };
    sweep(what, Jobs::new(&pool, FAULTS, errors), WORKERS, |job| {
        pool.with(job.story, |template| failing(&Trial::new(template), &job.point, job.mishap))
    });
}
