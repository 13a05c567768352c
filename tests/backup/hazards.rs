//! Hazards 37 to 40, 42 and 43: what must not get into an archive, and what must.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nymvisor::host::backup::{self, Cancel, Error, Job};

use super::tree::{assert_same, read};
use super::{Scene, names, noise};

#[test]
fn h37_an_archive_is_for_its_owner_alone() {
    let scene = Scene::new();
    scene.write("data/private.pem", "secret");
    let sealed = scene.seal().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(Path::new(&sealed.path)), 0o600);
    assert_eq!(mode(&scene.backups), 0o700);
    assert_eq!(mode(scene.backups.parent().unwrap()), 0o700);
    let owner = |path: &Path| fs::metadata(path).map(|meta| (meta.uid(), meta.gid())).unwrap();
    assert_eq!(owner(Path::new(&sealed.path)), owner(scene.folder.path()));
}

#[test]
fn h37_what_root_writes_belongs_to_the_owner_of_the_folder() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root gives files away");
        return;
    }
    let scene = Scene::new();
    let folder = scene.backups.parent().unwrap();
    fs::create_dir(folder).unwrap();
    std::os::unix::fs::chown(folder, Some(1234), Some(2345)).unwrap();
    let sealed = scene.seal().unwrap();
    for path in [Path::new(&sealed.path), &scene.backups] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 2345));
    }
}

#[test]
fn h38_the_backup_folder_is_never_archived_wherever_it_lies() {
    let scene = Scene::new();
    scene.write("data/file", "x");
    scene.write("nymvisor/current-version-info.json", "{}");
    scene.write("data/mine/1.2.0/older.tar.zst", noise(1, 100_000));
    symlink(scene.home.join("data/mine"), scene.folder.path().join("link")).unwrap();
    let mut job = scene.job();
    job.leave_out = vec![
        scene.home.join("data/../nymvisor"),
        scene.folder.path().join("link"),
        scene.folder.path().join("not/there"),
    ];
    job.archive = scene.folder.path().join("link/1.2.0/backup-preupgrade.tar.zst");
    let sealed = backup::seal(&job, &Cancel::default()).unwrap();
    let restored: Vec<_> = read(&scene.restore(&sealed)).into_keys().collect();
    assert_eq!(restored, ["", "data", "data/file"].map(std::path::PathBuf::from));
}

#[test]
fn h38_an_archive_never_holds_itself_and_the_home_is_no_backup_folder() {
    let scene = Scene::new();
    scene.write("file", "x");
    let mut job = scene.job();
    job.leave_out.clear();
    job.archive = scene.home.join("backups/backup-preupgrade.tar.zst");
    let sealed = backup::seal(&job, &Cancel::default()).unwrap();
    let restored: Vec<_> = read(&scene.restore(&sealed)).into_keys().collect();
    assert_eq!(restored, ["", "backups", "file"].map(std::path::PathBuf::from));

    job.archive = scene.home.join("backup-2-preupgrade.tar.zst");
    job.leave_out = vec![scene.home.clone()];
    let error = backup::seal(&job, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::HomeLeftOut { .. }), "{error}");
    assert_eq!(names(&scene.home), ["backups", "file"]);
}

#[test]
fn h39_links_are_kept_as_links() {
    let scene = Scene::new();
    let outside = scene.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("big"), noise(1, 500_000)).unwrap();
    scene.write("data/file", "x");
    symlink(&outside, scene.home.join("out")).unwrap();
    symlink("../../../../etc/passwd", scene.home.join("data/up")).unwrap();
    symlink("no such thing", scene.home.join("dangling")).unwrap();
    symlink("loop", scene.home.join("loop")).unwrap();
    symlink(".", scene.home.join("self")).unwrap();
    fs::hard_link(scene.home.join("dangling"), scene.home.join("dangling-too")).unwrap();
    let sealed = scene.seal().unwrap();
    assert_same(&scene.home, &scene.restore(&sealed));
    assert!(sealed.bytes < 100_000);
}

