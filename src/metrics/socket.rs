//! What is listened on: a loopback address, or a Unix socket that has its mode before it has its
//! name, and goes with the run.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Listen;
use crate::proc;

/// Who may connect to a Unix socket: its owner and its group, as far as its folder lets them.
const MODE: u32 = 0o660;

/// What is listened on.
#[derive(Debug)]
pub(super) enum Door {
    /// A port of this machine.
    Tcp(TcpListener),
    /// A socket, which is removed with this.
    Unix(UnixListener, #[expect(dead_code, reason = "its end is what counts")] Named),
}

/// A socket's name, as long as it is ours.
#[derive(Debug)]
pub(super) struct Named {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Door {
    /// Opens it, and tells where it is. An error says what is in the way.
    pub(super) async fn open(listen: &Listen) -> Result<(Self, Listen), String> {
        match listen {
            Listen::Tcp(address) => {
                let listener =
                    TcpListener::bind(address).await.map_err(|error| busy(listen, &error))?;
                let bound = listener.local_addr().unwrap_or(*address);
                Ok((Self::Tcp(listener), Listen::Tcp(bound)))
            }
            Listen::Unix(path) => {
                expect_silence(path).await?;
                let path = path.clone();
                let bound = tokio::task::spawn_blocking(move || bind(&path)).await;
                let (listener, named) = bound.map_err(|error| error.to_string())??;
                let listener = UnixListener::from_std(listener)
                    .map_err(|error| format!("{listen}: {error}"))?;
                Ok((Self::Unix(listener, named), listen.clone()))
            }
        }
    }
}

fn busy(listen: &Listen, error: &io::Error) -> String {
    let what = if error.kind() == io::ErrorKind::AddrInUse {
        "; another process listens there: end that, or name another port in \
         nymvisor.metrics_listen"
    } else {
        ""
    };
    format!("{listen}: {error}{what}")
}

/// Bound beside its place, given its mode, and renamed: nobody connects who may not.
fn bind(path: &Path) -> Result<(StdUnixListener, Named), String> {
    let failed = |what: &str| {
        let place = path.display().to_string();
        let what = what.to_owned();
        move |error: io::Error| format!("{what} {place}: {error}; its folder must be there")
    };
    expect_free(path)?;
    sweep(path);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let listener = StdUnixListener::bind(&beside).map_err(failed("can't make the socket"))?;
    let named = (|| {
        listener.set_nonblocking(true)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(MODE))?;
        let meta = fs::symlink_metadata(&beside)?;
        fs::rename(&beside, path)?;
        Ok(Named { path: path.to_owned(), device: meta.dev(), inode: meta.ino() })
    })();
    let named = named.map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed("can't make the socket")(error)
    })?;
    Ok((listener, named))
}

/// Removes what killed runs left beside. Another that is alive may just be at its own; what can't
/// be removed is no harm, but for one of our own number, over which the binding fails.
fn sweep(path: &Path) {
    let Some((folder, place)) = path.parent().zip(path.file_name()) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        let maker = maker(&entry.file_name(), place).filter(|_| is_socket);
        if maker.is_some_and(|pid| pid == std::process::id() || proc::is_ending(pid)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that has made, or makes, a socket under this name to give it that `place`.
fn maker(name: &OsStr, place: &OsStr) -> Option<u32> {
    let of_place = name.as_bytes().strip_prefix(place.as_bytes())?;
    let digits = of_place.strip_prefix(b".")?.strip_suffix(b".new")?;
    let is_number = digits.first().is_some_and(|first| matches!(first, b'1'..=b'9'));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_number)
}

/// Nothing is there, or a socket.
fn expect_free(path: &Path) -> Result<(), String> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(format!(
            "{} is there, and is no socket: move it away, or name another path in \
             nymvisor.metrics_listen",
            path.display()
        ));
    }
    Ok(())
}

/// Nobody has a socket open there; who can't be told is somebody: one that we may not connect to,
/// that has no room for another connection, or of another kind.
async fn expect_silence(path: &Path) -> Result<(), String> {
    // The last also where there is no socket; what else is in the way the binding tells.
    let silence =
        [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::ConnectionRefused];
    let why = match UnixStream::connect(path).await {
        Ok(_) => String::new(),
        Err(error) if silence.contains(&error.kind()) => return Ok(()),
        Err(error) => format!(" ({error})"),
    };
    Err(format!(
        "{}: another process listens there{why}: end that, or name another path in \
         nymvisor.metrics_listen",
        path.display()
    ))
}

impl Drop for Named {
    fn drop(&mut self) {
        let is_ours = |meta: &fs::Metadata| meta.dev() == self.device && meta.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| is_ours(&meta)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
