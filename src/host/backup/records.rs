//! What the journal knows of backups.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use super::path_of;
use crate::disk::Disk;
use crate::journal::{self, Owner, Part};
use crate::machine::{Archive, Effect, Event, State, Version};

/// What the journal says of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// As it was sealed; with its digest once it was examined.
    pub archive: Archive,
    /// Number of the record that says that it was sealed.
    pub seq: u64,
    /// The attempt that it was made for.
    pub attempt: u64,
    /// The version that had run on the home; `None` where the upgrade was not performed.
    pub from: Option<Version>,
    /// What was wrong with it when it was examined.
    pub damage: Option<String>,
}

/// A backup is told by its own name and its folder's: the folder of all backups may have moved.
type Key = (OsString, OsString);

/// What a journal says of all backups that were sealed.
#[derive(Debug, Clone, Default)]
pub struct Records {
    known: BTreeMap<Key, Known>,
    /// Those of attempts that failed, which the engine had removed.
    discarded: BTreeSet<Key>,
    needed: BTreeSet<Key>,
    /// The state after the last record; `None` where nothing was run yet.
    pub state: Option<State>,
}

impl Records {
    /// Reads the journal in `folder`, also while somebody writes it.
    pub fn read(disk: &dyn Disk, folder: &Path, owner: &Owner) -> Result<Self, journal::Error> {
        let mut records = Self::default();
        for part in journal::read(disk, folder, owner)? {
            let Part::Record { record, .. } = part else { continue };
            records.take_event(record.seq, &record.event);
            for effect in &record.effects {
                if let Effect::CommitSwap { attempt, from, .. } = effect {
                    let is_it = |known: &Known| known.attempt == *attempt && known.from.is_none();
                    records.set_from(from, is_it);
                }
                if let Effect::DiscardBackup(archive) = effect {
                    records.discarded.extend(key(&path_of(archive)));
                }
                if let Effect::ExamineBackup { archive, from } = effect {
                    records.set_from(from, |known| known.archive.path == archive.path);
                }
            }
        }
        let state = journal::last_state(disk, folder, owner)?;
        records.needed = needed(state.as_ref());
        records.state = state;
        Ok(records)
    }

    /// What is known of the archive at this path.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Known> {
        self.known.get(&key(path)?)
    }

    /// Whether the running version may need the archive at this path for its roll-back, or an
    /// attempt under way does.
    #[must_use]
    pub fn needs(&self, path: &Path) -> bool {
        key(path).is_some_and(|key| self.needed.contains(&key))
    }

    /// Marks the archive at this path as needed.
    pub fn need(&mut self, path: &Path) {
        self.needed.extend(key(path));
    }

    /// All that were sealed and not discarded, with folder and file name.
    pub fn sealed(&self) -> impl Iterator<Item = (&(OsString, OsString), &Known)> {
        self.known.iter().filter(|(key, _)| !self.discarded.contains(*key))
    }

    /// Folder and file name of all that are needed.
    pub fn needed(&self) -> impl Iterator<Item = &(OsString, OsString)> {
        self.needed.iter()
    }

    fn take_event(&mut self, seq: u64, event: &Event) {
        if let Event::BackupSealed { attempt, archive } = event
            && let Some(key) = key(&path_of(archive))
        {
            let (archive, attempt) = (archive.clone(), *attempt);
            let known = Known { archive, seq, attempt, from: None, damage: None };
            self.known.insert(key, known);
        }
        if let Event::BackupExamined { archive } = event
            && let Some(known) = self.known_mut(archive)
        {
            known.archive.clone_from(archive);
            known.damage = None;
        }
        if let Event::BackupDamaged { archive, failure } = event
            && let Some(known) = self.known_mut(archive)
        {
            known.damage = Some(failure.text.clone());
        }
    }

    fn known_mut(&mut self, archive: &Archive) -> Option<&mut Known> {
        self.known.get_mut(&key(&path_of(archive))?)
    }

    fn set_from(&mut self, from: &Version, is: impl Fn(&Known) -> bool) {
        for known in self.known.values_mut().filter(|known| is(known)) {
            known.from = Some(from.clone());
        }
    }
}

fn key(path: &Path) -> Option<Key> {
    let folder = path.parent()?.file_name()?;
    Some((folder.to_owned(), path.file_name()?.to_owned()))
}

fn needed(state: Option<&State>) -> BTreeSet<Key> {
    let needed = state.into_iter().flat_map(State::needed_backups);
    needed.filter_map(|archive| key(&path_of(archive))).collect()
}
