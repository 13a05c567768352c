//! Moving what is in the home out of it, and what was unpacked into it, one rename a child.
//!
//! Every rename goes to a free name, and each of them leaves a home from which the same loops go
//! on: what was moved is not found at its old place a second time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchown};

use super::meta::Meta;
use super::plan::{Plan, Zone};
use super::stage::bound_by_modes;
use super::state::State;
use super::{Error, Job, check, folder};
use crate::disk::{Disk, Kind, RealDisk, create_dirs, folder_of, replace_link};
use crate::host::backup::Cancel;

/// How many names are tried beside one that is taken.
const NAMES_MAX: u32 = 10_000;

/// A home, open, and how its parts are found.
struct Scene<'a> {
    job: &'a Job,
    home: File,
}

/// Folders that stay, with what the state learns of them.
pub(super) struct Gone {
    /// Folders that turned out to have to stay.
    pub(super) stay: Vec<OsString>,
    /// How many things lie aside.
    pub(super) count: u64,
}

impl<'a> Scene<'a> {
    fn open(job: &'a Job) -> Result<Self, Error> {
        let home = File::open(&job.home).map_err(|e| Error::of("opening", &job.home, e))?;
        Ok(Self { job, home })
    }

    /// A folder of the home that stays; `None` where it is gone.
    fn folder(&self, path: &Path) -> Result<Option<File>, Error> {
        let whole = self.job.home.join(path);
        folder::open_below(&self.home, path).map_err(|e| Error::of("opening", &whole, e))
    }
}

/// Moves all that is not fixed out of the home, into the zones' `aside` folders.
pub(super) fn move_aside(job: &Job, plan: &Plan, cancel: &Cancel) -> Result<Gone, Error> {
    check_mounted(plan)?;
    for zone in &plan.zones {
        let aside = zone.aside();
        create_dirs(&RealDisk, &aside, 0o700).map_err(|e| Error::of("creating", &aside, e))?;
    }
    let scene = Scene::open(job)?;
    let mut gone = Gone { stay: Vec::new(), count: 0 };
    let mut todo: VecDeque<OsString> = plan.stay.iter().cloned().collect();
    while let Some(path) = todo.pop_front() {
        let path = PathBuf::from(path);
        let (Some(from), Some(zone)) = (scene.folder(&path)?, plan.zone_of(&path)) else {
            continue;
        };
        let mut mirror = Mirror::new(zone, &path, &from);
        let whole = job.home.join(&path);
        for name in folder::names(&from).map_err(|e| Error::of("listing", &whole, e))? {
            check(cancel)?;
            let child = path.join(&name);
            if plan.is_fixed(&child) {
                continue;
            }
            if !mirror.take(&name, &whole)? {
                todo.push_back(child.clone().into_os_string());
                gone.stay.push(child.into_os_string());
            }
        }
        mirror.sync(&whole)?;
        let fixed = |name: &OsStr| {
            let child = path.join(name);
            plan.is_fixed(&child) || gone.stay.iter().any(|stays| *stays == child)
        };
        gone.count += mirror.count(fixed)?;
    }
    gone.stay.sort();
    tell_other_zones(job, plan)?;
    Ok(gone)
}

/// A mount that is missing would leave the folder under it to be taken for its content.
fn check_mounted(plan: &Plan) -> Result<(), Error> {
    for zone in &plan.zones {
        let path = zone.holding();
        match RealDisk.kind(path) {
            Ok(Some(Kind::Folder)) => {}
            Ok(_) => return Err(Error::NotMounted { path: path.to_owned() }),
            Err(error) => return Err(Error::of("looking at", path, error)),
        }
    }
    Ok(())
}

/// The folders that hold what was moved aside on other file systems than the home's.
pub(super) fn elsewhere(job: &Job, plan: &Plan) -> Vec<PathBuf> {
    let own = job.aside();
    let folders = plan.zones.iter().map(Zone::aside).filter(|aside| *aside != own);
    folders.filter(|aside| RealDisk.list(aside).is_ok_and(|names| !names.is_empty())).collect()
}

/// Leaves, beside what was moved aside within the home's own file system, a link to what was moved
/// aside on another.
fn tell_other_zones(job: &Job, plan: &Plan) -> Result<(), Error> {
    let aside = job.aside();
    for zone in &plan.zones {
        let link = if zone.root() == Path::new("") {
            if zone.aside() == aside {
                continue;
            }
            aside.clone()
        } else {
            aside.join(zone.root())
        };
        let failed = |error| Error::of("making the link", &link, error);
        if RealDisk.kind(&link).map_err(failed)? == Some(Kind::Folder) {
            continue;
        }
        create_dirs(&RealDisk, folder_of(&link), 0o700).map_err(failed)?;
        replace_link(&RealDisk, &zone.aside(), &link).map_err(failed)?;
    }
    Ok(())
}

