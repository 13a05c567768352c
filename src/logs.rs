//! Where the log goes: stderr, and for `run` files that rotate.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{NaiveDate, Utc};
use nix::fcntl::OFlag;
use tracing_appender::rolling::{RollingFileAppender, RollingWriter, Rotation};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::bars::Lines;
use crate::disk::{self, Disk, RealDisk};
use crate::retention::Retention;

mod form;
mod kept;

pub use form::{for_journald, is_colourful, is_for_journald, priority};
pub use kept::{LogFile, list};

use form::{Prefixed, Words};

const PREFIX: &str = "nymvisor";
/// Our fields in the journal of systemd are `NYMVISOR_RECORD`, `NYMVISOR_EVENT` and so on.
const FIELDS: &str = "NYMVISOR";
const SUFFIX: &str = "log";
/// Logs tell what runs where: nobody else's business.
const FILE_MODE: u32 = 0o600;

/// Begins to log, as `RUST_LOG` says (default: `info`), to stderr and to files in `folder`, one a
/// day, of which the retention says which are kept.
///
/// That the files can't be written is told on stderr and is no reason not to run.
pub fn begin(folder: &Path, retention: Option<Retention>) {
    let lines = fmt::layer()
        .with_writer(|| Lines)
        .with_target(false)
        .log_internal_errors(false)
        .fmt_fields(Words);
    let lines = match is_for_journald().then(journald) {
        Some(Ok(journald)) => journald.with_filter(filter()).boxed(),
        // No such socket in this container: its stderr has to do.
        Some(Err(_)) => lines.with_ansi(false).event_format(Prefixed).with_filter(filter()).boxed(),
        None => lines.with_ansi(is_colourful()).with_filter(filter()).boxed(),
    };
    let (files, error) = match Files::new(folder, retention) {
        Ok(files) => (Some(files), None),
        Err(error) => (None, Some(error)),
    };
    let files = files.map(|files| {
        fmt::layer()
            .with_writer(files)
            .with_ansi(false)
            .with_target(false)
            .log_internal_errors(false)
            .fmt_fields(Words)
            .with_filter(filter())
    });
    // A second call, as tests may make, changes nothing.
    let _ = tracing_subscriber::registry().with(lines).with(files).try_init();
    if let Some(error) = error {
        tracing::warn!("no log files are written to {}: {error}", folder.display());
    }
}

/// What writes to the journal of systemd itself, so that its fields can be asked for.
fn journald() -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?;
    Ok(layer.with_field_prefix(Some(FIELDS.to_owned())).with_priority_mappings(priorities))
}

fn filter() -> Targets {
    let asked = std::env::var("RUST_LOG").ok().filter(|asked| !asked.trim().is_empty());
    let asked = asked.and_then(|asked| asked.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

/// Log files that belong to the owner of their folder, also where root begins one: a service that
/// was tried with `sudo` for once could not go on with it otherwise.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    retention: Option<Retention>,
    appender: RollingFileAppender,
    /// The day whose file is known to be there and right.
    ready: Mutex<Option<NaiveDate>>,
}

impl Files {
    fn new(folder: &Path, retention: Option<Retention>) -> Result<Self, String> {
        let in_words = |error: io::Error| error.to_string();
        disk::create_dirs(&RealDisk, folder, 0o700).map_err(in_words)?;
        let today = Utc::now().date_naive();
        make_ready(&path_of(folder, today)).map_err(in_words)?;
        // What can't be removed is no reason not to write; `prune` tells why.
        let _ = kept::tidy(folder, retention, Utc::now());
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            .build(folder)
            .map_err(|error| error.to_string())?;
        let (folder, ready) = (folder.to_owned(), Mutex::new(Some(today)));
        Ok(Self { folder, retention, appender, ready })
    }
}

impl<'a> MakeWriter<'a> for Files {
    type Writer = RollingWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        let today = Utc::now().date_naive();
        if let Ok(mut ready) = self.ready.lock()
            && *ready != Some(today)
        {
            // Where it can't be made, the appender can't either, and says so.
            let _ = make_ready(&path_of(&self.folder, today));
            let _ = kept::tidy(&self.folder, self.retention, Utc::now());
            *ready = Some(today);
        }
        self.appender.make_writer()
    }
}

/// The file into which the appender writes on this day (UTC).
fn path_of(folder: &Path, day: NaiveDate) -> PathBuf {
    folder.join(format!("{PREFIX}.{}.{SUFFIX}", day.format("%Y-%m-%d")))
}

/// Makes a log file with the owner of its folder before the appender does it with ours, or gives
/// it one: the appender is faster where midnight falls between our look at the clock and its own,
/// and an earlier version left root's.
///
/// # Errors
/// What the system refuses; also that there is something else than a plain file with one name,
/// which root must neither write to nor give away.
pub fn make_ready(path: &Path) -> io::Result<()> {
    match RealDisk.create(path, FILE_MODE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map(drop),
    }
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().append(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() != 1 {
        return Err(io::Error::other(format!("{} is no log file of ours", path.display())));
    }
    let us = nix::unistd::geteuid();
    if meta.uid() == us.as_raw() {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    let folder = fs::metadata(disk::folder_of(path))?;
    if us.is_root() && (meta.uid(), meta.gid()) != (folder.uid(), folder.gid()) {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}
