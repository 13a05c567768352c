//! The check of a new version's health.

use std::fs;

use super::{end, script, started, until_noted, with_command};
use crate::support::run::{Run, Stage};
use crate::support::server::Reply;

/// One whose new version has to answer at `/health`, and soon.
fn checked(period: &str) -> Stage {
    let mut stage = Stage::new();
    let url = stage.server.url("/health");
    stage.set("DAEMON_HEALTH_CHECK_URL", &url);
    stage.set("DAEMON_HEALTH_CHECK_INTERVAL", "50ms");
    stage.set("DAEMON_STARTUP_PERIOD_DURATION", period);
    stage
}

fn rolling_back(stage: Stage) -> Stage {
    stage.with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true").with("DAEMON_MAX_STARTUP_FAILURES", "1")
}

fn upgraded(stage: &Stage) -> Run {
    let run = started(stage);
    stage.switch("precious", "old");
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    run
}

#[test]
fn an_unhealthy_version_is_rolled_back_with_its_data() {
    let replies: [(&str, Reply); 4] = [
        ("503", Reply::status(503)),
        ("404", Reply::status(404)),
        ("302", Reply::redirect("/elsewhere")),
        ("no answer from", Reply::never()),
    ];
    for (word, reply) in replies {
        let stage = rolling_back(checked("500ms"));
        stage.server.put("/elsewhere", Reply::ok("fine"));
        stage.server.put("/health", reply);
        let run = started(&stage);
        stage.switch("precious", "old");
        stage.announce("1.1.0");
        let failed = stage.until_event("health-failed", 1);
        let text = failed.data()["failure"]["text"].as_str().unwrap().to_owned();
        assert!(text.contains(word) && text.contains("tr"), "{text}");
        assert_eq!((failed.from(), failed.to()), ("Running", "Draining"));
        // Nothing says that it has lived through that period: what has is never rolled back.
        assert!(!stage.site.ok(&["journal", "show"]).contains("lived through"), "{text}");
        stage.until_event("swap-committed", 2);
        stage.until_log("started 1.0.0", 2);
        stage.until_phase("Running");
        assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
        assert_eq!(fs::read_to_string(stage.site.home("precious")).unwrap(), "old");
        end(&stage, run);
    }
}

#[test]
fn an_answer_says_more_than_a_silence_that_the_end_of_the_time_cut_short() {
    let stage = rolling_back(checked("500ms"));
    stage.server.put_each("/health", [Reply::status(503), Reply::never()]);
    let run = upgraded(&stage);
    let failed = stage.until_event("health-failed", 1);
    let text = failed.data()["failure"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("503") && text.contains("2 tries"), "{text}");
    stage.until_log("started 1.0.0", 2);
    end(&stage, run);
}

#[test]
fn one_that_gets_healthy_in_time_lives_and_is_told_of_then() {
    let stage = with_command(checked("1h"), "post-upgrade", "exit 0");
    let unhealthy = std::iter::repeat_n((), 3).map(|()| Reply::status(503));
    stage.server.put_each("/health", unhealthy.chain([Reply::status(204)]));
    let run = upgraded(&stage);
    let passed = stage.until_event("health-passed", 1);
    assert_eq!(passed.data()["tries"], 4, "{:?}", passed.0);
    until_noted(&stage, "post-upgrade", 1);
    stage.until_event("hook-ended", 1);
    // Once it has passed, it is asked no more.
    assert_eq!(stage.server.count("/health"), 4);
    let events = stage.events();
    let at = |name: &str| events.iter().position(|event| event == name).unwrap();
    assert!(at("health-passed") < at("hook-ended"), "{events:?}");
    end(&stage, run);
}

#[test]
fn a_command_may_say_it_and_both_have_to_agree() {
    let mut stage = checked("600ms");
    let path = script(&stage, "health.sh", "[ \"$NYMVISOR_HOOK\" = '' ]; echo not yet; exit 1");
    stage.set("DAEMON_HEALTH_CHECK_COMMAND", path.to_str().unwrap());
    let stage = rolling_back(stage);
    stage.server.put("/health", Reply::status(200));
    let run = started(&stage);
    stage.announce("1.1.0");
    let failed = stage.until_event("health-failed", 1);
    let text = failed.data()["failure"]["text"].as_str().unwrap();
    assert!(text.contains("exited with status 1 (not yet)"), "{text}");
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    script(&stage, "health.sh", "exit 0");
    stage.site.ok(&["retry", "v1.1.0"]);
    stage.until_event("health-passed", 1);
    assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
    end(&stage, run);
}

#[test]
fn without_roll_back_it_is_restarted_and_given_up() {
    let stage = checked("200ms")
        .with("DAEMON_MAX_STARTUP_FAILURES", "2")
        .with("DAEMON_FAILURE_RESTART_DELAY", "10ms");
    let mut run = started(&stage);
    stage.announce("1.1.0");
    let end = run.wait();
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert!(end.last_line().contains("did not pass its health check"), "{}", end.stderr);
    assert_eq!(stage.logged("started 1.1.0"), 2, "{}", stage.story());
    // It was asked to end, politely.
    assert_eq!(stage.logged("signal INT"), 3);
}

#[test]
fn only_a_new_version_is_asked() {
    let stage = checked("100ms");
    stage.server.put("/health", Reply::status(503));
    let run = started(&stage);
    stage.until_event("startup-passed", 1);
    assert_eq!(stage.server.count("/health"), 0);
    end(&stage, run);
}

#[test]
fn a_stop_request_ends_a_check_that_hangs() {
    let stage = checked("1h");
    stage.server.put("/health", Reply::never());
    let run = upgraded(&stage);
    stage.until("a request", || (stage.server.count("/health") > 0).then_some(()));
    let status = stage.site.ok(&["status"]);
    assert!(status.contains("has yet to pass its health check"), "{status}");
    end(&stage, run);
}

#[test]
fn a_credential_in_the_url_is_told_to_nobody() {
    let mut stage = rolling_back(checked("300ms"));
    let url = stage.server.url_with("user:secret", "/health?key=hidden");
    stage.set("DAEMON_HEALTH_CHECK_URL", &url);
    let run = started(&stage);
    stage.announce("1.1.0");
    let failed = stage.until_event("health-failed", 1);
    let text = format!("{:?}\n{}", failed.0, run.stderr());
    assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
    let asked = stage.server.requests("/health");
    assert!(asked.iter().all(|request| request.header("authorization").is_some()), "{asked:?}");
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    end(&stage, run);
}
