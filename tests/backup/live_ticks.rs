//! Hazard 44 on a file system whose clock shows whole seconds: there, two writes within one tick
//! are certain to look like none.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::live::Copy;
use super::{Scene, noise};

/// ext4 with inodes too small for parts of a second; unmounted when dropped.
struct Coarse<'a>(&'a Path);

impl<'a> Coarse<'a> {
    fn mount(image: &Path, at: &'a Path) -> Option<Self> {
        File::create(image).unwrap().set_len(16 << 20).unwrap();
        let succeeds =
            |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = succeeds(Command::new("mkfs.ext4").args(["-q", "-F", "-I", "128"]).arg(image))
            && succeeds(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at));
        if !made {
            eprintln!("can't make or mount a file system here");
        }
        made.then_some(Self(at))
    }
}

impl Drop for Coarse<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn h44_two_writes_within_a_tick_of_a_coarse_clock_are_told_apart() {
    let scene = Scene::new();
    let Some(_coarse) = Coarse::mount(&scene.folder.path().join("image"), &scene.home) else {
        return;
    };
    for n in 0..20 {
        let file = scene.write("data/hot", noise(n, 5_000));
        let mut copy = Copy::begin(&scene);
        copy.pass();
        let before = fs::metadata(&file).unwrap();
        fs::write(&file, noise(n + 1000, 5_000)).unwrap();
        let after = fs::metadata(&file).unwrap();
        let of = |meta: &fs::Metadata| (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.mtime());
        if of(&before) == of(&after) {
            assert_eq!(after.ctime_nsec(), 0);
            copy.pass();
            copy.seal(&scene);
            return;
        }
        drop(copy);
    }
    panic!("never two writes within one second");
}
