//! Any tree, however it changes between the passes, comes back as it was at the end.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::Index;

use super::live::Copy;
use super::random_trees::{a_step, build};
use super::tree::set_mtime;
use super::{Scene, noise};

#[derive(Debug, Clone)]
enum Change {
    Overwrite(u32, u16),
    Resize(u32),
    Replace(usize),
    Remove,
    Rename(Index),
    LinkFrom(Index),
    Mode(u32),
    Time(i64),
    Attribute(u8),
    BecomesLink,
    BecomesFolder,
    Pass,
    Settle,
}

fn a_change() -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        4 => (0_u32..200_000, 1_u16..5_000).prop_map(|(at, bytes)| Change::Overwrite(at, bytes)),
        2 => (0_u32..1 << 22).prop_map(Change::Resize),
        2 => (0_usize..60_000).prop_map(Change::Replace),
        2 => proptest::strategy::Just(Change::Remove),
        2 => any::<Index>().prop_map(Change::Rename),
        2 => any::<Index>().prop_map(Change::LinkFrom),
        1 => (0_u32..0o1000).prop_map(Change::Mode),
        1 => (-9_000_000_i64..9_000_000_000).prop_map(Change::Time),
        1 => any::<u8>().prop_map(Change::Attribute),
        1 => proptest::strategy::Just(Change::BecomesLink),
        1 => proptest::strategy::Just(Change::BecomesFolder),
        2 => proptest::strategy::Just(Change::Pass),
        1 => proptest::strategy::Just(Change::Settle),
    ];
    (any::<Index>(), change)
}

/// Everything below the home, in a fixed order.
fn things(home: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(home).min_depth(1).sort_by_file_name();
    walk.into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

fn remove(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// A change that can't be made is left out.
fn apply(scene: &Scene, copy: &mut Copy, (which, change): &(Index, Change)) {
    let things = things(&scene.home);
    if things.is_empty() {
        return;
    }
    let path = which.get(&things);
    let is_file = path.is_file() && !path.is_symlink();
    match change {
        Change::Overwrite(at, bytes) if is_file => {
            let Ok(file) = File::options().write(true).open(path) else { return };
            let bytes = noise(u64::from(*at), usize::from(*bytes));
            file.write_all_at(&bytes, u64::from(*at)).unwrap();
        }
        Change::Resize(size) if is_file => {
            let Ok(file) = File::options().write(true).open(path) else { return };
            file.set_len(u64::from(*size)).unwrap();
        }
        Change::Replace(bytes) if is_file => {
            let before = fs::metadata(path).unwrap();
            let _ = fs::remove_file(path);
            let _ = fs::write(path, noise(*bytes as u64 + 1, before.len().min(70_000) as usize));
            set_mtime(path, 77, i64::try_from(*bytes).unwrap());
        }
        Change::Remove => remove(path),
        Change::Rename(to) | Change::LinkFrom(to) => {
            let to = to.get(&things);
            let folder = if to.is_dir() && !to.is_symlink() { to } else { to.parent().unwrap() };
            let to = folder.join(format!("moved-{}", things.len()));
            if matches!(change, Change::LinkFrom(_)) && !path.is_dir() {
                let _ = fs::hard_link(path, to);
            } else if !to.starts_with(path) {
                let _ = fs::rename(path, to);
            }
        }
        Change::Mode(mode) if !path.is_symlink() => {
            fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o700)).unwrap();
        }
        Change::Time(seconds) => set_mtime(path, *seconds, 5),
        Change::Attribute(value) if !path.is_symlink() => {
            let _ = xattr::set(path, "user.change", &[*value]);
        }
        Change::BecomesLink => {
            remove(path);
            let _ = symlink("elsewhere", path);
        }
        Change::BecomesFolder => {
            remove(path);
            let _ = fs::create_dir(path);
            let _ = fs::write(path.join("inside"), "x");
        }
        Change::Pass => drop(copy.pass()),
        Change::Settle => copy.settle(),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_ends_in_the_home_as_it_is(
        steps in prop::collection::vec(a_step(), 0..30),
        changes in prop::collection::vec(a_change(), 0..40),
    ) {
        let scene = Scene::new();
        build(&scene, &steps);
        let mut copy = Copy::of(&scene);
        for change in &changes {
            apply(&scene, &mut copy, change);
        }
        copy.seal(&scene);
    }
}
