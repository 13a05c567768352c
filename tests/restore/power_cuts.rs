//! Killed, and all that was not synced by then lost: on a real file system that is shut down
//! without its log being written.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::killed::{Prepared, has_strace, inject, is_child, points, sampled};
use super::mounts::Mount;
use super::say;

/// `FS_IOC_SHUTDOWN` without flushing the log.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
const SAMPLE: usize = 24;

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn mounted(image: &Path, at: &Path) -> Option<Mount> {
    let image = image.to_str().unwrap();
    Mount::new(at.to_owned(), &["-o", "loop", image])
}

#[test]
fn a_power_cut_at_any_sync_or_move_ends_in_the_same_place() {
    const TEST: &str =
        "restore::power_cuts::a_power_cut_at_any_sync_or_move_ends_in_the_same_place";
    if is_child() || !has_strace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
    File::create(&image).unwrap().set_len(64 << 20).unwrap();
    if !succeeds(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image)) {
        say("skipped: no mkfs.ext4");
        return;
    }
    let cuts = ["fsync", "fdatasync", "syncfs", "renameat2", "rename", "unlinkat"];
    let mut all = points(TEST);
    all.retain(|(call, _)| cuts.contains(&call.as_str()));
    let (count, chosen) = (all.len(), sampled(all, SAMPLE, 1));
    for (call, number) in &chosen {
        let Some(mount) = mounted(&image, &at) else { return };
        let prepared = Prepared::at(tempfile::tempdir_in(&at).unwrap());
        assert!(succeeds(Command::new("sync").arg("-f").arg(&at)));
        let (_, log) = prepared.strace(TEST, &inject(call, "signal=KILL", *number));
        assert!(log.contains("killed by SIGKILL"), "{call} {number}: {log}");
        if !succeeds(Command::new("python3").arg("-c").arg(SHUT_DOWN).arg(&at)) {
            say("skipped: the file system can't be shut down");
            return;
        }
        drop(mount);
        let Some(_mount) = mounted(&image, &at) else { panic!("not mounted again") };
        prepared.assert_ends_well(&format!("power cut at {call} {number}"));
        drop(prepared);
    }
    say(&format!("{} power cuts, of {count} points", chosen.len()));
}
