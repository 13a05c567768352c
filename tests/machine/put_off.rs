//! What the pre-upgrade command says is of one stop: a no leaves what is prepared, and a yes is not
//! kept for later.

use nymvisor::host::manager::Standing;
use nymvisor::machine::{
    Code, Effect, Event, HookEnding, Hooks, KeptBack, PhaseName, Policy, Stage, Timer,
};

use super::hooks::ends;
use super::wishes::{orders, stage, state, u1};
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{by_command, failure, policy, upgrade, with_hooks};
use crate::model::wishes::{cancel, hold, release, rescheduled, window};

const NOT_NOW: HookEnding = HookEnding::Exited(31);
const YES: HookEnding = HookEnding::Exited(0);

fn all() -> Policy {
    with_hooks(policy())
}

/// As sessions on record have it that know of no stop.
pub(super) fn as_before(policy: &Policy) -> Policy {
    let hooks = Hooks { per_stop: false, ..policy.hooks };
    Policy { hooks, ..policy.clone() }
}

fn asked(policy: Policy) -> Tale {
    let mut tale = Tale::hooked(policy, &u1());
    tale.due();
    tale
}

fn asks(tale: &Tale) -> usize {
    let asked = |effect: &&Effect| matches!(effect, Effect::RunHook(_));
    tale.engine.world.work.iter().filter(asked).count()
}

fn pause_ends(tale: &mut Tale) {
    let is_pause = |timer: &&Timer| matches!(timer, Timer::Pause { .. });
    let timer = tale.engine.world.timers.iter().find(is_pause).unwrap().clone();
    tale.fire(&timer);
}

fn is_ready(tale: &Tale) -> bool {
    matches!(stage(tale), Stage::Ready(Some(_)))
}

fn copies(tale: &Tale) -> usize {
    let orders = tale.engine.records.iter().flat_map(|record| &record.effects);
    orders.filter(|effect| matches!(effect, Effect::CopyHome { .. })).count()
}

#[test]
fn what_is_put_off_stays_prepared_and_is_asked_about_again_after_a_pause() {
    let mut tale = asked(all());
    let id = state(&tale).candidate.as_ref().unwrap().id;
    for times in 1..4 {
        ends(&mut tale, NOT_NOW);
        assert_eq!(orders(&tale), ["start-timer"]);
        assert!(is_ready(&tale), "{tale}");
        assert_eq!(state(&tale).kept_back(&u1()), Some(KeptBack::Command));
        let status = Standing::of(state(&tale)).status;
        assert!(status.ends_with("ready, put off by the pre-upgrade command"), "{status}");
        assert_eq!(state(&tale).trouble_with(&u1()).unwrap().times, times);
        // Nothing that is heard meanwhile has it asked, or the daemon stopped.
        tale.read_plan().event(hold(None)).event(release());
        assert_eq!((asks(&tale), state(&tale).phase.name()), (0, PhaseName::Running), "{tale}");
        pause_ends(&mut tale);
        assert_eq!((orders(&tale), asks(&tale)), (vec!["run-hook"], 1), "{tale}");
    }
    ends(&mut tale, YES);
    assert_eq!(orders(&tale), ["refresh-copy"]);
    assert_eq!((state(&tale).candidate.as_ref().unwrap().id, copies(&tale)), (id, 1));
    tale.until(PhaseName::Restarting);
    assert_eq!(state(&tale).installed.name, "u1");
    assert!(state(&tale).trouble_with(&u1()).is_none());
}

#[test]
fn a_retry_asks_at_once_and_a_cancellation_drops_it() {
    let mut tale = asked(all());
    ends(&mut tale, NOT_NOW);
    let (requester, request) = (by_command(u1()).requester, "r".to_owned());
    tale.event(Event::RetryRequested { name: "u1".to_owned(), requester, request });
    assert_eq!(orders(&tale), ["answer", "run-hook"]);
    ends(&mut tale, NOT_NOW);
    tale.event(cancel(&u1()));
    assert_eq!(orders(&tale), ["cancel-preparation", "keep-wishes", "answer"]);
    assert!(state(&tale).candidate.is_none());
}

