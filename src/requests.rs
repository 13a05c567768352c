//! Requests: how a command asks a running engine for something.
//!
//! The journal has one writer. A command that wants something changed leaves a file in
//! `requests/`, whole from the start, and waits for the answer that `run` puts beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk};
use crate::machine::{Announcement, Event, Requester, Version};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// Try a failed upgrade again.
    Retry {
        /// Name of the upgrade.
        name: String,
    },
    /// Let no upgrade stop the daemon.
    Hold {
        /// Until when; `None` is until it is released.
        until: Option<DateTime<Utc>>,
    },
    /// Let upgrades stop the daemon again.
    Release,
    /// Don't perform this announcement.
    Cancel(Announcement),
    /// Roll the last upgrade back.
    RollBack {
        /// To what.
        to: Version,
        /// The data stays as it is.
        keep_data: bool,
    },
}

/// A request as it lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked for.
    pub wish: Wish,
    /// By whom.
    pub requester: Requester,
}

impl Request {
    /// The fact that it is for the engine; `id` is the request's number, and `run_is_up` where it
    /// is taken up by a `run`.
    #[must_use]
    pub fn into_event(self, id: String, run_is_up: bool) -> Event {
        let (requester, request) = (self.requester, id);
        match self.wish {
            Wish::Retry { name } => Event::RetryRequested { name, requester, request },
            Wish::Hold { until } => {
                let run_is_up = Some(run_is_up);
                Event::HoldRequested { until, requester, request, run_is_up }
            }
            Wish::Release => Event::ReleaseRequested { requester, request },
            Wish::Cancel(upgrade) => Event::CancelRequested { upgrade, requester, request },
            Wish::RollBack { to, keep_data } => {
                Event::RollBackRequested { to, keep_data, requester, request }
            }
        }
    }
}

/// An answer as it lies beside the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was granted.
    pub granted: bool,
    /// In words.
    pub text: String,
}

const REQUEST: &str = ".request.json";
const ANSWER: &str = ".answer.json";
const MODE: u32 = 0o600;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Leaves a request and gives its number.
pub fn leave(disk: &dyn Disk, folder: &Path, request: &Request) -> io::Result<String> {
    disk::create_dirs(disk, folder, 0o700)?;
    let id = format!("{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%.9fZ"), std::process::id());
    let bytes = serde_json::to_vec(request)?;
    disk::replace(disk, &folder.join(format!("{id}{REQUEST}")), &bytes, MODE)?;
    Ok(id)
}

/// Waits for the answer and takes it away; `None` where none has come in time. The request stays.
pub fn await_answer(
    disk: &dyn Disk,
    folder: &Path,
    id: &str,
    patience: Duration,
) -> io::Result<Option<Answer>> {
    let path = folder.join(format!("{id}{ANSWER}"));
    let since = Instant::now();
    loop {
        match disk.read(&path) {
            Ok(bytes) => {
                disk::remove_if_there(disk, &path)?;
                return Ok(Some(serde_json::from_slice(&bytes)?));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if since.elapsed() >= patience => return Ok(None),
            Err(_) => std::thread::sleep(LOOK_PAUSE),
        }
    }
}

/// Takes the request back, and gives the answer if it has one by now.
pub fn withdraw(disk: &dyn Disk, folder: &Path, id: &str) -> io::Result<Option<Answer>> {
    disk::remove_if_there(disk, &request_path(folder, id))?;
    await_answer(disk, folder, id, Duration::ZERO)
}

/// The requests that wait, oldest first; those that can't be read are named.
pub fn waiting(
    disk: &dyn Disk,
    folder: &Path,
) -> io::Result<Vec<(String, Result<Request, String>)>> {
    let names = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let id = |name: &std::ffi::OsString| Some(name.to_str()?.strip_suffix(REQUEST)?.to_owned());
    Ok(names
        .iter()
        .filter_map(id)
        .map(|id| (id.clone(), read(disk, &request_path(folder, &id))))
        .collect())
}

/// Where the request of this number lies.
#[must_use]
pub fn request_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}{REQUEST}"))
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Request, String> {
    disk::expect_file(disk, path)?;
    let bytes = disk.read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Puts the answer beside the request and takes the request away.
pub fn answer(disk: &dyn Disk, folder: &Path, id: &str, answer: &Answer) -> io::Result<()> {
    let bytes = serde_json::to_vec(answer)?;
    disk::replace(disk, &folder.join(format!("{id}{ANSWER}")), &bytes, MODE)?;
    disk::remove_if_there(disk, &request_path(folder, id))
}
