//! Killed, or failing, at each call that changes a file; then pruned again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pruned;
use crate::backups_cli::{NOTHING, stop, upgraded};
use crate::journal_verify::forge::Forged;
use crate::journal_verify::{CLEAN, journal, verify};
use crate::support::run::Stage;
use crate::sweep::{has_strace, points};

const CALLS: [&str; 10] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "write",
    "openat",
];
/// How many points the standard suite takes; all with `NYMVISOR_SWEEP=all`.
const SAMPLE: usize = 40;

/// Something of every kind is to go.
struct Scene {
    stage: Stage,
    saved: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0", "1.4.0"]);
        let forged = Forged::read(&journal(&stage, ""));
        let all = forged.segments[0].records.len();
        forged.split(&[4, 8, all - 4, all - 2]).write();
        let logs = journal(&stage, "../logs");
        for day in ["01", "02"] {
            fs::write(logs.join(format!("nymvisor.2026-01-{day}.log")), "a line\n").unwrap();
        }
        stage.set("NYMVISOR_VERSION_RETENTION", "1");
        stage.set("NYMVISOR_JOURNAL_RETENTION", "1");
        stage.set("NYMVISOR_LOG_RETENTION", "1");
        stage.set("DAEMON_BACKUP_RETENTION", "1");
        let saved = tempfile::tempdir().unwrap();
        copy(&stage.site.path(""), saved.path());
        Self { stage, saved }
    }

    fn put_back(&self) {
        for name in [".nym", "node"] {
            fs::remove_dir_all(self.stage.site.path(name)).unwrap();
        }
        copy(self.saved.path(), &self.stage.site.path(""));
    }

    /// `prune` under strace; whether it came to its end by itself, and what it called.
    fn traced(&self, arguments: &[String]) -> (bool, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let prune = self.stage.site.command(&["prune"]);
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-o"]).arg(log.path()).args(arguments);
        command.arg(prune.get_program()).args(prune.get_args()).env_clear();
        command.envs(prune.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let output = command.current_dir(self.stage.site.path("")).output().unwrap();
        (output.status.success(), fs::read_to_string(log.path()).unwrap())
    }

    /// Each call that concerns the site, by its name and its number.
    fn points(&self) -> Vec<(String, usize)> {
        let (done, log) = self.traced(&["-e".to_owned(), format!("trace={}", CALLS.join(","))]);
        assert!(done, "{log}");
        let root = self.stage.site.path("");
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut points = Vec::new();
        for line in log.lines() {
            let Some((call, rest)) = line.split_once(' ').and_then(|it| it.1.split_once('('))
            else {
                continue;
            };
            let call = call.trim();
            let count = counts.entry(call).or_default();
            *count += 1;
            let changes = call != "openat" || rest.contains("O_CREAT");
            if changes && rest.contains(root.to_str().unwrap().trim_end_matches('/')) {
                points.push((call.to_owned(), *count));
            }
        }
        points
    }

    /// Whatever happened: what is there is whole, and pruned once more it is as it should be.
    fn assert_ends_well(&self, wanted: &BTreeSet<PathBuf>, what: &str) {
        let upgrades = self.stage.site.data("upgrades");
        for entry in fs::read_dir(&upgrades).unwrap().map(Result::unwrap) {
            let is_hidden = entry.file_name().to_str().unwrap().starts_with('.');
            let is_whole = entry.path().join("bin/nym-node").exists()
                && entry.path().join("upgrade-info.json").exists();
            assert!(is_hidden || is_whole, "{what}: {}", entry.path().display());
        }
        let (status, report) = verify(&self.stage, &["--backups"]);
        assert_eq!(status, CLEAN, "{what}: {report}");
        let said = self.stage.site.run(&["backups", "verify"]);
        assert_eq!(said.status, 0, "{what}: {said:?}");
        let report = pruned(&self.stage, 0, &[]);
        let left = paths(&self.stage);
        let differs: Vec<_> = left.symmetric_difference(wanted).collect();
        assert!(differs.is_empty(), "{what}: {differs:?} {report}");
        assert_eq!(verify(&self.stage, &["--backups"]).0, CLEAN, "{what}");
    }
}

