//! What `journal show` chooses.

use nymvisor::machine::{Code, Event, PhaseName, Requester};

use super::chosen;
use super::written::Told;
use crate::model::tale::Tale;
use crate::model::values::{failure, policy, upgrade};
use crate::support::terminal::on_terminal;

#[test]
fn an_upgrade_is_followed_from_the_queue_on_and_nothing_else_is() {
    let told = Told::upgraded();
    let all = chosen(&told, &[]);
    let about = chosen(&told, &["--upgrade", "u1"]);
    // The session, its first look and the first start are about none.
    let first = told.seq("queue-read");
    let wanted: Vec<u64> = all.iter().copied().filter(|seq| *seq >= first).collect();
    assert_eq!(about, wanted);
    let unknown = told.site.run(&["journal", "show", "--upgrade", "u2"]);
    assert_eq!(unknown.status, 1);
    assert_eq!(
        unknown.stderr,
        "error: the journal has no record about an upgrade \"u2\"; it tells of u1\n"
    );
}

#[test]
fn what_happens_while_another_waits_is_not_about_it() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(4);
    tale.event(Event::SignalReceived { signal: 1 }).queue(&upgrade("u2", "1.2.0", 20));
    let told = Told::of(&tale);
    let signal = told.seq("signal-received");
    assert!(!chosen(&told, &["--upgrade", "u1"]).contains(&signal));
    assert_eq!(chosen(&told, &["--upgrade", "u2"]), [signal + 1]);
}

#[test]
fn what_holds_up_the_upgrade_that_is_prepared_is_about_it() {
    let mut tale = Tale::new(policy());
    tale.start().work(2);
    let requester = Requester::Command { uid: 0, user: "somebody".to_owned() };
    let hold = |tale: &mut Tale| {
        let (requester, request) = (requester.clone(), "r1".to_owned());
        tale.event(Event::HoldRequested { until: None, requester, request, run_is_up: Some(true) });
    };
    hold(&mut tale);
    tale.queue(&upgrade("u1", "1.1.0", 10)).work(4);
    hold(&mut tale);
    let told = Told::of(&tale);
    let about = chosen(&told, &["--upgrade", "u1"]);
    let first = told.seq("hold-requested");
    assert!(!about.contains(&first), "nothing is prepared yet");
    assert_eq!(about.last(), Some(&(told.records.len() as u64)));
    assert_eq!(told.records.last().unwrap().event.name(), "hold-requested");
    // It is ready, and waits: how long is not known yet.
    let text = told.site.ok(&["journal", "timeline"]);
    assert!(text.starts_with("u1: being prepared, or ready and waiting\n"), "{text}");
    assert!(text.contains(" so far, from "), "{text}");
    let json = told.site.ok(&["journal", "timeline", "--output", "json"]);
    assert!(json.contains("\"open\":true"), "{json}");
    assert!(!told_whole().contains(" so far"));
}

/// The timeline of an upgrade that is over.
fn told_whole() -> String {
    Told::upgraded().site.ok(&["journal", "timeline"])
}

#[test]
fn phases_times_and_the_number_of_records_narrow_the_choice() {
    let told = Told::upgraded();
    let of = |phase: PhaseName| -> Vec<u64> {
        let found = told.records.iter().filter(|of| of.from == phase || of.to == phase);
        found.map(|record| record.seq).collect()
    };
    for phase in PhaseName::ALL {
        let lower = phase.to_string().to_lowercase();
        assert_eq!(chosen(&told, &["--phase", &lower]), of(phase), "{phase}");
    }
    let swap = &told.records[usize::try_from(told.seq("swap-committed")).unwrap() - 1];
    let time = swap.at.to_rfc3339();
    let since = chosen(&told, &["--since", &time]);
    let until = chosen(&told, &["--until", &time]);
    assert_eq!((since[0], *until.last().unwrap()), (swap.seq, swap.seq));
    assert_eq!(since.len() + until.len(), told.records.len() + 1);
    assert_eq!(chosen(&told, &["--since", &time, "-n", "1"]), [told.records.len() as u64]);
    // The tale is told of a day that is over.
    assert!(chosen(&told, &["--since", "1h"]).is_empty());
    assert_eq!(told.site.ok(&["journal", "show", "--since", "1h"]), "no record is like that\n");
    for wrong in [["--since", "yesterday"], ["--phase", "Sleeping"]] {
        let outcome = told.site.run(&["journal", "show", wrong[0], wrong[1]]);
        assert_eq!(outcome.status, 2);
        assert!(
            outcome.stderr.contains("a time such as")
                || outcome.stderr.contains("a phase is one of")
        );
    }
}

#[test]
fn sessions_and_failures_are_found() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10));
    tale.fail(Code::Network);
    let mut told = Told::of(&tale);
    told.tear("s2-later");
    told.append(&tale.engine.records[0].event);
    let last = told.records.len() as u64;
    assert_eq!(chosen(&told, &["--session", "last"]), [last]);
    assert_eq!(chosen(&told, &["--session", "s2"]), [last]);
    assert_eq!(chosen(&told, &["--session", "s"]).len() as u64, last);
    assert_eq!(chosen(&told, &["--failures"]), [told.seq("work-failed")]);
    let text = told.site.ok(&["journal", "show"]);
    assert!(text.contains("--- the last line of 00000001.jsonl was cut short"), "{text}");
}

#[test]
fn a_terminal_is_not_steered_by_what_failed() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).fail(Code::Network);
    let told = Told::with(&tale, |event| match event {
        Event::WorkFailed { attempt, .. } => {
            let mut failure = failure(Code::Network);
            failure.text = "\u{1b}[31mred\nand a line".to_owned();
            Event::WorkFailed { attempt, failure }
        }
        event => event,
    });
    for command in [&["journal", "show"][..], &["journal", "timeline"]] {
        assert!(!told.site.ok(command).contains('\u{1b}'));
    }
    let text = told.site.ok(&["journal", "show", "--failures"]);
    assert!(text.ends_with("\\x1b[31mred\\x0aand a line [network]\n"), "{text}");
}

#[test]
fn on_a_terminal_long_lines_go_on_behind_the_numbers() {
    let told = Told::upgraded();
    let command = told.site.command(&["journal", "show"]);
    let output = on_terminal(&command, (24, 80), "");
    let shown = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    let whole = told.site.ok(&["journal", "show"]);
    assert!(whole.lines().any(|line| line.chars().count() > 80), "{whole}");
    for line in shown.lines() {
        let is_path = line.trim_start().split(' ').count() == 1;
        assert!(line.chars().count() <= 80 || is_path, "{line}");
    }
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&shown), words(&whole));
    let goes_on = shown.lines().filter(|line| line.starts_with("        ") && line.len() > 8);
    assert!(goes_on.count() > 0, "{shown}");
}
