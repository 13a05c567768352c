//! The window: what is done between the end of the old daemon and the execution of the new one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{TimeDelta, Utc};
use nix::sys::signal::Signal;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, statfs};
use nymvisor::host::cgroup::Place;

use crate::support::run::Stage;

mod tally;

use tally::Tally;

/// Of records: the end of the daemon, its group, the phases up to the swap, and the swap. Two of
/// the backup, its bytes and its name; two of the version file; of history and plan their bytes,
/// and at once, with the link, their names.
const SYNCS_MAX: usize = RECORDS + 2 + 2 + 3;
const RECORDS: usize = 7;
/// Backup, version file, history, plan and link.
const RENAMES_MAX: usize = 5;
/// The new daemon; where it has a control group, it waits there before the old one has ended.
const PROCESSES_MAX: usize = 1;
/// Those of the compressor, and the one that reads the backup back.
const THREADS_MAX: usize = 4;
/// The plan three times, what was kept of the new version, the files that changed, what is added
/// to the backup.
const READ_BYTES_MAX: u64 = 8 * 1024;
/// Records, backup, log and stderr, version file, history and plan.
const WRITTEN_BYTES_MAX: u64 = 16 * 1024;
/// By how much the numbers of bytes may differ between two runs: digits of times and ids.
const NOISE_BYTES: u64 = 512;
/// Of the files of an installation and those that changed, folders to be synced, `/proc`.
const OPENS_MAX: usize = 32;

#[test]
fn the_window_has_a_budget_that_the_size_of_the_home_does_not_change() {
    let (small, large) = (upgraded(20), upgraded(400));
    eprintln!("20 files that don't change:\n{small}\n400 of them:\n{large}");
    for window in [&small, &large] {
        window.assert_within_budget();
    }
    if !small.times_prove() {
        eprintln!("the times of files prove nothing here: all of them are compared by content");
        return;
    }
    let more = large.tally.bytes_read().saturating_sub(small.tally.bytes_read());
    assert!(more < NOISE_BYTES, "{:#?}", large.tally.read);
    let opens = |window: &Window| window.tally.opens_of_files();
    assert!(opens(&large) <= opens(&small), "{:#?}", large.tally.opens);
    // One look at each tells that it is as it was.
    let looks = large.tally.looks - small.tally.looks;
    assert!(looks < 2 * 380, "{looks} looks at 380 files more");
}

/// What was done in a window, and where.
struct Window {
    stage: Stage,
    tally: Tally,
    folders: usize,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tally.fmt(f)
    }
}

impl Window {
    /// Whether the home is on one of ext, xfs and btrfs, where what changes has other times.
    fn times_prove(&self) -> bool {
        let medium = statfs(&self.stage.site.home("")).unwrap().filesystem_type();
        [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC].contains(&medium)
    }

    fn assert_within_budget(&self) {
        let tally = &self.tally;
        assert!(tally.syncs() <= SYNCS_MAX, "{:#?}", tally.syncs);
        assert!(tally.renames.len() <= RENAMES_MAX, "{:#?}", tally.renames);
        assert!(tally.removals.is_empty(), "{:#?}", tally.removals);
        let has_group = Place::find("test").is_ok();
        assert_eq!(tally.processes, if has_group { 0 } else { PROCESSES_MAX });
        assert!(tally.threads <= THREADS_MAX, "{}", tally.threads);
        assert!(tally.network.is_empty(), "{:#?}", tally.network);
        assert!(tally.bytes_written() <= WRITTEN_BYTES_MAX, "{:#?}", tally.written);
        if self.times_prove() {
            assert!(tally.bytes_read() <= READ_BYTES_MAX, "{:#?}", tally.read);
            assert!(tally.opens_of_files() <= OPENS_MAX, "{:#?}", tally.opens);
        }
        self.assert_looked_once();
    }

    /// At the home's folders, and at nothing else; and at no byte of a binary.
    fn assert_looked_once(&self) {
        let (tally, site) = (&self.tally, &self.stage.site);
        let below_home = |path: &&PathBuf| path.starts_with(site.home(""));
        let elsewhere: Vec<_> = tally.listings.keys().filter(|path| !below_home(path)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?} were listed");
        assert!(tally.listings.values().all(|times| *times == 1), "{:#?}", tally.listings);
        assert_eq!(tally.listings.len(), self.folders, "{:#?}", tally.listings);
        let is_binary = |path: &&PathBuf| path.ends_with("bin/nym-node");
        let opened: Vec<_> = tally.opens.keys().filter(is_binary).collect();
        assert!(opened.is_empty(), "{opened:?}");
    }
}

/// The window of a polled upgrade that was prepared ahead, with a home of so many files that stay
/// as they are, and a few that change at the stop.
fn upgraded(unchanged: usize) -> Window {
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
    for number in 0..unchanged {
        let folder = stage.site.home(&format!("data/{}", number / 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(number.to_string()), vec![b'x'; 4096]).unwrap();
    }
    stage.install_script(DAEMON);
    let mut announcement = stage.announcement("1.1.0");
    announcement["upgradeTime"] = (Utc::now() + TimeDelta::seconds(DUE_AFTER)).to_rfc3339().into();
    stage.publish(&announcement);

    let trace = stage.site.path("trace");
    let mut run = stage.start_command(traced(&stage.run_command(&["run"]), &trace));
    stage.until_event("home-copied", 1);
    let old = fs::read_to_string(stage.site.home("daemon.pid")).unwrap().parse().unwrap();
    stage.until_event("daemon-spawned", 2);
    stage.until_log("started 1.1.0", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0), "{}", stage.story());
    let text = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
    let binary = stage.site.data("upgrades/v1.1.0/bin/nym-node");
    let tally = Tally::of(&text, &stage.site.path(""), old, &binary);
    let data = fs::read_dir(stage.site.home("data")).unwrap().count();
    // The home and its `data`; nymvisor's own folder is passed over.
    Window { stage, tally, folders: 2 + data }
}

/// Long enough for the preparation to be over.
const DUE_AFTER: i64 = 8;

/// Files change as it ends. It has no helpers, whose end would have to be looked for.
const DAEMON: &str = r#"
trap 'for name in a b c; do echo changed > "$home/$name"; done; exit 0' INT
for name in a b c; do echo new > "$home/$name"; done
printf '%s' $$ > "$home/daemon.pid"
echo "started 1.0.0 $$" >> "$home/events.log"
mkfifo "$home/../nothing" && exec 3<> "$home/../nothing"
while :; do read -r line <&3; done
"#;

/// The same command with a tracer beside it.
fn traced(command: &Command, trace: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-q", "-yy", "-s", "0", "-e", tally::TRACE, "-o"]).arg(trace);
    traced.arg(command.get_program()).args(command.get_args());
    traced.env_clear().current_dir(command.get_current_dir().unwrap());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
}
