//! The home put back from a sealed backup.

mod killed;
pub(crate) mod mounts;
mod power_cuts;
mod refused;
mod round_trip;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nymvisor::host::backup::{self, Cancel};
use nymvisor::host::restore::{self, Error, Job, Restored};
use nymvisor::machine::Archive;

use crate::backup::noise;
use crate::backup::tree::{Tree, name, read, set_mtime};

/// A home with a `nymvisor` folder in it, where the backups are kept.
pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) leave_out: Vec<PathBuf>,
}

impl Scene {
    pub(crate) fn at(folder: &Path) -> Self {
        let home = folder.join("home");
        let leave_out = vec![home.join("nymvisor"), home.join("nymvisor/backups")];
        Self { folder: folder.to_owned(), home, leave_out }
    }

    pub(crate) fn new(folder: &Path) -> Self {
        let scene = Self::at(folder);
        fs::create_dir_all(scene.home.join("nymvisor/backups")).unwrap();
        scene.write("nymvisor/current-version-info.json", "{}");
        scene
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn backup_job(&self) -> backup::Job {
        backup::Job {
            home: self.home.clone(),
            leave_out: self.leave_out.clone(),
            archive: self.home.join("nymvisor/backups/1.2.0/backup.tar.zst"),
            workers: 1,
            level: 1,
        }
    }

    pub(crate) fn seal(&self) -> Archive {
        let archive = backup::seal(&self.backup_job(), &Cancel::default()).unwrap();
        self.remember(&archive);
        archive
    }

    /// This archive is the one to restore.
    pub(crate) fn remember(&self, archive: &Archive) {
        let text = serde_json::to_vec(archive).unwrap();
        fs::write(self.folder.join("archive.json"), text).unwrap();
    }

    /// The job that restores what [`Scene::seal`] made.
    pub(crate) fn job(&self) -> Job {
        let archive = fs::read(self.folder.join("archive.json")).unwrap();
        Job {
            home: self.home.clone(),
            leave_out: self.leave_out.clone(),
            archive: serde_json::from_slice(&archive).unwrap(),
            work: self.home.join("nymvisor/rollbacks/7"),
        }
    }

    pub(crate) fn restore(&self) -> Result<Restored, Error> {
        restore::restore(&self.job(), &Cancel::default())
    }

    /// Everything of the home but what is never moved, and what lies aside on other mounts.
    pub(crate) fn manifest(&self) -> Tree {
        let mut tree = read(&self.home);
        let hidden = |path: &Path| {
            path.iter().any(|part| part.to_string_lossy().starts_with(".nymvisor-restore-"))
        };
        let out = |path: &Path| {
            self.leave_out.iter().any(|folder| self.home.join(path).starts_with(folder))
        };
        tree.retain(|path, _| !hidden(path) && !out(path));
        tree
    }
}

/// Tells what a sweep hit, or why a test was skipped.
#[expect(clippy::print_stderr, reason = "this is what the reader of a test's output looks for")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

/// Compares, and tells the first difference in few words.
pub(crate) fn assert_same(expected: &Tree, found: &Tree) {
    let paths = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(expected), paths(found));
    for (path, thing) in expected {
        assert!(thing == &found[path], "{}: {thing:?} became {:?}", path.display(), found[path]);
    }
}

/// A home with a bit of everything.
pub(crate) fn fill(scene: &Scene) {
    scene.write("config/config.toml", "[mixnode]\n");
    let key = scene.write("data/keys/private.pem", "secret");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let tool = scene.write("bin/tool", noise(1, 30_000));
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    scene.write("data/db", noise(2, 70_017));
    scene.write("data/untouched", "the same in both");
    scene.write("top", "at the top");
    let hole = scene.write("data/sparse", "");
    fs::File::options().write(true).open(&hole).unwrap().set_len(9 << 20).unwrap();
    fs::hard_link(scene.home.join("data/db"), scene.home.join("also-db")).unwrap();
    fs::create_dir_all(scene.home.join("empty/nest")).unwrap();
    fs::set_permissions(scene.home.join("empty"), fs::Permissions::from_mode(0o2550)).unwrap();
    fs::write(scene.home.join(name(b"odd\xff\n name")), "odd").unwrap();
    symlink("config/config.toml", scene.home.join("link")).unwrap();
    symlink("../../nowhere", scene.home.join("dangling")).unwrap();
    symlink("data", scene.home.join("to-data")).unwrap();
    fs::set_permissions(&scene.home, fs::Permissions::from_mode(0o750)).unwrap();
    for (path, seconds, nanos) in [
        ("link", 1_600_000_001, 5),
        ("data/db", 1_600_000_000, 123_456_789),
        ("top", -2, 500_000_000),
        ("bin/tool", -7, 0),
        ("data", 1_500_000_000, 100_000_000),
        ("", 1_400_000_000, 7),
    ] {
        set_mtime(&scene.home.join(path), seconds, nanos);
    }
}

/// What a version that failed makes of such a home. Tells what it left.
pub(crate) fn spoil(scene: &Scene) -> Vec<(&'static str, &'static str)> {
    let home = &scene.home;
    scene.write("config/config.toml", "[mixnode]\nmigrated = true\n");
    fs::write(home.join("data/db"), "migrated").unwrap();
    fs::remove_file(home.join("data/keys/private.pem")).unwrap();
    fs::remove_dir_all(home.join("bin")).unwrap();
    fs::write(home.join("bin"), "a file now").unwrap();
    fs::remove_file(home.join("link")).unwrap();
    fs::create_dir(home.join("link")).unwrap();
    fs::write(home.join("link/inside"), "a folder now").unwrap();
    fs::remove_file(home.join("to-data")).unwrap();
    let outside = scene.folder.join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("foreign"), "not of the home").unwrap();
    symlink(&outside, home.join("to-data")).unwrap();
    scene.write("new/wal", "written by the new version");
    let _socket = std::os::unix::net::UnixListener::bind(home.join("socket")).unwrap();
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
    vec![
        ("config/config.toml", "[mixnode]\nmigrated = true\n"),
        ("data/db", "migrated"),
        ("also-db", "migrated"),
        ("data/untouched", "the same in both"),
        ("bin", "a file now"),
        ("link/inside", "a folder now"),
        ("to-data/foreign", "not of the home"),
        ("new/wal", "written by the new version"),
    ]
}

/// That all of it lies aside, and nothing outside was touched.
pub(crate) fn assert_aside(scene: &Scene, aside: &Path, left: &[(&str, &str)]) {
    for (path, content) in left {
        assert_eq!(fs::read_to_string(aside.join(path)).unwrap(), *content, "{path}");
    }
    let socket = fs::symlink_metadata(aside.join("socket")).unwrap();
    assert!(!socket.is_file() && !socket.is_dir() && !socket.is_symlink());
    let outside = scene.folder.join("outside/foreign");
    assert_eq!(fs::read_to_string(outside).unwrap(), "not of the home");
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Bytes that a file takes.
pub(crate) fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}