/// A folder of the home, and the folder that takes its content.
struct Mirror<'a> {
    zone: &'a Zone,
    path: &'a Path,
    from: &'a File,
    to: Option<File>,
}

impl<'a> Mirror<'a> {
    fn new(zone: &'a Zone, path: &'a Path, from: &'a File) -> Self {
        Self { zone, path, from, to: None }
    }

    fn below(&self) -> &'a Path {
        self.path.strip_prefix(self.zone.root()).unwrap_or(self.path)
    }

    fn whole(&self) -> PathBuf {
        self.zone.aside().join(self.below())
    }

    /// Opens the folder that takes the content, made like the one it comes from.
    fn open(&mut self) -> Result<&File, Error> {
        let whole = self.whole();
        let failed = |error: Errno| Error::of("creating", &whole, error);
        if let Some(folder) = self.to.take() {
            return Ok(self.to.insert(folder));
        }
        let root = folder_at(&self.zone.aside())?;
        let folder = folder::make_below(&root, self.below()).map_err(failed)?;
        let stat = fstat(self.from).map_err(failed)?;
        let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        // Whose it is matters to who looks into it, and to nothing else.
        let _ = fchown(&folder, Some(owner.0), Some(owner.1));
        let mode = Mode::from_bits_truncate(stat.st_mode & 0o777) | Mode::S_IRWXU;
        fchmod(&folder, mode).map_err(failed)?;
        Ok(self.to.insert(folder))
    }

    /// Moves one child over; false for a folder that can't be moved and has to stay.
    fn take(&mut self, name: &OsStr, from_path: &Path) -> Result<bool, Error> {
        let from = self.from;
        let to = self.open()?;
        let moved = free_name(name, |free| folder::rename((from, name), (to, free)));
        let of = |error| Error::of("moving aside", &from_path.join(name), error);
        match moved {
            Ok((free, Some(before))) => {
                // It is as it was, in another place.
                fchmodat(to, free.as_os_str(), before, FchmodatFlags::NoFollowSymlink)
                    .map_err(of)?;
                Ok(true)
            }
            Ok((_, None)) => Ok(true),
            Err(error @ (Errno::EBUSY | Errno::EXDEV)) => {
                let stat = folder::look(from, name).map_err(of)?;
                if stat.is_some_and(|stat| folder::is_folder(&stat)) {
                    Ok(false)
                } else {
                    Err(of(error))
                }
            }
            Err(error) => Err(of(error)),
        }
    }

    /// Makes the moves durable, those of an interrupted run too, with the folders made for them.
    fn sync(&self, from_path: &Path) -> Result<(), Error> {
        let root = folder_at(&self.zone.aside())?;
        for path in self.below().ancestors() {
            let whole = self.zone.aside().join(path);
            let opened = folder::open_below(&root, path);
            if let Some(folder) = opened.map_err(|e| Error::of("opening", &whole, e))? {
                folder::sync(&folder, &whole)?;
            }
        }
        folder::sync(self.from, from_path)
    }

    /// How many things lie aside here, from whichever run.
    fn count(&self, fixed: impl Fn(&OsStr) -> bool) -> Result<u64, Error> {
        let failed = |error| Error::of("listing", &self.whole(), error);
        let root = folder_at(&self.zone.aside())?;
        let Some(folder) = folder::open_below(&root, self.below()).map_err(failed)? else {
            return Ok(0);
        };
        let names = folder::names(&folder).map_err(failed)?;
        Ok(names.iter().filter(|name| !fixed(name)).count() as u64)
    }
}

/// What must be set at the end: the metadata of folders that stay, as they were unpacked; and of
/// those that have to be opened up to be moved.
pub(super) fn to_settle(plan: &Plan) -> Result<Vec<(OsString, Meta)>, Error> {
    let mut settle = Vec::new();
    for path in &plan.stay {
        let Some((folder, whole)) = staged_folder(plan, Path::new(path))? else { continue };
        settle.push((path.clone(), Meta::of(&folder, &whole)?));
        if !bound_by_modes() {
            continue;
        }
        for name in folder::names(&folder).map_err(|e| Error::of("listing", &whole, e))? {
            let child = Path::new(path).join(&name);
            let failed = |error| Error::of("opening", &whole.join(&name), error);
            let stat = folder::look(&folder, &name).map_err(failed)?;
            let closed =
                stat.is_some_and(|it| folder::is_folder(&it) && it.st_mode & 0o300 != 0o300);
            if closed && !plan.is_fixed(&child) {
                let opened = folder::open(&folder, &name).map_err(failed)?;
                settle.push((child.into_os_string(), Meta::of(&opened, &whole.join(&name))?));
            }
        }
    }
    Ok(settle)
}

