//! Unpacking the archive beside the home, exactly, and durably.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use nix::unistd::{fchownat, geteuid, linkat, symlinkat, syncfs};
use xattr::FileExt as _;

use super::entries::{Entries, Entry, Extent, Kind};
use super::meta::Meta;
use super::plan::Plan;
use super::{Error, Job, check, folder};
use crate::disk::{Disk, RealDisk, create_dirs};
use crate::host::backup::Cancel;
use crate::machine::Archive;

const BUFFER_BYTES: usize = 512 * 1024;
/// What a file's last block, a folder or a link takes where blocks are of the usual size.
const BLOCK_BYTES: u64 = 4096;

/// What unpacking takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Need {
    /// Bytes, in whole blocks.
    pub(super) bytes: u64,
    /// Files, folders and links.
    pub(super) inodes: u64,
}

impl Need {
    fn add(&mut self, entry: &Entry) {
        let content = match &entry.kind {
            Kind::File(_, map) => map.iter().map(|run| run.1.next_multiple_of(BLOCK_BYTES)).sum(),
            Kind::Folder | Kind::Link(_) => BLOCK_BYTES,
            Kind::SameAs(_) => return,
        };
        self.bytes = self.bytes.saturating_add(content);
        self.inodes += 1;
    }
}

/// Reads the whole archive, checks all there is to check, and shows each entry.
pub(super) fn survey(
    archive: &Archive,
    cancel: &Cancel,
    mut show: impl FnMut(&Entry) -> Result<(), Error>,
) -> Result<Need, Error> {
    let (mut entries, mut need) = (Entries::open(archive)?, Need::default());
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some(entry) = entries.next()? {
        check(cancel)?;
        need.add(&entry);
        show(&entry)?;
        while entries.content(&mut buffer)? > 0 {
            check(cancel)?;
        }
    }
    entries.finish()?;
    Ok(need)
}

/// Unpacks the archive into the zones' `staged` folders, anew.
pub(super) fn stage(job: &Job, plan: &Plan, cancel: &Cancel) -> Result<(), Error> {
    for zone in &plan.zones {
        let holding = zone.holding();
        create_dirs(&RealDisk, holding, 0o700).map_err(|e| Error::of("creating", holding, e))?;
        wipe(&zone.staged())?;
    }
    check_archive_and_room(job, plan, cancel)?;
    let mut entries = Entries::open(&job.archive)?;
    let (levels, folders) = (Vec::new(), BTreeMap::new());
    let mut stager = Stager { plan, cancel, levels, folders, buffer: vec![0; BUFFER_BYTES] };
    while let Some(entry) = entries.next()? {
        check(cancel)?;
        stager.add(&entry, &mut entries)?;
    }
    stager.finish_folders(&entries)?;
    entries.finish()?;
    for zone in &plan.zones {
        let holding = zone.holding();
        let synced = File::open(holding).and_then(|folder| Ok(syncfs(&folder)?));
        synced.map_err(|e| Error::of("syncing the file system of", holding, e))?;
    }
    Ok(())
}

/// Removes a folder of ours with all that was unpacked into it.
pub(super) fn wipe(staged: &Path) -> Result<(), Error> {
    let failed = |error| Error::of("removing", staged, error);
    match fs::remove_dir_all(staged) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => return removed.map_err(failed),
    }
    // Folders that their owner may not write to are unpacked as such.
    let folder = fs::symlink_metadata(staged).and_then(|_| File::open(staged)).map_err(failed)?;
    open_up(&folder).map_err(|e| failed(e.into()))?;
    fs::remove_dir_all(staged).map_err(failed)
}

fn open_up(folder: &File) -> Result<(), Errno> {
    use nix::sys::stat::{FchmodatFlags, fchmodat};
    for name in folder::names(folder)? {
        if folder::look(folder, &name)?.is_some_and(|stat| folder::is_folder(&stat)) {
            let name = name.as_os_str();
            fchmodat(folder, name, Mode::S_IRWXU, FchmodatFlags::NoFollowSymlink)?;
            open_up(&folder::open(folder, name)?)?;
        }
    }
    Ok(())
}