fn copy(from: &Path, to: &Path) {
    for name in [".nym", "node"] {
        let copied = Command::new("cp").arg("-a").arg(from.join(name)).arg(to).status().unwrap();
        assert!(copied.success());
    }
}

/// An empty folder that a backup was in is no harm.
fn paths(stage: &Stage) -> BTreeSet<PathBuf> {
    let is_folder = |path: &Path| stage.site.path(path.to_str().unwrap()).is_dir();
    let mut paths: BTreeSet<PathBuf> = stage.site.tree().into_keys().collect();
    paths.retain(|path| path.starts_with(".nym") || path.starts_with("node"));
    paths.retain(|path| !path.starts_with("node/nymvisor/backups") || !is_folder(path));
    paths
}

#[test]
fn at_any_call_nothing_is_left_half() {
    if !has_strace() {
        return;
    }
    let scene = Scene::new();
    let before = paths(&scene.stage).len();
    let all = scene.points();
    let wanted = paths(&scene.stage);
    assert!(before - wanted.len() > 12, "{before} {}", wanted.len());
    let whole = points::is_whole();
    let step = if whole { 1 } else { all.len().div_ceil(SAMPLE) };
    let ways = ["signal=KILL", "error=EIO", "error=ENOSPC"];
    let mut hit = 0;
    for (at, (call, number)) in all.iter().enumerate().filter(|(at, _)| at % step == 0) {
        let ways = ways.iter().enumerate().filter(|(way, _)| whole || at / step % 3 == *way);
        for (_, way) in ways {
            scene.put_back();
            let what = format!("{call} {number} {way}");
            let inject = format!("inject={call}:{way}:when={number}");
            let (done, log) = scene.traced(&["-e".to_owned(), inject]);
            let is_hit = log.contains("INJECTED") || log.contains("killed by SIGKILL");
            hit += usize::from(is_hit);
            assert!(way.starts_with("error") || !done || !is_hit, "{what}");
            scene.assert_ends_well(&wanted, &what);
        }
    }
    eprintln!("prune: {} calls, {hit} of them hit", all.len());
    assert!(hit > SAMPLE / 2, "{hit} of {}", all.len());
    let run = scene.stage.start(&NOTHING);
    scene.stage.until_log("started 1.4.0", 2);
    scene.stage.until_phase("Running");
    stop(&scene.stage, run);
}

/// What was renamed may come back with a power cut, and whole: nothing of it is removed by then.
/// Nor where the lock that somebody else would need could not be given back.
#[test]
fn what_may_come_back_is_not_removed() {
    if !has_strace() {
        return;
    }
    let scene = Scene::new();
    assert!(!scene.points().is_empty());
    let wanted = paths(&scene.stage);
    let upgrades = scene.stage.site.data("upgrades");
    let lock = scene.stage.site.data(".locks/fetch-v1.1.0");
    for (call, path) in [("fsync", &upgrades), ("unlink", &lock)] {
        scene.put_back();
        let path = path.to_str().unwrap().to_owned();
        let inject = format!("inject={call}:error=EIO");
        let (done, log) = scene.traced(&["-P".to_owned(), path, "-e".to_owned(), inject]);
        assert!(!done && log.contains("INJECTED"), "{call}: {log}");
        for version in ["v1.1.0", "v1.2.0"] {
            let hidden = upgrades.join(format!(".pruned-{version}"));
            assert!(hidden.join("bin/nym-node").exists(), "{call}: {version}");
            assert!(hidden.join("upgrade-info.json").exists(), "{call}: {version}");
        }
        scene.assert_ends_well(&wanted, call);
    }
}
