//! How long it would take, and on what that rests.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use walkdir::WalkDir;

use super::binary::Outlook;
use super::history::{Down, Past, Timed};
use super::site::Site;
use super::version::shown;
use crate::units::{human, span};

/// So much of the home is read, or for so long, where nothing else tells how fast it is.
const SAMPLE_BYTES: u64 = 64 * 1024 * 1024;
const SAMPLE_TIME: Duration = Duration::from_secs(1);
/// The rate was measured without regard for the daemon, which the copy has.
const SLOWER: &str = "up to thirteen times that beside a daemon that writes all the time";
const BLOCK_BYTES: usize = 1024 * 1024;
/// What reads that pass by the page cache want of a buffer's place and length, at most.
const ALIGNMENT_BYTES: usize = 4096;

/// In milliseconds; `None` where nobody knows.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Fetching what is still missing of the binary.
    pub(super) fetch_ms: Option<u64>,
    /// The first copy of the home, with the daemon up.
    pub(super) copy_ms: Option<u64>,
    /// From the daemon's being asked to end to the new one's start.
    pub(super) down_ms: Option<u64>,
    /// Bytes of the home a second that were read just now; only where there was no run.
    pub(super) read_bytes_per_second: Option<u64>,
    /// What it rests on.
    pub(super) basis: String,
}

pub(super) fn of(site: &Site<'_>, binary: &Outlook, home_bytes: Option<u64>) -> Estimate {
    let past = Past::of(site.parts.as_deref().unwrap_or_default());
    let mut basis = Vec::new();
    let mut estimate = Estimate { fetch_ms: fetch_ms(binary, &past, &mut basis), ..<_>::default() };
    let is_skipped = site.config.daemon.unsafe_skip_backup;
    let home_bytes = if is_skipped { Some(0) } else { home_bytes };
    let copied = past.copy.and_then(|copy| Some((copy, copy.scaled(home_bytes?)?)));
    if let (Some((copy, ms)), false) = (copied, is_skipped) {
        basis.push(format!("{} of the home copied in {}", human(copy.bytes), human_ms(copy.ms)));
        estimate.copy_ms = Some(ms);
    } else if !is_skipped {
        let is_first = past.copy.is_none() && past.down.is_none();
        let why = if is_first { "no run to estimate from" } else { "no copy on record that tells" };
        basis.push(why.to_owned());
        if let Some((read, is_direct)) = read_rate(site) {
            let rate = read.per_second();
            let from = if is_direct { "" } else { ", from memory as far as it was there" };
            let rated = format!("measured read rate of the home: {} a second{from}", human(rate));
            basis.push(rated);
            estimate.read_bytes_per_second = Some(rate);
            estimate.copy_ms = home_bytes.and_then(|bytes| read.scaled(bytes));
            basis.push(SLOWER.to_owned());
        }
    }
    // The configured rate is a bound as well.
    let bound = site.config.daemon.backup_rate_limit.zip(home_bytes).map(|(rate, bytes)| {
        u64::try_from(u128::from(bytes) * 1000 / u128::from(rate.max(1))).unwrap_or(u64::MAX)
    });
    estimate.copy_ms = estimate.copy_ms.map(|ms| ms.max(bound.unwrap_or_default()));
    if let Some(down) = &past.down {
        basis.push(basis_of(down));
        estimate.down_ms = Some(down.expected_ms(home_bytes));
    }
    estimate.basis = basis.join("; ");
    estimate
}

fn fetch_ms(binary: &Outlook, past: &Past, basis: &mut Vec<String>) -> Option<u64> {
    let bytes = binary.missing_bytes?;
    if bytes == 0 {
        return Some(0);
    }
    let now = binary.fetched.map(|(bytes, ms)| Timed { bytes, ms });
    let fetch = now.or(past.fetch)?;
    let ms = fetch.scaled(bytes)?;
    let when = if now.is_some() { "just now" } else { "the last time" };
    basis.push(format!("{when} {} came in {}", human(fetch.bytes), human_ms(fetch.ms)));
    Some(ms)
}

/// What an expected down time rests on.
pub(in crate::cli) fn basis_of(down: &Down) -> String {
    format!("down for {} on {}", human_ms(down.ms), shown(down.at))
}

/// Reads some of the home, for a second at most; and whether all of that came from the medium.
///
/// What the daemon has in memory is passed by, and stays there. Not every file system can do that.
fn read_rate(site: &Site<'_>) -> Option<(Timed, bool)> {
    let since = Instant::now();
    let (mut space, mut bytes) = (vec![0; BLOCK_BYTES + ALIGNMENT_BYTES], 0);
    let skew = space.as_ptr().align_offset(ALIGNMENT_BYTES);
    let block = space.get_mut(skew..)?.get_mut(..BLOCK_BYTES)?;
    let mut is_direct = true;
    let ours = site.paths.home_nymvisor();
    let walk = WalkDir::new(site.paths.home()).into_iter();
    let entries = walk.filter_entry(|entry| entry.path() != ours).flatten();
    for entry in entries.filter(|entry| entry.file_type().is_file()) {
        let mut read = read_whole(entry.path(), OFlag::O_DIRECT, block, since);
        if read.is_none() {
            is_direct = false;
            read = read_whole(entry.path(), OFlag::empty(), block, since);
        }
        bytes += read.unwrap_or_default();
        if bytes >= SAMPLE_BYTES || since.elapsed() >= SAMPLE_TIME {
            break;
        }
    }
    (bytes > 0).then(|| (timed(bytes, since), is_direct))
}

/// Reads a file, as far as the sample goes; `None` where it can't be read in this way.
fn read_whole(path: &Path, way: OFlag, block: &mut [u8], since: Instant) -> Option<u64> {
    let flags = (way | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut bytes = 0;
    while bytes < SAMPLE_BYTES && since.elapsed() < SAMPLE_TIME {
        let read = file.read(block).ok()?;
        bytes += read as u64;
        // Behind the end there is no aligned place to read from.
        if read < block.len() {
            break;
        }
    }
    Some(bytes)
}

fn timed(bytes: u64, since: Instant) -> Timed {
    Timed { bytes, ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1) }
}

/// A duration as people say it: `40 ms`, `1.2 s`, `3m 20s`.
pub(in crate::cli) fn human_ms(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => span(ms / 1000),
    }
}
