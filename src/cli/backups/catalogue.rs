//! The backups of an instance: what lies on the disk, with what journal and manifest know of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::super::{Error, ask};
use super::plain;
use super::restoring::Restoring;
use crate::config::{Config, Paths};
use crate::disk::Disk;
use crate::host::backup::{self, Known, Records, Removed, Shelved};
use crate::machine::Version;

/// One backup.
#[derive(Debug)]
pub(super) struct Entry {
    /// How a person calls it: `v1.1.0/20261122T100000.000Z`.
    pub(super) name: String,
    pub(super) shelved: Shelved,
    /// What the journal says of it.
    pub(super) known: Option<Known>,
    /// Where it comes from, by the journal or else by its manifest.
    pub(super) from: Option<Version>,
    /// The record that says that it was sealed; without a journal, the one its manifest names.
    pub(super) record: Option<u64>,
    pub(super) manifest: bool,
    pub(super) needed: bool,
}

impl Entry {
    /// Whether all of it has been read since it was sealed, or while it was.
    pub(super) fn is_examined(&self) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.archive.sha256.is_some() && known.damage.is_none())
    }

    /// The path, fit for a terminal.
    pub(super) fn shown_path(&self) -> String {
        plain(&backup::path_text(&self.shelved.path))
    }
}

/// All backups, oldest first.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) entries: Vec<Entry>,
    pub(super) records: Records,
    /// The restore that is under way, or was interrupted.
    pub(super) restoring: Option<Restoring>,
    /// Names of backups that are needed and not there.
    pub(super) missing: Vec<String>,
    /// Backups that nothing needs, and that are not there either.
    pub(super) gone: Vec<Gone>,
    /// Those that may well be.
    pub(super) removed: Removed,
}

/// A backup that was sealed and, as far as anybody knows, never removed.
#[derive(Debug)]
pub(super) struct Gone {
    /// Its folder and its own name, as [`backup::name_of`] gives them.
    pub(super) name: String,
    /// The record that says that it was sealed.
    pub(super) record: u64,
    /// What is there instead, as the end of a sentence: `is not there`.
    pub(super) what: &'static str,
}

impl Gone {
    /// `MISSING: …`, with what to do.
    pub(super) fn line(&self) -> String {
        format!(
            "MISSING: {} {}, and was sealed by record {}; put it back, or, if it was removed on \
             purpose: nymvisor backups prune --forget-missing",
            plain(&self.name),
            self.what,
            self.record
        )
    }
}

/// `MISSING, and needed: …`, with what to do.
pub(super) fn missing_line(name: &str) -> String {
    format!(
        "MISSING, and needed: {name}; put it back; without it `nymvisor rollback --keep-data` \
         goes back, with the data as it is"
    )
}

impl Catalogue {
    /// Looks, and reads the journal, also while `run` writes it.
    pub(super) fn load(disk: &dyn Disk, config: &Config, paths: &Paths) -> Result<Self, Error> {
        // The journal first: what is sealed after that is newer than what is on the shelf.
        let mut records = Records::read(disk, &paths.journal(), &ask::owner(config))?;
        let restoring = Restoring::load(paths)?;
        if let Some(restoring) = &restoring {
            records.need(&backup::path_of(&restoring.archive));
        }
        let shelf = backup::shelf(paths.backups())?;
        let names = names(&shelf);
        let entry = |(shelved, name): (Shelved, String)| entry(shelved, name, &records);
        let entries: Vec<Entry> = shelf.into_iter().zip(names).map(entry).collect();
        let mut missing = Vec::new();
        for (folder, file) in records.needed() {
            let is_it = |path: &Path| path.ends_with(Path::new(folder).join(file));
            if !entries.iter().any(|entry| is_it(&entry.shelved.path)) {
                missing.push(plain(&backup::path_text(&Path::new(folder).join(file))));
            }
        }
        let removed = Removed::load(disk, &paths.removed_backups())?;
        let gone = gone(&entries, &records, &removed, paths);
        Ok(Self { entries, records, restoring, missing, gone, removed })
    }

