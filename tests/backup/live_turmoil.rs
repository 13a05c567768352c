//! Hazard 42: a home that changes while it is copied is in the backup as it is when it rests.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nymvisor::host::backup::{Cancel, LiveCopy, Tempo};

use super::tree::assert_same;
use super::{Scene, noise};

/// One round of everything that a daemon may do to its files.
fn stir(scene: &Scene, n: u64) {
    let at = |path: String| scene.home.join(path);
    let file = File::create(at("breathing".into())).unwrap();
    file.set_len(n % 5 * 700_001).unwrap();
    file.write_all_at(&noise(n, 3_000), n % 3 * 100_000).unwrap();
    let torn = File::options().write(true).open(at("large".into())).unwrap();
    torn.write_all_at(&noise(n, 4096), n % 900 * 4096).unwrap();
    torn.write_all_at(&noise(n, 4096), (n * 7) % 900 * 4096).unwrap();
    let _ = fs::remove_file(at(format!("m-{}", n % 50)));
    scene.write(&format!("m-{}", (n + 25) % 50), noise(n, 3_000));
    let _ = fs::rename(at(format!("m-{}", (n + 26) % 50)), at(format!("r-{}", n % 9)));
    let _ = fs::hard_link(at(format!("m-{}", (n + 27) % 50)), at(format!("h-{}", n % 9)));
    let _ = fs::remove_file(at(format!("h-{}", (n + 4) % 9)));
    let turn = at("turn".into());
    let _ = fs::remove_file(&turn);
    let _ = fs::remove_dir_all(&turn);
    match n % 3 {
        0 => symlink("elsewhere", &turn).unwrap(),
        1 => drop(scene.write("turn/o/p", "now you see me")),
        _ => fs::write(&turn, "a file").unwrap(),
    }
}

#[test]
fn h42_a_home_in_turmoil_is_sealed_as_it_came_to_rest() {
    for round in 0..6 {
        let scene = Scene::new();
        scene.write("large", noise(1, 900 * 4096));
        stir(&scene, 0);
        let (begin, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut copy = LiveCopy::begin(&scene.job(), Tempo::default(), None).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                // With an end of its own, so that a failed pass is not waited for.
                for n in 0..50_000 {
                    stir(&scene, round + n);
                    begin.store(true, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            while !begin.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            let passes = (0..3).map(|_| copy.pass(&Cancel::default())).collect::<Vec<_>>();
            let settled = copy.settle(&Cancel::default());
            stop.store(true, Ordering::Relaxed);
            assert!(passes.iter().all(Result::is_ok), "{passes:?}");
            settled.unwrap();
        });
        let sealed = copy.seal(&Cancel::default()).unwrap();
        assert_same(&scene.home, &scene.restore(&sealed.archive()));
    }
}

#[test]
fn a_slow_copy_is_cancelled_at_once_and_leaves_nothing() {
    let scene = Scene::new();
    scene.write("large", noise(1, 4_000_000));
    let tempo = Tempo { bytes_per_second: Some(1000), background: true };
    let mut copy = LiveCopy::begin(&scene.job(), tempo, None).unwrap();
    let cancel = Cancel::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(std::time::Duration::from_millis(100));
            cancel.cancel();
        });
        assert!(copy.pass(&cancel).unwrap_err().is_cancelled());
    });
    drop(copy);
    assert!(super::names(&scene.backups).is_empty());
}

#[test]
fn a_rate_is_kept_and_the_last_run_has_none() {
    let scene = Scene::new();
    scene.write("file", noise(1, 3_000_000));
    let tempo = Tempo { bytes_per_second: Some(6_000_000), background: true };
    let mut copy = LiveCopy::begin(&scene.job(), tempo, None).unwrap();
    let pass = copy.pass(&Cancel::default()).unwrap();
    assert!(pass.took.as_millis() >= 350, "{pass:?}");
    scene.write("file", noise(2, 3_000_000));
    let sealed = copy.seal(&Cancel::default()).unwrap();
    assert_same(&scene.home, &scene.restore(&sealed.archive()));
}
