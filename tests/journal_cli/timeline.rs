//! What `journal timeline` draws.

use nymvisor::machine::{Code, Event, PhaseName};
use serde_json::Value;

use super::written::Told;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade};

fn drawn(told: &Told) -> String {
    let text = told.site.ok(&["journal", "timeline"]);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    text
}

fn begun() -> Tale {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(4).due();
    tale
}

#[test]
fn an_upgrade_is_drawn_to_scale() {
    insta::assert_snapshot!(drawn(&Told::upgraded()));
}

#[test]
fn an_attempt_that_fails_and_one_that_is_killed_are_drawn() {
    let mut tale = begun();
    tale.until(PhaseName::BackingUp).fail(Code::NoRoom).work(2);
    insta::assert_snapshot!("failed", drawn(&Told::of(&tale)));

    let mut tale = begun();
    tale.until(PhaseName::Locking).crash().start().work(1);
    tale.until(PhaseName::Restarting).work(1);
    insta::assert_snapshot!("killed", drawn(&Told::of(&tale)));
}

#[test]
fn what_is_long_in_words_is_wrapped() {
    let mut tale = begun();
    tale.until(PhaseName::Restarting).work(1);
    tale.daemon_ends(How::Status, 500).work(1).stop();
    let text = drawn(&Told::of(&tale));
    assert!(text.contains("\nThe new version ended in its startup period"), "{text}");
}

#[test]
fn a_new_version_that_crashes_and_the_roll_back_are_drawn() {
    let mut tale = begun();
    tale.until(PhaseName::Restarting).work(1);
    tale.daemon_ends(How::Status, 500).roll_back();
    tale.until(PhaseName::Running);
    insta::assert_snapshot!("rolled_back", drawn(&Told::of(&tale)));
}

#[test]
fn the_json_says_what_the_picture_shows() {
    let told = Told::upgraded();
    let json = told.site.ok(&["journal", "timeline", "--upgrade", "u1", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["version"], &json["outcome"]), (&Value::from(1), &Value::from("performed")));
    let attempt = &json["charts"][1];
    assert_eq!(attempt["kind"], "attempt");
    let time = |event: &str| told.records[usize::try_from(told.seq(event)).unwrap() - 1].at;
    let ended = time("daemon-ended");
    let up = told.records.iter().rfind(|of| of.event.name() == "daemon-spawned").unwrap().at;
    assert_eq!(attempt["down"][0]["us"], (up - ended).num_microseconds().unwrap());
    let bars = attempt["bars"].as_array().unwrap();
    let names: Vec<&str> = bars.iter().map(|bar| bar["name"].as_str().unwrap()).collect();
    let phases: Vec<String> = PhaseName::ALL[1..8].iter().map(PhaseName::to_string).collect();
    assert_eq!(names, phases);
    let sum: i64 = bars.iter().map(|bar| bar["us"].as_i64().unwrap()).sum();
    let drained = told.records.iter().find(|of| of.to == PhaseName::Draining).unwrap().at;
    assert_eq!(sum, (up - drained).num_microseconds().unwrap());
}

#[test]
fn where_nothing_was_upgraded_there_is_nothing_to_draw() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).event(Event::SignalReceived { signal: 1 });
    let outcome = Told::of(&tale).site.run(&["journal", "timeline"]);
    assert_eq!(outcome.status, 1);
    assert_eq!(outcome.stderr, "error: the journal tells of no upgrade yet\n");
}
