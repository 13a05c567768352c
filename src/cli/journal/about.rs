//! What one record is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{
    Archive, Attempt, Effect, Event, PhaseName, Queue, Record, State, Trouble, Upgrade, Version,
};

/// An attempt, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Tried {
    /// Its number.
    pub(in crate::cli) id: u64,
    /// Name of the upgrade that is performed or rolled back.
    pub(in crate::cli) name: String,
    /// What ran before.
    pub(in crate::cli) from: Version,
    /// What is to run afterwards.
    pub(in crate::cli) to: Version,
    /// It rolls the upgrade back.
    pub(in crate::cli) back: bool,
    /// How often a crash interrupted it and it was taken up again.
    pub(in crate::cli) resumed: u32,
}

impl From<&Attempt> for Tried {
    fn from(attempt: &Attempt) -> Self {
        // A roll-back may be of what another attempt brought.
        let back = attempt.back.is_some();
        let from = if back { attempt.upgrade.target() } else { attempt.from.clone() };
        Self {
            id: attempt.id,
            name: attempt.upgrade.name.clone(),
            from,
            to: attempt.target(),
            back,
            resumed: attempt.resumed,
        }
    }
}

/// What was found out about a record.
#[derive(Debug, Default)]
pub(in crate::cli) struct Told {
    pub(in crate::cli) about: BTreeSet<String>,
    pub(in crate::cli) of: Option<String>,
    pub(in crate::cli) tried: Option<Tried>,
    pub(in crate::cli) on_trial: Option<String>,
}

/// What has to be remembered from record to record.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Memory {
    /// The attempt that is over, while the daemon that it leads to is not up yet.
    ending: Option<Tried>,
    /// Which upgrade each backup is of, by its path.
    backups: BTreeMap<String, String>,
}

impl Memory {
    /// What `record` is about, which led from one state to the other.
    pub(in crate::cli) fn take(&mut self, before: &State, record: &Record, after: &State) -> Told {
        let tried = self.tried(before, record, after);
        let mut about = differences(before, after);
        about.extend(tried.iter().map(|tried| tried.name.clone()));
        about.extend(named(before, record));
        if let (Event::BackupSealed { archive, .. }, Some(tried)) = (&record.event, &tried) {
            self.backups.insert(archive.path.clone(), tried.name.clone());
        }
        let archives = archives(record).into_iter();
        let archives: Vec<_> =
            archives.filter_map(|archive| self.backups.get(&archive.path).cloned()).collect();
        let of = owner(before, record).or_else(|| archives.first().cloned());
        about.extend(archives);
        about.extend(of.clone());
        let on_trial = on_trial(before, after).map(str::to_owned);
        about.extend(on_trial.iter().filter(|_| is_of_the_daemon(record)).cloned());
        about.retain(|name| name != "genesis");
        Told { about, of, tried, on_trial }
    }

    fn tried(&mut self, before: &State, record: &Record, after: &State) -> Option<Tried> {
        let under_way = after.phase.attempt().or_else(|| before.phase.attempt());
        if let Some(attempt) = under_way {
            self.ending = Some(Tried::from(attempt));
            return self.ending.clone();
        }
        if let Event::SessionStarted { .. } = record.event {
            self.ending = None;
        }
        if after.phase.name() == PhaseName::Running {
            return self.ending.take();
        }
        self.ending.clone()
    }
}

/// Names of the upgrades of which the two states say different things.
pub(super) fn differences(before: &State, after: &State) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if before.candidate != after.candidate {
        let candidates = before.candidate.iter().chain(&after.candidate);
        names.extend(candidates.map(|candidate| candidate.upgrade.name.clone()));
    }
    if before.queue != after.queue {
        names.extend(in_queues(&before.queue, &after.queue));
    }
    let troubles = in_one_only(&before.troubles, &after.troubles);
    names.extend(troubles.map(|trouble: &Trouble| trouble.name.clone()));
    if before.performed != after.performed {
        let performed = after.performed.as_ref().or(before.performed.as_ref());
        names.extend(performed.map(|performed| performed.upgrade.name.clone()));
    }
    if before.undone != after.undone {
        let undone = after.undone.as_ref().or(before.undone.as_ref());
        names.extend(undone.map(|undone| undone.upgrade.name.clone()));
    }
    if before.installed != after.installed {
        names.insert(after.installed.name.clone());
    }
    names
}

