//! Knows a binary again, and gives a new one the place of the old. Everything here blocks.
//!
//! The identity of a file (device, inode, size and both its times) is what connects a digest to
//! a later use of the file: as long as it holds, nobody has written to it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use xattr::FileExt;

use crate::digest::{Algorithm, Digests};
use crate::disk::{self, Disk, RealDisk, folder_of};
use crate::machine::Code;

mod capabilities;

/// Read at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The extended attribute that holds a file's capabilities.
const CAPABILITIES: &str = "security.capability";

/// Mode of a new binary where there is no old one to look at.
const MODE: u32 = 0o755;

/// Why a binary could not be read or put in place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody wrote to the file while it was in our hands.
    #[error(
        "{} changed while it was checked (was {was}, is {is}); nothing else may write to it",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its identity when it was looked at first.
        was: String,
        /// Its identity now.
        is: String,
    },
}

impl Error {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } => {
                let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
                if full.contains(&source.kind()) { Code::NoRoom } else { Code::Io }
            }
            Self::Changed { .. } => Code::BinaryChanged,
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A file whose every byte was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// SHA-256 (hex).
    pub sha256: String,
    /// SHA-512 (hex), where it was asked for.
    pub sha512: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// Its identity, the same before and after the reading.
    pub identity: String,
}

/// Digests a plain file; a link as the last part of `path` is followed.
pub fn digest_file(path: &Path, algorithm: Algorithm) -> Result<Digested, Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let was = identity_of(&file, path)?;
    let mut digests = Digests::new(algorithm);
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        let read = match file.read(&mut block) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(Error::io("read", path))?,
        };
        digests.update(block.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
    let identity = identity_of(&file, path)?;
    if identity != was {
        return Err(Error::Changed { path: path.to_owned(), was, is: identity });
    }
    let hex = digests.finish();
    Ok(Digested { sha256: hex.sha256, sha512: hex.sha512, bytes, identity })
}

/// The identity of a file: `device:inode:bytes:mtime_ns:ctime_ns`.
pub fn identity(path: &Path) -> Result<String, Error> {
    let meta = fs::metadata(path).map_err(Error::io("look at", path))?;
    Ok(identity_from(&meta))
}

fn identity_of(file: &File, path: &Path) -> Result<String, Error> {
    let meta = file.metadata().map_err(Error::io("look at", path))?;
    if !meta.is_file() {
        let source = io::Error::other("not a plain file");
        return Err(Error::Io { action: "read", path: path.to_owned(), source });
    }
    Ok(identity_from(&meta))
}

fn identity_from(meta: &fs::Metadata) -> String {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let modified = nanos(meta.mtime(), meta.mtime_nsec());
    let changed = nanos(meta.ctime(), meta.ctime_nsec());
    format!("{}:{}:{}:{modified}:{changed}", meta.dev(), meta.ino(), meta.len())
}

/// Lets everybody execute the file, if somebody can't yet; returns whether anything was changed.
///
/// A link is refused: the mode of a file elsewhere is not ours to change. What changes gives the
/// file a new identity.
pub fn make_executable(path: &Path) -> Result<bool, Error> {
    let file = open_plain(path)?;
    let mode = mode_of(&file, path)?;
    if mode & 0o111 == 0o111 {
        return Ok(false);
    }
    set_mode(&file, path, mode | 0o111)?;
    Ok(true)
}

/// A new binary that has its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its identity from now on.
    pub identity: String,
    /// What of the old binary's owner, mode and capabilities it lacks: each a line for the log,
    /// with the command that repairs it.
    pub losses: Vec<String>,
}

/// Gives a verified part its final name, with owner, mode and file capabilities of `like`.
///
/// `verified` is the identity that the part had when it was verified; anything else is refused.
/// The folder of `to` must exist, on the part's file system; a file that has the name already is
/// replaced. On return the name is durable.
pub fn install(
    part: &Path,
    to: &Path,
    like: Option<&Path>,
    verified: &str,
) -> Result<Installed, Error> {
    let file = open_plain(part)?;
    let before = file.metadata().map_err(Error::io("look at", part))?;
    let changed =
        |is: String| Error::Changed { path: part.to_owned(), was: verified.to_owned(), is };
    if identity_from(&before) != verified {
        return Err(changed(identity_from(&before)));
    }
    let losses = match like {
        Some(like) => dress(&file, part, to, like)?,
        None => set_mode(&file, part, MODE).map(|()| Vec::new())?,
    };
    file.sync_all().map_err(Error::io("sync", part))?;
    fs::rename(part, to).map_err(Error::io("rename to its final name", part))?;
    for folder in [folder_of(to), folder_of(part)] {
        RealDisk.sync_dir(folder).map_err(Error::io("sync", folder))?;
    }
    // Owner, mode and name have moved the change time; only a writer moves the other one.
    let after = file.metadata().map_err(Error::io("look at", to))?;
    let written = |meta: &fs::Metadata| (meta.len(), meta.mtime(), meta.mtime_nsec());
    if written(&before) != written(&after) {
        // The change is the error to report; the name must not stay on what nobody verified.
        let _ = disk::remove_if_there(&RealDisk, to);
        return Err(changed(identity_from(&after)));
    }
    Ok(Installed { identity: identity_from(&after), losses })
}

/// Gives `file` what `like` has, and tells what could not be given.
fn dress(file: &File, part: &Path, to: &Path, like: &Path) -> Result<Vec<String>, Error> {
    let old = fs::metadata(like).map_err(Error::io("look at", like))?;
    let own = file.metadata().map_err(Error::io("look at", part))?;
    let mut losses = Vec::new();
    // The owner goes first: a change of it clears the set-id bits and the capabilities.
    let (uid, gid) = (old.uid(), old.gid());
    let is_owned =
        (own.uid(), own.gid()) == (uid, gid) || fchown(file, Some(uid), Some(gid)).is_ok();
    let mut mode = old.mode() & 0o7777;
    if mode & 0o111 == 0 {
        mode |= 0o111;
    }
    if !is_owned {
        let command = format!("chown {uid}:{gid} {}", quoted(to));
        losses.push(format!("the owner {uid}:{gid} of the old binary; as root: {command}"));
        if mode & 0o6000 != 0 {
            // With another owner these bits would grant rights that nobody meant to give.
            let command = format!("chmod {mode:o} {}", quoted(to));
            losses.push(format!("the mode {mode:o} of the old binary; as root: {command}"));
            mode &= 0o1777;
        }
    }
    set_mode(file, part, mode)?;
    let attribute = OsStr::new(CAPABILITIES);
    // A file system without attributes has none to lose.
    if let Some(value) = xattr::get_deref(like, attribute).ok().flatten()
        && let Err(error) = file.set_xattr(attribute, &value)
    {
        let text = capabilities::text(&value);
        let command = format!("setcap {} {}", text.as_deref().unwrap_or("<…>"), quoted(to));
        losses.push(format!("the old binary's file capabilities ({error}); as root: {command}"));
    }
    Ok(losses)
}

fn open_plain(path: &Path) -> Result<File, Error> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(Error::io("open", path))?;
    identity_of(&file, path).map(|_| file)
}

fn mode_of(file: &File, path: &Path) -> Result<u32, Error> {
    Ok(file.metadata().map_err(Error::io("look at", path))?.mode() & 0o7777)
}

fn set_mode(file: &File, path: &Path, mode: u32) -> Result<(), Error> {
    if mode_of(file, path)? == mode {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(Error::io("change the mode of", path))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
