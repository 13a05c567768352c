//! What `status` was seen to rest on. Looking is I/O; what follows from it is not.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cli::backups;
use crate::cli::check::history::records;
use crate::cli::check::site::{Site, in_words};
use crate::config::{Config, Paths, Windows};
use crate::disk::Disk;
use crate::host::lock::Holder;
use crate::host::{backup, room};
use crate::journal::{Hash, Part};
use crate::machine::{
    Daemon, Draining, Event, Phase, Policy, Queue, Running, State, Version, Wishes,
};
use crate::proc;
use crate::release::{Plan, Spread};

/// Clock ticks of `/proc`: the kernel shows them as a hundredth of a second whatever its own are.
const TICK_MS: u64 = 10;

/// Everything that was read.
#[derive(Debug)]
pub struct Seen {
    /// When.
    pub now: DateTime<Utc>,
    /// Id of the instance.
    pub instance: String,
    /// Name of the daemon.
    pub daemon: String,
    /// The settings that decisions depend on.
    pub policy: Policy,
    /// The journal's content.
    pub parts: Vec<Part>,
    /// The state after its last record.
    pub state: Option<State>,
    /// Number of the last record and hash of the last line.
    pub head: Option<(u64, Hash)>,
    /// Why the present can't be told from the journal.
    pub damage: Option<String>,
    /// What is held and cancelled by the file beside the journal, where that can't tell.
    pub kept: Option<Wishes>,
    /// What of its older parts can't be read.
    pub unread: Vec<String>,
    /// Who holds the instance's lock.
    pub runner: Option<Holder>,
    /// The kernel tells who holds locks.
    pub locks_are_told: bool,
    /// The daemon's process.
    pub process: Process,
    /// What the version file says.
    pub installed: Result<Version, String>,
    /// What the plan says, of `current` and `entries` alone.
    pub queue: Result<Queue, String>,
    /// When an upgrade may stop the daemon.
    pub windows: Option<Windows>,
    /// The home is half restored.
    pub half_restored: Option<String>,
    /// Paths of backups that a roll-back may ask for, and that are not there.
    pub missing_backups: Vec<String>,
    /// What is free, one entry a file system.
    pub room: Vec<Room>,
}

/// What the kernel says of the process that the journal knows as the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It is that very process, and alive.
    Lives {
        /// Milliseconds since its start, by the clock that doesn't jump.
        uptime_ms: Option<u64>,
    },
    /// There is none, or another one has its number.
    Gone,
    /// The journal knows of none.
    Unknown,
}

/// What is free on a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// What lies there: `home`, `backups`, `data`, `instance`.
    pub of: Vec<&'static str>,
    /// The first of them.
    pub path: String,
    /// Bytes; `None` where the system doesn't tell.
    pub free_bytes: Option<u64>,
    /// Files and folders that can still be made; `None` where there is no limit.
    pub free_inodes: Option<u64>,
}

impl Seen {
    /// Looks. Nothing is changed, no lock is taken.
    pub(in crate::cli) fn look(disk: &dyn Disk, config: &Config, paths: &Paths) -> Self {
        let site = Site::look(disk, config.clone(), paths.clone());
        let (parts, failed) = match site.parts {
            Ok(parts) => (parts, None),
            Err(error) => (Vec::new(), Some(in_words(&error))),
        };
        let spread = Spread::known(disk, &paths.spread_seed(), config.nymvisor.upgrade_spread);
        let daemon = site.state.as_ref().and_then(|state| daemon_of(state, &parts));
        let missing = |state| missing_backups(state, paths);
        let missing_backups = site.state.as_ref().map(missing).unwrap_or_default();
        Self {
            now: site.now,
            instance: config.nymvisor.id.clone(),
            daemon: config.daemon.name.clone(),
            policy: config.policy(),
            parts,
            state: site.state,
            head: site.head,
            damage: site.damage.or(failed),
            kept: site.kept,
            unread: site.unread,
            runner: site.runner,
            locks_are_told: fs::File::open("/proc/locks").is_ok(),
            process: daemon.map_or(Process::Unknown, process),
            installed: site.installed.map_err(|error| in_words(&error)),
            queue: site
                .plan
                .map(|plan| queue(&plan, spread.as_ref()))
                .map_err(|error| in_words(&error)),
            windows: config.nymvisor.maintenance_windows.clone(),
            half_restored: backups::refuse_amid_a_restore(paths)
                .err()
                .map(|error| error.to_string()),
            missing_backups,
            room: room(paths),
        }
    }
}

fn queue(plan: &Plan, spread: Option<&Spread>) -> Queue {
    Queue {
        current: Some(plan.current.to_spread_upgrade(spread)),
        entries: plan.to_come(spread),
        ..Queue::default()
    }
}

/// Those that lie neither where they were sealed nor in the folder that backups have now.
fn missing_backups(state: &State, paths: &Paths) -> Vec<String> {
    let is_there =
        |sealed: &Path| sealed.is_file() || backup::place_now(paths.backups(), sealed).is_file();
    // Where the data stays as it is nothing is put back.
    let needed = state.needed_backups().filter(|_| state.policy.rollback_restores_data);
    let missing = needed.filter(|needed| !is_there(&backup::path_of(needed)));
    missing.map(|missing| missing.path.clone()).collect()
}

/// The process that is up by the journal, or that was the last to be.
fn daemon_of(state: &State, parts: &[Part]) -> Option<Daemon> {
    if let Phase::Running(Running { daemon, .. })
    | Phase::Draining(Draining { daemon: Some(daemon), .. }) = &state.phase
    {
        return Some(*daemon);
    }
    records(parts).rev().find_map(|record| {
        let Event::DaemonSpawned { daemon } = record.event else { return None };
        Some(daemon)
    })
}

fn process(daemon: Daemon) -> Process {
    let stat = proc::stat(daemon.pid).ok();
    let is_it = |stat: &proc::Stat| stat.live && stat.started_ticks == daemon.started_ticks;
    if !stat.as_ref().is_some_and(is_it) {
        return Process::Gone;
    }
    let boot = fs::read_to_string("/proc/uptime").ok();
    let boot_ms = boot.as_deref().and_then(milliseconds);
    let started_ms = daemon.started_ticks.checked_mul(TICK_MS);
    let uptime_ms = boot_ms.zip(started_ms).and_then(|(boot, started)| boot.checked_sub(started));
    Process::Lives { uptime_ms }
}

/// `12345.67 …`, in seconds.
fn milliseconds(uptime: &str) -> Option<u64> {
    let (seconds, hundredths) = uptime.split_ascii_whitespace().next()?.split_once('.')?;
    let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    seconds.checked_mul(1000)?.checked_add(hundredths * 10)
}

fn room(paths: &Paths) -> Vec<Room> {
    let instance = paths.instance_data();
    let places: [(&'static str, &Path); 4] = [
        ("home", paths.home()),
        ("backups", paths.backups()),
        ("data", paths.data()),
        ("instance", &instance),
    ];
    let mut found: Vec<(Option<u64>, Room)> = Vec::new();
    for (what, path) in places {
        let device = room::device(path).ok();
        let same = found.iter_mut().find(|(other, _)| device.is_some() && *other == device);
        if let Some((_, room)) = same {
            room.of.push(what);
            continue;
        }
        let free = room::free(path).ok();
        found.push((
            device,
            Room {
                of: vec![what],
                path: path.display().to_string(),
                free_bytes: free.map(|free| free.bytes),
                free_inodes: free.map(|free| free.inodes).filter(|inodes| *inodes != u64::MAX),
            },
        ));
    }
    found.into_iter().map(|(_, room)| room).collect()
}
