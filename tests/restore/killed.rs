//! Killed, or failing, at each state-changing call on files; then run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nymvisor::host::restore;

use super::{Scene, assert_aside, assert_same, fill, say, spoil};
use crate::backup::tree::{Tree, set_mtime};
use crate::support::helper;

const CALLS: &str = "rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,openat,fsync,\
    fdatasync,syncfs,write,pwrite64,ftruncate,fchmod,fchmodat,chmod,fchown,fchownat,chown,lchown,\
    linkat,symlink,symlinkat,utimensat,fsetxattr,fremovexattr";
/// How many points the standard suite takes of each sweep; all with `NYMVISOR_SWEEP=all`.
const SAMPLE: usize = 40;

/// A home to be restored, in a folder of its own.
pub(super) struct Prepared {
    folder: tempfile::TempDir,
    before: Tree,
    left: Vec<(&'static str, &'static str)>,
}

impl Prepared {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    pub(super) fn at(folder: tempfile::TempDir) -> Self {
        let mut scene = Scene::new(folder.path());
        fill(&scene);
        let deep = scene.write("data/keep/backups/old.tar", "an old backup");
        scene.leave_out.push(deep.parent().unwrap().to_owned());
        set_mtime(&scene.home.join("data/keep"), 1_234_567_890, 1);
        set_mtime(&scene.home, 1_400_000_000, 7);
        scene.seal();
        let (before, left) = (scene.manifest(), spoil(&scene));
        Self { folder, before, left }
    }

    fn scene(&self) -> Scene {
        scene_at(self.folder.path())
    }

    pub(super) fn strace(&self, test: &str, arguments: &[String]) -> (bool, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = helper::again(test, "restore", self.folder.path());
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(log.path()).args(arguments);
        command.arg(child.get_program()).args(child.get_args());
        command.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let output = command.output().unwrap();
        (output.status.success(), fs::read_to_string(log.path()).unwrap())
    }

    /// Whatever happened: one more run puts all right.
    pub(super) fn assert_ends_well(&self, what: &str) {
        say(what);
        let scene = self.scene();
        let restored = scene.restore().unwrap();
        assert_same(&self.before, &scene.manifest());
        assert_aside(&scene, &restored.aside, &self.left);
        assert_eq!(restored.moved_aside, 15, "{what}");
        assert!(!scene.job().work.join("staged").exists(), "{what}");
        assert!(restore::is_done(&scene.job()).unwrap());
        let kept = scene.home.join("data/keep/backups/old.tar");
        assert_eq!(fs::read_to_string(kept).unwrap(), "an old backup");
    }
}

fn scene_at(folder: &Path) -> Scene {
    let mut scene = Scene::at(folder);
    scene.leave_out.push(scene.home.join("data/keep/backups"));
    scene
}

/// The restore itself, in the process that is killed; false in the suite's own process.
pub(super) fn is_child() -> bool {
    let Some((_, folder)): Option<(String, PathBuf)> = helper::role() else { return false };
    scene_at(&folder).restore().unwrap();
    true
}

pub(super) fn has_strace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let there = traced.is_ok_and(|status| status.success());
    if !there {
        say("skipped: strace is not there, or may not trace");
    }
    there
}

/// Each call with its number, as one clean run makes them in the thread that restores.
pub(super) fn points(test: &str) -> Vec<(String, usize)> {
    let prepared = Prepared::new();
    let (done, log) = prepared.strace(test, &["-e".into(), format!("trace={CALLS}")]);
    assert!(done, "{log}");
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for line in log.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((call, _)) = call.trim_start().split_once('(') else { continue };
        *counts.entry(thread).or_default().entry(call).or_default() += 1;
    }
    let restoring = counts.values().find(|calls| calls.contains_key("renameat2")).unwrap();
    let numbered = |(call, count): (&&str, &usize)| {
        let call = (*call).to_owned();
        (1..=*count).map(move |number| (call.clone(), number)).collect::<Vec<_>>()
    };
    restoring.iter().flat_map(numbered).collect()
}

