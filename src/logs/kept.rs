//! Which log files are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::{PREFIX, SUFFIX};
use crate::disk::{Disk, RealDisk, remove_if_there};
use crate::retention::{Outlived, Retention};

/// A log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The day (UTC) that it tells of.
    pub day: NaiveDate,
    /// Its size.
    pub bytes: u64,
    /// Why it is not kept; `None` where it is.
    pub outlived: Option<Outlived>,
}

/// Every log file in `folder`, oldest first; a folder that doesn't exist holds none. What has
/// another name, or is no plain file, is none of ours. The newest is kept, and that of today.
pub fn list(
    folder: &Path,
    retention: Option<Retention>,
    now: DateTime<Utc>,
) -> io::Result<Vec<LogFile>> {
    let names = match RealDisk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let file = |name: &std::ffi::OsString| {
        let day = day_of(name.to_str()?)?;
        let path = folder.join(name);
        let meta = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(LogFile { path, day, bytes: meta.len(), outlived: None })
    };
    let mut files: Vec<LogFile> = names.iter().filter_map(file).collect();
    files.sort_by_key(|file| file.day);
    for (newer, file) in files.iter_mut().rev().enumerate() {
        if newer > 0 && file.day < now.date_naive() {
            file.outlived = retention.and_then(|kept| kept.outlived(newer, age(file.day, now)));
        }
    }
    Ok(files)
}

/// Removes those that are not kept.
pub(super) fn tidy(
    folder: &Path,
    retention: Option<Retention>,
    now: DateTime<Utc>,
) -> io::Result<()> {
    for file in list(folder, retention, now)? {
        if file.outlived.is_some() {
            remove_if_there(&RealDisk, &file.path)?;
        }
    }
    Ok(())
}

/// How long ago the day ended.
fn age(day: NaiveDate, now: DateTime<Utc>) -> std::time::Duration {
    let end = day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc();
    now.signed_duration_since(end).to_std().unwrap_or_default()
}

fn day_of(name: &str) -> Option<NaiveDate> {
    let day = name.strip_prefix(PREFIX)?.strip_prefix('.')?;
    let day = day.strip_suffix(SUFFIX)?.strip_suffix('.')?;
    NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|date| date.to_string() == day)
}
