//! What of the home is moved, what stays, and where each part is unpacked and moved aside.
//!
//! A rename works within one mounted file system alone. Each that is mounted below the home is a
//! zone of its own: what belongs to it is unpacked on it and moved aside on it, in a hidden folder
//! at its root. The home itself is the first zone; its folder is the restore's own.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use serde::{Deserialize, Serialize};

use super::{Error, Job};
use crate::config::ASIDE_PREFIX;

/// A file system below the home, or the home's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Zone {
    /// Where it is mounted, from the home on; empty for the home.
    root: OsString,
    /// The folder on it that holds `staged` and `aside`.
    holding: OsString,
}

impl Zone {
    /// Where it is mounted, from the home on.
    pub(super) fn root(&self) -> &Path {
        Path::new(&self.root)
    }

    /// The folder on it that is ours.
    pub(super) fn holding(&self) -> &Path {
        Path::new(&self.holding)
    }

    /// Where the archive's content is unpacked.
    pub(super) fn staged(&self) -> PathBuf {
        self.holding().join("staged")
    }

    /// Where the home's content is moved to.
    pub(super) fn aside(&self) -> PathBuf {
        self.holding().join("aside")
    }
}

/// All paths are from the home on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What is never touched.
    pub(super) keep: BTreeSet<OsString>,
    /// Folders that stay, with their content moved child by child: the home, what is mounted below
    /// it, and the folders around that and around what is never touched. Parents come first.
    pub(super) stay: BTreeSet<OsString>,
    /// The home's zone first.
    pub(super) zones: Vec<Zone>,
}

