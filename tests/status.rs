//! `nymvisor status`: what follows from what was seen, and what the program says.

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::cli::status::{Process, Room, Seen, Status, Verdict};
use nymvisor::host::lock::Holder;
use nymvisor::journal::{Hash, Part};
use nymvisor::machine::{Code, PhaseName, Policy, Timer};
use serde_json::{Value, json};

use crate::model::stimulus::How;
use crate::model::tale::Tale;
use crate::model::values::{at, by_command, policy, upgrade};

mod real;
mod watched;

const WIDTH: usize = 80;
/// The session's process in the model.
const SESSION: u32 = 7;

/// What is seen after a tale, while its `run` is up: a record was made every quarter of a second.
fn seen(tale: &Tale) -> Seen {
    let engine = &tale.engine;
    let time = |index: usize| at(0) + TimeDelta::milliseconds(250) * i32::try_from(index).unwrap();
    let parts: Vec<Part> = (0..)
        .zip(&engine.records)
        .map(|(index, record)| {
            let mut record = record.clone();
            record.at = time(index);
            let before = index.checked_sub(1).map(|before| &engine.states[before]);
            let back = before.and_then(|state| state.phase.roll_back()).cloned().map(Box::new);
            Part::Record { record: Box::new(record), back, line: String::new() }
        })
        .collect();
    let (policy, queue) = (engine.state.policy.clone(), engine.world.files.queue.clone());
    let version = engine.world.files.version.clone();
    let room = |of: &[&'static str], free_bytes, free_inodes| Room {
        of: of.to_vec(),
        path: "/".to_owned(),
        free_bytes,
        free_inodes,
    };
    Seen {
        now: at(5),
        instance: "nym-node-default".to_owned(),
        daemon: "nym-node".to_owned(),
        policy,
        head: parts.len().checked_sub(1).map(|last| (last as u64 + 1, Hash::of(b"the head"))),
        state: (!parts.is_empty()).then(|| engine.state.clone()),
        parts,
        damage: None,
        kept: None,
        unread: Vec::new(),
        runner: Some(Holder { pid: Some(SESSION), content: format!("{SESSION}\n") }),
        locks_are_told: true,
        process: Process::Lives { uptime_ms: Some(7_504_000) },
        installed: version.ok_or_else(|| "there is no version file".to_owned()),
        queue: queue.ok_or_else(|| "there is no plan".to_owned()),
        windows: None,
        half_restored: None,
        missing_backups: Vec::new(),
        room: vec![
            room(&["home", "data", "instance"], Some(13_314_398_617), Some(1_204_311)),
            room(&["backups"], Some(1 << 40), None),
        ],
    }
}

fn gone(tale: &Tale) -> Seen {
    Seen { runner: None, process: Process::Gone, ..seen(tale) }
}

fn status(seen: &Seen) -> Status {
    let status = Status::of(seen);
    let text = status.to_text();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    assert_eq!(status.to_line().lines().count(), 1);
    let json: Value = serde_json::from_str(&status.to_json()).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["exit_status"], status.verdict.exit() as u8);
    status
}

fn assert_shown(name: &str, seen: &Seen, verdict: Verdict) -> Status {
    let status = status(seen);
    insta::assert_snapshot!(name.to_owned(), status.to_text());
    assert_eq!(status.verdict, verdict, "{name}");
    status
}

#[test]
fn an_instance_that_never_ran() {
    let mut first = Seen { head: None, ..gone(&Tale::new(policy())) };
    first.process = Process::Unknown;
    let shown = assert_shown("never_run", &first, Verdict::NotRunning);
    assert_eq!(shown.phase, None);
    // A `run` that has its lock, and no session on record yet.
    first.runner = Some(Holder { pid: Some(9), content: "9\n".to_owned() });
    assert_eq!(status(&first).verdict, Verdict::Down);
}

/// The daemon's process may have waited for the end of the one before.
#[test]
fn the_uptime_begins_with_the_daemon() {
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.due().until(PhaseName::Draining).until(PhaseName::Running);
    let mut seen = seen(&tale);
    let since = status(&seen).daemon.since.unwrap();
    let recorded = u64::try_from((seen.now - since).num_milliseconds()).unwrap();
    let grace = seen.policy.shutdown_grace_ms;
    let table = [
        (recorded, recorded),
        (recorded + grace, recorded),
        (recorded - 1, recorded - 1),
        // The clock was set.
        (recorded + grace + 3_600_000, recorded + grace + 3_600_000),
    ];
    for (age, uptime) in table {
        seen.process = Process::Lives { uptime_ms: Some(age) };
        assert_eq!(status(&seen).daemon.uptime_ms, Some(uptime), "{age} of {recorded}");
    }
}

