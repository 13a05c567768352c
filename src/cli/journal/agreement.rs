//! Whether the files on disk say what the journal says.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Paths;
use crate::host::backup;
use crate::host::files::Files;
use crate::journal::{Fault, FaultKind, Verified};
use crate::machine::{
    AfterDrain, AfterFailure, Archive, Attempt, Link, Phase, Queue, State, Upgrade, Version,
};

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    pub(super) faults: Vec<Fault>,
    pub(super) notes: Vec<String>,
}

/// Compares version file, plan, link and history with what the journal leads to.
///
/// Nothing is compared where the journal's end can't be read: it may say anything.
pub(super) fn compare(files: &Files, paths: &Paths, verified: &Verified) -> Agreement {
    let mut agreement = Agreement::default();
    let Some(last) = &verified.last else {
        agreement.notes.push(if verified.segments == 0 {
            "there is no journal: nothing has been run here yet, or it was removed".to_owned()
        } else {
            "the files are not compared: the journal's end can't be read".to_owned()
        });
        return agreement;
    };
    let state = &last.state;
    let sides =
        Sides { paths, state, moving: moving(&state.phase), committed: &verified.committed };
    sides.version(files, &mut agreement);
    match files.queue() {
        Ok(queue) => {
            sides.plan(&queue, &mut agreement);
            sides.history(&queue, &mut agreement);
            let current = queue.current.map(|current| current.name);
            sides.link(files, current.as_ref().unwrap_or(&state.installed.name), &mut agreement);
        }
        Err(error) => {
            agreement.faults.push(differs(error.to_string()));
            sides.link(files, &state.installed.name, &mut agreement);
        }
    }
    agreement
}

/// The attempt that may be moving the files, or may have moved some of them.
fn moving(phase: &Phase) -> Option<&Attempt> {
    match phase {
        Phase::Swapping(swapping) => Some(&swapping.attempt),
        Phase::Draining(draining) => match &draining.then {
            AfterDrain::Recover { before, .. } => moving(before),
            AfterDrain::Upgrade(_) | AfterDrain::FailedStart(_) | AfterDrain::End(_) => None,
        },
        Phase::Failed(failed) => match &failed.then {
            AfterFailure::OldVersion { attempt, .. } | AfterFailure::RollBackFailed(attempt) => {
                Some(attempt)
            }
            AfterFailure::RollBack(_) | AfterFailure::GivenUp { .. } => None,
        },
        Phase::Running(_)
        | Phase::BackingUp(_)
        | Phase::Locking(_)
        | Phase::Downloading(_)
        | Phase::Verifying(_)
        | Phase::Restarting(_) => None,
    }
}

fn differs(text: String) -> Fault {
    Fault { kind: FaultKind::Files, file: None, line: None, seq: None, text }
}

/// What the journal says, to be held against the files.
struct Sides<'a> {
    paths: &'a Paths,
    state: &'a State,
    moving: Option<&'a Attempt>,
    committed: &'a [Upgrade],
}

