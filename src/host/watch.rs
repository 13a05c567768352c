//! Notices that a file was changed by somebody else.
//!
//! The *folder* is watched: an editor and every careful writer replace a file by renaming another
//! over it, after which a watch on the file itself would look at one that nobody sees any more.
//! Changes are settled, so that a burst gives one signal, and never dropped: what arrives after a
//! signal gives another one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use notify::event::{Event, EventKind};
use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A burst is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(100);
/// A burst that doesn't end is reported after so long all the same.
const SETTLED_MAX: Duration = Duration::from_secs(1);
/// Pause between two tries to watch a folder that is missing.
const REARM_PAUSE: Duration = Duration::from_secs(2);
/// Pause between two looks where the system has no watches left.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// Which names in the folder count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// This one alone.
    One(OsString),
    /// All that don't begin with a dot (those are still being written).
    All,
}

impl Names {
    fn count(&self, path: &Path) -> bool {
        match (self, path.file_name()) {
            (_, None) => false,
            (Self::One(wanted), Some(name)) => wanted == name,
            (Self::All, Some(name)) => !name.as_bytes().starts_with(b"."),
        }
    }
}

/// A watched folder.
#[derive(Debug)]
pub struct Watch {
    folder: PathBuf,
    names: Names,
    bell: Arc<Bell>,
    means: Means,
    burst: Option<Burst>,
}

/// How changes are found at the moment.
#[derive(Debug)]
enum Means {
    /// The kernel tells; the watcher is held for its thread.
    Told(#[expect(dead_code, reason = "dropping it ends the watch")] notify::RecommendedWatcher),
    /// The folder is missing, or was replaced: tried again at this time.
    Lost(Instant),
    /// By looking, next at this time, with what was seen last.
    Looking { every: Duration, next: Instant, seen: Seen },
}

/// A burst of changes: when it must be over at the latest, and when it is if nothing follows.
#[derive(Debug, Clone, Copy)]
struct Burst {
    latest: Instant,
    quiet: Instant,
}

/// How the watcher's thread reaches us.
#[derive(Debug, Default)]
struct Bell {
    changed: Notify,
    lost: AtomicBool,
}

/// Identity, size and change time of each file that counts.
type Seen = BTreeMap<OsString, (u64, u64, i64, i64)>;

/// What one wait ended with.
enum Woken {
    Changed,
    Due,
}

impl Watch {
    /// Begins to watch. What is in the folder already is not reported: read it *after* this call.
    ///
    /// The folder may be missing, and may be replaced later. Where the system has no watches left,
    /// the folder is looked at every 10 s instead, with one warning.
    #[must_use]
    pub fn new(folder: &Path, names: Names) -> Self {
        let mut watch = Self::looking(folder, names, LOOK_PAUSE);
        watch.means = watch.arm();
        watch
    }

    /// Finds changes by looking every so often, without help from the kernel.
    #[must_use]
    pub fn looking(folder: &Path, names: Names, every: Duration) -> Self {
        // The kernel's reports name absolute paths.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let seen = look(&folder, &names);
        let means = Means::Looking { every, next: Instant::now() + every, seen };
        Self { folder, names, bell: Arc::default(), means, burst: None }
    }

    /// Waits for a change, and until it has settled. Safe to cancel: what was seen until then is
    /// reported by the next call. No timer runs while nothing happens, unless by looking.
    pub async fn changed(&mut self) {
        loop {
            match self.woken().await {
                Woken::Changed => self.ring(),
                Woken::Due => {
                    if self.burst.take_if(|burst| burst.due() <= Instant::now()).is_some() {
                        return;
                    }
                    self.look_after();
                }
            }
            if self.bell.lost.swap(false, Ordering::AcqRel) {
                self.means = Means::Lost(Instant::now());
            }
        }
    }

    async fn woken(&self) -> Woken {
        let looked_after = match &self.means {
            Means::Told(_) => None,
            Means::Lost(next) | Means::Looking { next, .. } => Some(*next),
        };
        let burst = self.burst.map(Burst::due);
        let changed = self.bell.changed.notified();
        match [looked_after, burst].into_iter().flatten().min() {
            None => {
                changed.await;
                Woken::Changed
            }
            Some(due) => match tokio::time::timeout_at(due, changed).await {
                Ok(()) => Woken::Changed,
                Err(_) => Woken::Due,
            },
        }
    }

