//! One upgrade or roll-back with something going wrong in it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::ends;
use super::points::{self, Point};
use super::stories::{Story, Template};
use crate::support::run::{Run, Stage};

/// How long a run with a fault in it is looked at where nothing more happens.
const FAULT_SETTLES: Duration = Duration::from_secs(1);

/// An installation that is about to do what its story tells, and where its trace goes.
pub(crate) struct Trial<'a> {
    pub(super) template: &'a Template,
    pub(super) stage: &'a Stage,
    log: tempfile::NamedTempFile,
    /// How many runs were interrupted so far.
    pub(super) mishaps: Cell<usize>,
}

/// How often what has to come up was started before a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(usize);

/// A roll-back that a person asks for, while it waits for its answer.
#[derive(Debug, Default)]
struct Asked {
    child: Option<Child>,
    /// How long the trace was then.
    at: Option<usize>,
}

impl Drop for Asked {
    /// Without its engine it would wait for a while.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl<'a> Trial<'a> {
    pub(crate) fn new(template: &'a Template) -> Self {
        template.put_back();
        let log = tempfile::NamedTempFile::new().unwrap();
        Self { template, stage: &template.stage, log, mishaps: Cell::new(0) }
    }

    pub(super) fn root(&self) -> PathBuf {
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

    /// The version that runs in the end.
    fn version(&self) -> &'static str {
        if self.template.story.is_back() { "1.0.0" } else { "1.1.0" }
    }

    /// Taken before a session.
    pub(super) fn mark(&self) -> Mark {
        let started = format!("started {}", self.version());
        let sealed = self.template.sealed.get(Path::new("events.log"));
        let sealed = sealed.map_or(0, |log| log.matches(&started).count());
        // Until the data is restored the log is the new version's.
        let is_back = self.template.story.is_back() && self.stage.logged("started 1.1.0") == 0;
        let logged = self.stage.logged(&started);
        Mark(if is_back || sealed == 0 { logged.max(sealed) } else { sealed })
    }

    /// Whether a session has done what the story tells: the right version was started, and is up.
    pub(super) fn is_done(&self, mark: Mark) -> bool {
        self.has_started(mark) && self.stands_in("Running")
    }

    fn has_started(&self, mark: Mark) -> bool {
        self.stage.logged(&format!("started {}", self.version())) > mark.0
            && !(self.template.story.is_back() && self.stage.logged("started 1.1.0") > 0)
    }

    /// Whether the last record on disk leads to this phase.
    pub(super) fn stands_in(&self, phase: &str) -> bool {
        let folder = self.root().join(".nym/nymvisors/instances/nym-node-default/data/journal");
        let segments = ends::files(&folder).into_iter();
        let last = segments.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).max();
        let content = last.map(|path| fs::read_to_string(path).unwrap_or_default());
        let line = content.as_deref().and_then(|content| content.lines().last());
        let record = serde_json::from_str::<Value>(line.unwrap_or_default());
        record.is_ok_and(|record| record["to"] == phase)
    }

    /// In a story of that kind: asks for the roll-back, once the new version is up.
    fn ask_back(&self, asked: &mut Asked) {
        let is_time = self.template.story == Story::BackByHand
            && asked.at.is_none()
            && self.stage.logged("started 1.1.0") > 1
            && self.stands_in("Running");
        if is_time {
            asked.at = Some(self.log().len());
            let mut command = self.stage.site.command(&["rollback"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            asked.child = Some(command.spawn().unwrap());
        }
    }

    /// The points of a run in which nothing goes wrong; of a roll-back, those of it alone.
    pub(crate) fn points(&self) -> Vec<Point> {
        let mark = self.mark();
        let run = self.traced(&points::trace_all());
        let mut asked = Asked::default();
        self.stage.until("what the story tells", || {
            self.ask_back(&mut asked);
            self.is_done(mark).then_some(())
        });
        let log = self.log();
        end(run);
        let since = match self.template.story {
            Story::Polled | Story::ByHand => 0,
            Story::Back => log.find("+++ exited with 3 +++").unwrap(),
            Story::BackByHand => asked.at.unwrap(),
        };
        points::of(&log, &self.root(), since)
    }

    /// Runs until it is killed at this point. False if all is done without a kill.
    pub(crate) fn killed_at(&self, point: &Point) -> bool {
        let mark = self.mark();
        let mut run = self.traced(&point.inject(&self.root(), "signal=KILL"));
        let mut asked = Asked::default();
        let mut killed = self.stage.until("a kill, or the end of the story", || {
            self.ask_back(&mut asked);
            if run.is_over() { Some(true) } else { self.is_done(mark).then_some(false) }
        });
        if killed {
            assert_eq!(run.wait().status, None, "{}", self.stage.story());
        } else {
            // The order to end makes calls as well.
            killed = run.stop(Signal::SIGINT).status.is_none();
        }
        self.mishaps.update(|count| count + usize::from(killed));
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
    /// A run may refuse to begin; one that has begun goes on, but for a roll-back that can't.
    pub(crate) fn failing_at(&self, point: &Point, error: &str) -> bool {
        let (mark, starts) = (self.mark(), self.starts_of("1.1.0"));
        let mut run = self.traced(&point.inject(&self.root(), &format!("error={error}")));
        let mut asked = Asked::default();
        let mut seen = (Instant::now(), 0);
        self.stage.until("the end of the story, or its failure", || {
            self.ask_back(&mut asked);
            let size = self.traces();
            if size != seen.1 {
                seen = (Instant::now(), size);
            }
            let is_quiet = seen.0.elapsed() > FAULT_SETTLES;
            let settled = run.is_over()
                || self.is_done(mark)
                || is_quiet && self.log().contains("(INJECTED)");
            settled.then_some(())
        });
        // What is quiet may be about to end.
        self.stage.until("one daemon, or the end", || {
            (self.stage.daemons().len() == 1 || run.is_over()).then_some(())
        });
        if run.is_over() {
            let end = run.wait();
            let (may_be_down, story) = (self.may_be_down(), self.stage.story());
            assert!(!end.stderr.contains("panicked"), "{}", end.stderr);
            if end.status == Some(4) {
                assert!(may_be_down, "the daemon is lost: {end:?}\n{story}");
            } else {
                assert!([Some(1), Some(3)].contains(&end.status), "{end:?}\n{story}");
                let is_lost = self.starts_of("1.1.0") != starts || self.has_started(mark);
                assert!(!is_lost, "the daemon is lost: {end:?}\n{story}");
            }
        } else {
            assert!(!run.stderr().contains("panicked"), "{}", run.stderr());
            end(run);
        }
        self.mishaps.update(|count| count + 1);
        self.until_no_daemon();
        self.log().contains("(INJECTED)")
    }

    /// How much there is that tells of anything happening.
    fn traces(&self) -> u64 {
        let root = self.root();
        let told = [root.join(".nym/nymvisors/instances"), root.join("node/events.log")];
        let files = told.iter().flat_map(|path| ends::files(path));
        files.filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
    }
}

pub(super) fn end(mut run: Run) {
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
}
