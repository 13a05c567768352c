//! Folders of versions that nobody runs or may go back to.
//!
//! What goes is renamed under the locks of whoever could begin to use it, and removed when they
//! are given back: a kill leaves a whole version, or a hidden folder that the next prune removes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::json;
use walkdir::WalkDir;

use super::super::Error;
use super::in_use::InUse;
use super::{Item, Part, Task, in_words, outlived};
use crate::config::Paths;
use crate::disk::{Disk, Kind, RealDisk};
use crate::host::fetch;
use crate::host::lock::HeldLock;
use crate::release::{History, PlanLock, UpgradeName};
use crate::retention::Retention;

const KEY: &str = "nymvisor.version_retention";
/// What goes has such a name beside the others; no version can have it.
const GOING: &str = ".pruned-";
const LOCK_MODE: u32 = 0o644;

/// A folder beside those of versions.
struct Found {
    name: String,
    path: PathBuf,
    bytes: u64,
    is: Is,
}

enum Is {
    /// One that could be removed, unused since then.
    Version { name: UpgradeName, performed: bool, since: DateTime<Utc> },
    /// Left by a prune that was interrupted.
    LeftOver,
    /// None of ours; the words say why.
    Foreign(String),
}

pub(super) fn prune(task: &Task<'_>) -> Part {
    let retention = task.config.nymvisor.version_retention;
    match decided(task, retention) {
        Ok(items) if task.dry_run || !items.iter().any(|item| item.goes) => {
            Part::of("versions", KEY, retention, Ok(items))
        }
        // Once more, now that nobody can begin to use what goes.
        Ok(_) => match set_aside(task, retention) {
            Ok((mut items, failed)) => {
                let removed = remove_going(&task.paths.upgrades(), &mut items);
                let mut part = Part::of("versions", KEY, retention, Ok(items));
                part.hindrance = failed.or(removed.err()).map(|error| hidden(&error));
                part
            }
            Err(error) => Part::of("versions", KEY, retention, Err(nothing(&error))),
        },
        Err(error) => Part::of("versions", KEY, retention, Err(nothing(&error))),
    }
}

fn nothing(error: &Error) -> Error {
    Error::Refused(format!("nothing is removed: {}", in_words(error)))
}

fn hidden(error: &Error) -> String {
    format!("{}; what has its hidden name already is removed by the next prune", in_words(error))
}

/// Every folder there is, newest last, and what becomes of it.
fn decided(task: &Task<'_>, retention: Option<Retention>) -> Result<Vec<Item>, Error> {
    let (paths, now) = (task.paths, Utc::now());
    let Some(retention) = retention else {
        let found = found(paths, &History::default())?;
        return Ok(found.iter().map(|it| item(it, None, &found, None, now)).collect());
    };
    let in_use = InUse::look(task)?;
    let found = found(paths, &in_use.history)?;
    Ok(found.iter().map(|it| item(it, Some(&in_use), &found, Some(retention), now)).collect())
}

fn item(
    it: &Found,
    in_use: Option<&InUse>,
    all: &[Found],
    retention: Option<Retention>,
    now: DateTime<Utc>,
) -> Item {
    let (goes, why, text) = match &it.is {
        Is::LeftOver => (true, "left-over", "left over from an interrupted prune".to_owned()),
        Is::Foreign(text) => (false, "foreign", text.clone()),
        Is::Version { name, since, .. } => {
            // One of the future is as young as can be.
            let age = now.signed_duration_since(*since).to_std().unwrap_or_default();
            let outlives = retention.and_then(|kept| kept.outlived(newer(all, it), age));
            match (in_use.and_then(|in_use| in_use.reason(name)), outlives.map(outlived)) {
                (Some(reason), _) => (false, "needed", reason.clone()),
                (None, Some((why, text))) => (true, why, text.to_owned()),
                (None, None) => (false, "within", "within what is kept".to_owned()),
            }
        }
    };
    Item { name: it.name.clone(), path: it.path.clone(), bytes: it.bytes, goes, why, text }
}

/// How many versions that were performed have been used since.
fn newer(all: &[Found], than: &Found) -> usize {
    let later = all.iter().skip_while(|it| it.path != than.path).skip(1);
    later.filter(|it| matches!(it.is, Is::Version { performed: true, .. })).count()
}