    /// Begins a burst, or prolongs the one there is.
    fn ring(&mut self) {
        let now = Instant::now();
        let latest = self.burst.map_or(now + SETTLED_MAX, |burst| burst.latest);
        self.burst = Some(Burst { latest, quiet: now + QUIET });
    }

    /// Does what is due where the kernel doesn't tell.
    fn look_after(&mut self) {
        let now = Instant::now();
        match &mut self.means {
            Means::Lost(next) if *next <= now => {
                self.means = self.arm();
                // Whatever happened in between, nobody told.
                if !matches!(self.means, Means::Lost(_)) {
                    self.ring();
                }
            }
            Means::Looking { every, next, seen } if *next <= now => {
                *next = now + *every;
                let found = look(&self.folder, &self.names);
                if *seen != found {
                    *seen = found;
                    self.ring();
                }
            }
            Means::Told(_) | Means::Lost(_) | Means::Looking { .. } => {}
        }
    }

    fn arm(&self) -> Means {
        let before = identity(&self.folder);
        match self.watcher() {
            // A folder that was replaced meanwhile is watched under its old identity.
            Ok(watcher) if before.is_some() && before == identity(&self.folder) => {
                Means::Told(watcher)
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(
                    "can't watch {}: {error}; looking every {} s instead (see fs.inotify limits)",
                    self.folder.display(),
                    LOOK_PAUSE.as_secs(),
                );
                let seen = look(&self.folder, &self.names);
                Means::Looking { every: LOOK_PAUSE, next: Instant::now() + LOOK_PAUSE, seen }
            }
            Ok(_) | Err(_) => Means::Lost(Instant::now() + REARM_PAUSE),
        }
    }

    fn watcher(&self) -> notify::Result<notify::RecommendedWatcher> {
        let bell = Arc::clone(&self.bell);
        let folder = self.folder.clone();
        let names = self.names.clone();
        let heard = move |event: notify::Result<Event>| {
            match event.as_ref().map(|event| meaning(event, &folder, &names)) {
                Ok(Meaning::Nothing) => return,
                Ok(Meaning::Changed) => {}
                Ok(Meaning::Lost) | Err(_) => bell.lost.store(true, Ordering::Release),
            }
            bell.changed.notify_one();
        };
        let mut watcher = notify::recommended_watcher(heard)?;
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

impl Burst {
    fn due(self) -> Instant {
        self.quiet.min(self.latest)
    }
}

enum Meaning {
    Nothing,
    Changed,
    Lost,
}

fn meaning(event: &Event, folder: &Path, names: &Names) -> Meaning {
    // The kernel's queue was full: anything may have happened.
    if event.need_rescan() {
        return Meaning::Changed;
    }
    match event.kind {
        // Reading is an access too, and we read.
        EventKind::Access(_) => Meaning::Nothing,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => {
            let gone = matches!(event.kind, EventKind::Remove(_))
                || matches!(event.kind, EventKind::Modify(notify::event::ModifyKind::Name(_)));
            if gone && event.paths.iter().any(|path| path == folder) {
                Meaning::Lost
            } else if event.paths.iter().any(|path| path != folder && names.count(path)) {
                Meaning::Changed
            } else {
                Meaning::Nothing
            }
        }
    }
}

/// Whether the system has no watches left, as opposed to there being no such folder.
fn is_exhausted(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => {
            [Errno::EMFILE, Errno::ENFILE, Errno::ENOSPC, Errno::ENOSYS]
                .iter()
                .any(|errno| error.raw_os_error() == Some(*errno as i32))
        }
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::PathNotFound
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_) => false,
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn look(folder: &Path, names: &Names) -> Seen {
    let paths: Vec<PathBuf> = match names {
        Names::One(name) => vec![folder.join(name)],
        Names::All => listed(folder).unwrap_or_default(),
    };
    let mut seen = Seen::new();
    for path in paths.into_iter().filter(|path| names.count(path)) {
        if let Ok(meta) = fs::symlink_metadata(&path) {
            let what = (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec());
            seen.insert(path.into_os_string(), what);
        }
    }
    seen
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
