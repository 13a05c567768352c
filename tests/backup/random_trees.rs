//! Whatever the tree, it comes back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::tree::{assert_same, set_mtime};
use super::{Scene, noise};

#[derive(Debug, Clone)]
enum Make {
    Folder,
    File(usize),
    Sparse(Vec<(u32, u16)>, u32),
    Link(OsString),
    SameAs(prop::sample::Index),
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    within: prop::sample::Index,
    name: OsString,
    make: Make,
    mode: u32,
    mtime: (i64, i64),
}

fn a_name(longest: usize) -> impl Strategy<Value = OsString> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { byte });
    prop::collection::vec(byte, 1..=longest).prop_map(|bytes| {
        let plain = matches!(bytes.as_slice(), b"." | b"..");
        OsString::from_vec(if plain { b"dots".to_vec() } else { bytes })
    })
}

pub(crate) fn a_step() -> impl Strategy<Value = Step> {
    let make = prop_oneof![
        3 => proptest::strategy::Just(Make::Folder),
        4 => (0_usize..200_000).prop_map(Make::File),
        2 => (prop::collection::vec((0_u32..1 << 24, 1_u16..9_000), 0..40), 0_u32..1 << 25)
            .prop_map(|(writes, size)| Make::Sparse(writes, size)),
        2 => a_name(400).prop_map(Make::Link),
        2 => any::<prop::sample::Index>().prop_map(Make::SameAs),
    ];
    let times = (-4_000_000_000_i64..9_000_000_000, 0_i64..1_000_000_000);
    (any::<prop::sample::Index>(), a_name(255), make, 0_u32..0o10000, times)
        .prop_map(|(within, name, make, mode, mtime)| Step { within, name, make, mode, mtime })
}

pub(crate) fn build(scene: &Scene, steps: &[Step]) {
    let (mut folders, mut files, mut made) = (vec![scene.home.clone()], Vec::new(), Vec::new());
    for step in steps {
        let path: PathBuf = step.within.get(&folders).join(&step.name);
        // The system's own limit on paths, which the comparison can't pass.
        if path.symlink_metadata().is_ok() || path.as_os_str().len() > 3_500 {
            continue;
        }
        match &step.make {
            Make::Folder => {
                fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            Make::File(size) => {
                fs::write(&path, noise(*size as u64, *size)).unwrap();
                files.push(path.clone());
            }
            Make::Sparse(writes, size) => {
                let file = File::create(&path).unwrap();
                for (at, length) in writes {
                    let bytes = noise(u64::from(*at), usize::from(*length));
                    file.write_all_at(&bytes, u64::from(*at)).unwrap();
                }
                let size = file.metadata().unwrap().len().max(u64::from(*size));
                file.set_len(size).unwrap();
                files.push(path.clone());
            }
            Make::Link(target) => symlink(target, &path).unwrap(),
            Make::SameAs(_) if files.is_empty() => continue,
            Make::SameAs(which) => fs::hard_link(which.get(&files), &path).unwrap(),
        }
        made.push((path, step));
    }
    for (path, step) in made.iter().rev() {
        if !path.is_symlink() {
            let own = if path.is_dir() { 0o700 } else { 0o400 };
            fs::set_permissions(path, fs::Permissions::from_mode(step.mode | own)).unwrap();
        }
        set_mtime(path, step.mtime.0, step.mtime.1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back(steps in prop::collection::vec(a_step(), 0..40)) {
        let scene = Scene::new();
        build(&scene, &steps);
        let sealed = scene.seal().unwrap();
        assert_same(&scene.home, &scene.restore(&sealed));
    }
}
