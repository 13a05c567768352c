//! A sealed backup read whole, and its manifest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;

use nymvisor::digest;
use nymvisor::host::backup::{self, Cancel, Error, LiveCopy, Origin, Tempo};
use nymvisor::machine::{Archive, Version};
use serde_json::Value;

use super::{Scene, names, noise};

fn origin() -> Origin {
    let version = Version { name: "v1.1.0".into(), version: "1.1.0".into() };
    Origin { version, record: 17 }
}

/// A backup of which one file was taken out and another written anew.
fn sealed(scene: &Scene) -> Archive {
    scene.write("data/db", noise(1, 300_000));
    scene.write("data/wal", noise(2, 100_000));
    scene.write("new\nline", "odd");
    symlink("data/db", scene.home.join("link")).unwrap();
    fs::hard_link(scene.home.join("data/db"), scene.home.join("data/db2")).unwrap();
    File::create(scene.home.join("hole")).unwrap().set_len(1 << 20).unwrap();
    let mut copy = LiveCopy::begin(&scene.job(), Tempo::default(), None).unwrap();
    copy.pass(&Cancel::default()).unwrap();
    fs::remove_file(scene.home.join("data/wal")).unwrap();
    scene.write("data/db", noise(3, 200_000));
    copy.seal(&Cancel::default()).unwrap().archive()
}

fn examine(archive: &Archive) -> Result<Archive, Error> {
    backup::examine(archive, &origin(), Tempo::default(), None, &Cancel::default())
}

#[test]
fn the_manifest_tells_what_is_in_the_archive() {
    let scene = Scene::new();
    let sealed = sealed(&scene);
    assert_eq!(sealed.sha256, None);
    let examined = examine(&sealed).unwrap();
    let bytes = fs::read(&sealed.path).unwrap();
    assert_eq!(examined.sha256, Some(digest::sha256(&bytes)));
    assert_eq!(Archive { sha256: None, ..examined.clone() }, sealed);
    assert!(backup::confirm(&examined).unwrap());
    assert_eq!(
        names(&scene.backups),
        [
            "backup-2026-11-22T10:00:00Z-preupgrade.manifest.jsonl.zst",
            "backup-2026-11-22T10:00:00Z-preupgrade.tar.zst"
        ]
    );
    let manifest = backup::manifest_of(&backup::path_of(&sealed));
    let text = zstd::decode_all(File::open(manifest).unwrap()).unwrap();
    let lines: Vec<Value> =
        serde_json::Deserializer::from_slice(&text).into_iter().map(Result::unwrap).collect();
    let (head, foot) = (&lines[0], lines.last().unwrap());
    assert_eq!((&head["version"]["version"], &head["record"]), (&"1.1.0".into(), &17.into()));
    assert_eq!(foot["sha256"].as_str(), examined.sha256.as_deref());
    let of: BTreeMap<&str, &Value> = lines[1..lines.len() - 1]
        .iter()
        .map(|line| (line["path"].as_str().unwrap(), line))
        .collect();
    let paths: Vec<_> = of.keys().copied().collect();
    assert_eq!(paths, ["", "data", "data/db", "data/db2", "hole", "link", "new\nline"]);
    for path in ["data/db", "hole", "new\nline"] {
        let bytes = fs::read(scene.home.join(path)).unwrap();
        assert_eq!(of[path]["sha256"], digest::sha256(&bytes), "{path}");
        assert_eq!(of[path]["size"], bytes.len(), "{path}");
    }
    assert_eq!(
        (&of["data/db2"]["kind"], &of["data/db2"]["target"]),
        (&"same-as".into(), &"data/db".into())
    );
    assert_eq!(of["link"]["target"], "data/db");
    // Once more: after a crash nobody knows how far it got.
    assert_eq!(examine(&examined).unwrap(), examined);
}

#[test]
fn a_damaged_archive_is_not_taken_for_a_whole_one() {
    let scene = Scene::new();
    let sealed = sealed(&scene);
    let good = fs::read(&sealed.path).unwrap();
    // In what was written last, its content and its end; the middle is skipped.
    for before_end in [1, 40, 100_000] {
        let (mut bad, at) = (good.clone(), good.len() - before_end);
        bad[at] ^= 1;
        fs::write(&sealed.path, &bad).unwrap();
        let error = examine(&sealed).unwrap_err();
        assert!(matches!(error, Error::NotReadBack { .. }), "at {at}: {error}");
    }
    fs::write(&sealed.path, &good[..good.len() - 10]).unwrap();
    assert!(examine(&sealed).is_err());
    fs::write(&sealed.path, &good).unwrap();
    for other in [
        Archive { entries: sealed.entries + 1, ..sealed.clone() },
        Archive { sha256: Some("0".repeat(64)), ..sealed.clone() },
    ] {
        assert!(matches!(examine(&other), Err(Error::NotReadBack { .. })));
    }
    assert_eq!(names(&scene.backups).len(), 1);
    examine(&sealed).unwrap();
}
