//! The operator's commands and the health check: what they hold up, and what they can't.

use nymvisor::machine::{
    Code, Effect, Event, HookEnding, Outcome, Phase, PhaseName, Policy, Restarting, State, Timer,
    Upgrade, Wait,
};

use super::put_off::as_before;
use crate::model::hooks::{ENDINGS, ended_so};
use crate::model::luck::Luck;
use crate::model::show;
use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{failure, genesis, policy, upgrade, with_hooks};
use crate::model::wishes::{hold, release};

fn u1() -> Upgrade {
    upgrade("u1", "1.1.0", 10)
}

fn all() -> Policy {
    with_hooks(policy())
}

fn once() -> Policy {
    Policy { max_startup_failures: 1, ..all() }
}

fn rolls_back() -> Policy {
    Policy { rollback_on_failed_upgrade: true, ..once() }
}

/// The first command that waits ends so.
pub(super) fn ends(tale: &mut Tale, ending: HookEnding) {
    let work = &mut tale.engine.world.work;
    let at = work.iter().position(|effect| matches!(effect, Effect::RunHook(_))).unwrap();
    let Effect::RunHook(call) = work.remove(at) else { panic!("no command") };
    tale.event(ended_so(&call, ending));
}

fn every_ending() -> impl Iterator<Item = HookEnding> {
    [HookEnding::Exited(0), HookEnding::Exited(1)].into_iter().chain(ENDINGS)
}

fn upgraded(policy: Policy) -> Tale {
    let mut tale = Tale::hooked(policy, &u1());
    tale.due().until(PhaseName::Restarting).work(2);
    tale.forget();
    tale
}

#[test]
fn an_upgrade_with_every_command() {
    let mut tale = Tale::hooked(all(), &u1());
    tale.due().until(PhaseName::Restarting).work(2);
    tale.finish("check-health", Luck::Good).finish("run-hook", Luck::Good);
    tale.fire(&Timer::Startup);
    insta::assert_snapshot!(tale);
}

#[test]
fn who_said_yes_is_asked_again_after_a_hold() {
    let asks = |tale: &Tale| {
        let asked = |effect: &&Effect| matches!(effect, Effect::RunHook(_));
        tale.engine.world.work.iter().filter(asked).count()
    };
    let mut tale = Tale::hooked(all(), &u1());
    tale.due();
    ends(&mut tale, HookEnding::Exited(0));
    tale.event(hold(None)).work(3);
    assert_eq!(asks(&tale), 0, "{tale}");
    tale.event(release());
    assert_eq!(asks(&tale), 1, "{tale}");
}

/// The daemon runs on, whatever the pre-upgrade command says.
fn said_before_an_upgrade(policy: &Policy) -> String {
    let mut table = String::new();
    for ahead in [true, false] {
        for ending in every_ending() {
            let mut tale = Tale::hooked(Policy { prepare_ahead: ahead, ..policy.clone() }, &u1());
            tale.due().forget();
            ends(&mut tale, ending);
            assert!(matches!(tale.engine.state.phase, Phase::Running(_)), "{ending:?}");
            table.push_str(&format!("{tale}\n"));
        }
    }
    table
}

#[test]
fn what_the_pre_upgrade_command_says() {
    insta::assert_snapshot!(said_before_an_upgrade(&all()));
}

#[test]
fn what_it_said_in_sessions_of_before() {
    insta::assert_snapshot!(said_before_an_upgrade(&as_before(&all())));
}

#[test]
fn what_the_pre_start_command_says() {
    let mut table = String::new();
    for policy in [all(), once()] {
        for ending in every_ending() {
            let mut tale = Tale::new(policy.clone());
            tale.start().work(1).forget();
            ends(&mut tale, ending);
            table.push_str(&format!("{tale}\n"));
        }
    }
    insta::assert_snapshot!(table);
}

/// Before a restart after a crash too, and while nothing can be recorded.
#[test]
fn the_pre_start_command_runs_before_every_start() {
    let mut tale = Tale::hooked_start(all());
    tale.event(Event::JournalFailed { failure: failure(Code::Io) });
    tale.daemon_ends(How::Status, 1).finish("sweep-group", Luck::Good);
    tale.fire(&Timer::RestartDelay).work(2);
    assert!(matches!(tale.engine.state.phase, Phase::Running(_)), "{tale}");
    assert!(!tale.engine.state.recording);
    insta::assert_snapshot!(tale);
}

#[test]
fn a_stop_request_ends_the_wait_for_each_command() {
    let mut before_a_start = Tale::new(all());
    before_a_start.start().work(1).forget();
    let mut before_an_upgrade = Tale::hooked(all(), &u1());
    before_an_upgrade.due().forget();
    let mut at_last = Tale::hooked_start(once());
    at_last.daemon_ends(How::Status, 1).finish("sweep-group", Luck::Good).forget();
    let mut meanwhile = Tale::hooked_start(once());
    meanwhile.daemon_ends(How::Status, 1).forget();
    let mut unhealthy = upgraded(all());
    unhealthy.finish("check-health", Luck::Bad(0)).forget();
    let mut told = String::new();
    for tale in
        [&mut before_a_start, &mut before_an_upgrade, &mut at_last, &mut meanwhile, &mut unhealthy]
    {
        told.push_str(&format!("{}\n\n", tale.stop()));
    }
    insta::assert_snapshot!(told);
}

