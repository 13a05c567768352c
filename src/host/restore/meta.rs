//! Owner, mode, time and extended attributes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, geteuid};
use serde::{Deserialize, Serialize};
use xattr::FileExt as _;

use super::Error;

/// Set-user-ID and set-group-ID: nothing to give away with a file that stays our own.
const SET_ID_BITS: u32 = 0o6000;

/// What there is to tell of a file, besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Permissions, with the three bits above them.
    pub(super) mode: u32,
    /// Its owner.
    pub(super) uid: u32,
    /// Its group.
    pub(super) gid: u32,
    /// When it was changed last: seconds and nanoseconds.
    pub(super) mtime: (i64, i64),
    /// Extended attributes, ACLs and capabilities among them.
    pub(super) attributes: Vec<(OsString, Vec<u8>)>,
}

impl Meta {
    /// What an open file or folder has.
    pub(super) fn of(file: &File, path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::of("looking at", path, error);
        let meta = file.metadata().map_err(failed)?;
        let mut attributes = Vec::new();
        for name in attribute_names(file).map_err(failed)? {
            if let Some(value) = file.get_xattr(&name).map_err(failed)? {
                attributes.push((name, value));
            }
        }
        Ok(Self {
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            attributes,
        })
    }

    /// Gives an open file or folder all of it, in the order in which no step undoes another:
    /// a change of owner takes mode bits and capabilities away, an ACL changes the mode.
    pub(super) fn apply(&self, file: &File, path: &Path) -> Result<(), Error> {
        let failed = |error: Errno| Error::of("setting owner, mode and time of", path, error);
        let own = self.give(path, |uid, gid| fchown(file, uid, gid)).map_err(failed)?;
        self.apply_attributes(file, path)?;
        let mode = Mode::from_bits_truncate(self.mode_for(own));
        let set =
            fchmod(file, mode).and_then(|()| futimens(file, &TimeSpec::UTIME_OMIT, &self.time()));
        match set {
            // A home that another user lent us can be filled all the same.
            Err(Errno::EPERM) if !geteuid().is_root() => {
                tracing::warn!("{} is not ours; its mode and time stay", path.display());
                Ok(())
            }
            set => set.map_err(failed),
        }
    }

    /// Calls `chown` with the owner, as far as we may; false where it has another.
    pub(super) fn give(
        &self,
        path: &Path,
        chown: impl Fn(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<bool, Errno> {
        let (uid, gid) = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        match chown(uid, gid) {
            Err(Errno::EPERM) if !geteuid().is_root() => {}
            given => return given.map(|()| true),
        }
        tracing::warn!(
            "{} belonged to user {} and group {}, and only root can give it back to them",
            path.display(),
            self.uid,
            self.gid
        );
        // The group alone may be one of ours.
        let _ = chown(None, gid);
        Ok(false)
    }

    /// The modification time.
    pub(super) fn time(&self) -> TimeSpec {
        TimeSpec::new(self.mtime.0, self.mtime.1)
    }

    fn mode_for(&self, own: bool) -> u32 {
        if own { self.mode } else { self.mode & !SET_ID_BITS }
    }

    fn apply_attributes(&self, file: &File, path: &Path) -> Result<(), Error> {
        let failed = |error| Error::of("setting the extended attributes of", path, error);
        let wanted = |name: &OsStr| self.attributes.iter().any(|(wanted, _)| wanted == name);
        for name in attribute_names(file).map_err(failed)? {
            if !wanted(&name) {
                tolerated(file.remove_xattr(&name), &name, path).map_err(failed)?;
            }
        }
        for (name, value) in &self.attributes {
            tolerated(file.set_xattr(name, value), name, path).map_err(failed)?;
        }
        Ok(())
    }
}

/// A roll-back must not fail for a label that only root, or another file system, can keep.
fn tolerated(set: io::Result<()>, name: &OsStr, path: &Path) -> io::Result<()> {
    match set {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            tracing::warn!("{}: {} can't be set: {error}", path.display(), name.display());
            Ok(())
        }
        set => set,
    }
}

fn attribute_names(file: &File) -> io::Result<Vec<OsString>> {
    match file.list_xattr() {
        Ok(names) => Ok(names.collect()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
