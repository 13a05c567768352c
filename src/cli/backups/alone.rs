//! The home to ourselves: no `run`, no daemon.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Error, ask, run};
use crate::config::{Config, Paths};
use crate::disk::{self, RealDisk};
use crate::host::lock::{self, HeldLock};
use crate::host::{cgroup, processes};
use crate::proc;

/// The end of a process that holds a lock takes no longer than this.
const HOLDER_ENDS: Duration = Duration::from_secs(1);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// What to do instead.
const ELSE: &str = "stop it first, or unpack the backup elsewhere with --to";

/// Takes the locks of `run`, and refuses beside a daemon of that home.
pub(super) fn with_the_home(config: &Config, paths: &Paths) -> Result<[HeldLock; 2], Error> {
    let locks = [take(&paths.instance_lock())?, take(&paths.home_lock())?];
    if let Some(daemon) = processes::leftovers(&run::token_prefix(paths)).first() {
        return Err(Error::RunsAlready(format!(
            "process {} is a daemon that an earlier `run` left behind; {ELSE}",
            daemon.pid
        )));
    }
    if let Some(group) = cgroup::left(&paths.control_groups(), &run::token_prefix(paths)).first() {
        let who = match group.members().first() {
            Some(pid) => format!("process {pid} was started by a daemon"),
            None => "processes that fork on and on were started by a daemon".to_owned(),
        };
        return Err(Error::RunsAlready(format!(
            "{who} of an earlier `run`, and outlived it, in {}; {ELSE}",
            group.path().display()
        )));
    }
    if let Some(stranger) = processes::foreign(&run::sought(config, paths, Vec::new())) {
        return Err(Error::RunsAlready(format!(
            "process {} ({}) serves {}: {}; {ELSE}",
            stranger.pid,
            stranger.command_line,
            paths.home().display(),
            stranger.why
        )));
    }
    Ok(locks)
}

fn take(path: &Path) -> Result<HeldLock, Error> {
    disk::create_dirs(&RealDisk, disk::folder_of(path), 0o755)
        .map_err(Error::io("create the folder of", path))?;
    let content = format!("{}\n", std::process::id());
    let since = Instant::now();
    loop {
        match HeldLock::acquire(path, 0o600, &content) {
            Ok(lock) => return Ok(lock),
            Err(lock::Error::Busy { pid: Some(pid), .. })
                if proc::is_ending(pid) && since.elapsed() < HOLDER_ENDS => {}
            Err(lock::Error::Busy { content, .. })
                if ask::is_in_passing(&content) && since.elapsed() < HOLDER_ENDS => {}
            Err(error @ lock::Error::Busy { .. }) => {
                return Err(Error::RunsAlready(format!("nymvisor runs: {error}; {ELSE}")));
            }
            Err(error @ lock::Error::Io { .. }) => return Err(Error::Unusable(error.to_string())),
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}