#[test]
fn running_after_an_upgrade() {
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.due().until(PhaseName::Draining).until(PhaseName::Running).fire(&Timer::Startup);
    let shown = assert_shown("running", &seen(&tale), Verdict::Ok);
    let done = shown.last_upgrade.unwrap();
    assert_eq!((done.from.name.as_str(), done.to.name.as_str()), ("genesis", "u1"));
    let whole: u64 = done.phases.iter().map(|spent| spent.us).sum();
    assert!(done.down_us.unwrap() <= whole, "{done:?}");
    let phases: Vec<PhaseName> = done.phases.iter().map(|spent| spent.phase).collect();
    assert_eq!(phases, &PhaseName::ALL[1..8]);
    assert_eq!(shown.expected_down.ms, Some(whole / 1000));
}

#[test]
fn preparing() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10)).work(3);
    tale.queue(&by_command(upgrade("u2", "1.2.0", 60 * 24 * 3)));
    let shown = assert_shown("preparing", &seen(&tale), Verdict::Ok);
    let stages: Vec<&str> = shown.queue.iter().flatten().map(|queued| queued.stage).collect();
    assert_eq!(stages, ["copying", "waiting"]);
}

#[test]
fn each_stage_of_a_preparation_has_its_name() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10));
    let mut stages = Vec::new();
    for turn in 0..8 {
        let shown = status(&seen(&tale));
        stages.extend(shown.queue.iter().flatten().map(|queued| queued.stage));
        if turn == 4 {
            tale.due();
        } else {
            tale.work(1);
        }
    }
    stages.dedup();
    let all = [
        "fetching",
        "checking",
        "sizing",
        "copying",
        "ready",
        "refreshing",
        "locking",
        "under-way",
    ];
    assert_eq!(stages, all);
}

#[test]
fn draining_for_an_upgrade() {
    let tale = Tale::at(policy(), &upgrade("u1", "1.1.0", 10), PhaseName::Draining);
    let shown = assert_shown("draining", &seen(&tale), Verdict::Ok);
    assert_eq!(shown.queue.unwrap()[0].stage, "under-way");
    let ended = Tale::at(policy(), &upgrade("u1", "1.1.0", 10), PhaseName::BackingUp);
    assert_eq!(status(&seen(&ended)).verdict, Verdict::Down);
}

#[test]
fn failed_and_paused() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10)).fail(Code::Network);
    let shown = assert_shown("paused", &seen(&tale), Verdict::Ok);
    assert_eq!(shown.held[0].until, Some(last_at(&tale) + TimeDelta::minutes(1)));
    assert_eq!(shown.queue.as_ref().unwrap()[0].stage, "paused");
    // Nothing pauses beyond its session.
    assert_eq!(status(&gone(&tale)).held[0].until, None);
    for _ in 0..2 {
        let (name, digest) = ("u1".to_owned(), "digest-of-u1".to_owned());
        tale.fire(&Timer::Pause { name, digest }).fail(Code::Network);
    }
    let shown = status(&seen(&tale));
    assert_eq!((shown.verdict, shown.held[0].times), (Verdict::Attention, 3));
}

fn last_at(tale: &Tale) -> DateTime<Utc> {
    let steps = i32::try_from(tale.engine.records.len() - 1).unwrap();
    at(0) + TimeDelta::milliseconds(250) * steps
}

#[test]
fn quarantined() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10)).fail(Code::DigestMismatch);
    let shown = assert_shown("quarantined", &seen(&tale), Verdict::Attention);
    assert_eq!(shown.attention[0].command.as_deref(), Some("nymvisor retry u1"));
    assert_eq!(shown.last_failure.unwrap().command.as_deref(), Some("nymvisor retry u1"));
    // Due within a window, it doesn't wait for one as well, whatever the hour is now.
    let windows = |text: &str| Some(nymvisor::config::Windows::parse(text).unwrap());
    for (text, waits) in [("00:09 5m", 2), ("00:11 5m", 3)] {
        let shown = status(&Seen { windows: windows(text), ..seen(&tale) });
        assert_eq!(shown.queue.unwrap()[0].waits_for.len(), waits, "{text}");
    }
    // What is no longer asked for is told, and needs nobody.
    let mut without = seen(&tale);
    without.queue.as_mut().unwrap().entries.clear();
    let shown = status(&without);
    assert_eq!((shown.verdict, shown.held[0].queued), (Verdict::Ok, false));
}

#[test]
fn what_waits_for_its_binary_needs_a_person() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0", 10)).fail(Code::NoBinary);
    let shown = status(&seen(&tale));
    assert_eq!(shown.verdict, Verdict::Attention);
    let command = shown.attention[0].command.as_deref();
    assert_eq!(command, Some("nymvisor add-upgrade --add-binary --upgrade-name u1 <BINARY>"));
}

