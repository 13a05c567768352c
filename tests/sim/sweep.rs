//! Every named story, with something going wrong at each of its operations.

use std::fmt::Write;
use std::path::PathBuf;

use super::disk::{Keep, Op, Reach};
use super::stories;
use super::story::{Death, Mishap, Play, Story};

/// What came of many plays.
#[derive(Debug, Default)]
struct Sum {
    points: u64,
    bad: Vec<String>,
}

impl Sum {
    fn play(&mut self, name: &str, ends: Option<&str>, story: &Story) {
        self.points += 1;
        if let Err(why) = outcome(ends, story) {
            self.bad.push(format!("{name}, {:?}: {why}", story.mishaps));
        }
    }

    fn tell(self, what: &str) {
        let Self { points, bad } = self;
        eprintln!("{what}: {points} points, {} bad outcomes", bad.len());
        let mut shown = String::new();
        for bad in bad.iter().take(5) {
            writeln!(shown, "{}", bad.chars().take(1500).collect::<String>()).unwrap();
        }
        assert!(bad.is_empty(), "{} bad outcomes\n{shown}", bad.len());
    }
}

fn outcome(ends: Option<&str>, story: &Story) -> Result<(), String> {
    let mut play = Play::new(story);
    play.play()?;
    let machine = play.machine();
    let runs = machine.world.files.version.as_ref().map(|version| version.name.as_str());
    match ends {
        Some(ends) if runs != Some(ends) => Err(format!("{runs:?} runs, not {ends}")),
        _ => Ok(()),
    }
}

/// The operations of a story in which nothing goes wrong on the medium, and what they are on.
pub(super) fn operations(story: &Story) -> Vec<(Op, PathBuf)> {
    let mut play = Play::new(story);
    play.machine().medium.trace();
    play.tell().unwrap();
    play.machine().medium.traced()
}

/// The numbers, from 1, of the operations that matter.
pub(super) fn points(story: &Story, matters: impl Fn(Op) -> bool) -> Vec<u64> {
    let operations = operations(story);
    (1..).zip(operations).filter(|(_, (op, _))| matters(*op)).map(|(at, _)| at).collect()
}

/// Tries one of so many points, another one in each story; all of them where that is asked for.
fn sweep(
    what: &str,
    one_of: usize,
    matters: fn(Op) -> bool,
    mishaps: impl Fn(u64) -> Vec<Vec<Mishap>>,
) {
    let is_whole = std::env::var("NYMVISOR_SIM").is_ok_and(|value| value == "all");
    let one_of = if is_whole { 1 } else { one_of };
    let mut sum = Sum::default();
    for (first, (name, _, story)) in stories::all().into_iter().enumerate() {
        let points = points(&story, matters).into_iter();
        let tries = points.flat_map(&mishaps).skip(first * 5 % one_of).step_by(one_of);
        for mishaps in tries.collect::<Vec<_>>() {
            sum.play(name, None, &Story { mishaps, ..story.clone() });
        }
    }
    sum.tell(what);
}

#[test]
fn every_story_ends_as_it_should() {
    let mut sum = Sum::default();
    for (name, ends, story) in stories::all() {
        sum.play(name, Some(ends), &story);
    }
    sum.tell("stories");
}

#[test]
fn killed_at_every_operation() {
    sweep("kills", 8, Op::changes, |at| vec![vec![Mishap::Dies(at, Death::Kill)]]);
}

#[test]
fn h14_h15_h16_without_power_at_every_operation() {
    let keeps = [Keep::Nothing, Keep::All, Keep::Names, Keep::Bytes];
    sweep("power cuts", 32, Op::changes, |at| {
        keeps.map(|keep| vec![Mishap::Dies(at, Death::Power(keep))]).into()
    });
}

#[test]
fn interrupted_once_more_while_it_recovers() {
    sweep("second crashes", 80, Op::changes, |at| {
        let again = |after: u64, keep| {
            let death = if at % 2 == 0 { Death::Kill } else { Death::Power(Keep::Nothing) };
            vec![Mishap::Dies(at, death), Mishap::Dies(after, Death::Power(keep))]
        };
        (1..40).step_by(3).map(|after| again(after, Keep::Seed(at * 64 + after))).collect()
    });
}

#[test]
fn h30_no_room_at_every_operation() {
    sweep("no room", 16, Op::takes_room, |at| {
        [1, 12].map(|lasts| vec![Mishap::Fails(at, Reach::NoRoom(lasts))]).into()
    });
}

#[test]
fn h30_input_or_output_fails_at_every_operation() {
    sweep(
        "input and output",
        32,
        |_| true,
        |at| {
            [false, true]
                .map(|cache_lies| vec![Mishap::Fails(at, Reach::Io { lasts: 1, cache_lies })])
                .into()
        },
    );
}