/// Genesis and what lies beside one another as upgrades, by when they were last used.
fn found(paths: &Paths, history: &History) -> Result<Vec<Found>, Error> {
    let folder = paths.upgrades();
    let mut names = match RealDisk.list(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(Error::io("list", &folder))?,
    };
    // A file that was begun beside another is none of ours to tell.
    names.retain(|name| {
        let name = name.to_string_lossy();
        !name.starts_with('.') || name.starts_with(GOING)
    });
    let one = |name: &OsString| {
        let path = folder.join(name);
        let is = what_is(paths, &path, &name.to_string_lossy(), history);
        let name = name.to_string_lossy().escape_debug().to_string();
        Found { name, bytes: bytes_below(&path), path, is }
    };
    let genesis = UpgradeName::genesis();
    let path = paths.genesis();
    let first = path.symlink_metadata().is_ok().then(|| Found {
        name: genesis.to_string(),
        bytes: bytes_below(&path),
        is: Is::Version { since: DateTime::UNIX_EPOCH, performed: true, name: genesis },
        path,
    });
    let mut all: Vec<Found> = first.into_iter().chain(names.iter().map(one)).collect();
    all.sort_by_key(|it| match &it.is {
        Is::Version { since, .. } => *since,
        Is::LeftOver | Is::Foreign(_) => DateTime::UNIX_EPOCH,
    });
    Ok(all)
}

fn what_is(paths: &Paths, path: &Path, name: &str, history: &History) -> Is {
    if name.starts_with(GOING) {
        let is_ours = is_left_over(path, name);
        return if is_ours { Is::LeftOver } else { Is::Foreign("it is no folder".to_owned()) };
    }
    let Ok(name) = name.parse::<UpgradeName>() else {
        return Is::Foreign("no version can have this name".to_owned());
    };
    match foreign_in(paths, path, &name) {
        Err(error) => return Is::Foreign(format!("it can't be looked through: {error}")),
        Ok(Some(what)) => return Is::Foreign(what),
        Ok(None) => {}
    }
    if let Some(since) = last_used(history, &name) {
        return Is::Version { name, performed: true, since };
    }
    // Whatever nymvisor puts a binary to has a file that tells of it.
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
    if is_there(paths.binary(&name)) && !is_there(paths.upgrade_info(&name)) {
        return Is::Foreign("somebody put its binary there, for an upgrade to come".to_owned());
    }
    Is::Version { name, performed: false, since: last_changed(path) }
}

/// Whether a prune that was interrupted has left it: what was given such a name was a folder.
fn is_left_over(path: &Path, name: &str) -> bool {
    name.starts_with(GOING) && matches!(RealDisk.kind(path), Ok(Some(Kind::Folder)))
}

/// What in a version's folder nymvisor did not put there, in words.
fn foreign_in(paths: &Paths, path: &Path, name: &UpgradeName) -> io::Result<Option<String>> {
    let binary = paths.binary(name);
    let beside = |path: &Path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        path.with_file_name(format!(".{file}.new"))
    };
    let (info, part) = (paths.upgrade_info(name), fetch::part_of(&binary));
    let files = [fetch::note_of(&part), beside(&info), beside(&binary), info, part, binary.clone()];
    let folders = [path, binary.parent().unwrap_or(path)];
    for entry in WalkDir::new(path) {
        let entry = entry.map_err(io::Error::from)?;
        let is_ours = match RealDisk.kind(entry.path())? {
            Some(Kind::Folder) => folders.contains(&entry.path()),
            Some(Kind::File(_)) => files.iter().any(|file| file == entry.path()),
            Some(Kind::Link | Kind::Other) => false,
            None => true,
        };
        if !is_ours {
            let below = entry.path().strip_prefix(path).unwrap_or(path);
            let below = below.to_string_lossy().escape_debug().to_string();
            return Ok(Some(match below.as_str() {
                "" => "it is no folder of its own".to_owned(),
                below => format!("it holds {below}, which nymvisor did not put there"),
            }));
        }
    }
    Ok(None)
}

/// When a version that was performed was last replaced, or rolled back.
fn last_used(history: &History, name: &UpgradeName) -> Option<DateTime<Utc>> {
    let entries = &history.history;
    let until = |at: usize| {
        let next = entries.get(at + 1).map(|next| next.performed_at);
        entries.get(at)?.rolled_back_at.or(next).or(Some(DateTime::<Utc>::MAX_UTC))
    };
    let of_name = (0..).zip(entries).filter(|(_, entry)| entry.info.name == *name);
    of_name.filter_map(|(at, _)| until(at)).max()
}