    /// The backup that a person means: by its name, by the beginning of its name where that is no
    /// other's, or by the name of an upgrade that has one backup alone.
    pub(super) fn find(&self, text: &str) -> Result<&Entry, Error> {
        let all = |is: &dyn Fn(&Entry) -> bool| self.entries.iter().filter(|it| is(it)).collect();
        let ways: [Vec<&Entry>; 3] = [
            all(&|it| it.name == text),
            all(&|it| plain(&it.shelved.upgrade) == text),
            all(&|it| !text.is_empty() && it.name.starts_with(text)),
        ];
        let shown = plain(text);
        match ways.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
            Some([one]) => Ok(one),
            Some(several) => {
                let names: Vec<&str> = several.iter().map(|entry| entry.name.as_str()).collect();
                Err(Error::Refused(format!(
                    "'{shown}' may be any of {}; say which",
                    names.join(", ")
                )))
            }
            None => {
                let lost = self.gone.iter().map(|gone| &gone.name).chain(&self.missing);
                let is_lost = !text.is_empty() && lost.clone().any(|it| it.starts_with(text));
                let what = if is_lost { ", but there was: it is MISSING" } else { "" };
                Err(Error::Refused(format!(
                    "there is no backup '{shown}'{what}; `nymvisor backups list` shows all"
                )))
            }
        }
    }
}

/// What the journal knows and the shelf has not. One that still lies where it was sealed is none
/// of them: the folder of all backups is another one by now.
fn gone(entries: &[Entry], records: &Records, removed: &Removed, paths: &Paths) -> Vec<Gone> {
    let there: BTreeSet<String> =
        entries.iter().map(|entry| backup::name_of(&entry.shelved.path)).collect();
    let gone = |((folder, file), known): (&(OsString, OsString), &Known)| {
        let path = paths.backups().join(folder).join(file);
        let name = backup::name_of(&path);
        let is_known = there.contains(&name) || removed.has(&name) || records.needs(&path);
        let is_elsewhere = backup::path_of(&known.archive).is_file();
        let what = what_is_there(&path);
        (!is_known && !is_elsewhere).then_some(Gone { name, record: known.seq, what })
    };
    records.sealed().filter_map(gone).collect()
}

fn what_is_there(path: &Path) -> &'static str {
    let Ok(meta) = fs::symlink_metadata(path) else { return "is not there" };
    let kind = meta.file_type();
    if kind.is_dir() {
        "is a folder"
    } else if kind.is_fifo() {
        "is a FIFO"
    } else if kind.is_symlink() {
        "is a link to no file"
    } else {
        "is no file"
    }
}

fn entry(shelved: Shelved, name: String, records: &Records) -> Entry {
    let known = records.of(&shelved.path).cloned();
    let needed = records.needs(&shelved.path);
    let manifest = shelved.is_readable() && backup::manifest_of(&shelved.path).is_file();
    let origin = manifest.then(|| backup::origin_of(&shelved.path)).flatten();
    let from = known.as_ref().and_then(|known| known.from.clone());
    Entry {
        name,
        from: from.or_else(|| origin.as_ref().map(|origin| origin.version.clone())),
        record: known.as_ref().map(|known| known.seq).or(origin.map(|origin| origin.record)),
        shelved,
        known,
        manifest,
        needed,
    }
}

/// Folder and time; the whole file name where another file there has the same time.
fn names(shelf: &[Shelved]) -> Vec<String> {
    let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for shelved in shelf {
        let short = (&shelved.upgrade, &shelved.stem);
        if !once.insert(short) {
            twice.insert(short);
        }
    }
    let name = |shelved: &Shelved| {
        let file = shelved.path.file_name().unwrap_or_default();
        let whole = backup::path_text(Path::new(file));
        let is_one = !twice.contains(&(&shelved.upgrade, &shelved.stem));
        let last = if is_one { &shelved.stem } else { &whole };
        plain(&format!("{}/{last}", shelved.upgrade))
    };
    shelf.iter().map(name).collect()
}
