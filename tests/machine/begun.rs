//! Holds that come while an upgrade is under way, or rests: it goes on, and nothing else begins.

use nymvisor::machine::{Code, Event, PhaseName, Row, Stage, Timer, Wishes};

use super::wishes::{answer, orders, stage, state, u1};
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade};
use crate::model::wishes::{cancel, hold, release};

#[test]
fn what_has_begun_goes_on_and_what_comes_after_it_is_held() {
    for phase in [PhaseName::Draining, PhaseName::BackingUp, PhaseName::Verifying] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        tale.event(hold(None));
        let (granted, text) = answer(&tale);
        assert!(granted && text.contains("u1 is under way and goes on"), "{phase}: {text}");
        tale.event(cancel(&u1()));
        assert_eq!(answer(&tale), (false, "u1 is past its preparation".to_owned()));
        tale.until(PhaseName::Restarting);
        assert_eq!(state(&tale).installed.name, "u1");
        tale.work(2).queue(&upgrade("u2", "1.2.0", 20)).work(4).due();
        assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
        assert_eq!(state(&tale).phase.name(), PhaseName::Running);
    }
    let mut tale = Tale::at(policy(), &u1(), PhaseName::Swapping);
    tale.event(hold(None));
    assert!(answer(&tale).1.contains("u1 is finished"), "{:?}", answer(&tale));
    // What fails is not tried again before the release.
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    tale.event(hold(None)).fail(Code::Io).until(PhaseName::Running);
    let Some(timer) = tale.engine.world.timers.iter().find(|it| is_pause(it)).cloned() else {
        panic!("no pause: {tale}");
    };
    tale.fire(&timer).work(5).due();
    assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
    tale.event(release()).until(PhaseName::Swapping);
}

fn is_pause(timer: &Timer) -> bool {
    matches!(timer, Timer::Pause { .. })
}

/// Whoever holds upgrades at night, and then starts nymvisor anew, finds the version up that ran.
#[test]
fn what_is_interrupted_while_upgrades_are_held_waits_as_well() {
    for phase in [PhaseName::Draining, PhaseName::BackingUp, PhaseName::Swapping] {
        let mut tale = Tale::at(policy(), &u1(), phase);
        tale.event(hold(None)).crash().start().work(1);
        let record = tale.engine.records.last().unwrap();
        assert!(
            matches!(record.event, Event::Recovered { row: Row::AttemptWithdrawn, .. }),
            "{tale}"
        );
        tale.until(PhaseName::Running);
        assert_eq!(state(&tale).installed.name, "genesis");
        tale.work(5).due();
        assert!(matches!(stage(&tale), Stage::Ready(Some(_))), "{tale}");
        tale.event(release()).until(PhaseName::Restarting);
        assert_eq!(state(&tale).installed.name, "u1");
    }
    // Stopped in order, and held while nothing runs: with a time that is over by then, it goes on.
    for (until, row) in [(None, Row::AttemptWithdrawn), (Some(5), Row::AttemptTakenUp)] {
        let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
        tale.stop();
        tale.event(nobody_runs(hold(until)));
        assert!(answer(&tale).1.contains("u1 was interrupted, and waits"), "{:?}", answer(&tale));
        tale.start().work(1);
        let found = &tale.engine.records.last().unwrap().event;
        assert!(matches!(found, Event::Recovered { row: is, .. } if *is == row), "{found:?}");
    }
}

fn nobody_runs(mut hold: Event) -> Event {
    if let Event::HoldRequested { run_is_up, .. } = &mut hold {
        *run_is_up = Some(false);
    }
    hold
}

/// As it was, in the records of before: to the letter.
#[test]
fn a_request_on_record_that_was_refused_is_refused() {
    let mut tale = Tale::at(policy(), &u1(), PhaseName::BackingUp);
    let mut before = hold(None);
    if let Event::HoldRequested { run_is_up, .. } = &mut before {
        *run_is_up = None;
    }
    tale.event(before);
    assert_eq!(answer(&tale), (false, "what has begun is not held".to_owned()));
    assert_eq!(orders(&tale), ["answer"]);
    assert_eq!(state(&tale).wishes(), Wishes::default());
    let record = serde_json::to_string(tale.engine.records.last().unwrap()).unwrap();
    assert!(!record.contains("run_is_up"), "{record}");
}