/// Also when it was given its name or its mode.
fn last_changed(path: &Path) -> DateTime<Utc> {
    let times = WalkDir::new(path).into_iter().filter_map(|entry| entry.ok()?.metadata().ok());
    let newest = times
        .map(|meta| (meta.mtime(), meta.mtime_nsec()).max((meta.ctime(), meta.ctime_nsec())))
        .max();
    let time = |(seconds, nanoseconds)| {
        DateTime::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or_default())
    };
    newest.and_then(time).unwrap_or_else(Utc::now)
}

fn bytes_below(path: &Path) -> u64 {
    // What a link leads to gives up no room.
    let all = WalkDir::new(path).follow_root_links(false).into_iter();
    let all = all.filter_map(|entry| entry.ok()?.metadata().ok());
    all.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

/// Gives what goes a hidden name, durably. The locks are held for moments, and none is waited for
/// that is held for longer: a daemon may be down for want of them.
///
/// The second is why not all goes. Nothing does where the names may not have come to the disk, for
/// a power cut would bring back what is half removed; nor where a lock's file stays, which the next
/// prune takes away.
fn set_aside(
    task: &Task<'_>,
    retention: Option<Retention>,
) -> Result<(Vec<Item>, Option<Error>), Error> {
    let paths = task.paths;
    let _one = PlanLock::acquire(&paths.add_lock())?;
    let _plan = PlanLock::acquire(&paths.plan_lock())?;
    let content = json!({
        "pid": std::process::id(),
        "instance": task.config.nymvisor.id,
        "upgrade": "(prune)",
    });
    let lock = |path: &Path, content: &str| {
        HeldLock::acquire(path, LOCK_MODE, content).map_err(|error| {
            Error::Refused(format!("{error}; prune again once it is done, which `status` tells"))
        })
    };
    let mut held = vec![lock(&paths.upgrade_lock(), &content.to_string())?];
    let mut moved = decided(task, retention).and_then(|mut items| {
        for item in items.iter().filter(|item| item.goes) {
            let pid = std::process::id().to_string();
            held.push(lock(&paths.fetch_lock(&bare_name(&item.path)), &pid)?);
        }
        let failed = rename_going(&paths.upgrades(), &mut items).err();
        Ok((items, failed))
    });
    for error in held.into_iter().filter_map(|lock| lock.release_and_remove().err()) {
        if let Ok((items, failed)) = &mut moved {
            keep_all(items);
            failed.get_or_insert(Error::Unusable(error.to_string()));
        }
    }
    moved
}

fn rename_going(folder: &Path, items: &mut [Item]) -> Result<(), Error> {
    let mut renamed = Ok(());
    for item in items.iter_mut().filter(|item| item.goes) {
        let to = going(folder, item);
        if renamed.is_ok() && to != item.path {
            renamed = remove_tree(&to).and_then(|()| {
                RealDisk.rename(&item.path, &to).map_err(Error::io("rename", &item.path))
            });
        }
        item.goes = renamed.is_ok();
    }
    let synced = RealDisk.sync_dir(folder).map_err(Error::io("sync", folder));
    if synced.is_err() {
        keep_all(items);
    }
    renamed.and(synced)
}

fn keep_all(items: &mut [Item]) {
    for item in items {
        item.goes = false;
    }
}

/// What a version is called once it is to go.
fn going(folder: &Path, item: &Item) -> PathBuf {
    folder.join(format!("{GOING}{}", bare_name(&item.path)))
}

/// The name that a version has, or had before it was to go.
fn bare_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(GOING).unwrap_or(&name).to_owned()
}

/// Those alone that are known to have their hidden name on the disk.
fn remove_going(folder: &Path, items: &mut [Item]) -> Result<(), Error> {
    let mut removed = Ok(());
    for item in items.iter_mut().filter(|item| item.goes) {
        let this = remove_tree(&going(folder, item));
        item.goes = this.is_ok();
        removed = removed.and(this);
    }
    removed.and(RealDisk.sync_dir(folder).map_err(Error::io("sync", folder)))
}

/// Another instance's prune may be at the same.
fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::io("remove", path)),
    }
}
