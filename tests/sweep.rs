//! An upgrade, or a roll-back, of the real program, killed or failing at each call that changes a
//! file.
//!
//! The standard suite takes a sample of the points, `NYMVISOR_SWEEP=all` takes every one.

mod ends;
pub(crate) mod points;
pub(crate) mod stories;
pub(crate) mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;

use points::Point;
use stories::{PerStory, Story, Template};
use trial::Trial;

/// How many points of a story are tried in the standard suite.
const KILLS: usize = 5;
const FAULTS: usize = 4;
/// Most of a trial is waiting.
const WORKERS: usize = 3;

/// Another thread may do what the trace saw one do, and nothing is hit then.
const TRIES: usize = 3;

/// One point to try, of one story.
type Job = (Story, Point, &'static str);

/// What came of all of them.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    hit: usize,
    bad: Vec<String>,
}

/// Tries them all, a few at a time. `attempt` tells whether what it aimed at was hit; `worker`
/// makes what each worker keeps from one to the next.
pub(crate) fn sweep<J: Send + std::fmt::Debug, W>(
    jobs: Vec<J>,
    workers: usize,
    worker: impl Fn() -> W + Sync,
    attempt: impl Fn(&mut W, &J) -> bool + Sync,
) -> Sum {
    let (jobs, sum) = (Mutex::new(jobs.into_iter()), Mutex::new(Sum::default()));
    let next = || jobs.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut worker = worker();
                while let Some(job) = next() {
                    let mut attempts = || (0..TRIES).any(|_| attempt(&mut worker, &job));
                    let outcome = catch_unwind(AssertUnwindSafe(&mut attempts));
                    let mut sum = sum.lock().unwrap();
                    match outcome {
                        Ok(true) => sum.hit += 1,
                        Ok(false) => eprintln!("not hit: {job:?}"),
                        Err(panic) => {
                            let text = panic.downcast_ref::<String>().cloned();
                            let text = format!("{job:?}: {}", text.unwrap_or_default());
                            eprintln!("bad: {text}");
                            sum.bad.push(text);
                        }
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

impl Sum {
    /// Prints what came out, and fails if anything did that must not.
    pub(crate) fn tell(&self, what: &str, tried: usize, of: usize) {
        let Self { hit, bad } = self;
        eprintln!("{what}: {tried} of {of} points tried, {hit} hit, {} bad outcomes", bad.len());
        assert!(bad.is_empty(), "{}", bad.join("\n\n"));
        assert!(hit * 10 >= tried * 9, "{hit} of {tried}");
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

/// The jobs for these kinds of mishap, taken in turn, and how many there are in all.
fn jobs(
    sample: usize,
    mishaps: &[&'static str],
    is_meant: fn(&Point) -> bool,
) -> (Vec<Job>, usize) {
    let (mut jobs, mut count) = (Vec::new(), 0);
    for (offset, story) in Story::ALL.into_iter().enumerate() {
        let mut points = Trial::new(&Template::new(story)).points();
        points.retain(is_meant);
        count += points.len() * mishaps.len();
        for (turn, point) in points::chosen(&points, sample, offset * 3).into_iter().enumerate() {
            if points::is_whole() {
                jobs.extend(mishaps.iter().map(|mishap| (story, point.clone(), *mishap)));
            } else {
                jobs.push((story, point, mishaps[turn % mishaps.len()]));
            }
        }
    }
    (jobs, count)
}

fn templates() -> PerStory<Template> {
    PerStory::new(Template::new)
}

#[test]
fn h14_h15_h16_killed_at_any_call_it_ends_old_or_new_and_then_new() {
    if !has_strace() {
        return;
    }
    let (jobs, count) = jobs(KILLS, &["signal=KILL"], |_| true);
    let tried = jobs.len();
    let sum = sweep(jobs, WORKERS, templates, |templates, (story, point, _)| {
        let trial = Trial::new(templates.of(*story));
        let hit = trial.killed_at(point);
        if point.number == 1 {
            // The next session is killed there too, if it does the same again.
            trial.killed_at(point);
        }
        trial.assert_ends_well();
        hit
    });
    sum.tell("kills", tried, count);
}

#[test]
fn h30_whatever_call_fails_a_daemon_is_up_and_the_upgrade_is_done_later() {
    if !has_strace() {
        return;
    }
    let (jobs, count) = jobs(FAULTS, &["ENOSPC", "EIO"], Point::is_of_a_known_file);
    let tried = jobs.len();
    let sum = sweep(jobs, WORKERS, templates, |templates, (story, point, error)| {
        let trial = Trial::new(templates.of(*story));
        let hit = trial.failing_at(point, error);
        trial.assert_ends_well();
        hit
    });
    sum.tell("faults", tried, count);
}
