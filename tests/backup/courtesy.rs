//! A copy stands back while the daemon writes, and only then.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nymvisor::host::backup::courtesy::{Look, REST_MAX, RESTS, SLICE, rest};
use nymvisor::host::backup::{Cancel, LiveCopy, Tempo};

use super::tree::assert_same;
use super::{Scene, noise};

const HOME_BYTES: usize = 24_000_000;
/// A machine on which the copy takes a good many slices, however fast this one is.
const SLOW: Tempo = Tempo { bytes_per_second: Some(40_000_000), background: false };

/// Writes a page after the other to the file of its first argument, on and on.
const WRITING: &str = "
import sys, time
with open(sys.argv[1], 'wb', buffering=0) as file:
    while True:
        for page in range(1000):
            file.write(b'x' * 4096)
            time.sleep(0.001)
        file.seek(0)
        file.truncate()
";
const QUIET: &str = "import sys; sys.stdin.read()";

/// A daemon, in a process group of its own.
struct Daemon(Child);

impl Daemon {
    fn start(program: &str, path: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", program]).arg(path).stdin(Stdio::piped()).process_group(0);
        let daemon = Self(command.spawn().unwrap());
        while program == WRITING && std::fs::metadata(path).map_or(0, |meta| meta.len()) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        daemon
    }

    fn group(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A home to copy; `None` where the kernel doesn't count what is written.
fn scene() -> Option<Scene> {
    let scene = Scene::new();
    if statfs(&scene.home).unwrap().filesystem_type() == TMPFS_MAGIC {
        eprintln!("what is written to a file system in memory is not counted");
        return None;
    }
    for n in 0..6 {
        scene.write(&format!("data/{n}"), noise(n, HOME_BYTES / 6));
    }
    Some(scene)
}

#[test]
fn the_rule() {
    let ms = Duration::from_millis;
    for (slice, look, rested) in [
        (SLICE, Look::Quiet, ms(0)),
        (SLICE, Look::Wrote, SLICE * RESTS),
        // It can't be seen: it may write.
        (SLICE, Look::Hidden, SLICE * RESTS),
        // A slow medium holds up the copy, and the daemon as well.
        (ms(50), Look::Wrote, ms(50) * RESTS),
        (ms(50), Look::Quiet, ms(0)),
        // The process was stopped for an hour.
        (ms(3_600_000), Look::Wrote, REST_MAX),
        (Duration::MAX, Look::Hidden, REST_MAX),
        (Duration::MAX, Look::Quiet, ms(0)),
    ] {
        assert_eq!(rest(slice, look), rested, "{slice:?} {look:?}");
    }
}

#[test]
fn the_floor_is_a_thirteenth_of_the_time() {
    for slice in [1, 10, 100, 1000].map(Duration::from_millis) {
        assert!(slice * 13 >= slice + rest(slice, Look::Wrote));
    }
}

#[test]
fn a_copy_rests_beside_a_daemon_that_writes_and_not_beside_one_that_does_not() {
    let Some(scene) = scene() else { return };
    let pass = |daemon: Option<u32>, hurries: bool| {
        let mut copy = LiveCopy::begin(&scene.job(), SLOW, daemon).unwrap();
        if hurries {
            copy.hurry();
        }
        let pass = copy.pass(&Cancel::default()).unwrap();
        copy.settle(&Cancel::default()).unwrap();
        (pass, copy)
    };
    let quiet = Daemon::start(QUIET, Path::new("nothing"));
    assert_eq!(pass(Some(quiet.group()), false).0.rested, Duration::ZERO);
    assert_eq!(pass(None, false).0.rested, Duration::ZERO);

    let writing = Daemon::start(WRITING, &scene.folder.path().join("log"));
    let (with, copy) = pass(Some(writing.group()), false);
    assert!(with.rested > with.took / 3, "{with:?}");
    // What was copied in turns is whole.
    let sealed = copy.seal(&Cancel::default()).unwrap();
    assert_same(&scene.home, &scene.restore(&sealed.archive()));
    std::fs::remove_file(&sealed.path).unwrap();
    // Right before the stop nobody waits for it.
    assert_eq!(pass(Some(writing.group()), true).0.rested, Duration::ZERO);
}

#[test]
fn a_copy_that_rests_is_cancelled_at_once() {
    let Some(scene) = scene() else { return };
    let writing = Daemon::start(WRITING, &scene.folder.path().join("log"));
    let mut copy = LiveCopy::begin(&scene.job(), SLOW, Some(writing.group())).unwrap();
    let cancel = Cancel::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SLICE * 2);
            cancel.cancel();
        });
        assert!(copy.pass(&cancel).unwrap_err().is_cancelled());
    });
    drop(copy);
    assert!(super::names(&scene.backups).is_empty());
}
