//! What is counted: upgrades, failures, restarts, polls.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{place, scrape, status, until, watched, with_a_wrong_digest};
use crate::support::run::{ANNOUNCED_AT, Stage};
use crate::support::server::Reply;

fn kill_daemon(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn an_upgrade_shows_with_its_durations_and_its_backup() {
    let stage = watched();
    fs::write(stage.site.home("data"), "data").unwrap();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let before = until(&stage, place, "daemon_up", 1.0);
    before.assert("upgrades_total{outcome=\"performed\"}", 0.0);
    before.assert("daemon_version_info{name=\"genesis\",version=\"1.0.0\"}", 1.0);
    before.assert("phase{phase=\"Running\"}", 1.0);
    before.assert("phase{phase=\"Draining\"}", 0.0);
    assert!(!before.text.contains("nymvisor_last_upgrade_info{"), "{}", before.text);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    let after = until(&stage, place, "daemon_restarts_total{why=\"upgraded\"}", 1.0);
    after.assert("daemon_version_info{name=\"v1.1.0\",version=\"1.1.0\"}", 1.0);
    after.assert("daemon_up", 1.0);
    after.assert("upgrades_total{outcome=\"performed\"}", 1.0);
    after.assert("daemon_restarts_total{why=\"upgraded\"}", 1.0);
    after.assert("daemon_restarts_total{why=\"daemon-ended\"}", 0.0);
    after.assert("daemon_crashes_total", 0.0);
    after.assert("backups_sealed_total", 1.0);
    let ends = "from=\"genesis\",from_version=\"1.0.0\",to=\"v1.1.0\",to_version=\"1.1.0\"";
    after.assert(&format!("last_upgrade_info{{{ends}}}"), 1.0);
    let bytes = fs::metadata(&stage.archives()[0]).unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "a small file")]
    after.assert("last_backup_bytes", bytes as f64);
    // The same figures as `status` has, which reads the journal.
    let (_, told) = status(&stage);
    let last = &told["last_upgrade"];
    let seconds = |us: &serde_json::Value| us.as_f64().unwrap() / 1e6;
    after.assert("last_upgrade_down_seconds", seconds(&last["down_us"]));
    let phases = last["phases"].as_array().unwrap();
    assert!(phases.len() > 5, "{last}");
    for spent in phases {
        let series = format!("last_upgrade_phase_seconds{{phase={}}}", spent["phase"]);
        after.assert(&series, seconds(&spent["us"]));
    }
    // By a clock of the session's own, read a little later than the records' was.
    let [was, is] = [&before, &after].map(|page| page.get("daemon_down_seconds_total").unwrap());
    assert!(is > was, "{was} {is}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    // The next run knows of the backup, and counts anew.
    let mut next = stage.start(&["run"]);
    let again = until(&stage, super::place(&stage, &next), "daemon_up", 1.0);
    again.assert("upgrades_total{outcome=\"performed\"}", 0.0);
    #[expect(clippy::cast_precision_loss, reason = "a small file")]
    again.assert("last_backup_bytes", bytes as f64);
    assert_eq!(next.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn crashes_and_restarts_are_counted_and_so_is_the_time_without_a_daemon() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let before = until(&stage, place, "daemon_up", 1.0);
    before.assert("daemon_restarts_total{why=\"daemon-ended\"}", 0.0);
    for count in 1..=2_u32 {
        kill_daemon(stage.until_started(count as usize));
        let restarts = "daemon_restarts_total{why=\"daemon-ended\"}";
        let now = until(&stage, place, restarts, f64::from(count));
        now.assert("daemon_crashes_total", f64::from(count));
        now.assert("failures_total{code=\"daemon-crashed\"}", f64::from(count));
        now.assert("startup_failures", f64::from(count));
    }
    let after = until(&stage, place, "daemon_up", 1.0);
    let down = |scrape: &super::Scrape| scrape.get("daemon_down_seconds_total").unwrap();
    // Twice the delay between a crash and the restart.
    assert!(down(&after) - down(&before) >= 0.1, "{}", after.text);
    let phase = after.get("phase_seconds_total{phase=\"Restarting\"}").unwrap();
    assert!(phase >= 0.1, "{phase}");
    let total: f64 = after
        .values
        .iter()
        .filter(|(name, _)| name.contains("_phase_seconds_total"))
        .map(|(_, value)| value)
        .sum();
    assert!(total >= down(&after) - down(&before), "{total}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn failures_are_counted_by_their_code() {
    let (stage, mut run, place) = with_a_wrong_digest();
    let now = until(&stage, place, "failures_total{code=\"digest-mismatch\"}", 1.0);
    now.assert("upgrades_total{outcome=\"preparation-failed\"}", 1.0);
    now.assert("upgrades_total{outcome=\"attempt-failed\"}", 0.0);
    now.assert("held_upgrades{hold=\"quarantine\"}", 1.0);
    now.assert("failures_total{code=\"network\"}", 0.0);
    now.assert("daemon_restarts_total{why=\"attempt-failed\"}", 0.0);
    let gone = stage.announcement("1.2.0");
    stage.server.put("/bin/1.2.0", Reply::status(404));
    stage.publish(&gone);
    let now = until(&stage, place, "failures_total{code=\"http-status\"}", 1.0);
    now.assert("held_upgrades{hold=\"pause\"}", 1.0);
    now.assert("upgrades_total{outcome=\"preparation-failed\"}", 2.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_version_that_fails_its_start_counts_as_rolled_back() {
    let stage = watched()
        .with("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true")
        .with("DAEMON_MAX_STARTUP_FAILURES", "1");
    stage.switch("exit-at-start.1.1.0", "7");
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    stage.announce("1.1.0");
    let now = until(&stage, place, "daemon_restarts_total{why=\"rolled-back\"}", 1.0);
    now.assert("upgrades_total{outcome=\"performed\"}", 1.0);
    now.assert("upgrades_total{outcome=\"rolled-back\"}", 1.0);
    now.assert("failures_total{code=\"failed-start\"}", 1.0);
    now.assert("failures_total{code=\"daemon-crashed\"}", 0.0);
    now.assert("daemon_crashes_total", 1.0);
    now.assert("daemon_version_info{name=\"genesis\",version=\"1.0.0\"}", 1.0);
    let ends = "from=\"v1.1.0\",from_version=\"1.1.0\",to=\"genesis\",to_version=\"1.0.0\"";
    now.assert(&format!("last_upgrade_info{{{ends}}}"), 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

/// Waits until a counter is above zero.
fn rises(stage: &Stage, place: std::net::SocketAddr, series: &str) -> super::Scrape {
    stage.until(series, || {
        let now = scrape(place);
        now.get(series).is_some_and(|value| value > 0.0).then_some(now)
    })
}

#[test]
fn polls_are_counted_by_their_result_and_their_age_is_told() {
    let stage = watched();
    stage.server.put(ANNOUNCED_AT, Reply::status(500));
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let failed = rises(&stage, place, "polls_total{result=\"failed\"}");
    failed.assert("polls_total{result=\"changed\"}", 0.0);
    failed.assert("poll_interval_seconds", 0.2);
    assert!(failed.get("last_poll_timestamp_seconds").unwrap() > 1.7e9);
    assert_eq!(failed.get("last_answer_timestamp_seconds"), None);
    stage.server.put(ANNOUNCED_AT, Reply::ok("no announcement"));
    let unusable = rises(&stage, place, "polls_total{result=\"unusable\"}");
    let answered = unusable.get("last_answer_timestamp_seconds").unwrap();
    assert!(answered >= failed.get("last_poll_timestamp_seconds").unwrap());
    let later = rises(&stage, place, "polls_total{result=\"unchanged\"}");
    later.assert("polls_total{result=\"unusable\"}", 1.0);
    let mut far = stage.announcement("1.1.0");
    far["upgradeTime"] = json!("2099-01-01T00:00:00Z");
    stage.publish(&far);
    let next = "next_upgrade_info{name=\"v1.1.0\",version=\"1.1.0\"}";
    until(&stage, place, next, 1.0).assert("polls_total{result=\"changed\"}", 1.0);
    let ready = until(&stage, place, "next_upgrade_ready", 1.0);
    ready.assert("next_upgrade_due_timestamp_seconds", 4_070_908_800.0);
    ready.assert("queued_upgrades", 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_cancelled_upgrade_is_not_called_quarantined_and_a_hold_is_told_with_its_end() {
    let stage = watched();
    let mut far = stage.announcement("1.1.0");
    far["upgradeTime"] = json!("2099-01-01T00:00:00Z");
    stage.publish(&far);
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let free = until(&stage, place, "next_upgrade_ready", 1.0);
    free.assert("upgrades_kept_back{by=\"hold\"}", 0.0);
    free.assert("upgrades_kept_back{by=\"window\"}", 0.0);
    stage.site.ok(&["upgrades", "cancel", "v1.1.0"]);
    let cancelled = until(&stage, place, "held_upgrades{hold=\"cancelled\"}", 1.0);
    cancelled.assert("held_upgrades{hold=\"quarantine\"}", 0.0);
    let end = "upgrades_kept_back_until_timestamp_seconds{by=\"hold\"}";
    stage.site.ok(&["upgrades", "hold", "--until", "2098-01-01T00:00:00Z"]);
    until(&stage, place, "upgrades_kept_back{by=\"hold\"}", 1.0).assert(end, 4_039_372_800.0);
    stage.site.ok(&["upgrades", "hold"]);
    stage.until("a hold without an end", || scrape(place).get(end).is_none().then_some(()));
    scrape(place).assert("upgrades_kept_back{by=\"hold\"}", 1.0);
    stage.site.ok(&["upgrades", "release"]);
    until(&stage, place, "upgrades_kept_back{by=\"hold\"}", 0.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_window_that_is_not_open_is_told_with_the_time_when_it_opens() {
    let clock = chrono::Utc::now() + chrono::TimeDelta::hours(6);
    let opens = clock.format("%H:%M");
    let stage = watched().with("NYMVISOR_MAINTENANCE_WINDOWS", &format!("{opens} 1h"));
    let mut far = stage.announcement("1.1.0");
    far["upgradeTime"] = json!("2020-01-01T00:00:00Z");
    stage.publish(&far);
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let closed = until(&stage, place, "next_upgrade_ready", 1.0);
    closed.assert("upgrades_kept_back{by=\"window\"}", 1.0);
    let end = closed.get("upgrades_kept_back_until_timestamp_seconds{by=\"window\"}").unwrap();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let wanted = (clock.timestamp() / 60 * 60) as f64;
    assert!((end - wanted).abs() < 1e-9, "{end} {wanted}");
    stage.site.ok(&["upgrades", "reschedule", "v1.1.0", "--now", "--ignore-windows"]);
    until(&stage, place, "upgrades_total{outcome=\"performed\"}", 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}
