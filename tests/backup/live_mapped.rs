//! Hazard 43: what is written through a mapping, with and without a trace in the file's times.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nymvisor::host::backup::{self, Cancel, LiveCopy, Tempo};

use super::tree::assert_same;
use super::{Scene, noise};

/// Maps the file of its first argument, stores at 0 at once, and once more for each line it gets.
const MAPPER: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    pages = mmap.mmap(file.fileno(), 0)
number = 0
for line in [''] + [None] * 1000:
    if line is None and not sys.stdin.readline():
        break
    pages[0:4] = b'%04d' % number
    number += 1
    print('stored', flush=True)
";

/// A process that holds a mapping.
struct Mapper(Child);

impl Mapper {
    fn start(path: &Path) -> Self {
        let child = Command::new("python3")
            .args(["-c", MAPPER])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut mapper = Self(child);
        mapper.await_store();
        mapper
    }

    fn store(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.await_store();
    }

    fn await_store(&mut self) {
        let mut line = String::new();
        // It prints a line and then waits: nothing is lost in the reader.
        BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "stored\n");
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(scene: &Scene, copy: LiveCopy) -> u64 {
    let sealed = copy.seal(&Cancel::default()).unwrap();
    assert!(backup::is_whole(&sealed.path).unwrap());
    assert_same(&scene.home, &scene.restore(&sealed.archive()));
    sealed.changed
}

#[test]
fn h43_a_store_to_a_dirty_shared_page_is_in_the_backup() {
    for scene in [Some(Scene::new()), Scene::in_memory()].into_iter().flatten() {
        let file = scene.write("data/mapped", noise(1, 8192));
        scene.write("data/other", "x");
        let mut mapper = Mapper::start(&file);
        std::thread::sleep(std::time::Duration::from_millis(100));
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        let group = Some(mapper.0.id());
        let mut copy = LiveCopy::begin(&scene.job(), Tempo::default(), group).unwrap();
        copy.pass(&Cancel::default()).unwrap();
        mapper.store();
        copy.pass(&Cancel::default()).unwrap();
        mapper.store();
        // If this fails the kernel stamped the store, and the test shows nothing.
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        copy.look();
        drop(mapper);
        assert_eq!(check(&scene, copy), 1);
    }
}

#[test]
fn h43_a_mapping_that_came_after_the_pass_and_went_before_the_stop_is_not_forgotten() {
    let scene = Scene::new();
    let file = scene.write("data/mapped", noise(1, 8192));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let mut mapper = Mapper::start(&file);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let group = Some(mapper.0.id());
    let mut copy = LiveCopy::begin(&scene.job(), Tempo::default(), group).unwrap();
    copy.pass(&Cancel::default()).unwrap();
    mapper.store();
    // It ends by itself, before anybody looks once more.
    drop(mapper);
    copy.look();
    assert_eq!(check(&scene, copy), 1);
}

/// A file system that never stamps such a store, and a process that nobody looks at.
#[test]
fn h43_without_stamps_content_is_compared() {
    let Some(scene) = Scene::in_memory() else { return };
    let file = scene.write("data/mapped", noise(1, 8192));
    scene.write("data/other", noise(2, 8192));
    let mut mapper = Mapper::start(&file);
    let mut copy = LiveCopy::begin(&scene.job(), Tempo::default(), None).unwrap();
    copy.pass(&Cancel::default()).unwrap();
    assert_eq!(copy.pass(&Cancel::default()).unwrap().changed, 0);
    mapper.store();
    assert_eq!(copy.pass(&Cancel::default()).unwrap().changed, 1);
    mapper.store();
    drop(mapper);
    assert_eq!(check(&scene, copy), 1);
}
