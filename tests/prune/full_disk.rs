//! A disk without any room: what is removed makes it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{fates, hindrance, pruned};
use crate::backups_cli::{list, upgraded};
use crate::journal_verify::forge::Forged;
use crate::journal_verify::journal;
use crate::restore::mounts::Mount;
use crate::support::run::Stage;

/// The instance's data on a disk of its own; `None` where none can be mounted.
fn small(stage: &Stage) -> Option<(PathBuf, Mount)> {
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let away = stage.site.path("away");
    fs::rename(&data, &away).unwrap();
    fs::create_dir(&data).unwrap();
    let mount = Mount::tmpfs(data.clone(), "size=2m,mode=0755")?;
    let copied = Command::new("cp").arg("-a").arg(away.join(".")).arg(&data).status();
    assert!(copied.unwrap().success());
    Some((data, mount))
}

fn fill(disk: &Path) {
    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
}

/// Without the line that tells of them they would be missing.
#[test]
fn the_journals_files_stay_where_no_line_can_be_written() {
    let mut stage = upgraded(&["1.1.0"]);
    let forged = Forged::read(&journal(&stage, ""));
    let all = forged.segments[0].records.len();
    forged.split(&[2, all - 2]).write();
    let Some((data, _mount)) = small(&stage) else { return };
    stage.set("NYMVISOR_JOURNAL_RETENTION", "1");
    fill(&data);
    let report = pruned(&stage, 1, &[]);
    assert!(hindrance(&report, "journal").contains("No space left"), "{report}");
    assert_eq!(report["journal"]["freed_bytes"], 0);
    assert!(data.join("journal/00000001.jsonl").exists());
    fs::remove_file(data.join("filler")).unwrap();
    assert!(fates(&pruned(&stage, 0, &[]), "journal")[0].starts_with("+00000001"));
    assert!(!data.join("journal/00000001.jsonl").exists());
}

#[test]
fn backups_go_though_nothing_can_be_written_any_more() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    let Some((data, _mount)) = small(&stage) else { return };
    let backups = data.join("backups");
    let sealed = stage.site.home("nymvisor/backups");
    assert!(Command::new("mv").args([&sealed, &backups]).status().unwrap().success());
    stage.set("DAEMON_BACKUP_DATA_DIRECTORY", backups.to_str().unwrap());
    stage.set("DAEMON_BACKUP_RETENTION", "1");
    fill(&data);

    let report = pruned(&stage, 0, &[]);
    assert_eq!(hindrance(&report, "backups"), "");
    let removed = fs::read_to_string(data.join("removed-backups")).unwrap();
    assert_eq!(removed.lines().count(), 2, "{removed}");
    assert_eq!(list(&stage).len(), 1);
    let said = stage.site.ok(&["backups", "list"]);
    assert!(!said.contains("MISSING"), "{said}");
}
