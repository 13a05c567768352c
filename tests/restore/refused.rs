//! Restores that can't be made: nothing in the home is touched.

use std::fs;
use std::os::unix::fs::symlink;

use nymvisor::host::restore::{self, Error};
use nymvisor::machine::{Archive, Code};

use super::mounts::Mount;
use super::{Scene, assert_same, fill, spoil};
use crate::backup::noise;

fn untouched(scene: &Scene, refused: impl FnOnce(&Scene) -> Error) -> Error {
    let before = scene.manifest();
    let error = refused(scene);
    assert_same(&before, &scene.manifest());
    error
}

#[test]
fn a_damaged_archive_is_refused_before_anything_moves() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    let sealed = scene.seal();
    spoil(&scene);
    let whole = fs::read(&sealed.path).unwrap();
    let step = whole.len() / 20;
    for at in (0..whole.len()).step_by(step) {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&sealed.path, &bad).unwrap();
        let error = untouched(&scene, |scene| scene.restore().unwrap_err());
        assert!(matches!(error, Error::Damaged { .. }), "{at}: {error}");
        assert_eq!(error.code(), Code::Io);
        assert!(restore::needed(&sealed).is_err());
    }
    fs::write(&sealed.path, &whole[..whole.len() - 1]).unwrap();
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(error.to_string().contains("was sealed with"), "{error}");
    fs::remove_file(&sealed.path).unwrap();
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(error.to_string().contains("it is not there"), "{error}");
    // Put back, it is restored after all.
    fs::write(&sealed.path, &whole).unwrap();
    scene.restore().unwrap();
}

#[test]
fn an_archive_that_leads_elsewhere_is_refused() {
    for name in ["../evil", "./../evil", "/evil", "./a/../../evil", "./link/evil", "././/x"] {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::new(folder.path());
        let mut tarball = tar::Builder::new(Vec::new());
        for (path, kind) in [
            ("./", tar::EntryType::Directory),
            ("./link", tar::EntryType::Symlink),
            (name, tar::EntryType::Regular),
        ] {
            let mut header = tar::Header::new_gnu();
            let fields = header.as_gnu_mut().unwrap();
            fields.name[..path.len()].copy_from_slice(path.as_bytes());
            fields.linkname[..5].copy_from_slice(b"/tmp/");
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            tarball.append(&header, &b""[..]).unwrap();
        }
        let bytes = zstd::encode_all(&tarball.into_inner().unwrap()[..], 1).unwrap();
        let path = folder.path().join("evil.tar.zst");
        fs::write(&path, &bytes).unwrap();
        let sha256 = sha256_of(&bytes);
        let path = path.to_str().unwrap().to_owned();
        let archive = Archive {
            path,
            bytes: bytes.len() as u64,
            sha256: Some(sha256),
            entries: 3,
            skipped: 0,
        };
        let text = serde_json::to_vec(&archive).unwrap();
        fs::write(folder.path().join("archive.json"), text).unwrap();
        let error = untouched(&scene, |scene| scene.restore().unwrap_err());
        assert!(matches!(error, Error::Damaged { .. }), "{name}: {error}");
        assert!(!folder.path().join("evil").exists() && !scene.home.join("evil").exists());
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn without_room_nothing_moves() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::at(folder.path());
    let Some(_mount) = Mount::tmpfs(scene.home.clone(), "size=10m,mode=0755") else { return };
    let scene = Scene::new(folder.path());
    scene.write("data/text", vec![b'x'; 6 << 20]);
    let sealed = scene.seal();
    assert!(restore::needed(&sealed).unwrap() >= 6 << 20);
    scene.write("data/text", noise(1, 6 << 20));
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(matches!(error, Error::NoRoom { .. }), "{error}");
    assert_eq!(error.code(), Code::NoRoom);
    assert!(!scene.job().work.join("staged").exists());
}

#[test]
fn a_record_that_is_damaged_or_of_another_backup_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(folder.path());
    fill(&scene);
    scene.seal();
    scene.restore().unwrap();
    let record = scene.job().work.join("state.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(error.to_string().contains("state.json"), "{error}");
    assert!(restore::is_done(&scene.job()).is_err());
    fs::write(&record, &whole).unwrap();
    let mut job = scene.job();
    job.archive.path.push_str(".other");
    assert!(matches!(restore::is_done(&job), Err(Error::State { .. })));
}

#[test]
fn a_folder_that_must_stay_needs_a_folder_in_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(folder.path());
    symlink("elsewhere", scene.home.join("data")).unwrap();
    scene.seal();
    fs::remove_file(scene.home.join("data")).unwrap();
    let deep = scene.write("data/backups/old.tar", "an old backup");
    scene.leave_out.push(deep.parent().unwrap().to_owned());
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    scene.leave_out.push(scene.home.clone());
    let error = untouched(&scene, |scene| scene.restore().unwrap_err());
    assert!(matches!(error, Error::HomeLeftOut { .. }), "{error}");
}