impl Sides<'_> {
    fn version(&self, files: &Files, to: &mut Agreement) {
        let installed = &self.state.installed;
        match files.version() {
            Err(error) => to.faults.push(differs(error.to_string())),
            Ok(version) if version == *installed => {}
            Ok(version) if self.moving.is_some_and(|of| of.target() == version) => {
                to.notes.push(format!(
                    "the {} to {} is past its commit point, and its record is still to come",
                    if self.moving.is_some_and(|of| of.back.is_some()) {
                        "roll-back"
                    } else {
                        "upgrade"
                    },
                    version.name
                ));
            }
            Ok(version) => to.faults.push(differs(format!(
                "{} names {}, and the journal {}; the next `nymvisor run` goes by the file",
                self.paths.current_version().display(),
                named(&version),
                named(installed),
            ))),
        }
    }

    fn plan(&self, queue: &Queue, to: &mut Agreement) {
        let Some(current) = &queue.current else { return };
        let installed = &self.state.installed;
        let target = current.target();
        if target == *installed || self.moving.is_some_and(|of| of.target() == target) {
            return;
        }
        let is_last = queue.performed.last() == Some(&current.name);
        if is_last && !self.has_committed(&current.name) {
            to.notes.push(format!(
                "the plan's current is {}, which another instance of this data folder performed; \
                 this one runs {}",
                named(&target),
                named(installed)
            ));
            return;
        }
        to.faults.push(differs(format!(
            "{} calls {} current, and the journal {}",
            self.paths.plan().display(),
            named(&target),
            named(installed),
        )));
    }

    /// The link and the plan belong to the data folder, and move together.
    fn link(&self, files: &Files, current: &String, to: &mut Agreement) {
        let link = match files.link() {
            Ok(link) if link.version() == Some(current) => return,
            Ok(link) => link,
            Err(error) => return to.faults.push(differs(error.to_string())),
        };
        let says = match &link {
            Link::LeadsTo(name) => format!("leads to {name}, not to {current}"),
            Link::Astray(target) => format!("leads to {target}, not to {current}"),
            Link::Absent => format!("is absent, and should lead to {current}"),
            Link::NoLink => format!("is no link, and should be one to {current}"),
        };
        let text = format!("{} {says}", self.paths.current().display());
        let on_its_way = self.moving.is_some_and(|of| {
            link.version().is_none_or(|name| *name == of.from.name || *name == of.target().name)
        });
        if on_its_way {
            to.notes.push(format!("{text}: the files are being moved"));
        } else {
            to.faults.push(differs(text));
        }
    }

    fn history(&self, queue: &Queue, to: &mut Agreement) {
        let committed = self.committed.iter().map(|upgrade| upgrade.name.as_str());
        let names: BTreeSet<&str> =
            committed.chain(queue.performed.iter().map(String::as_str)).collect();
        // Which way one of them stands can't be told while it is being rolled back.
        let undone = self.moving.filter(|of| of.back.is_some());
        let undone = undone.map(|of| of.upgrade.name.as_str());
        let file = self.paths.history();
        for name in names.into_iter().filter(|name| Some(*name) != undone) {
            let count = queue.performed.iter().filter(|performed| *performed == name).count();
            let by_us = self.committed.iter().filter(|upgrade| upgrade.name == name).count();
            let in_a_row = |pair: &[String]| pair.iter().all(|performed| performed == name);
            // Performed again it is only after another version, to which somebody went down.
            if count < by_us.max(1) || queue.performed.windows(2).any(in_a_row) {
                let should = match by_us {
                    0 | 1 => "once".to_owned(),
                    times => format!("{times} times"),
                };
                to.faults.push(differs(format!(
                    "{} has {name} {count} times, and should {should}",
                    file.display()
                )));
            } else if count > by_us.max(1) && !self.is_moving_to(name) {
                to.notes.push(format!(
                    "{} has {name} {count} times, and this instance has performed it {by_us} \
                     times: the others were another instance's, or an older journal's",
                    file.display()
                ));
            }
        }
    }

    fn is_moving_to(&self, name: &str) -> bool {
        self.moving.is_some_and(|of| of.upgrade.name == name)
    }

    /// The records of it may have been pruned: the state still knows the last.
    fn has_committed(&self, name: &str) -> bool {
        let last = self.state.performed.iter().map(|last| &last.upgrade);
        self.committed.iter().chain(last).any(|upgrade| upgrade.name == name)
    }
}

fn named(version: &Version) -> String {
    format!("{} ({})", version.name, version.version)
}

/// The backups that the journal names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backups {
    /// So many are there and were read.
    pub(super) read: u64,
    /// So many have been removed since.
    pub(super) absent: u64,
}

impl Backups {
    /// Reads those that are still there, and reports those that have changed.
    pub(super) fn read(archives: &BTreeMap<String, Archive>, faults: &mut Vec<Fault>) -> Self {
        let mut backups = Self::default();
        for archive in archives.values() {
            let path = backup::path_of(archive);
            if matches!(path.try_exists(), Ok(false)) {
                backups.absent += 1;
                continue;
            }
            backups.read += 1;
            let found = match backup::check(&path, Some(archive)) {
                Ok(checked) => checked.faults,
                Err(error) => vec![error.to_string()],
            };
            let told = |fault| differs(format!("the backup {}: {fault}", archive.path));
            faults.extend(found.into_iter().map(told));
        }
        backups
    }
}
