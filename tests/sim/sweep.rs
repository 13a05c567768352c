//! Every named story, with something going wrong at each of its operations.

use std::fmt::Write;

use super::disk::{Keep, Op, Reach};
use super::stories::{self, Named};
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

/// The operations of a story in which nothing goes wrong on the medium.
fn operations(story: &Story) -> Vec<Op> {
    let mut play = Play::new(story);
    play.machine().medium.trace();
    play.tell().unwrap();
    let traced = play.machine().medium.traced();
    traced.into_iter().map(|(op, _)| op).collect()
}

/// The numbers, from 1, of the operations that matter.
fn points(story: &Story, matters: impl Fn(Op) -> bool) -> Vec<u64> {
    let operations = operations(story);
    (1..).zip(operations).filter(|(_, op)| matters(*op)).map(|(at, _)| at).collect()
}

fn sweep(what: &str, matters: fn(Op) -> bool, mishaps: impl Fn(u64) -> Vec<Vec<Mishap>>) {
    let mut sum = Sum::default();
    for (name, _, story) in stories::all() {
        for at in points(&story, matters) {
            for mishaps in mishaps(at) {
                sum.play(name, None, &Story { mishaps, ..story.clone() });
            }
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
    sweep("kills", Op::changes, |at| vec![vec![Mishap::Dies(at, Death::Kill)]]);
}

#[test]
fn h14_h15_h16_without_power_at_every_operation() {
    let keeps = [Keep::Nothing, Keep::All, Keep::Names, Keep::Bytes];
    sweep("power cuts", Op::changes, |at| {
        keeps.map(|keep| vec![Mishap::Dies(at, Death::Power(keep))]).into()
    });
}