#[test]
fn given_up() {
    let mut tale = Tale::running(Policy { max_startup_failures: 2, ..policy() });
    tale.daemon_ends(How::Status, 50).work(1).fire(&Timer::RestartDelay).work(1);
    let once = status(&seen(&tale));
    assert_eq!((once.verdict, once.daemon.restarts), (Verdict::Ok, 1));
    let why = once.daemon.last_restart.unwrap().why;
    assert_eq!(why, "the daemon exited with status 3 after 0.050 s");
    assert!(once.last_failure.unwrap().settled);
    tale.daemon_ends(How::Signal, 119_999).work(1);
    let shown = assert_shown("given_up", &gone(&tale), Verdict::NotRunning);
    assert!(!shown.last_failure.unwrap().settled);
}

#[test]
fn a_crash_is_down_until_the_restart() {
    let mut tale = Tale::running(policy());
    tale.daemon_ends(How::Signal, 50);
    let shown = assert_shown("crashed", &seen(&tale), Verdict::Down);
    assert_eq!(shown.daemon.pid, None);
}

#[test]
fn rolled_back_by_hand() {
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.due()
        .until(PhaseName::Draining)
        .until(PhaseName::Running)
        .fire(&Timer::Startup)
        .roll_back();
    tale.until(PhaseName::Swapping).until(PhaseName::Running);
    let shown = assert_shown("rolled_back", &seen(&tale), Verdict::Ok);
    assert!(shown.last_upgrade.unwrap().rolled_back);
}

#[test]
fn a_process_of_another_time_is_not_the_daemon() {
    let tale = Tale::running(policy());
    let reused = Seen { process: Process::Gone, ..seen(&tale) };
    let shown = status(&reused);
    assert_eq!((shown.verdict, shown.daemon.pid), (Verdict::Down, None));
    // From outside its container the numbers are others, and the lock tells.
    let holder = Holder { pid: Some(4711), content: format!("{SESSION}\n") };
    let outside = Seen { runner: Some(holder), ..reused };
    let shown = status(&outside);
    assert_eq!((shown.verdict, shown.daemon.uptime_ms), (Verdict::Ok, None));
}

#[test]
fn killed_with_its_daemon_up() {
    let mut tale = Tale::ready(policy(), &upgrade("u1", "1.1.0", 10));
    tale.crash();
    let shown = assert_shown("killed", &gone(&tale), Verdict::NotRunning);
    assert_eq!(shown.daemon.pid, None);
    assert_eq!(shown.queue.unwrap()[0].stage, "not-begun");
}

#[test]
fn what_cannot_be_told_is_said_to_be_so() {
    let tale = Tale::running(policy());
    let damaged = Seen { damage: Some("00000001.jsonl, line 3: bad".to_owned()), ..seen(&tale) };
    let shown = assert_shown("damaged", &damaged, Verdict::Unknown);
    assert!(shown.attention[0].text.contains("line 3"), "{shown:?}");
    let unread = Seen { state: None, head: None, parts: Vec::new(), ..damaged };
    assert_eq!(status(&unread).verdict, Verdict::Unknown);
    let untold = Seen { runner: None, locks_are_told: false, ..seen(&tale) };
    assert_eq!(status(&untold).verdict, Verdict::Unknown);
    let no_plan = Seen { queue: Err("line 1: it is broken".to_owned()), ..seen(&tale) };
    let shown = status(&no_plan);
    assert_eq!((shown.verdict, shown.queue), (Verdict::Attention, None));
    let full = |room: Room| status(&Seen { room: vec![room], ..seen(&tale) });
    let room = seen(&tale).room.remove(0);
    for room in [
        Room { free_bytes: Some(4096), ..room.clone() },
        Room { free_inodes: Some(0), ..room.clone() },
    ] {
        let shown = full(room);
        assert_eq!(shown.verdict, Verdict::Attention);
        assert!(shown.attention[0].text.contains("no room is left at /"), "{shown:?}");
    }
    assert_eq!(full(room).verdict, Verdict::Ok);
    let no_backup = Seen { missing_backups: vec!["/b/u1/b.tar.zst".to_owned()], ..seen(&tale) };
    assert_eq!(status(&no_backup).verdict, Verdict::Attention);
    let no_version = Seen { installed: Err("it is gone".to_owned()), ..seen(&tale) };
    assert_eq!(status(&no_version).verdict, Verdict::Attention);
}

#[test]
fn what_comes_from_outside_does_not_steer_the_terminal() {
    let mut tale = Tale::running(policy());
    tale.queue(&upgrade("u1", "1.1.0\u{1b}[2J", 10));
    let shown = status(&seen(&tale));
    assert!(!shown.to_text().contains('\u{1b}') && !shown.to_line().contains('\u{1b}'));
    assert_eq!(json!(shown)["queue"][0]["version"], "1.1.0\u{1b}[2J");
}
