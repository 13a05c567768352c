//! What the times of a file prove, by the file system that it is on.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, futimens};
use nix::sys::statfs::fstatfs;
use nix::sys::time::TimeSpec;

/// Seconds and nanoseconds since 1970.
type Time = (i64, i64);

/// The file systems that stamp the first store to a clean page, each by its magic number: ext2 to
/// ext4, xfs, btrfs, f2fs, bcachefs. A tmpfs stamps no store at all; of others (networks,
/// overlays, FUSE) it can't be known.
const STAMPING: [i64; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0xca45_1a4e];
/// A clock that shows parts of a second ticks at 100 Hz or faster.
const MARGIN: Time = (0, 50_000_000);
/// One that doesn't ticks every second, or every other.
const COARSE_MARGIN: Time = (5, 0);
/// Two clocks can't be read at the same instant.
const STEP: Duration = Duration::from_millis(5);

/// Every file system that was met, by device.
#[derive(Debug)]
pub(super) struct Media {
    met: BTreeMap<u64, Medium>,
    /// Both clocks as they were last compared: only setting the time moves them apart.
    compared: (SystemTime, Instant),
    /// The earliest time that the clock was set back to since the first reading.
    set_back_to: Option<Time>,
}

#[derive(Debug)]
struct Medium {
    /// A file of no name that is stamped to read the clock. Without one, or where stores leave no
    /// trace, times prove nothing.
    clock: Option<File>,
    latest: Time,
}

impl Media {
    /// None met yet.
    pub(super) fn new() -> Self {
        let compared = (SystemTime::now(), Instant::now());
        Self { met: BTreeMap::new(), compared, set_back_to: None }
    }

    /// Finds out whether the clock was set back since the last time this was called.
    pub(super) fn compare_clocks(&mut self) {
        let now = (SystemTime::now(), Instant::now());
        let (wall, steady) = self.compared;
        let expected = wall + now.1.saturating_duration_since(steady);
        if let Ok(back) = expected.duration_since(now.0)
            && back > STEP
        {
            // It may have been set at once after the comparison.
            let low = time_of(wall.checked_sub(back).unwrap_or(UNIX_EPOCH));
            self.set_back_to = Some(self.set_back_to.map_or(low, |before| before.min(low)));
            self.met.values_mut().for_each(|medium| medium.latest = (i64::MIN, 0));
        }
        self.compared = now;
    }

    /// Whether the clock was set back to before the file's change time, and may show it again.
    pub(super) fn may_repeat(&self, stat: &FileStat) -> bool {
        let changed = plus((stat.st_ctime, stat.st_ctime_nsec), MARGIN);
        self.set_back_to.is_some_and(|low| changed >= low)
    }

    /// Whether any change from now on is certain to give the file another change time than this
    /// one. Not if the clock has hardly moved on since, or if it could come to the same time twice.
    pub(super) fn proves(&mut self, folder: &File, stat: &FileStat) -> bool {
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        if self.may_repeat(stat) {
            return false;
        }
        let medium = self.met.entry(stat.st_dev).or_insert_with(|| Medium::meet(folder, stat));
        medium.is_past(changed) || (medium.read_clock() && medium.is_past(changed))
    }
}

impl Medium {
    /// The first file of a file system; its folder tells which one that is.
    fn meet(folder: &File, stat: &FileStat) -> Self {
        let stamping = fstatfs(folder).is_ok_and(|it| STAMPING.contains(&magic(&it)));
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let clock = stamping
            .then(|| openat(folder, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from))
            .and_then(Result::ok)
            .filter(|clock| fstat(clock).is_ok_and(|own| own.st_dev == stat.st_dev));
        Self { clock, latest: (i64::MIN, 0) }
    }

    fn is_past(&self, changed: Time) -> bool {
        let margin = if self.latest.1 == 0 { COARSE_MARGIN } else { MARGIN };
        self.latest > plus(changed, margin)
    }

    /// The file system's own clock: what it stamps a file with.
    fn read_clock(&mut self) -> bool {
        let Some(clock) = &self.clock else { return false };
        let stamped = futimens(clock, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
        let Ok(stat) = stamped.and_then(|()| fstat(clock)) else { return false };
        self.latest = (stat.st_ctime, stat.st_ctime_nsec);
        true
    }
}

#[expect(clippy::unnecessary_cast, reason = "its type differs from one system to the other")]
fn magic(stat: &nix::sys::statfs::Statfs) -> i64 {
    stat.filesystem_type().0 as i64
}

fn plus(time: Time, more: Time) -> Time {
    let nanos = time.1 + more.1;
    (time.0.saturating_add(more.0 + nanos / 1_000_000_000), nanos % 1_000_000_000)
}

fn time_of(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}