fn check_archive_and_room(job: &Job, plan: &Plan, cancel: &Cancel) -> Result<(), Error> {
    let mut needs = vec![Need::default(); plan.zones.len()];
    survey(&job.archive, cancel, |entry| {
        let fixed = plan.stay.contains(entry.path.as_os_str());
        if fixed && !matches!(entry.kind, Kind::Folder) {
            return Err(Error::Occupied { path: job.home.join(&entry.path) });
        }
        let zone = plan.zone_of(&entry.path);
        let zones = plan.zones.iter().zip(&mut needs);
        zones.filter(|(it, _)| Some(*it) == zone).for_each(|(_, need)| need.add(entry));
        Ok(())
    })?;
    for (zone, need) in plan.zones.iter().zip(needs) {
        let path = zone.holding();
        let stat = statvfs(path).map_err(|e| Error::of("asking the room of", path, e))?;
        let free_bytes = stat.blocks_available().saturating_mul(stat.fragment_size());
        // Some file systems make inodes as they go, and report none at all.
        let free_inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() };
        if need.bytes > free_bytes || need.inodes > free_inodes {
            return Err(Error::NoRoom {
                path: path.to_owned(),
                need_bytes: need.bytes,
                free_bytes,
                need_inodes: need.inodes,
                free_inodes,
            });
        }
    }
    Ok(())
}

/// A folder that is being filled.
struct Level {
    path: PathBuf,
    staged: PathBuf,
    folder: File,
}

struct Stager<'a> {
    plan: &'a Plan,
    cancel: &'a Cancel,
    levels: Vec<Level>,
    /// Every folder that was made, with its metadata once its own entry has come: what was copied
    /// ahead of the stop comes before that. It is given when all is unpacked: until then a folder
    /// must be writable, and each name made in it changes its time.
    folders: BTreeMap<PathBuf, Option<Meta>>,
    buffer: Vec<u8>,
}

impl Stager<'_> {
    fn add(&mut self, entry: &Entry, entries: &mut Entries<'_>) -> Result<(), Error> {
        if let Kind::Folder = &entry.kind {
            self.enter(&entry.path, entries)?;
            self.folders.insert(entry.path.clone(), Some(entry.meta.clone()));
            return Ok(());
        }
        if let Some(around) = entry.path.parent() {
            self.enter(around, entries)?;
        }
        let (Some(level), Some(name)) = (self.levels.last(), entry.path.file_name()) else {
            return Err(entries.odd(&entry.path, "is no folder"));
        };
        let whole = level.staged.join(name);
        let failed = |error| Error::of("creating", &whole, error);
        match &entry.kind {
            Kind::File(size, map) => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
                let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let file = openat(&level.folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
                let file = File::from(file.map_err(failed)?);
                self.fill(&file, &whole, (*size, map), entries)?;
                entry.meta.apply(&file, &whole)
            }
            Kind::Link(text) => make_link(&level.folder, name, text, &entry.meta, &whole),
            Kind::SameAs(first) => self.make_name(first, level, name, entries),
            Kind::Folder => Ok(()),
        }
    }

    /// Makes a folder the innermost level; it and those around it are made where they are missing.
    fn enter(&mut self, path: &Path, entries: &Entries<'_>) -> Result<(), Error> {
        while self.levels.pop_if(|level| !path.starts_with(&level.path)).is_some() {}
        loop {
            let level = self.levels.last();
            let next = match level.map(|level| (&level.path, path.strip_prefix(&level.path))) {
                None => PathBuf::new(),
                Some((at, Ok(below))) => match below.iter().next() {
                    Some(name) => at.join(name),
                    None => return Ok(()),
                },
                Some((_, Err(_))) => return Err(entries.odd(path, "lies elsewhere")),
            };
            let zone = self.plan.zone_of(&next).filter(|zone| zone.root() == next);
            let level = match (zone, level, next.file_name()) {
                (Some(zone), ..) => enter_zone(zone.staged(), &next)?,
                (None, Some(level), Some(name)) => {
                    let staged = level.staged.join(name);
                    let folder = make_folder(&level.folder, name).map_err(|error| {
                        if matches!(error, Errno::ELOOP | Errno::ENOTDIR) {
                            return entries.odd(&next, "is no folder");
                        }
                        Error::of("creating", &staged, error)
                    })?;
                    Level { path: next, staged, folder }
                }
                (None, ..) => return Err(entries.odd(path, "lies in no folder")),
            };
            self.folders.entry(level.path.clone()).or_insert(None);
            self.levels.push(level);
        }
    }

    /// Gives the folders their metadata, the innermost first.
    fn finish_folders(&mut self, entries: &Entries<'_>) -> Result<(), Error> {
        self.levels.clear();
        for (path, meta) in self.folders.iter().rev() {
            let odd = || entries.odd(path, "has no entry as a folder");
            let (Some(meta), Some(zone)) = (meta, self.plan.zone_of(path)) else {
                return Err(odd());
            };
            let (staged, below) = (zone.staged(), path.strip_prefix(zone.root()).unwrap_or(path));
            let failed = |error| Error::of("opening", &staged.join(below), error);
            let top = File::open(&staged).map_err(|e| Error::of("opening", &staged, e))?;
            let folder = folder::open_below(&top, below).map_err(failed)?.ok_or_else(odd)?;
            meta.apply(&folder, &staged.join(below))?;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        file: &File,
        whole: &Path,
        (size, map): (u64, &[Extent]),
        entries: &mut Entries<'_>,
    ) -> Result<(), Error> {
        let failed = |error| Error::of("writing", whole, error);
        file.set_len(size).map_err(failed)?;
        for (offset, length) in map {
            let (mut at, end) = (*offset, offset + length);
            while at < end {
                check(self.cancel)?;
                let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
                let wanted = wanted.min(self.buffer.len());
                let part = self.buffer.get_mut(..wanted).unwrap_or_default();
                let count = entries.content(part)?;
                if count == 0 {
                    return Err(entries.odd(whole, "has too little content"));
                }
                let part = part.get(..count).unwrap_or_default();
                file.write_all_at(part, at).map_err(failed)?;
                at += count as u64;
            }
        }
        Ok(())
    }

    fn make_name(
        &self,
        first: &Path,
        level: &Level,
        name: &OsStr,
        entries: &Entries<'_>,
    ) -> Result<(), Error> {
        let whole = level.staged.join(name);
        let failed = |error| Error::of("linking", &whole, error);
        let odd = || entries.odd(first, "is linked to before it is there");
        let zone = self.plan.zone_of(first).ok_or_else(odd)?;
        let below = first.strip_prefix(zone.root()).unwrap_or(first);
        let (Some(around), Some(as_name)) = (below.parent(), below.file_name()) else {
            return Err(odd());
        };
        let staged = File::open(zone.staged()).map_err(|e| Error::of("linking", &whole, e))?;
        let around = folder::open_below(&staged, around).map_err(failed)?.ok_or_else(odd)?;
        linkat(&around, as_name, &level.folder, name, AtFlags::empty()).map_err(failed)
    }
}