/// Whichever comes last ends the run: the end of the group, or of the command.
#[test]
fn the_end_of_the_run_waits_for_the_on_failure_command() {
    let orders = [["sweep-group", "run-hook"], ["run-hook", "sweep-group"]];
    for [first, last] in orders {
        let mut tale = Tale::hooked_start(once());
        tale.daemon_ends(How::Status, 1);
        tale.finish(first, Luck::Good);
        assert_eq!(tale.engine.world.exit, None, "{first} first");
        tale.finish(last, Luck::Good);
        assert!(matches!(tale.engine.world.exit, Some(Outcome::DaemonFailed(_))), "{last} last");
    }
}

/// One of an earlier failure, which still runs, doesn't end the wait.
#[test]
fn only_the_command_that_was_told_of_the_end_is_waited_for() {
    let mut tale = Tale::hooked(once(), &u1());
    tale.due().until(PhaseName::BackingUp).fail(Code::Io);
    tale.finish("stand-down", Luck::Good).work(1);
    tale.until(PhaseName::Restarting);
    assert!(
        matches!(
            tale.engine.state.phase,
            Phase::Restarting(Restarting { wait: Wait::PreStart, .. })
        ),
        "{tale}"
    );
}

#[test]
fn an_unhealthy_version_is_restarted_rolled_back_or_given_up() {
    let mut told = String::new();
    for policy in [all(), once(), rolls_back()] {
        let mut tale = upgraded(policy);
        tale.finish("check-health", Luck::Bad(0)).daemon_ends(How::Well, 1);
        tale.finish("sweep-group", Luck::Good);
        told.push_str(&format!("{tale}\n\n"));
    }
    insta::assert_snapshot!(told);
}

/// It has lived only once both the period is over and the check has passed.
#[test]
fn the_period_and_the_check_end_in_either_order() {
    let lived = |tale: &Tale| tale.engine.state.performed.as_ref().unwrap().lived;
    let mut tale = upgraded(all());
    tale.finish("check-health", Luck::Good);
    assert!(!lived(&tale));
    tale.fire(&Timer::Startup);
    assert!(lived(&tale));

    let mut tale = upgraded(all());
    tale.fire(&Timer::Startup);
    assert!(!lived(&tale));
    tale.finish("check-health", Luck::Good);
    assert!(lived(&tale));
    // What has lived is not asked again.
    tale.daemon_ends(How::Status, 1_000_000).finish("sweep-group", Luck::Good);
    tale.fire(&Timer::RestartDelay).forget();
    tale.finish("run-hook", Luck::Good).finish("run-hook", Luck::Good);
    tale.finish("spawn-daemon", Luck::Good);
    assert!(!tale.to_string().contains("check-health"), "{tale}");
}

/// However long it ran: a crash before it was healthy is a failed start.
#[test]
fn a_crash_with_the_check_open_is_a_startup_failure() {
    let mut tale = upgraded(all());
    tale.fire(&Timer::Startup).daemon_ends(How::Status, 1_000_000);
    assert_eq!(tale.engine.state.startup_failures, 1, "{tale}");
    assert!(!tale.engine.state.performed.as_ref().unwrap().lived);
}

/// The word of a check that was begun for another process is stale.
#[test]
fn a_check_of_an_earlier_process_says_nothing() {
    let mut tale = upgraded(all());
    let Phase::Running(running) = tale.engine.state.phase.clone() else { panic!("{tale}") };
    tale.daemon_ends(How::Status, 1).finish("sweep-group", Luck::Good);
    tale.fire(&Timer::RestartDelay);
    tale.finish("run-hook", Luck::Good).finish("spawn-daemon", Luck::Good).forget();
    tale.event(Event::HealthPassed { daemon: running.daemon, tries: 1 });
    assert!(tale.to_string().contains("refused"), "{tale}");
}

/// A daemon that ends before its upgrade's command has said yes is started again; the command is
/// then waited for beside the new one.
#[test]
fn an_upgrade_waits_for_its_command_even_while_the_daemon_is_down() {
    let mut tale = Tale::hooked(all(), &u1());
    tale.daemon_ends(How::Status, 600_000).due();
    tale.until(PhaseName::Restarting).finish("sweep-group", Luck::Good);
    tale.fire(&Timer::RestartDelay).until(PhaseName::Running);
    let text = show::effects(&tale.engine.world.work);
    assert!(text.contains("run pre-upgrade #1"), "{text}\n{tale}");
    tale.daemon_ends(How::Status, 600_000);
    assert_eq!(tale.engine.state.phase.name(), PhaseName::Restarting, "{tale}");
    tale.finish("run-hook", Luck::Good);
    tale.until(PhaseName::BackingUp);
}

/// At the beginning of a session too: by way of Running.
#[test]
fn the_next_session_asks_the_command_anew() {
    let bare = Policy { skip_backup: true, ..all() };
    let mut tale = Tale::hooked(bare, &u1());
    tale.due();
    tale.finish("run-hook", Luck::Good).crash();
    tale.start().work(3);
    assert_eq!(tale.engine.state.phase.name(), PhaseName::Running, "{tale}");
    let text = show::effects(&tale.engine.world.work);
    assert!(text.contains("run pre-upgrade #1"), "{text}\n{tale}");
}

/// With nothing configured, nothing of it is in any state or record.
#[test]
fn unset_it_leaves_no_trace() {
    let mut tale = Tale::ready(policy(), &u1());
    tale.due().until(PhaseName::Restarting).work(1);
    tale.fire(&Timer::Startup).daemon_ends(How::Status, 1);
    let mut json = serde_json::to_string(&State::initial(genesis(), policy())).unwrap();
    for (record, state) in tale.engine.records.iter().zip(&tale.engine.states) {
        json.push_str(&serde_json::to_string(record).unwrap());
        json.push_str(&serde_json::to_string(state).unwrap());
    }
    for word in ["hook", "health", "notice", "\"told\""] {
        assert!(!json.contains(word), "{word} in {json}");
    }
}
