//! `/healthz`: the verdict of `status`, without its work.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::health::Need;
use nymvisor::machine::{Code, Hold};
use serde_json::json;

use super::{ask, health, place, status, until, watched, with_a_wrong_digest};

/// A pre-upgrade command that waits for the night says so each hour: nobody is called for that.
#[test]
fn not_now_needs_nobody_however_often_it_is_said() {
    let need = |code| Need::of(Hold::Pause, code, 100);
    assert_eq!(need(Code::HookPostponed), None);
    assert_eq!(need(Code::HookFailed), Some(Need::FailsAgain));
    assert_eq!(need(Code::Network), Some(Need::FailsAgain));
}

#[test]
fn it_is_well_while_the_daemon_is_up_and_nothing_needs_a_person() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let scrape = until(&stage, place, "healthy", 1.0);
    scrape.assert("attention{need=\"quarantined\"}", 0.0);
    let expected = json!({
        "version": 1,
        "verdict": "ok",
        "instance": "nym-node-default",
        "phase": "Running",
        "daemon": {"name": "genesis", "version": "1.0.0"},
        "attention": [],
    });
    assert_eq!(health(place), (200, expected));
    assert_eq!(status(&stage).0, 0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn it_is_not_between_a_crash_and_the_restart() {
    let stage = watched().with("DAEMON_FAILURE_RESTART_DELAY", "1h");
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let pid = stage.until_started(1);
    until(&stage, place, "daemon_up", 1.0);
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    let scrape = until(&stage, place, "daemon_up", 0.0);
    scrape.assert("healthy", 0.0);
    scrape.assert("phase{phase=\"Restarting\"}", 1.0);
    let (code, told) = health(place);
    assert_eq!((code, &told["verdict"]), (503, &json!("down")));
    assert_eq!(told["phase"], "Restarting");
    assert_eq!(status(&stage).0, 20);
    let head = ask(place, "HEAD", "/healthz");
    assert_eq!((head.status, head.body.as_str()), (503, ""));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn it_is_not_while_something_needs_a_person() {
    let (stage, mut run, place) = with_a_wrong_digest();
    let scrape = until(&stage, place, "attention{need=\"quarantined\"}", 1.0);
    scrape.assert("daemon_up", 1.0);
    scrape.assert("healthy", 0.0);
    let (code, told) = health(place);
    assert_eq!((code, &told["verdict"]), (503, &json!("attention")));
    let (exit, said) = status(&stage);
    assert_eq!(exit, 22);
    assert_eq!(told["attention"][0]["need"], "quarantined");
    assert_eq!(told["attention"][0]["text"], said["attention"][0]["text"]);
    // A plan that can't be read is another thing.
    let plan = stage.site.data("upgrade-plan.json");
    std::fs::write(&plan, "{").unwrap();
    until(&stage, place, "attention{need=\"plan\"}", 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}
