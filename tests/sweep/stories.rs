//! What is going on when something goes wrong, and the installations that are about to do it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::ends::{self, Content};
use crate::support::run::Stage;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// An upgrade that upstream announces.
    Polled,
    /// An upgrade that was queued by hand before the start.
    ByHand,
    /// A roll-back after a start of the new version that failed.
    Back,
    /// A roll-back that a person asks for while the new version runs.
    BackByHand,
}

impl Story {
    pub(crate) const ALL: [Self; 4] = [Self::Polled, Self::ByHand, Self::Back, Self::BackByHand];

    pub(crate) fn is_back(self) -> bool {
        matches!(self, Self::Back | Self::BackByHand)
    }

    pub(crate) fn kind(self) -> &'static str {
        if self.is_back() { "roll-back" } else { "upgrade" }
    }

    /// Brings an installation to where the story begins; nothing runs then.
    fn prepare(self, stage: &Stage) {
        fs::write(stage.site.home("data"), vec![7; 1024]).unwrap();
        match self {
            Self::Polled => {}
            Self::ByHand => {
                let binary = stage.site.binary("nym-node", "1.1.0");
                let binary = binary.to_str().unwrap();
                stage.site.ok(&["add-upgrade", binary, "--upgrade-name", "v1.1.0", "--now"]);
            }
            Self::Back | Self::BackByHand => upgrade(stage),
        }
        if self == Self::Back {
            stage.switch("exit-at-start.1.1.0", "3");
        }
    }

    /// What upstream says.
    fn announce(self, stage: &Stage) {
        match self {
            Self::Polled | Self::Back | Self::BackByHand => stage.announce("1.1.0"),
            Self::ByHand => {}
        }
    }
}

/// Upgrades to 1.1.0, which then changes, adds and removes data.
fn upgrade(stage: &Stage) {
    let home = |name: &str| stage.site.home(name);
    fs::create_dir(home("folder")).unwrap();
    for name in ["changed", "removed", "folder/changed"] {
        fs::write(home(name), "old").unwrap();
    }
    stage.announce("1.1.0");
    let mut run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    fs::create_dir(home("added")).unwrap();
    for name in ["changed", "folder/changed", "folder/added", "added/added"] {
        fs::write(home(name), "new").unwrap();
    }
    fs::remove_file(home("removed")).unwrap();
}

/// Puts back what was saved.
pub(crate) type PutBack = Box<dyn Fn() + Send>;

/// An installation where a story begins, which is put back in its place for each trial.
pub(crate) struct Template {
    pub(crate) stage: Stage,
    pub(crate) story: Story,
    /// The home before the story.
    pub(crate) before: Content,
    /// The home as the backup has it, where there is one.
    pub(crate) sealed: Content,
    put_back: PutBack,
}

impl Template {
    /// In a folder of its own.
    pub(crate) fn new(story: Story) -> Self {
        Self::of(Stage::new(), story, |root| {
            let (saved, root) = (tempfile::tempdir().unwrap(), root.to_owned());
            copy(&root, saved.path());
            Box::new(move || {
                empty(&root);
                copy(saved.path(), &root);
            })
        })
    }

    /// On this stage. `save` is told its folder, and gives what puts back all that is in it.
    pub(crate) fn of(mut stage: Stage, story: Story, save: impl FnOnce(&Path) -> PutBack) -> Self {
        if story == Story::Back {
            stage.set("DAEMON_ROLLBACK_ON_FAILED_UPGRADE", "true");
            stage.set("DAEMON_MAX_STARTUP_FAILURES", "1");
        }
        story.prepare(&stage);
        let backups = stage.archives();
        let sealed = backups.first().map(|archive| unpacked(archive)).unwrap_or_default();
        let before = ends::content(&stage.site.home(""));
        let put_back = save(&stage.site.path(""));
        Self { stage, story, before, sealed, put_back }
    }

    /// Everything is as it was before the last trial.
    pub(crate) fn put_back(&self) {
        self.stage.until("the end of the last trial", || (!self.stage.kill_all()).then_some(()));
        (self.put_back)();
        self.stage.forget_runs();
        self.story.announce(&self.stage);
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success(), "{}", from.display());
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let is_folder = entry.file_type().unwrap().is_dir();
        let path = entry.path();
        if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
}

fn unpacked(archive: &Path) -> Content {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--zstd", "-xf"]).arg(archive).arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    ends::content(folder.path())
}

/// Installations that wait for their next trial; each is in one at a time.
pub(crate) struct Pool<T> {
    make: fn(Story) -> T,
    free: Mutex<BTreeMap<Story, Vec<T>>>,
}

impl<T> Pool<T> {
    pub(crate) fn new(make: fn(Story) -> T) -> Self {
        Self { make, free: Mutex::default() }
    }

    /// Does something with one of a story's, which is made where none is free.
    pub(crate) fn with<R>(&self, story: Story, attempt: impl FnOnce(&T) -> R) -> R {
        let free = self.free.lock().unwrap().entry(story).or_default().pop();
        let one = free.unwrap_or_else(|| (self.make)(story));
        let outcome = attempt(&one);
        self.free.lock().unwrap().entry(story).or_default().push(one);
        outcome
    }
}
