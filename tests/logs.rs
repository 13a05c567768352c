//! The log's files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use nix::sys::signal::Signal;
use nymvisor::logs::make_ready;

use crate::support::run::Stage;

const SERVICE: u32 = 1234;

#[test]
fn what_root_began_belongs_to_the_service() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can run for another user");
    }
    let stage = Stage::new();
    let logs = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    fs::create_dir_all(&logs).unwrap();
    chown(&logs, Some(SERVICE), Some(SERVICE)).unwrap();
    let mut run = stage.start(&["run"]);
    stage.until_started(1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let files: Vec<_> = fs::read_dir(&logs).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1, "the appender goes on with the file that was made for it");
    let meta = files[0].metadata().unwrap();
    assert!(meta.len() > 0);
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (SERVICE, SERVICE, 0o600));
}

#[test]
fn a_file_that_the_appender_or_an_earlier_version_made_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        chown(folder.path(), Some(SERVICE), Some(SERVICE)).unwrap();
    }
    let path = folder.path().join("nymvisor.2026-01-01.log");
    fs::write(&path, "a line\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    make_ready(&path).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o600);
    assert_eq!(meta.uid(), if is_root { SERVICE } else { meta.uid() });
    assert_eq!(fs::read_to_string(&path).unwrap(), "a line\n");
}

#[test]
fn what_is_no_log_file_is_neither_given_away_nor_changed() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "keep").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.log");
    symlink(&precious, &link).unwrap();
    let second = folder.path().join("second.log");
    fs::hard_link(&precious, &second).unwrap();
    for path in [link, second] {
        make_ready(&path).unwrap_err();
    }
    assert_eq!(fs::metadata(&precious).unwrap().mode() & 0o777, 0o640);
}
