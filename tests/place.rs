//! Knowing a binary again, and putting a new one in the place of the old.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nymvisor::digest::{self, Algorithm};
use nymvisor::host::place::{self, Error, Installed};
use nymvisor::machine::Code;
use tempfile::TempDir;

const BYTES: &[u8] = b"#!/bin/sh\necho new\n";

/// `cap_net_bind_service=ep` as the kernel stores it.
const CAPABILITIES: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(bench.old(), "old").unwrap();
        fs::write(bench.part(), BYTES).unwrap();
        set_mode(&bench.old(), 0o750);
        set_mode(&bench.part(), 0o600);
        bench
    }

    fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("part")
    }

    fn new_one(&self) -> PathBuf {
        self.folder.path().join("it's new")
    }

    fn install(&self, like: Option<&Path>) -> Installed {
        let verified = place::digest_file(&self.part(), Algorithm::Sha256).unwrap().identity;
        place::install(&self.part(), &self.new_one(), like, &verified).unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_file_is_digested_with_its_identity() {
    let bench = Bench::new();
    let digested = place::digest_file(&bench.part(), Algorithm::Sha256).unwrap();
    assert_eq!(digested.sha256, digest::sha256(BYTES));
    assert_eq!((digested.sha512, digested.bytes), (None, BYTES.len() as u64));
    let meta = fs::metadata(bench.part()).unwrap();
    let start = format!("{}:{}:{}:", meta.dev(), meta.ino(), meta.len());
    assert!(digested.identity.starts_with(&start), "{}", digested.identity);
    assert_eq!(place::identity(&bench.part()).unwrap(), digested.identity);
    let both = place::digest_file(&bench.part(), Algorithm::Sha512).unwrap();
    assert_eq!(both.sha256, digested.sha256);
    assert_eq!(both.sha512.unwrap().len(), 128);
}

#[test]
fn a_rewritten_file_has_another_identity_even_with_its_old_time() {
    let bench = Bench::new();
    let was = place::identity(&bench.part()).unwrap();
    let modified = fs::metadata(bench.part()).unwrap().modified().unwrap();
    // The clock of the file system has ticks: write until one has passed.
    loop {
        fs::write(bench.part(), vec![b'x'; BYTES.len()]).unwrap();
        File::options().write(true).open(bench.part()).unwrap().set_modified(modified).unwrap();
        if place::identity(&bench.part()).unwrap() != was {
            break;
        }
    }
    let error = place::install(&bench.part(), &bench.new_one(), None, &was).unwrap_err();
    assert_eq!(error.code(), Code::BinaryChanged);
    assert!(bench.part().exists() && !bench.new_one().exists());
}

#[test]
fn only_plain_files_are_digested() {
    let bench = Bench::new();
    for path in [bench.folder.path().to_owned(), bench.folder.path().join("missing")] {
        let error = place::digest_file(&path, Algorithm::Sha256).unwrap_err();
        assert!(matches!(&error, Error::Io { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn h47_missing_execute_bits_are_added_and_nothing_else() {
    let bench = Bench::new();
    for (before, after, is_changed) in
        [(0o600, 0o711, true), (0o640, 0o751, true), (0o755, 0o755, false), (0o4711, 0o4711, false)]
    {
        set_mode(&bench.part(), before);
        let was = place::identity(&bench.part()).unwrap();
        assert_eq!(place::make_executable(&bench.part()).unwrap(), is_changed);
        assert_eq!(mode(&bench.part()), after);
        if !is_changed {
            assert_eq!(place::identity(&bench.part()).unwrap(), was);
        }
    }
    let link = bench.folder.path().join("link");
    set_mode(&bench.old(), 0o600);
    symlink(bench.old(), &link).unwrap();
    place::make_executable(&link).unwrap_err();
    assert_eq!(mode(&bench.old()), 0o600);
}

#[test]
fn a_new_binary_gets_the_mode_of_the_old_one() {
    for (old, new) in [(0o750, 0o750), (0o755, 0o755), (0o700, 0o700), (0o640, 0o751)] {
        let bench = Bench::new();
        set_mode(&bench.old(), old);
        let installed = bench.install(Some(&bench.old()));
        assert_eq!(installed.losses, Vec::<String>::new());
        assert_eq!(mode(&bench.new_one()), new);
        assert_eq!(installed.identity, place::identity(&bench.new_one()).unwrap());
        assert_eq!(fs::read(bench.new_one()).unwrap(), BYTES);
        assert!(!bench.part().exists());
    }
    let bench = Bench::new();
    bench.install(None);
    assert_eq!(mode(&bench.new_one()), 0o755);
}

#[test]
fn a_new_binary_replaces_one_that_is_running() {
    let bench = Bench::new();
    fs::copy("/bin/sleep", bench.new_one()).unwrap();
    let mut running = Command::new(bench.new_one()).arg("60").spawn().unwrap();
    bench.install(Some(&bench.new_one()));
    assert_eq!(fs::read(bench.new_one()).unwrap(), BYTES);
    assert_eq!(running.try_wait().unwrap(), None);
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn owner_and_capabilities_go_over_to_the_new_binary() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    chown(bench.old(), Some(1234), Some(1235)).unwrap();
    set_mode(&bench.old(), 0o4755);
    xattr::set(bench.old(), "security.capability", &CAPABILITIES).unwrap();
    let installed = bench.install(Some(&bench.old()));
    assert_eq!(installed.losses, Vec::<String>::new());
    let meta = fs::metadata(bench.new_one()).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (1234, 1235, 0o4755));
    let kept = xattr::get(bench.new_one(), "security.capability").unwrap();
    assert_eq!(kept.as_deref(), Some(CAPABILITIES.as_slice()));
}

/// Not root any more, in a process of its own: there the owner and the capabilities are lost.
#[test]
fn what_an_ordinary_user_cannot_keep_is_named_with_its_command() {
    if !is_root() {
        return;
    }
    if std::env::var_os(INNER).is_some() {
        return without_root();
    }
    let bench = Bench::new();
    set_mode(bench.folder.path(), 0o755);
    set_mode(&bench.old(), 0o4755);
    xattr::set(bench.old(), "security.capability", &CAPABILITIES).unwrap();
    chown(bench.folder.path(), Some(1234), Some(1234)).unwrap();
    chown(bench.part(), Some(1234), Some(1234)).unwrap();
    let name = "place::what_an_ordinary_user_cannot_keep_is_named_with_its_command";
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, bench.folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    let new_one = bench.new_one();
    let meta = fs::metadata(&new_one).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (1234, 0o755), "no set-id bit for another");
    let path = new_one.display().to_string().replace('\'', r"'\''");
    for command in [
        format!("chown 0:0 '{path}'"),
        format!("chmod 4755 '{path}'"),
        format!("setcap 'cap_net_bind_service=ep' '{path}'"),
    ] {
        assert!(text.contains(&command), "{command} is not in:\n{text}");
    }
}

const INNER: &str = "NYMVISOR_TEST_PLACE_FOLDER";

fn without_root() {
    let folder = PathBuf::from(std::env::var_os(INNER).unwrap());
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setgid(1234.into()).unwrap();
    nix::unistd::setuid(1234.into()).unwrap();
    let part = folder.join("part");
    let verified = place::identity(&part).unwrap();
    let old = folder.join("old");
    let installed = place::install(&part, &folder.join("it's new"), Some(&old), &verified).unwrap();
    std::io::stderr().write_all(installed.losses.join("\n").as_bytes()).unwrap();
}