fn enter_zone(staged: PathBuf, root: &Path) -> Result<Level, Error> {
    let failed = |error: io::Error| Error::of("creating", &staged, error);
    match RealDisk.create_dir(&staged, 0o700) {
        // It was left for another zone meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed)?,
    }
    let holding = File::open(staged.parent().unwrap_or(&staged)).map_err(failed)?;
    let name = staged.file_name().unwrap_or_default();
    let folder = folder::open(&holding, name).map_err(|e| failed(e.into()))?;
    // An ACL that the folder inherited would be handed down to all that is made in it. Most
    // folders have none, some file systems know none.
    let _ = folder.remove_xattr("system.posix_acl_default");
    Ok(Level { path: root.to_owned(), staged, folder })
}

/// Opens a folder in a folder, and makes it where it is missing.
fn make_folder(around: &File, name: &OsStr) -> Result<File, Errno> {
    match mkdirat(around, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => folder::open(around, name),
        Err(error) => Err(error),
    }
}

fn make_link(
    folder: &File,
    name: &OsStr,
    text: &OsStr,
    meta: &Meta,
    whole: &Path,
) -> Result<(), Error> {
    let failed = |error| Error::of("creating the link", whole, error);
    symlinkat(text, folder, name).map_err(failed)?;
    let own = |uid, gid| fchownat(folder, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
    meta.give(whole, own).map_err(failed)?;
    let (keep, time) = (TimeSpec::UTIME_OMIT, meta.time());
    utimensat(folder, name, &keep, &time, UtimensatFlags::NoFollowSymlink).map_err(failed)
}

/// Whether folders that their owner may not write to are an obstacle.
pub(super) fn bound_by_modes() -> bool {
    !geteuid().is_root()
}
