//! One upgrade with something going wrong in it, the start after it, and what has to hold then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nymvisor::host::lock::HeldLock;

use super::points::{self, Point};
use crate::support::run::{Run, Stage};

/// How long a run with a fault in it is looked at where nothing more happens.
const FAULT_SETTLES: Duration = Duration::from_secs(3);

/// How an upgrade comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// Upstream announces it.
    Polled,
    /// It was queued by hand before the start.
    ByHand,
}

/// An installation that is about to perform an upgrade to 1.1.0, and where its trace goes.
pub(crate) struct Trial {
    pub(crate) stage: Stage,
    log: tempfile::NamedTempFile,
}

impl Trial {
    pub(crate) fn new(story: Story) -> Self {
        Self::of(Stage::new(), story)
    }

    pub(crate) fn of(stage: Stage, story: Story) -> Self {
        fs::write(stage.site.home("data"), vec![7; 1024]).unwrap();
        match story {
            Story::Polled => stage.announce("1.1.0"),
            Story::ByHand => {
                let binary = stage.site.binary("nym-node", "1.1.0");
                let binary = binary.to_str().unwrap();
                stage.site.ok(&["add-upgrade", binary, "--upgrade-name", "v1.1.0", "--now"]);
            }
        }
        Self { stage, log: tempfile::NamedTempFile::new().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.stage.site.path("")
    }

    /// `run` with a tracer beside it, which is no process of its group: the run is our child.
    fn traced(&self, arguments: &[String]) -> Run {
        let command = self.stage.run_command(&["run"]);
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "-q", "-o"]).arg(self.log.path()).args(arguments);
        traced.arg(command.get_program()).args(command.get_args());
        traced.env_clear().current_dir(command.get_current_dir().unwrap());
        traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.stage.start_command(traced)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// Whether the new daemon has been started more than so many times, and is up.
    fn is_upgraded(&self, starts: usize) -> bool {
        self.stage.logged("started 1.1.0") > starts
            && self.stage.records().last().is_some_and(|record| record.to() == "Running")
    }

    /// The points of a run in which nothing goes wrong.
    pub(crate) fn points(&self) -> Vec<Point> {
        let run = self.traced(&points::trace_all());
        self.stage.until("the upgrade", || self.is_upgraded(0).then_some(()));
        let log = self.log();
        end(run);
        points::of(&log, &self.root())
    }

    /// Runs until it is killed at this point. False if the upgrade is done without a kill.
    pub(crate) fn killed_at(&self, point: &Point) -> bool {
        let mut run = self.traced(&point.inject(&self.root(), "signal=KILL"));
        let mut killed = self.stage.until("a kill, or the upgrade", || {
            if run.is_over() { Some(true) } else { self.is_upgraded(0).then_some(false) }
        });
        if killed {
            assert_eq!(run.wait().status, None, "{}", self.stage.story());
        } else {
            // The order to end makes calls as well.
            killed = run.stop(Signal::SIGINT).status.is_none();
        }
        self.until_no_daemon();
        killed
    }

    fn until_no_daemon(&self) {
        // The kernel ends the daemon with its nymvisor.
        let stage = &self.stage;
        stage.until("the end of all daemons", || stage.daemons().is_empty().then_some(()));
    }

    /// Runs with a call that fails at this point: a daemon is up whatever fails. False if nothing
    /// failed.
    ///
    /// A run may refuse to begin; one that has begun goes on.
    pub(crate) fn failing_at(&self, point: &Point, error: &str) -> bool {
        let mut run = self.traced(&point.inject(&self.root(), &format!("error={error}")));
        let since = Instant::now();
        self.stage.until("the upgrade, or its failure", || {
            let settled = run.is_over()
                || self.is_upgraded(0)
                || since.elapsed() > FAULT_SETTLES && self.log().contains("(INJECTED)");
            settled.then_some(())
        });
        if run.is_over() {
            let end = run.wait();
            assert!([Some(1), Some(3)].contains(&end.status), "{end:?}");
            assert!(!end.stderr.contains("panicked"), "{}", end.stderr);
            assert_eq!(self.stage.logged("started"), 0, "the daemon is lost: {end:?}");
        } else {
            let daemons =
                || Some(self.stage.daemons()).filter(|daemons| daemons.len() == 1).map(drop);
            self.stage.until("one daemon", daemons);
            assert!(!run.stderr().contains("panicked"), "{}", run.stderr());
            end(run);
        }
        self.until_no_daemon();
        self.log().contains("(INJECTED)")
    }

    /// Starts again, with nothing that goes wrong: everything comes to its end.
    pub(crate) fn assert_ends_well(&self) {
        let stage = &self.stage;
        let starts = stage.logged("started 1.1.0");
        let run = stage.start(&["run"]);
        stage.until("the upgrade after all", || self.is_upgraded(starts).then_some(()));
        // What could not be moved after the commit point is moved while the new version starts.
        let link = stage.site.data("current");
        stage.until("the link, which is moved last", || {
            fs::read_link(&link).unwrap().ends_with("v1.1.0").then_some(())
        });
        assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
        assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
        assert_eq!(stage.history(), ["v1.1.0"], "{}", stage.story());
        end(run);
        self.assert_whole(1..=2);
        if !leftovers(&self.root()).is_empty() {
            self.assert_next_upgrade_cleans();
        }
    }

    fn assert_whole(&self, backups: std::ops::RangeInclusive<usize>) {
        let stage = &self.stage;
        let verified = stage.site.run(&["journal", "verify", "--backups"]);
        assert_eq!(verified.status, 0, "{}{}{}", verified.stdout, verified.stderr, stage.story());
        let archives = archives(&stage.site.home("nymvisor/backups"));
        assert!(backups.contains(&archives.len()), "{archives:?}\n{}", stage.story());
        for archive in archives {
            let read = Command::new("tar").args(["--zstd", "-tf"]).arg(&archive).output().unwrap();
            assert!(read.status.success(), "{}: {read:?}", archive.display());
        }
        let lock = stage.site.data("upgrade.lock");
        HeldLock::acquire(&lock, 0o644, "").unwrap().release_and_remove().unwrap();
    }

    /// What a kill may leave, the next upgrade removes.
    fn assert_next_upgrade_cleans(&self) {
        let stage = &self.stage;
        let before = leftovers(&self.root());
        stage.announce("1.2.0");
        let run = stage.start(&["run"]);
        stage.until_log("started 1.2.0", 1);
        stage.until_phase("Running");
        assert_eq!(stage.assert_consistent(), "v1.2.0", "{}", stage.story());
        end(run);
        self.assert_whole(2..=3);
        let left = leftovers(&self.root());
        assert!(left.is_empty(), "left by the kill {before:?}, and still there {left:?}");
    }
}

fn end(mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = entries.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir());
    files.map(walkdir::DirEntry::into_path).collect()
}

fn archives(folder: &Path) -> Vec<PathBuf> {
    let is_archive = |path: &PathBuf| path.to_string_lossy().ends_with("-preupgrade.tar.zst");
    files(folder).into_iter().filter(is_archive).collect()
}

/// Files of ours that are there only while something is done.
fn leftovers(root: &Path) -> Vec<PathBuf> {
    let is_temporary = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let endings = [".new", ".partial", ".part", ".part.json"];
        endings.iter().any(|ending| name.ends_with(ending)) || name.contains("-tries-")
    };
    files(root).into_iter().filter(is_temporary).collect()
}