/// Moves what was unpacked into the home.
pub(super) fn place(job: &Job, state: &State, cancel: &Cancel) -> Result<(), Error> {
    let (scene, plan) = (Scene::open(job)?, &state.plan);
    check_mounted(plan)?;
    for path in &plan.stay {
        let path = Path::new(path);
        let whole = job.home.join(path);
        let Some((from, from_path)) = staged_folder(plan, path)? else { continue };
        let (Some(to), Some(zone)) = (scene.folder(path)?, plan.zone_of(path)) else {
            return Err(Error::of("opening", &whole, Errno::ENOENT));
        };
        for name in folder::names(&from).map_err(|e| Error::of("listing", &from_path, e))? {
            check(cancel)?;
            if plan.is_fixed(&path.join(&name)) {
                continue;
            }
            let mut moved = folder::rename((&from, &name), (&to, &name));
            if moved == Err(Errno::EEXIST) {
                tracing::warn!("{} appeared meanwhile; moved aside", whole.join(&name).display());
                let mut mirror = Mirror::new(zone, path, &to);
                if !mirror.take(&name, &whole)? {
                    return Err(Error::of("moving aside", &whole.join(&name), Errno::EBUSY));
                }
                mirror.sync(&whole)?;
                moved = folder::rename((&from, &name), (&to, &name));
            }
            moved.map_err(|e| Error::of("moving into its place", &whole.join(&name), e))?;
        }
        folder::sync(&to, &whole)?;
        folder::sync(&from, &from_path)?;
    }
    Ok(())
}

/// Gives the folders that stayed their metadata, the innermost first.
pub(super) fn settle(job: &Job, state: &State) -> Result<(), Error> {
    let scene = Scene::open(job)?;
    for (path, meta) in state.settle.iter().rev() {
        let (path, whole) = (Path::new(path), job.home.join(path));
        let failed = |error| Error::of("opening", &whole, error);
        let folder = scene.folder(path)?.ok_or_else(|| failed(Errno::ENOENT))?;
        meta.apply(&folder, &whole)?;
        folder::sync(&folder, &whole)?;
    }
    Ok(())
}

/// What was unpacked for a folder that stays; `None` where the backup has no such folder.
fn staged_folder(plan: &Plan, path: &Path) -> Result<Option<(File, PathBuf)>, Error> {
    let Some(zone) = plan.zone_of(path) else { return Ok(None) };
    let below = path.strip_prefix(zone.root()).unwrap_or(path);
    let whole = zone.staged().join(below);
    let failed = |error| Error::of("opening", &whole, error);
    match RealDisk.kind(&zone.staged()) {
        Ok(None) => return Ok(None),
        Ok(Some(_)) => {}
        Err(error) => return Err(Error::of("looking at", &zone.staged(), error)),
    }
    let root = folder_at(&zone.staged())?;
    let folder = folder::open_below(&root, below).map_err(failed)?;
    Ok(folder.map(|folder| (folder, whole)))
}

fn folder_at(path: &Path) -> Result<File, Error> {
    let failed = |error: std::io::Error| Error::of("opening", path, error);
    let around = File::open(folder_of(path)).map_err(failed)?;
    let name = path.file_name().unwrap_or_default();
    folder::open(&around, name).map_err(|e| failed(e.into()))
}

/// Tries `name`, then `name.1`, `name.2` and so on, until one is free.
fn free_name<T>(
    name: &OsStr,
    mut attempt: impl FnMut(&OsStr) -> Result<T, Errno>,
) -> Result<(OsString, T), Errno> {
    let mut free = name.to_owned();
    for number in 1..=NAMES_MAX {
        match attempt(&free) {
            Err(Errno::EEXIST) => {}
            done => return done.map(|it| (free, it)),
        }
        let suffix = format!(".{number}");
        // A name has at most 255 bytes; one that is cut is still told by its number.
        let kept = name.as_bytes().len().min(255 - suffix.len());
        let mut next =
            OsStr::from_bytes(name.as_bytes().get(..kept).unwrap_or_default()).to_owned();
        next.push(suffix);
        free = next;
    }
    Err(Errno::EEXIST)
}
