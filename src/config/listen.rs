//! Where metrics are told: on this machine and nowhere else.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// What stands before the path of a socket.
const UNIX: &str = "unix:";
/// The kernel takes 107 bytes, and a socket is bound beside its place under a longer name.
const PATH_BYTES_MAX: usize = 95;

/// A place that only this machine can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A loopback address; port 0 is any that is free.
    Tcp(SocketAddr),
    /// A Unix socket. Absolute, and no longer than what the kernel takes.
    Unix(PathBuf),
}

impl Listen {
    /// Reads `127.0.0.1:9184`, `[::1]:9184` or `unix:/path`; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let fits = path.len() <= PATH_BYTES_MAX && !path.contains(char::is_control);
            let is_file = Path::new(path).file_name().is_some() && !path.ends_with('/');
            // systemd makes no folder for such a path.
            let goes_up = Path::new(path).components().any(|part| part == Component::ParentDir);
            if Path::new(path).is_absolute() && is_file && fits && !goes_up {
                return Ok(Self::Unix(PathBuf::from(path)));
            }
            return Err(format!(
                "unix: and the absolute path of a socket without '..', of {PATH_BYTES_MAX} bytes \
                 at most, such as unix:/run/nymvisor/metrics.sock"
            ));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(_) => Err("an address of this machine alone, such as 127.0.0.1:9184 or \
                          [::1]:9184; for others put a reverse proxy in front of it, which can \
                          ask who they are"
                .to_owned()),
            Err(_) => Err("a loopback address with a port, such as 127.0.0.1:9184 or \
                           [::1]:9184, or unix:/path/of/a/socket"
                .to_owned()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}
