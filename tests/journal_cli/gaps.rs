//! What is said where records are missing: nothing that they would have told is denied.

use std::fs;

use nymvisor::machine::{Code, Event, PhaseName};
use serde_json::Value;

use super::reported::report;
use super::written::Told;
use crate::journal_verify::forge::Forged;
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade};

/// The story of one upgrade, with a new segment after each of these events.
fn split(after: &[&str]) -> Told {
    let told = Told::upgraded();
    let at: Vec<usize> = after.iter().map(|event| told.seq(event).try_into().unwrap()).collect();
    Forged::read(&told.folder()).split(&at).write();
    told
}

fn remove(told: &Told, segment: u64) {
    fs::remove_file(told.folder().join(format!("{segment:08}.jsonl"))).unwrap();
}

/// Breaks the first record of a segment.
fn damage(told: &Told, segment: u64) {
    let file = told.folder().join(format!("{segment:08}.jsonl"));
    let text = fs::read_to_string(&file).unwrap();
    let at = text.match_indices("\"session\"").next().unwrap().0;
    fs::write(&file, format!("{}X{}", &text[..=at], &text[at + 2..])).unwrap();
}

#[test]
fn what_went_before_the_beginning_is_not_denied() {
    let told = split(&["swap-committed"]);
    remove(&told, 1);
    let first = told.seq("swap-committed") + 1;
    let shown = told.site.ok(&["journal", "show"]);
    let begins = format!("        --- it begins with record {first}: those before were pruned, or");
    assert!(shown.starts_with(&begins), "{shown}");
    let text = told.site.ok(&["journal", "timeline"]);
    assert!(text.starts_with("u1: performed\n"), "{text}");
    assert!(text.contains("some records about it are not here"), "{text}");
    let json = told.site.ok(&["journal", "timeline", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["outcome"], &json["untold"]), (&"performed".into(), &true.into()));
    assert_eq!(json["from"]["name"], "genesis");

    let unknown = told.site.run(&["journal", "timeline", "--upgrade", "u0"]);
    let since = format!("it tells of u1 since record {first} of 2026-");
    assert!(unknown.stderr.contains(&since), "{}", unknown.stderr);
    // A missing file is a fault to `verify`, and so to the report.
    let file = told.site.path("report.html");
    told.site.run(&["journal", "report", "--html", file.to_str().unwrap()]);
    let html = fs::read_to_string(file).unwrap();
    assert!(html.contains("<dt>Missing</dt>") && html.contains("it begins with record"), "{html}");
    for denied in ["none was checked", "not stopped for it", "<dd>0</dd>", "no attempt has begun"] {
        assert!(!html.contains(denied), "{denied}");
    }
}

#[test]
fn where_all_that_is_left_is_about_none_it_says_since_when() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(4).due();
    tale.until(PhaseName::Restarting).work(1);
    tale.event(Event::StartupPassed);
    let last = tale.engine.records.len();
    tale.event(Event::SignalReceived { signal: 1 });
    let told = Told::of(&tale);
    Forged::read(&told.folder()).split(&[last]).write();
    remove(&told, 1);
    let none = told.site.run(&["journal", "timeline"]);
    assert_eq!(none.status, 1);
    let since =
        format!("error: the journal tells of no upgrade since record {} of 2026-", last + 1);
    assert!(none.stderr.starts_with(&since), "{}", none.stderr);
}

#[test]
fn a_hole_is_told_whatever_is_chosen_and_however_it_is_told() {
    type Break = fn(&Told, u64);
    let ways: [(Break, &str); 2] =
        [(remove, "the records 7 to"), (damage, "00000002.jsonl, line 2: its hash does not fit")];
    for (break_it, said) in ways {
        let told = Told::upgraded();
        let at = usize::try_from(told.seq("swap-committed")).unwrap();
        Forged::read(&told.folder()).split(&[6, at]).write();
        break_it(&told, 2);
        for options in [&["--failures"][..], &["--phase", "Failed"], &["--session", "s1"], &[]] {
            let shown = told.site.ok(&[&["journal", "show"], options].concat());
            assert!(shown.contains("        --- ") && shown.contains(said), "{options:?}: {shown}");
        }
        for command in [
            &["journal", "show", "-o", "json"][..],
            &["journal", "export", "-o", "csv"],
            &["journal", "timeline"],
            &["journal", "timeline", "-o", "json"],
        ] {
            let outcome = told.site.run(command);
            assert_eq!(outcome.status, 0, "{}", outcome.stderr);
            assert!(outcome.stderr.starts_with("warning: "), "{command:?}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(said), "{command:?}: {}", outcome.stderr);
        }
        let exported: Value = serde_json::from_str(&told.site.ok(&["journal", "export"])).unwrap();
        assert!(exported["notes"].to_string().contains(said), "{exported}");
        // The commit is among what can't be told.
        let text = told.site.ok(&["journal", "timeline"]);
        assert!(text.starts_with("u1: performed\n"), "{text}");
        assert!(text.contains("some records about it are not here"), "{text}");
    }
}

#[test]
fn where_nothing_is_missing_nothing_is_said() {
    let told = split(&["queue-read", "swap-committed"]);
    let shown = told.site.run(&["journal", "show"]);
    assert!(!shown.stdout.contains("---") && shown.stderr.is_empty(), "{shown:?}");
    let timeline = told.site.run(&["journal", "timeline"]);
    assert!(timeline.stderr.is_empty() && !timeline.stdout.contains("not here"), "{timeline:?}");
    assert!(!report(&told, &[]).contains("Missing"));
    let mut torn = Told::upgraded();
    torn.tear("s2");
    let timeline = torn.site.run(&["journal", "timeline"]);
    assert!(timeline.stderr.is_empty() && !timeline.stdout.contains("not here"), "{timeline:?}");
}

#[test]
fn so_many_records_are_so_many_without_what_is_said_between_them() {
    let mut told = Told::upgraded();
    told.tear("s2");
    let mut tale = Tale::new(policy());
    tale.start();
    told.append(&tale.engine.records[0].event);
    let shown = told.site.ok(&["journal", "show", "-n", "2"]);
    let notes = shown.lines().filter(|line| line.contains("--- the last line of")).count();
    assert_eq!((shown.lines().count(), notes), (3, 1), "{shown}");
}

#[test]
fn a_failure_has_its_code_whichever_event_tells_of_it() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).fail(Code::Network);
    tale.daemon_ends(crate::model::stimulus::How::Status, 500);
    let told = Told::of(&tale);
    let exported: Value = serde_json::from_str(&told.site.ok(&["journal", "export"])).unwrap();
    let code = |event: &str| {
        let rows = exported["records"].as_array().unwrap();
        rows.iter().find(|row| row["event"] == event).unwrap()["failure"].clone()
    };
    assert_eq!(code("work-failed"), "network");
    assert_eq!(code("daemon-ended"), "daemon-crashed");
    assert_eq!(code("daemon-spawned"), "");
}