#[test]
fn h39_hard_links_and_sparse_files_do_not_explode() {
    let scene = Scene::new();
    let first = scene.write("a/first", noise(1, 1_000_000));
    for n in 0..20 {
        fs::hard_link(&first, scene.home.join(format!("again-{n}"))).unwrap();
    }
    let hole = scene.write("z-hole", "");
    File::options().write(true).open(&hole).unwrap().set_len(1 << 40).unwrap();
    let sealed = scene.seal().unwrap();
    assert!(sealed.bytes < 1_200_000, "{}", sealed.bytes);
    let restored = scene.restore(&sealed);
    let meta = fs::metadata(restored.join("a/first")).unwrap();
    assert_eq!(meta.nlink(), 21);
    assert_eq!(meta.ino(), fs::metadata(restored.join("again-19")).unwrap().ino());
    let hole = fs::metadata(restored.join("z-hole")).unwrap();
    assert_eq!((hole.len(), hole.blocks() < 64), (1 << 40, true));
}

#[test]
fn h39_sockets_fifos_and_devices_are_left_out_and_counted() {
    let scene = Scene::new();
    scene.write("file", "x");
    let _socket = UnixListener::bind(scene.home.join("api.sock")).unwrap();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&scene.home.join("fifo"), mode).unwrap();
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    let null = nix::sys::stat::makedev(1, 3);
    let has_device = nix::sys::stat::mknod(&scene.home.join("null"), kind, mode, null).is_ok();
    let sealed = scene.seal().unwrap();
    assert_eq!((sealed.entries, sealed.skipped), (2, 2 + u64::from(has_device)));
    assert_same(&scene.home, &scene.restore(&sealed));
}

#[test]
fn h40_only_a_sealed_archive_has_the_final_name_and_none_is_overwritten() {
    let scene = Scene::new();
    scene.write("file", "x");
    let sealed = scene.seal().unwrap();
    assert_eq!(names(&scene.backups), ["backup-2026-11-22T10:00:00Z-preupgrade.tar.zst"]);
    assert!(backup::is_whole(Path::new(&sealed.path)).unwrap());
    assert!(backup::confirm(&sealed).unwrap());
    let error = scene.seal().unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert!(backup::confirm(&sealed).unwrap());
}

#[test]
fn h40_a_flipped_byte_is_found_wherever_it_is() {
    let scene = Scene::new();
    scene.write("noise", noise(1, 60_000));
    scene.write("text", "all work and no play\n".repeat(5_000));
    let sealed = scene.seal().unwrap();
    let good = fs::read(&sealed.path).unwrap();
    for at in (0..good.len()).step_by(997).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&sealed.path, &bad).unwrap();
        assert!(!backup::confirm(&sealed).unwrap(), "flipped at {at}");
        assert!(!backup::is_whole(Path::new(&sealed.path)).unwrap(), "flipped at {at}");
    }
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        fs::write(&sealed.path, &good[..length]).unwrap();
        assert!(!backup::confirm(&sealed).unwrap(), "cut at {length}");
        assert!(!backup::is_whole(Path::new(&sealed.path)).unwrap(), "cut at {length}");
    }
    fs::remove_file(&sealed.path).unwrap();
    assert!(!backup::confirm(&sealed).unwrap());
}

/// The kernel's own files say one size and hold another: 4096 bytes that are fewer, 0 that are
/// more. That is a file that shrinks, or grows, between the look at it and its reading.
#[test]
fn h42_a_file_that_shrinks_is_padded_and_one_that_grows_is_cut() {
    for (home, size) in [("/sys/kernel/mm/transparent_hugepage", 4096), ("/proc/sys/fs", 0)] {
        let home = Path::new(home);
        let Some(file) = a_file_of_size(home, size) else {
            eprintln!("no {} here", home.display());
            continue;
        };
        let scene = Scene::new();
        let job = Job { home: file.parent().unwrap().to_owned(), ..scene.job() };
        let sealed = match backup::seal(&job, &Cancel::default()) {
            Err(Error::Denied { .. }) => continue,
            sealed => sealed.unwrap(),
        };
        let restored = scene.restore(&sealed).join(file.file_name().unwrap());
        let (mut expected, got) = (fs::read(&file).unwrap(), fs::read(restored).unwrap());
        assert!(!expected.is_empty());
        expected.resize(usize::try_from(size).unwrap(), 0);
        assert_eq!(got, expected);
    }
}

fn a_file_of_size(folder: &Path, size: u64) -> Option<std::path::PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
            && fs::read(path).is_ok_and(|bytes| !bytes.is_empty())
    })
}