/// As if none were due: it would be asked for no help that is near.
#[test]
fn a_daemon_that_ends_while_its_upgrade_is_put_off_is_started_again() {
    let mut tale = asked(all());
    ends(&mut tale, NOT_NOW);
    tale.daemon_ends(How::Status, 600_000).work(1).fire(&Timer::RestartDelay);
    tale.until(PhaseName::Running);
    assert!(is_ready(&tale) && asks(&tale) == 0, "{tale}");
    pause_ends(&mut tale);
    assert_eq!(asks(&tale), 1);
    // One that ends in order ends the run, and the next session asks without waiting.
    ends(&mut tale, NOT_NOW);
    tale.daemon_ends(How::Well, 600_000).work(1);
    assert!(tale.engine.world.exit.is_some(), "{tale}");
    tale.start().until(PhaseName::Running).finish_all_but("run-hook");
    assert_eq!(asks(&tale), 1, "{tale}");
    // Where nothing is started again it is given up at once.
    let mut tale = asked(Policy { restart_on_failure: false, ..all() });
    ends(&mut tale, NOT_NOW);
    tale.daemon_ends(How::Status, 600_000);
    assert_eq!(state(&tale).phase.name(), PhaseName::Failed, "{tale}");
}

/// What is behind it in the queue waits for its turn: its own copy would take the place.
#[test]
fn what_is_put_off_keeps_its_turn() {
    let mut tale = asked(all());
    ends(&mut tale, NOT_NOW);
    tale.queue(&upgrade("u2", "1.2.0", 20));
    assert_eq!(state(&tale).candidate.as_ref().unwrap().upgrade.name, "u1");
    assert_eq!(orders(&tale), [] as [&str; 0]);
    // What is announced for an earlier time comes first all the same.
    tale.queue(&upgrade("u0", "1.0.5", 5));
    assert_eq!(state(&tale).candidate.as_ref().unwrap().upgrade.name, "u0");
    // A no for good makes room.
    let mut tale = asked(all());
    tale.queue(&upgrade("u2", "1.2.0", 20));
    ends(&mut tale, HookEnding::Exited(30));
    assert_eq!(state(&tale).candidate.as_ref().unwrap().upgrade.name, "u2");
}

/// However short the wait was, and whatever step it fell into.
#[test]
fn a_yes_is_for_no_stop_after_a_wait() {
    let wait = |tale: &mut Tale, kind: usize| {
        match kind {
            0 => tale.event(hold(None)).event(release()),
            1 => tale.event(window(false)).event(window(true)),
            2 => {
                let later = rescheduled(&u1(), 30, false);
                tale.engine.world.files.queue.as_mut().unwrap().entries = vec![later];
                tale.read_plan().due()
            }
            3 => tale.event(Event::PlanLost { failure: failure(Code::Io) }).read_plan(),
            _ => tale
                .event(Event::JournalFailed { failure: failure(Code::Io) })
                .event(Event::JournalRestored),
        };
    };
    for (ahead, steps) in [(true, 0), (true, 1), (false, 0)] {
        for kind in 0..5 {
            let policy = Policy { keeps_windows: true, prepare_ahead: ahead, ..all() };
            let mut tale = Tale::hooked(policy, &u1());
            tale.event(window(true)).due();
            ends(&mut tale, YES);
            tale.work(steps);
            wait(&mut tale, kind);
            tale.finish_all_but("run-hook");
            assert_eq!(state(&tale).phase.name(), PhaseName::Running, "{kind}: {tale}");
            assert_eq!((asks(&tale), tale.engine.world.lock), (1, false), "{kind}: {tale}");
            ends(&mut tale, YES);
            tale.until(PhaseName::Swapping);
        }
    }
}

/// A journal of before must replay to the letter.
#[test]
fn without_the_key_nothing_of_it_is_on_record_and_sessions_on_record_are_as_they_were() {
    let policy = as_before(&all());
    let json = serde_json::to_string(&policy).unwrap();
    assert!(!json.contains("per_stop"), "{json}");
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    let mut tale = asked(policy.clone());
    ends(&mut tale, NOT_NOW);
    assert_eq!(orders(&tale), ["cancel-preparation", "start-timer"]);
    assert!(state(&tale).candidate.is_none());
    // A yes outlived a short wait.
    let mut tale = asked(policy);
    ends(&mut tale, YES);
    tale.event(hold(None)).event(release()).work(1);
    assert_eq!(orders(&tale), ["take-lock"]);
    tale.work(1);
    assert_eq!(state(&tale).phase.name(), PhaseName::Draining, "{tale}");
    assert_eq!(tale.engine.replayed().unwrap(), tale.engine.state);
}

/// Of the two kinds of sessions in one journal each has its own rules.
#[test]
fn a_session_of_before_is_followed_by_one_that_keeps_what_is_prepared() {
    let mut tale = asked(as_before(&all()));
    ends(&mut tale, NOT_NOW);
    tale.stop().daemon_ends(How::Well, 1).work(1).start_with(all()).until(PhaseName::Running);
    tale.finish_all_but("run-hook").due();
    ends(&mut tale, NOT_NOW);
    assert!(is_ready(&tale), "{tale}");
    assert_eq!(tale.engine.replayed().unwrap(), tale.engine.state);
}
