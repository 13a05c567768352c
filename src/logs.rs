//! Where the log goes: stderr, and for `run` files that rotate.

use std::io::{self, IsTerminal};
use std::path::Path;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::disk::{self, RealDisk};

/// Log files, a day each, that are kept.
const FILES_KEPT: usize = 14;

/// Begins to log, as `RUST_LOG` says (default: `info`), to stderr and to files in `folder`.
///
/// That the files can't be written is told on stderr and is no reason not to run.
pub fn begin(folder: &Path) {
    let plain = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .with_filter(filter());
    let appender = appender(folder);
    let (files, error) = match appender {
        Ok(appender) => (Some(appender), None),
        Err(error) => (None, Some(error)),
    };
    let files = files.map(|files| {
        fmt::layer()
            .with_writer(files)
            .with_ansi(false)
            .with_target(false)
            .log_internal_errors(false)
            .with_filter(filter())
    });
    // A second call, as tests may make, changes nothing.
    let _ = tracing_subscriber::registry().with(plain).with(files).try_init();
    if let Some(error) = error {
        tracing::warn!("no log files are written to {}: {error}", folder.display());
    }
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

fn appender(folder: &Path) -> Result<RollingFileAppender, String> {
    disk::create_dirs(&RealDisk, folder, 0o700).map_err(|error| error.to_string())?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("nymvisor")
        .filename_suffix("log")
        .max_log_files(FILES_KEPT)
        .build(folder)
        .map_err(|error| error.to_string())
}