#[test]
fn h42_a_home_in_turmoil_gives_a_readable_archive() {
    let scene = Scene::new();
    scene.write("a-stable", noise(1, 4_000_000));
    scene.write("z-stable", noise(2, 4_000_000));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // With an end of its own, so that a failed seal is not waited for.
            for n in 0_u64..20_000 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let file = File::create(scene.home.join("m-breathing")).unwrap();
                file.set_len(n % 5 * 700_001).unwrap();
                let _ = fs::remove_file(scene.home.join(format!("m-{}", n % 50)));
                scene.write(&format!("m-{}", (n + 25) % 50), noise(n, 3_000));
                let _ = fs::remove_dir_all(scene.home.join("n"));
                scene.write("n/o/p", "now you see me");
                let _ = fs::remove_file(scene.home.join("q"));
                symlink("elsewhere", scene.home.join("q")).unwrap();
            }
        });
        for round in 0..8 {
            let sealed = scene.seal().unwrap();
            let restored = scene.restore(&sealed);
            for name in ["a-stable", "z-stable"] {
                let (is, was) = (fs::read(restored.join(name)), fs::read(scene.home.join(name)));
                assert!(is.unwrap() == was.unwrap(), "{name} in round {round}");
            }
            fs::remove_dir_all(&restored).unwrap();
            fs::remove_file(&sealed.path).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn h42_a_file_that_vanishes_before_its_turn_is_counted() {
    let scene = Scene::new();
    scene.write("a", noise(1, 48 * 1024 * 1024));
    for _ in 0..50 {
        scene.write("z/late", "x");
        let sealed = thread::scope(|scope| {
            scope.spawn(|| {
                super::faults::wait_for_partial(&scene, 9 * 1024 * 1024);
                let _ = fs::remove_file(scene.home.join("z/late"));
                let _ = fs::remove_dir(scene.home.join("z"));
            });
            scene.seal().unwrap()
        });
        assert!(backup::is_whole(Path::new(&sealed.path)).unwrap());
        fs::remove_file(&sealed.path).unwrap();
        if sealed.skipped == 1 {
            return;
        }
    }
    panic!("the file never vanished in time");
}

#[test]
fn h40_what_a_crash_left_is_removed_and_what_is_being_written_is_not() {
    let scene = Scene::new();
    scene.write("file", "x");
    fs::create_dir_all(&scene.backups).unwrap();
    let left = scene.backups.join(".backup-1-preupgrade.tar.zst.partial");
    let live = scene.backups.join(".backup-2-preupgrade.tar.zst.partial");
    let other = scene.backups.join("notes.partial");
    for path in [&left, &live, &other] {
        fs::write(path, "half").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let held = File::open(&live).unwrap();
    held.lock().unwrap();
    assert_eq!(backup::discard_partials(&scene.backups).unwrap(), 1);
    assert!(!left.exists() && live.exists() && other.exists());
    drop(held);
    scene.seal().unwrap();
    assert!(!live.exists() && other.exists());
    assert_eq!(backup::discard_partials(&scene.folder.path().join("none")).unwrap(), 0);
}

/// Stores through a mapping whose page is dirty already, so that the kernel stamps nothing, and is
/// killed.
const STORES_AND_DIES: &str = "
import mmap, os, signal, sys, time
with open(sys.argv[1], 'r+b') as file:
    pages = mmap.mmap(file.fileno(), 0)
pages[0:5] = b'first'
time.sleep(0.1)
before = os.stat(sys.argv[1]).st_mtime_ns
pages[0:5] = b'again'
assert os.stat(sys.argv[1]).st_mtime_ns == before
os.kill(os.getpid(), signal.SIGKILL)
";

#[test]
fn h43_what_is_stored_through_a_mapping_without_a_new_time_is_in_the_backup() {
    let scene = Scene::new();
    let file = scene.write("data/mapped", noise(1, 8192));
    let ended = Command::new("python3").args(["-c", STORES_AND_DIES]).arg(&file).status().unwrap();
    assert_eq!(ended.signal(), Some(9));
    let archive = scene.seal().unwrap();
    let content = fs::read(scene.restore(&archive).join("data/mapped")).unwrap();
    assert_eq!(&content[..5], b"again");
    assert_eq!(content, fs::read(&file).unwrap());
}