/// Some of them, spread evenly and from an offset, or all.
pub(super) fn sampled(
    points: Vec<(String, usize)>,
    sample: usize,
    offset: usize,
) -> Vec<(String, usize)> {
    if std::env::var("NYMVISOR_SWEEP").is_ok_and(|value| value == "all") {
        return points;
    }
    let step = points.len().div_ceil(sample);
    points.into_iter().skip(offset % step).step_by(step).collect()
}

pub(super) fn inject(call: &str, what: &str, number: usize) -> Vec<String> {
    let trace = ["-e".into(), format!("trace={call}")];
    trace.into_iter().chain(["-e".into(), format!("inject={call}:{what}:when={number}")]).collect()
}

#[test]
fn killed_at_any_call_it_ends_in_the_same_place() {
    const TEST: &str = "restore::killed::killed_at_any_call_it_ends_in_the_same_place";
    if is_child() || !has_strace() {
        return;
    }
    let all = points(TEST);
    let (count, mut killed) = (all.len(), 0);
    let chosen = sampled(all, SAMPLE, 0);
    for (call, number) in &chosen {
        let prepared = Prepared::new();
        let kill = inject(call, "signal=KILL", *number);
        let (_, log) = prepared.strace(TEST, &kill);
        killed += usize::from(log.contains("killed by SIGKILL"));
        // Every third is killed once more, early in what is left to do.
        if number % 3 == 0 {
            let _ = prepared.strace(TEST, &inject("renameat2", "signal=KILL", 2));
        }
        prepared.assert_ends_well(&format!("killed at {call} {number}"));
    }
    say(&format!("{killed} of {} kills hit, of {count} points", chosen.len()));
    assert!(killed * 10 >= chosen.len() * 9, "{killed} of {}", chosen.len());
}

#[test]
fn failing_at_any_call_it_goes_on_later() {
    const TEST: &str = "restore::killed::failing_at_any_call_it_goes_on_later";
    if is_child() || !has_strace() {
        return;
    }
    let mut failed = 0;
    let chosen = sampled(points(TEST), SAMPLE / 2, 3);
    for (turn, (call, number)) in chosen.iter().enumerate() {
        let error = if turn % 2 == 0 { "error=EIO" } else { "error=ENOSPC" };
        let prepared = Prepared::new();
        let (_, log) = prepared.strace(TEST, &inject(call, error, *number));
        failed += usize::from(log.contains("(INJECTED)"));
        prepared.assert_ends_well(&format!("{error} at {call} {number}"));
    }
    say(&format!("{failed} of {} faults hit", chosen.len()));
    assert!(failed * 10 >= chosen.len() * 9, "{failed} of {}", chosen.len());
}

#[test]
fn what_appears_in_a_half_restored_home_goes_aside_too() {
    const TEST: &str = "restore::killed::what_appears_in_a_half_restored_home_goes_aside_too";
    if is_child() || !has_strace() {
        return;
    }
    let prepared = Prepared::new();
    // Fifteen are moved aside, and then the first few into their place.
    let (done, _) = prepared.strace(TEST, &inject("renameat2", "signal=KILL", 19));
    assert!(!done);
    let scene = prepared.scene();
    let staged = scene.job().work.join("staged/top");
    assert!(staged.exists() && !scene.home.join("top").exists());
    fs::write(scene.home.join("top"), "by a daemon that was started by hand").unwrap();
    prepared.assert_ends_well("something appeared");
    let aside = scene.job().work.join("aside");
    let (old, appeared) = (aside.join("top"), aside.join("top.1"));
    assert_eq!(fs::read_to_string(old).unwrap(), "at the top");
    let content = fs::read_to_string(appeared).unwrap();
    assert_eq!(content, "by a daemon that was started by hand");
}
