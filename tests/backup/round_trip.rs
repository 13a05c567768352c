//! What GNU tar restores is what was there.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use nymvisor::host::backup;

use super::tree::{allocated, assert_same, name, read, set_mtime};
use super::{Scene, noise};

#[test]
fn a_home_comes_back_as_it_was() {
    let scene = Scene::new();
    scene.write("config/config.toml", "[mixnode]\n");
    let key = scene.write("data/keys/private.pem", "secret");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let tool = scene.write("bin/tool", noise(1, 300_000));
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    scene.write("data/empty.db", "");
    scene.write("data/odd", noise(2, 3 * 1024 * 1024 + 17));
    fs::create_dir_all(scene.home.join("data/nothing/in/here")).unwrap();
    fs::set_permissions(scene.home.join("data"), fs::Permissions::from_mode(0o2750)).unwrap();
    symlink("config/config.toml", scene.home.join("link")).unwrap();
    for (path, seconds, nanos) in [
        ("link", 1_600_000_001, 5),
        ("data/odd", 1_600_000_000, 123_456_789),
        ("data/empty.db", -2, 500_000_000),
        ("bin/tool", -7, 0),
        ("config/config.toml", 9_000_000_000, 999_999_999),
        ("data/nothing/in", 1, 1),
        ("data", 1_500_000_000, 100_000_000),
        ("", 1_400_000_000, 7),
    ] {
        set_mtime(&scene.home.join(path), seconds, nanos);
    }
    let sealed = scene.seal().unwrap();
    assert_same(&scene.home, &scene.restore(&sealed));
    assert_eq!((sealed.entries, sealed.skipped), (14, 0));
    assert_eq!(sealed.bytes, fs::metadata(&sealed.path).unwrap().len());
}

#[test]
fn names_of_any_bytes_and_length_come_back() {
    let scene = Scene::new();
    let long = scene.home.join("l".repeat(255)).join("m".repeat(255)).join("n".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("x".repeat(255)), "deep").unwrap();
    symlink("t".repeat(1000), long.join("to")).unwrap();
    fs::hard_link(long.join("x".repeat(255)), scene.home.join("zz")).unwrap();
    let mut all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    fs::write(scene.home.join(name(&all[..127])), "1").unwrap();
    all.reverse();
    fs::write(scene.home.join(name(&all[..127])), "2").unwrap();
    for exact in [97, 98, 99, 100, 101] {
        fs::write(scene.home.join("y".repeat(exact)), "edge").unwrap();
        symlink("s".repeat(exact), scene.home.join(format!("s{exact}"))).unwrap();
    }
    for odd in [&b"\xff\xfe"[..], b" ", b"new\nline", b"-rf", b"a\\b", "ключ".as_bytes()] {
        fs::write(scene.home.join(name(odd)), odd).unwrap();
    }
    let sealed = scene.seal().unwrap();
    assert_same(&scene.home, &scene.restore(&sealed));
}

#[test]
fn extended_attributes_come_back() {
    let scene = Scene::new();
    let file = scene.write("data/file", "x");
    if xattr::set(&file, "user.probe", b"1").is_err() {
        eprintln!("this file system has no extended attributes");
        return;
    }
    xattr::set(&file, "user.bytes", b"\0\xff=\n%").unwrap();
    xattr::set(&file, "user.a=b%c", b"odd name").unwrap();
    xattr::set(&file, "user.empty", b"").unwrap();
    xattr::set(scene.home.join("data"), "user.folder", b"of a folder").unwrap();
    let mut expected = 5;
    // user::rw-, user:12345:r--, group::r--, mask::r--, other::---
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x39\x30\0\0\
        \x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    expected += usize::from(xattr::set(&file, "system.posix_acl_access", acl).is_ok());
    let tool = scene.write("tool", "#!");
    // cap_net_bind_service=ep
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    expected += usize::from(xattr::set(&tool, "security.capability", capability).is_ok());
    let sealed = scene.seal().unwrap();
    let restored = scene.restore(&sealed);
    assert_same(&scene.home, &restored);
    let count = |path| xattr::list(restored.join(path)).unwrap().count();
    assert!(count("data/file") + count("data") + count("tool") >= expected);
}

