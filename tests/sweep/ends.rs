//! What has to hold once a start with nothing wrong in it came after whatever went wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nymvisor::host::lock::HeldLock;

use super::stories::Story;
use super::trial::{Trial, end};
use crate::support::run::Record;
use crate::support::site::read_json;

/// Files by their paths, with what is in them. Folders end in nothing but their name.
pub(crate) type Content = BTreeMap<PathBuf, String>;

/// What each start of a daemon writes anew.
const DAEMON_WRITES: [&str; 3] = ["daemon.pid", "daemon.version", "events.log"];

impl Trial<'_> {
    /// Starts again, with nothing that goes wrong: everything comes to its end.
    pub(crate) fn assert_ends_well(&self) {
        if self.template.story.is_back() {
            self.assert_back();
        } else {
            self.assert_upgraded();
        }
        if !leftovers(&self.root()).is_empty() {
            self.assert_next_upgrade_cleans();
        }
    }

    fn assert_upgraded(&self) {
        let stage = self.stage;
        let mark = self.mark();
        let run = stage.start(&["run"]);
        stage.until("the upgrade after all", || self.is_done(mark).then_some(()));
        // What could not be moved after the commit point is moved while the new version starts.
        let link = stage.site.data("current");
        stage.until("the link, which is moved last", || {
            fs::read_link(&link).unwrap().ends_with("v1.1.0").then_some(())
        });
        assert_eq!(stage.assert_consistent(), "v1.1.0", "{}", stage.story());
        assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
        assert_eq!(stage.history(), ["v1.1.0"], "{}", stage.story());
        end(run);
        self.assert_whole(1);
    }

    fn assert_back(&self) {
        let stage = self.stage;
        let (begun, starts, mark) = (self.has_begun(), self.starts_of("1.1.0"), self.mark());
        let run = stage.start(&["run"]);
        if self.template.story == Story::BackByHand && !begun {
            let is_up = || stage.logged("started 1.1.0") > 0 && self.stands_in("Running");
            stage.until("either version", || (is_up() || self.is_done(mark)).then_some(()));
            // Refused where it is under way: what was asked for before is done now.
            stage.site.run(&["rollback"]);
        }
        stage.until("the roll-back after all", || self.is_done(mark).then_some(()));
        let link = stage.site.data("current");
        stage.until("the link, which is moved last", || {
            fs::read_link(&link).unwrap().ends_with("genesis").then_some(())
        });
        assert_eq!(stage.assert_consistent(), "genesis", "{}", stage.story());
        assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
        if begun {
            let story = stage.story();
            assert_eq!(self.starts_of("1.1.0"), starts, "the failed version again\n{story}");
        }
        end(run);
        self.assert_undone();
        self.assert_data();
        self.assert_whole(1);
    }

    /// One entry of the history, marked, and the announcement is held back.
    fn assert_undone(&self) {
        let history = read_json(&self.stage.site.data("upgrade-history.json"));
        let entries = history["history"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{history}\n{}", self.stage.story());
        assert!(entries[0]["rolledBackAt"].is_string(), "{history}\n{}", self.stage.story());
        assert_eq!(self.attempts(), 2, "{}", self.stage.story());
        let plan = read_json(&self.stage.site.data("upgrade-plan.json"));
        assert_eq!(plan["queuedUp"][0]["name"], "v1.1.0", "{plan}\n{}", self.stage.story());
        if leftovers(&self.root()).is_empty() {
            let retried = self.stage.site.run(&["retry", "v1.1.0"]);
            let is_held = retried.stdout.contains("v1.1.0 is tried again");
            assert!(is_held, "{retried:?}\n{}", self.stage.story());
        }
    }

    /// The home is as the backup has it, and all that was there before lies aside.
    fn assert_data(&self) {
        let home = content(&self.stage.site.home(""));
        let is_data = |path: &Path| !DAEMON_WRITES.iter().any(|name| path == Path::new(name));
        let data = |content: &Content| {
            let mut content = content.clone();
            content.retain(|path, _| is_data(path));
            content
        };
        let story = || self.stage.story();
        assert_eq!(data(&home), data(&self.template.sealed), "the home\n{}", story());
        let asides = self.asides();
        assert_eq!(asides.len(), 1, "{asides:?}\n{}", story());
        let aside = content(&asides[0]);
        assert_eq!(data(&aside), data(&self.template.before), "aside\n{}", story());
        let log = Path::new("events.log");
        for (now, before) in [(&home, &self.template.sealed), (&aside, &self.template.before)] {
            assert!(now[log].starts_with(&before[log]), "{now:?}\n{}", story());
        }
        let others = fs::read_dir(asides[0].parent().unwrap()).unwrap().count();
        assert_eq!(others, 2, "what the restore leaves besides: its state alone");
    }

    /// Where roll-backs have moved what was in the home.
    fn asides(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.stage.site.home("nymvisor/rollbacks"));
        let folders = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
        folders.map(|folder| folder.join("aside")).collect()
    }

    /// How often a version was started, wherever the log of that is now.
    pub(super) fn starts_of(&self, version: &str) -> usize {
        let logs = self.asides().into_iter().chain([self.stage.site.home("")]);
        let logs = logs.map(|folder| fs::read_to_string(folder.join("events.log")));
        let started = format!("started {version}");
        logs.map(|log| log.unwrap_or_default().matches(&started).count()).sum()
    }

    /// Whether a roll-back is on the record: asked for and granted, or begun by itself.
    pub(super) fn has_begun(&self) -> bool {
        let records = self.records_that_hold();
        let nexts = records.iter().skip(1).map(Some).chain([None]);
        records.iter().zip(nexts).any(|(record, next)| {
            let is_granted = record.event() == "roll-back-requested" && record.to() != "Running";
            let is_failure = record.to() == "Failed" && record.from() != "Failed";
            // What is given up ends the run.
            is_granted || is_failure && next.is_none_or(|next| next.to() == "BackingUp")
        })
    }

    /// Without those that were in doubt and written again: their numbers come twice.
    fn records_that_hold(&self) -> Vec<Record> {
        let mut holding: Vec<Record> = Vec::new();
        for record in self.stage.records() {
            let number = |record: &Record| record.0["seq"].as_u64().unwrap();
            holding.retain(|earlier| number(earlier) < number(&record));
            holding.push(record);
        }
        holding
    }

    /// How many attempts there were: an upgrade and its roll-back make two.
    fn attempts(&self) -> u64 {
        let records = self.records_that_hold();
        let effects = records.iter().flat_map(|record| record.0["effects"].as_array().unwrap());
        let orders = effects.filter_map(|effect| effect.as_object()?.values().next());
        orders.filter_map(|order| order["attempt"].as_u64()).max().unwrap_or(0)
    }

    /// Whether a run may give up: a roll-back can't go on, or what failed can't be rolled back.
    pub(super) fn may_be_down(&self) -> bool {
        self.template.story == Story::Back || self.template.story.is_back() && self.has_begun()
    }

    /// Everything agrees, and there are so many backups. A mishap may leave one more: that an
    /// archive is sealed is on the record only after it has its name.
    fn assert_whole(&self, backups: usize) {
        let stage = self.stage;
        let verified = stage.site.run(&["journal", "verify", "--backups"]);
        assert_eq!(verified.status, 0, "{}{}{}", verified.stdout, verified.stderr, stage.story());
        let archives = stage.archives();
        let is_back = self.template.story.is_back();
        let most = if is_back { backups } else { backups + self.mishaps.get() };
        let count = archives.len();
        assert!((backups..=most).contains(&count), "{archives:?}\n{}", stage.story());
        for archive in archives {
            let read = Command::new("tar").args(["--zstd", "-tf"]).arg(&archive).output().unwrap();
            assert!(read.status.success(), "{}: {read:?}", archive.display());
        }
        let lock = stage.site.data("upgrade.lock");
        HeldLock::acquire(&lock, 0o644, "").unwrap().release_and_remove().unwrap();
    }

    /// What a kill may leave, the next upgrade removes.
    fn assert_next_upgrade_cleans(&self) {
        let stage = self.stage;
        let before = leftovers(&self.root());
        stage.announce("1.2.0");
        let run = stage.start(&["run"]);
        stage.until_log("started 1.2.0", 1);
        stage.until_phase("Running");
        assert_eq!(stage.assert_consistent(), "v1.2.0", "{}", stage.story());
        end(run);
        self.assert_whole(2);
        let left = leftovers(&self.root());
        assert!(left.is_empty(), "left by the kill {before:?}, and still there {left:?}");
    }
}

/// What is in a daemon's home, but for what is nymvisor's.
pub(super) fn content(home: &Path) -> Content {
    let entries = walkdir::WalkDir::new(home).min_depth(1).into_iter();
    let entries = entries.filter_entry(|entry| entry.path() != home.join("nymvisor"));
    let content = |path: &Path| {
        let bytes = if path.is_dir() { Vec::new() } else { fs::read(path).unwrap() };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let paths = entries.map(|entry| entry.unwrap().into_path());
    paths.map(|path| (path.strip_prefix(home).unwrap().to_owned(), content(&path))).collect()
}

/// All files in a folder, or a file alone.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = entries.filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir());
    files.map(walkdir::DirEntry::into_path).collect()
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