impl Plan {
    /// Looks at the home, its mounts and the folders to leave out. The job's folder must exist.
    pub(super) fn make(job: &Job) -> Result<Self, Error> {
        let of = |path: &Path, error| Error::of("looking at", path, error);
        let home = fs::canonicalize(&job.home).map_err(|e| of(&job.home, e))?;
        let mut keep = BTreeSet::new();
        for path in job.leave_out.iter().chain([&job.work]) {
            let mut found = Vec::new();
            found.extend(path.strip_prefix(&job.home).ok().map(Path::to_owned));
            match fs::canonicalize(path) {
                Ok(real) => found.extend(real.strip_prefix(&home).ok().map(Path::to_owned)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(of(path, error)),
            }
            for below in found {
                keep.extend(up_to_a_link(&home, &below).map_err(|e| of(path, e))?);
            }
        }
        if keep.contains(OsStr::new("")) {
            return Err(Error::HomeLeftOut { home: job.home.clone() });
        }
        let mut plan = Self { keep, stay: BTreeSet::new(), zones: Vec::new() };
        plan.add_zones(job, &home)?;
        // Within what is never touched nothing has to stay for its own sake.
        let keep = plan.keep.clone();
        plan.keep.retain(|path| !Path::new(path).ancestors().skip(1).any(|it| has(&keep, it)));
        let roots = plan.zones.iter().map(|zone| zone.root.clone());
        let fixed = plan.keep.iter().cloned().chain(roots).collect::<Vec<_>>();
        for path in &fixed {
            let above = Path::new(path).ancestors().skip(1);
            plan.stay.extend(above.map(|folder| folder.as_os_str().to_owned()));
        }
        plan.stay.extend(plan.zones.iter().map(|zone| zone.root.clone()));
        Ok(plan)
    }

    /// Everything goes into one folder, and nothing is there yet.
    pub(super) fn of_folder(holding: &Path) -> Self {
        let zone = Zone { root: OsString::new(), holding: holding.as_os_str().to_owned() };
        Self { keep: BTreeSet::new(), stay: BTreeSet::new(), zones: vec![zone] }
    }

    /// The zone that a path belongs to.
    pub(super) fn zone_of(&self, path: &Path) -> Option<&Zone> {
        let around = self.zones.iter().filter(|zone| path.starts_with(&zone.root));
        around.max_by_key(|zone| zone.root.len())
    }

    /// Whether a path is nothing to move: it is never touched, stays, or is our own folder. So are
    /// those of earlier restores: what was said to lie there must be found there.
    pub(super) fn is_fixed(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let own = || {
            let around = path.parent().unwrap_or(path);
            self.zones.iter().any(|zone| zone.root() == around)
                && name.as_bytes().starts_with(ASIDE_PREFIX.as_bytes())
        };
        has(&self.keep, path) || has(&self.stay, path) || own()
    }

    fn add_zones(&mut self, job: &Job, home: &Path) -> Result<(), Error> {
        let mut hidden = OsString::from(ASIDE_PREFIX);
        hidden.push(job.work.file_name().unwrap_or_default());
        let mount_of = |path: &Path| match open_path(path) {
            Ok(file) => Ok(mount_id(&file)),
            Err(error) => Err(Error::of("looking at", path, error)),
        };
        let same = mount_of(&job.work)? == mount_of(home)?;
        let holding = if same { job.work.clone() } else { home.join(&hidden) };
        if !same {
            self.keep.insert(hidden.clone());
        }
        self.zones.push(Zone { root: OsString::new(), holding: holding.into_os_string() });
        let mut mounts = mounts().map_err(|e| Error::of("reading", Path::new(MOUNTS), e))?;
        mounts.sort();
        for (path, id) in mounts {
            let Ok(below) = path.strip_prefix(home) else { continue };
            let kept = below.ancestors().any(|path| has(&self.keep, path));
            let known = self.zones.iter().any(|zone| zone.root() == below);
            if kept || known {
                continue;
            }
            // One that lies under another mount can't be reached.
            let Ok(file) = open_path(&path) else { continue };
            if mount_id(&file) != Some(id) {
                continue;
            }
            if is_changeable(&file).map_err(|e| Error::of("looking at", &path, e))? {
                let (root, holding) = (below.as_os_str().to_owned(), path.join(&hidden));
                self.zones.push(Zone { root, holding: holding.into_os_string() });
            } else {
                tracing::warn!(
                    "{} is mounted by itself or read-only; it is left as it is",
                    path.display()
                );
                self.keep.insert(below.as_os_str().to_owned());
            }
        }
        Ok(())
    }
}

fn has(paths: &BTreeSet<OsString>, path: &Path) -> bool {
    paths.contains(path.as_os_str())
}

/// A path below the home, cut off after the first link in it: what is behind the link isn't in the
/// home by that name, but the link has to stay. `None` where there is nothing.
fn up_to_a_link(home: &Path, below: &Path) -> io::Result<Option<OsString>> {
    let mut path = PathBuf::new();
    for part in below.components() {
        let Component::Normal(name) = part else { return Ok(None) };
        path.push(name);
        match fs::symlink_metadata(home.join(&path)) {
            Ok(meta) if meta.is_symlink() => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(path.into_os_string()))
}

const MOUNTS: &str = "/proc/self/mountinfo";

/// Where something is mounted, with the mount's number.
fn mounts() -> io::Result<Vec<(PathBuf, u64)>> {
    let table = match fs::read(MOUNTS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        table => table?,
    };
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let path = fields.nth(3).map(unescaped)?;
        Some((path, id))
    };
    Ok(table.split(|byte| *byte == b'\n').filter_map(mount).collect())
}

/// A path in which a blank, a tab, a newline and a backslash are `\` with three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .split_at_checked(3)
            .filter(|_| *first == b'\\')
            .and_then(|(digits, after)| Some((std::str::from_utf8(digits).ok()?, after)))
            .and_then(|(digits, after)| Some((u8::from_str_radix(digits, 8).ok()?, after)));
        let (byte, after) = octal.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Opens anything without touching it.
fn open_path(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).map(File::from)?)
}

/// The number of the mount that an open file was reached through, where the system tells.
fn mount_id(file: &File) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

fn is_changeable(file: &File) -> io::Result<bool> {
    let folder = fstat(file)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    Ok(folder && !fstatvfs(file)?.flags().contains(FsFlags::ST_RDONLY))
}
