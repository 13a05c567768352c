//! Whether there is room.

use std::fs::{self, File};
use std::path::Path;

use nymvisor::host::room::{check, device, free, human, needed_for_backup};
use nymvisor::machine::Code;

#[test]
fn what_is_not_there_yet_has_the_room_of_the_folder_above() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("not/there/yet");
    assert_eq!(device(&deep).unwrap(), device(folder.path()).unwrap());
    let room = free(&deep).unwrap();
    assert!(room.bytes > 0 && room.inodes > 0);
    assert!(free(Path::new("nor-this-relative/one")).unwrap().bytes > 0);
}

#[test]
fn h41_a_need_counts_holes_and_second_names_not_and_leaves_out_what_a_backup_does() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("nymvisor/backups")).unwrap();
    fs::write(home.join("data"), vec![1; 1 << 20]).unwrap();
    fs::hard_link(home.join("data"), home.join("data-too")).unwrap();
    File::create(home.join("hole")).unwrap().set_len(1 << 40).unwrap();
    fs::write(home.join("nymvisor/backups/old"), vec![1; 4 << 20]).unwrap();
    std::os::unix::fs::symlink("/", home.join("root")).unwrap();
    let left_out = [home.join("../home/nymvisor"), home.join("none")];
    File::open(home.join("data")).unwrap().sync_all().unwrap();
    let need = needed_for_backup(&home, &left_out).unwrap();
    assert_eq!(need.entries, 5);
    assert!((1 << 20..2 << 20).contains(&need.bytes), "{need:?}");
    assert!(needed_for_backup(&home.join("none"), &[]).is_err());
}

#[test]
fn h41_needs_on_one_file_system_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let room = free(folder.path()).unwrap().bytes;
    let (backup, binary) = (folder.path().join("backups"), folder.path().join("data/bin"));
    check(&[(backup.clone(), room / 2)]).unwrap();
    let error = check(&[(backup, room / 10 * 6), (binary, room / 10 * 6)]).unwrap_err();
    assert_eq!(error.code(), Code::NoRoom);
    let text = error.to_string();
    for part in ["backups", "data/bin", &human(room / 10 * 6), "free"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn sizes_read_as_people_write_them() {
    let sizes = [0, 1023, 1024, 1536, (1 << 20) - 1, 5 << 30, u64::MAX];
    let texts = ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "5.0 GiB"];
    for (size, text) in sizes.iter().zip(texts) {
        assert_eq!(human(*size), text);
    }
    assert_eq!(human(u64::MAX), "16777215.9 TiB");
}