#[test]
fn sparse_files_of_every_shape_come_back() {
    let scene = Scene::new();
    let mib = 1024 * 1024;
    let shapes: [(&str, u64, Vec<u64>); 6] = [
        ("only-a-hole", 64 * mib, vec![]),
        ("hole-first", 64 * mib, vec![64 * mib - 10]),
        ("hole-last", 64 * mib + 3, vec![0]),
        ("four", 64 * mib, vec![0, 9 * mib, 20 * mib, 30 * mib]),
        ("many", 64 * mib, (0..60).map(|n| n * mib + 4096).collect()),
        ("beyond-8-gib", 9 * 1024 * mib, vec![8 * 1024 * mib + 5]),
    ];
    for (path, size, writes) in &shapes {
        let file = File::create(scene.home.join(path)).unwrap();
        file.set_len(*size).unwrap();
        for at in writes {
            file.write_all_at(b"0123456789", *at).unwrap();
        }
    }
    let sealed = scene.seal().unwrap();
    assert!(sealed.bytes < 4 * mib, "{} bytes", sealed.bytes);
    let restored = scene.restore(&sealed);
    for (path, size, writes) in &shapes {
        let (before, after) = (scene.home.join(path), restored.join(path));
        assert_eq!(fs::metadata(&after).unwrap().size(), *size, "{path}");
        assert!(allocated(&after) <= allocated(&before).max(4096), "{path}");
        let file = File::open(&after).unwrap();
        for at in writes {
            let mut part = [0; 10];
            file.read_exact_at(&mut part, *at).unwrap();
            assert_eq!(&part, b"0123456789", "{path} at {at}");
        }
    }
    fs::remove_file(scene.home.join("beyond-8-gib")).unwrap();
    fs::remove_file(restored.join("beyond-8-gib")).unwrap();
    set_mtime(&scene.home, 1, 0);
    set_mtime(&restored, 1, 0);
    assert_same(&scene.home, &restored);
}

#[test]
fn the_same_home_gives_the_same_archive() {
    let scene = Scene::new();
    for n in 0..300 {
        scene.write(&format!("data/{}/{n}", n % 7), noise(n, 2_000));
    }
    let first = scene.seal().unwrap();
    fs::remove_file(&first.path).unwrap();
    let second = scene.seal().unwrap();
    assert_eq!(first, second);
}

#[test]
fn the_entries_are_counted_and_our_own_reader_agrees() {
    let scene = Scene::new();
    scene.write("a/b/c", "1");
    fs::hard_link(scene.home.join("a/b/c"), scene.home.join("d")).unwrap();
    symlink("nowhere", scene.home.join("e")).unwrap();
    let hole = scene.write("f", "");
    File::options().write(true).open(&hole).unwrap().set_len(1 << 20).unwrap();
    let sealed = scene.seal().unwrap();
    let file = File::open(backup::path_of(&sealed)).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let paths: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(paths, ["./", "./a/", "./a/b/", "./a/b/c", "./d", "./e", "./f"]);
    assert_eq!(sealed.entries, 7);
}

#[test]
fn a_home_given_by_a_link_is_the_folder_behind_it() {
    let scene = Scene::new();
    scene.write("data/file", "x");
    let link = scene.folder.path().join("by-link");
    symlink(&scene.home, &link).unwrap();
    let mut job = scene.job();
    job.home = link;
    let sealed = backup::seal(&job, &backup::Cancel::default()).unwrap();
    assert_same(&scene.home, &scene.restore(&sealed));
    assert!(read(&scene.home).len() == 3);
}
