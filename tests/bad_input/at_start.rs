//! What `run` finds damaged when it starts: it goes on, sets aside, and says so.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::run::{Run, Stage};
use crate::support::site::read_json;

/// A stage on which one upgrade was performed and one is queued, at rest.
fn upgraded() -> Stage {
    let stage = Stage::new();
    stage.announce("1.1.0");
    let mut run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let newer = stage.site.binary("nym-node", "1.2.0");
    let add = ["add-upgrade", newer.to_str().unwrap(), "--upgrade-name", "v1.2.0"];
    stage.site.ok(&add);
    stage.until_event("room-found", 2);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage
}

/// Starts a run that must bring 1.1.0 up again.
fn comes_up(stage: &Stage) -> Run {
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 2);
    stage.until_phase("Running");
    run
}

/// The one file that was put aside beside this one; its content is what was damaged.
fn aside(stage: &Stage, path: &Path, damaged: &[u8]) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let found = stage.until("what was put aside", || {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap().map(Result::unwrap);
        let mut names = entries.map(|entry| entry.path()).filter(|path| {
            let this = path.file_name().unwrap().to_string_lossy().into_owned();
            this != name && this.starts_with(&name)
        });
        names.next()
    });
    assert_eq!(fs::read(&found).unwrap(), damaged);
    found
}

fn end(mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
}

/// Cuts a file in half; gives what is left of it.
fn halve(path: &Path) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    fs::write(path, &half).unwrap();
    half
}

#[test]
fn a_damaged_version_file_is_derived_from_the_journal() {
    let stage = upgraded();
    let path = stage.site.home("nymvisor/current-version-info.json");
    let good = read_json(&path);
    let half = halve(&path);
    let refused = stage.site.run(&["daemon-build-info"]);
    assert_eq!(refused.status, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("current-version-info.json, line"), "{}", refused.stderr);
    let run = comes_up(&stage);
    let kept = aside(&stage, &path, &half);
    stage.until("a word about it", || run.stderr().contains(kept.to_str().unwrap()).then_some(()));
    stage.until("the file", || path.exists().then_some(()));
    assert_eq!(read_json(&path), good);
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    end(run);
}

#[test]
fn a_missing_version_file_is_derived_from_the_journal() {
    let stage = upgraded();
    let path = stage.site.home("nymvisor/current-version-info.json");
    let good = read_json(&path);
    fs::remove_file(&path).unwrap();
    let run = comes_up(&stage);
    stage.until("the file", || path.exists().then_some(()));
    assert_eq!(read_json(&path), good);
    end(run);
}

#[test]
fn version_file_and_link_lost_the_journal_still_knows() {
    let stage = upgraded();
    let path = stage.site.home("nymvisor/current-version-info.json");
    let half = halve(&path);
    fs::remove_file(stage.site.data("current")).unwrap();
    let run = comes_up(&stage);
    aside(&stage, &path, &half);
    stage.until("the link", || stage.site.data("current").exists().then_some(()));
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    end(run);
}

#[test]
fn a_damaged_plan_is_set_aside_whole_and_rebuilt() {
    let stage = upgraded();
    let path = stage.site.data("upgrade-plan.json");
    let half = halve(&path);
    let run = comes_up(&stage);
    let kept = aside(&stage, &path, &half);
    stage.until("a word about it", || run.stderr().contains(kept.to_str().unwrap()).then_some(()));
    stage.until("the plan", || path.exists().then_some(()));
    assert_eq!(read_json(&path)["current"]["name"], "v1.1.0");
    // Queued anew, it is performed.
    stage.announce("1.3.0");
    stage.until_log("started 1.3.0", 1);
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "v1.3.0");
    end(run);
}

#[test]
fn a_damaged_history_is_set_aside_and_costs_no_queue() {
    let stage = upgraded();
    let path = stage.site.data("upgrade-history.json");
    let plan = read_json(&stage.site.data("upgrade-plan.json"));
    let half = halve(&path);
    let run = comes_up(&stage);
    aside(&stage, &path, &half);
    assert_eq!(read_json(&stage.site.data("upgrade-plan.json")), plan);
    stage.announce("1.3.0");
    stage.until_log("started 1.3.0", 1);
    stage.until_phase("Running");
    // What runs is still known, and is written down again.
    assert_eq!(stage.history(), ["v1.1.0", "v1.3.0"]);
    assert_eq!(stage.assert_consistent(), "v1.3.0");
    end(run);
}

#[test]
fn a_damaged_journal_is_set_aside_whole_and_the_daemon_runs() {
    let stage = upgraded();
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 2);
    let kept = stage.until("what was put aside", || {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut damaged = entries.filter(|path| path.to_string_lossy().contains("damaged"));
        damaged.next()
    });
    assert_eq!(fs::read(&kept).unwrap(), bytes);
    let name = kept.file_name().unwrap().to_str().unwrap();
    assert!(run.stderr().contains(name), "{}", run.stderr());
    assert!(stage.site.ok(&["journal", "show"]).contains(name));
    stage.until_phase("Running");
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    stage.announce("1.3.0");
    stage.until_log("started 1.3.0", 1);
    end(run);
}

#[test]
fn a_torn_last_line_of_the_journal_is_cut_off_and_kept() {
    use std::io::Write;
    let stage = upgraded();
    let folder = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/journal");
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let before = stage.records().len();
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"seq\":99,\"at\":\"20").unwrap();
    let run = comes_up(&stage);
    assert!(stage.records().len() > before);
    let torn: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("torn"))
        .collect();
    assert_eq!(torn.len(), 1);
    assert_eq!(fs::read(&torn[0]).unwrap(), b"{\"seq\":99,\"at\":\"20");
    end(run);
}

#[test]
fn h15_a_missing_dangling_or_plain_current_does_not_keep_the_daemon_down() {
    let cases: [fn(&Path); 3] = [
        |_| {},
        |path| symlink("upgrades/gone", path).unwrap(),
        |path| symlink("/nowhere/upgrades/v1.1.0", path).unwrap(),
    ];
    for odd in cases {
        let stage = upgraded();
        let path = stage.site.data("current");
        fs::remove_file(&path).unwrap();
        odd(&path);
        let run = comes_up(&stage);
        stage.until("the link", || {
            let link = fs::read_link(&path).ok()?;
            (link == Path::new("upgrades/v1.1.0")).then_some(())
        });
        assert_eq!(stage.assert_consistent(), "v1.1.0");
        end(run);
    }
    let stage = upgraded();
    let path = stage.site.data("current");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    let run = comes_up(&stage);
    stage.until("a word about it", || {
        run.stderr().contains("`current` could not be mended").then_some(())
    });
    assert!(path.join("precious").exists(), "nothing is removed that is not ours");
    end(run);
}