fn in_queues(before: &Queue, after: &Queue) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let entries = in_one_only(&before.entries, &after.entries);
    names.extend(entries.map(|entry: &Upgrade| entry.name.clone()));
    names.extend(in_one_only(&before.performed, &after.performed).cloned());
    names.extend(in_one_only(&before.in_place, &after.in_place).cloned());
    if before.current != after.current {
        names.extend(after.current.as_ref().map(|current| current.name.clone()));
    }
    names
}

fn in_one_only<'a, T: PartialEq>(one: &'a [T], other: &'a [T]) -> impl Iterator<Item = &'a T> {
    let gone = one.iter().filter(|item| !other.contains(item));
    gone.chain(other.iter().filter(|item| !one.contains(item)))
}

/// What the record itself names, whatever came of it.
fn named(before: &State, record: &Record) -> Option<String> {
    if let Event::AnnouncementReceived { upgrade } = &record.event {
        return Some(upgrade.name.clone());
    }
    if let Event::RetryRequested { name, .. } | Event::PauseElapsed { name, .. } = &record.event {
        return Some(name.clone());
    }
    if let Event::CancelRequested { upgrade, .. } = &record.event {
        return Some(upgrade.name.clone());
    }
    if let Event::HoldRequested { .. }
    | Event::ReleaseRequested { .. }
    | Event::HoldElapsed { .. }
    | Event::WindowOpened { .. }
    | Event::WindowClosed { .. } = &record.event
    {
        // It says when what is prepared may begin.
        return before.candidate.as_ref().map(|candidate| candidate.upgrade.name.clone());
    }
    if let Event::RollBackRequested { .. } = &record.event {
        return before.last_performed().map(|last| last.upgrade.name.clone());
    }
    None
}

/// The upgrade whose preparation or attempt did what the record tells.
fn owner(before: &State, record: &Record) -> Option<String> {
    let id = worker(&record.event)?;
    let candidate = before.candidate.as_ref().filter(|candidate| candidate.id == id);
    let attempt = before.phase.attempt().filter(|attempt| attempt.id == id);
    let upgrade = attempt.map(|of| &of.upgrade).or(candidate.map(|of| &of.upgrade));
    upgrade.map(|upgrade| upgrade.name.clone())
}

/// The number of the preparation or attempt that reports.
fn worker(event: &Event) -> Option<u64> {
    if let Event::CameDue { attempt, .. }
    | Event::BinaryFetched { attempt, .. }
    | Event::BinaryChecked { attempt, .. }
    | Event::RoomFound { attempt, .. }
    | Event::HomeCopied { attempt, .. }
    | Event::CopyRefreshed { attempt, .. }
    | Event::LockTaken { attempt }
    | Event::BackupSealed { attempt, .. }
    | Event::BackupSkipped { attempt }
    | Event::BinaryPresent { attempt }
    | Event::HomeRestored { attempt, .. }
    | Event::RestoreSkipped { attempt }
    | Event::SwapCommitted { attempt, .. }
    | Event::StoodDown { attempt }
    | Event::WorkFailed { attempt, .. } = event
    {
        return Some(*attempt);
    }
    if let Event::HookEnded { attempt, .. } = event { *attempt } else { None }
}

/// The backups that the record tells of, or orders something for.
fn archives(record: &Record) -> Vec<&Archive> {
    let mut found = Vec::new();
    if let Event::BackupExamined { archive } | Event::BackupDamaged { archive, .. } = &record.event
    {
        found.push(archive);
    }
    if let Event::BackupsOutlived { archives } = &record.event {
        found.extend(archives);
    }
    for effect in &record.effects {
        if let Effect::DiscardBackup(archive) | Effect::ExamineBackup { archive, .. } = effect {
            found.push(archive);
        }
    }
    found
}

/// The upgrade that runs, while it has not lived through a startup period.
fn on_trial<'a>(before: &'a State, after: &'a State) -> Option<&'a str> {
    let last = [after, before].into_iter().find_map(State::last_performed)?;
    let lived = |state: &State| state.last_performed().is_none_or(|last| last.lived);
    (!lived(after) || !lived(before)).then_some(last.upgrade.name.as_str())
}

fn is_of_the_daemon(record: &Record) -> bool {
    matches!(
        record.event,
        Event::SessionStarted { .. }
            | Event::Recovered { .. }
            | Event::StopRequested { .. }
            | Event::DaemonSpawned { .. }
            | Event::SpawnFailed { .. }
            | Event::StartupPassed
            | Event::HookEnded { .. }
            | Event::HealthPassed { .. }
            | Event::HealthFailed { .. }
            | Event::DaemonEnded { .. }
            | Event::GroupGone
            | Event::GraceElapsed
            | Event::DelayElapsed
    )
}
