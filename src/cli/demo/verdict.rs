//! Whether what should have happened has happened, by what lies on the disk and in the journal.

use std::path::PathBuf;

use super::follow::Follower;
use super::scenario::{Expected, Fail, Scenario};
use super::{NEW, OLD, UPGRADE};
use crate::config::Paths;
use crate::disk::{Disk, RealDisk};
use crate::host::backup;
use crate::machine::{Archive, Code, Event, PhaseName, Record};
use crate::release::{self, History, if_there};

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Finding {
    /// It is as it should be.
    pub(super) holds: bool,
    /// What it is, in words.
    pub(super) text: String,
}

/// What a run has left.
pub(super) struct Left<'a> {
    pub(super) follower: &'a Follower,
    pub(super) paths: &'a Paths,
    /// The status that `run` ended with; `None` where a signal ended it.
    pub(super) status: Option<i32>,
}

impl Left<'_> {
    /// Everything that belongs to what was to be shown.
    pub(super) fn findings(&self, scenario: Scenario) -> Vec<Finding> {
        match scenario.expected() {
            Expected::Upgraded => self.upgraded(scenario),
            Expected::HeldBack(code) => self.held_back(code),
            Expected::BackToOld(phase) => self.back_to_old(phase),
            Expected::GivenUp => self.given_up(),
        }
    }

    /// The version that the instance runs, by its version file.
    pub(super) fn version(&self) -> String {
        let loaded = release::load_current_version(&RealDisk, &self.paths.current_version());
        loaded.map_or_else(|error| error.to_string(), |version| version.version.to_string())
    }

    /// The backup that was sealed.
    pub(super) fn archive(&self) -> Option<&Archive> {
        self.follower.records().find_map(|record| {
            if let Event::BackupSealed { archive, .. } = &record.event {
                return Some(archive);
            }
            None
        })
    }

    /// The backup, where it is still there.
    pub(super) fn sealed(&self) -> Option<&Archive> {
        self.archive().filter(|archive| backup::path_of(archive).exists())
    }

    fn upgraded(&self, scenario: Scenario) -> Vec<Finding> {
        let killed = (scenario.0 == Some(Fail::Draining)).then(|| {
            let killed = self.follower.has_seen(|event| *event == Event::GraceElapsed);
            finding(killed, "the old version was killed after its grace period")
        });
        let mut findings: Vec<Finding> = killed.into_iter().collect();
        findings.extend(self.swapped());
        findings.push(finding(self.is_up_after_swap(), "the new version was started"));
        findings.push(self.ended_with(0));
        findings
    }

    fn held_back(&self, code: Code) -> Vec<Finding> {
        let failed = self.failure().is_some_and(|(record, found)| {
            found == code && record.from == PhaseName::Running && record.to == PhaseName::Running
        });
        let asked = |record: &Record| matches!(record.event, Event::StopRequested { .. });
        let mut before_the_end = self.follower.records().take_while(|record| !asked(record));
        let up = !before_the_end.any(|r| matches!(r.event, Event::DaemonEnded { .. }));
        let mut findings = vec![
            finding(failed, "the preparation failed, for the reason that was expected"),
            finding(up, "the daemon ran on all the time"),
        ];
        findings.extend(self.unchanged());
        findings.push(self.ended_with(0));
        findings
    }

    fn back_to_old(&self, phase: PhaseName) -> Vec<Finding> {
        let failure = self.failure().filter(|(record, _)| record.from == phase);
        let up = failure.is_some_and(|(failed, _)| self.is_up_after(failed.seq));
        let none_left = self.archive().is_none_or(|archive| !backup::path_of(archive).exists());
        let mut findings = vec![
            finding(failure.is_some(), &format!("{phase} failed, after the stop")),
            finding(up, "the old version is up again"),
            finding(none_left, "no backup is left of the attempt"),
        ];
        findings.extend(self.unchanged());
        findings.push(self.ended_with(0));
        findings
    }

    fn given_up(&self) -> Vec<Finding> {
        let crashes = self.follower.records().filter(|record| {
            let crashed = matches!(
                record.event,
                Event::DaemonEnded { ending, .. } if ending.is_crash()
            );
            crashed || matches!(record.event, Event::SpawnFailed { .. })
        });
        let mut findings = self.swapped();
        let twice = crashes.count() == 2;
        findings.push(finding(twice, "the new version failed to start twice"));
        findings.push(self.ended_with(4));
        findings
    }

    /// The files that an upgrade moves, and its backup.
    fn swapped(&self) -> Vec<Finding> {
        let version = self.version();
        let link = self.link();
        let entries = self.history_len();
        let sealed = self.archive().map(backup::path_of);
        let is_whole = sealed.is_some_and(|path| backup::is_whole(&path).unwrap_or(false));
        vec![
            finding(version == NEW, &format!("the version file says {version}")),
            finding(
                link.as_deref() == Some(format!("upgrades/{UPGRADE}").as_ref()),
                &format!("'current' leads to {}", shown(link)),
            ),
            finding(entries == Some(1), "the history has one entry"),
            finding(is_whole, "the backup is there and can be read to its end"),
        ]
    }

    fn unchanged(&self) -> Vec<Finding> {
        let (version, link) = (self.version(), self.link());
        vec![
            finding(version == OLD, &format!("the version file says {version}")),
            finding(
                link.as_deref() == Some("genesis".as_ref()),
                &format!("'current' leads to {}", shown(link)),
            ),
        ]
    }

    fn ended_with(&self, expected: i32) -> Finding {
        let text = match self.status {
            Some(status) => format!("'nymvisor run' ended with status {status}"),
            None => "'nymvisor run' was ended by a signal".to_owned(),
        };
        finding(self.status == Some(expected), &text)
    }

    fn link(&self) -> Option<PathBuf> {
        RealDisk.read_link(&self.paths.current()).ok()
    }

    fn history_len(&self) -> Option<usize> {
        let history = if_there(release::load::<History>(&RealDisk, &self.paths.history()));
        history.ok().map(|history| history.unwrap_or_default().history.len())
    }

    /// The failure of a step, and the record that tells it.
    fn failure(&self) -> Option<(&Record, Code)> {
        self.follower.records().find_map(|record| {
            if let Event::WorkFailed { failure, .. } = &record.event {
                return Some((record, failure.code));
            }
            None
        })
    }

    fn is_up_after_swap(&self) -> bool {
        let committed = |record: &&Record| matches!(record.event, Event::SwapCommitted { .. });
        let committed = self.follower.records().find(committed);
        committed.is_some_and(|record| self.is_up_after(record.seq))
    }

    fn is_up_after(&self, seq: u64) -> bool {
        let mut later = self.follower.records().filter(|record| record.seq > seq);
        later.any(|record| matches!(record.event, Event::DaemonSpawned { .. }))
    }
}

fn finding(holds: bool, text: &str) -> Finding {
    Finding { holds, text: text.to_owned() }
}

fn shown(link: Option<PathBuf>) -> String {
    link.map_or_else(|| "nothing".to_owned(), |link| link.display().to_string())
}
