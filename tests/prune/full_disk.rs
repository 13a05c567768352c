//! A disk without any room: what is removed makes it.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

use super::{hindrance, pruned};
use crate::backups_cli::{list, upgraded};
use crate::restore::mounts::Mount;

#[test]
fn backups_go_though_nothing_can_be_written_any_more() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let (away, backups) = (stage.site.path("away"), data.join("backups"));
    fs::rename(&data, &away).unwrap();
    fs::create_dir(&data).unwrap();
    let Some(_mount) = Mount::tmpfs(data.clone(), "size=2m,mode=0755") else { return };
    let copied = Command::new("cp").arg("-a").arg(away.join(".")).arg(&data).status();
    assert!(copied.unwrap().success());
    let sealed = stage.site.home("nymvisor/backups");
    assert!(Command::new("mv").args([&sealed, &backups]).status().unwrap().success());
    stage.set("DAEMON_BACKUP_DATA_DIRECTORY", backups.to_str().unwrap());
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    let mut filler = File::create(data.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}

    let report = pruned(&stage, 0, &[]);
    assert_eq!(hindrance(&report, "backups"), "");
    let removed = fs::read_to_string(data.join("removed-backups")).unwrap();
    assert_eq!(removed.lines().count(), 2, "{removed}");
    assert_eq!(list(&stage).len(), 1);
    let said = stage.site.ok(&["backups", "list"]);
    assert!(!said.contains("MISSING"), "{said}");
}
