//! Killed at any instant of an upgrade, the next run ends with the old version or the new one.

use std::time::{Duration, Instant};

use nymvisor::host::lock::HeldLock;

use super::{archives, end, queued, started, until_polled, until_runs};
use crate::support::run::process::until_gone;
use crate::support::run::{Record, Run, Stage};

const UPGRADES: u32 = 20;
/// From an announcement to the new daemon it takes less than this.
const UPGRADE_MS_MAX: u64 = 600;

/// Waits for what a kill leaves to pass away, and checks what is left.
fn crash(stage: &Stage, mut run: Run) -> String {
    let daemons = stage.daemons();
    run.kill();
    // The kernel ends the daemon with its nymvisor.
    daemons.into_iter().for_each(until_gone);
    stage.until("the end of all daemons", || stage.daemons().is_empty().then_some(()));
    let version =
        crate::support::site::read_json(&stage.site.home("nymvisor/current-version-info.json"));
    version["version"].as_str().unwrap().to_owned()
}

#[test]
fn h14_h15_h16_killed_at_any_instant_it_ends_old_or_new_and_consistent() {
    let stage = Stage::new();
    let mut seed = u64::from(std::process::id()) | 1;
    for upgrade in 1..=UPGRADES {
        let (before, after) = (format!("1.{}.0", upgrade - 1), format!("1.{upgrade}.0"));
        stage.announce(&after);
        // Spread over the whole upgrade, and not the same in every run.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let spread = UPGRADE_MS_MAX * u64::from(upgrade) / u64::from(UPGRADES);
        let pause = Duration::from_millis(spread + (seed >> 33) % 30);
        let run = stage.start(&["run"]);
        std::thread::sleep(pause);
        let version = crash(&stage, run);
        assert!(version == before || version == after, "{version} after {before}");

        let run = restarted(&stage);
        until_runs(&stage, &after);
        let wanted: Vec<String> = (1..=upgrade).map(|minor| format!("v1.{minor}.0")).collect();
        assert_eq!(stage.history(), wanted, "{}", stage.story());
        let backups = archives(&stage.site.home(&format!("nymvisor/backups/v{after}")));
        // Killed between the sealing and its record, it is sealed once more.
        assert!(
            (1..=2).contains(&backups.len()),
            "after {pause:?}: {backups:?}\n{}",
            stage.story()
        );
        super::names_in(&backups[0]);
        // A kill right after the commit leaves its file, and nobody who holds it.
        HeldLock::acquire(&stage.site.data("upgrade.lock"), 0o644, "").unwrap();
        end(run);
    }
}

/// A new session, once it is on record: all may have been done before the kill.
fn restarted(stage: &Stage) -> Run {
    let sessions = || stage.events().iter().filter(|event| *event == "session-started").count();
    let before = sessions();
    let run = stage.start(&["run"]);
    stage.until("a new session", || (sessions() > before).then_some(()));
    run
}

#[test]
fn killed_in_every_phase_the_attempt_is_taken_up_where_it_stood() {
    for phase in ["Draining", "BackingUp", "Swapping"] {
        let stage = Stage::new();
        // The more there is to do, the likelier a phase is met.
        std::fs::write(stage.site.home("ballast"), vec![7; 8 << 20]).unwrap();
        stage.switch("ignore-int.1.0.0", "");
        let (run, _) = started(&stage);
        stage.announce("1.1.0");
        stage.until_phase("Draining");
        if phase != "Draining" {
            // Nothing but a kill ends this daemon.
            let daemon = stage.daemons()[0];
            let daemon = nix::unistd::Pid::from_raw(i32::try_from(daemon).unwrap());
            nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGKILL).unwrap();
            let begun = Instant::now();
            stage.until("the next phase", || {
                let last = stage.records().last()?.to().to_owned();
                (last != "Draining" || begun.elapsed() > Duration::from_secs(5)).then_some(())
            });
        }
        crash(&stage, run);
        std::fs::remove_file(stage.site.home("ignore-int.1.0.0")).unwrap();
        let run = restarted(&stage);
        until_runs(&stage, "1.1.0");
        assert_eq!(stage.history(), ["v1.1.0"]);
        end(run);
    }
}

#[test]
fn h13_interrupted_too_often_the_old_version_runs_and_the_upgrade_waits_for_retry() {
    let stage = Stage::new();
    // A backup of this takes long enough to be killed in it.
    std::fs::write(stage.site.home("much"), vec![7; 96 << 20]).unwrap();
    stage.switch("ignore-int.1.0.0", "");
    let (run, _) = started(&stage);
    stage.announce("1.1.0");
    stage.until_phase("Draining");
    crash(&stage, run);
    std::fs::remove_file(stage.site.home("ignore-int.1.0.0")).unwrap();
    let until_said = |run: &Run, text: &str| {
        while !run.stderr().contains(text) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    for _ in 0..3 {
        let run = stage.start(&["run"]);
        until_said(&run, "it is taken up again");
        assert_eq!(crash(&stage, run), "1.0.0");
    }
    // Once given up, it stays so in later sessions.
    for starts in 2..4 {
        let run = stage.start(&["run"]);
        stage.until_log("started 1.0.0", starts);
        stage.until_phase("Running");
        until_polled(&stage, 2);
        assert_eq!(stage.assert_consistent(), "genesis");
        assert_eq!(queued(&stage), ["v1.1.0"]);
        end(run);
    }
    let given_up = |record: &&Record| record.data()["row"] == "attempt-given-up";
    assert_eq!(stage.records().iter().filter(given_up).count(), 1, "{}", stage.story());
    assert!(stage.site.ok(&["retry", "v1.1.0"]).contains("tried again"));
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    stage.until_event("backup-examined", 1);
    end(run);
    let left = super::files(&stage.site.home("nymvisor/backups"));
    assert_eq!(left.len(), 2, "an archive and its manifest, of what was begun nothing: {left:?}");
}
