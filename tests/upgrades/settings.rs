//! What the configuration and the announcement say about an upgrade is what is done.

use std::fs;
use std::path::Path;

use nymvisor::digest;
use nymvisor::release::platform_key;
use serde_json::json;

use super::{
    archives, assert_never_stopped, end, names_in, serve, started, until_fails, until_runs,
};
use crate::support::daemon::FakeDaemon;
use crate::support::run::Stage;
use crate::support::server::Reply;
use crate::support::site::read_json;

#[test]
fn without_backups_there_is_none_and_the_journal_says_so() {
    let stage = Stage::new().with("DAEMON_UNSAFE_SKIP_BACKUP", "true");
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    stage.until_event("backup-skipped", 1);
    assert!(run.stderr().contains("no backup, UNSAFE"));
    end(run);
    assert_eq!(archives(&stage.site.path("")), [] as [std::path::PathBuf; 0]);
}

/// Where backups go, given to the variable, and where that is.
fn backs_up_to(setting: &str, folder: impl Fn(&Stage) -> std::path::PathBuf) {
    let stage = Stage::after(|site| {
        let setting = setting.replace('@', site.path("").to_str().unwrap());
        site.set_env("DAEMON_BACKUP_DATA_DIRECTORY", &setting);
    });
    fs::write(stage.site.home("keys"), "x").unwrap();
    let folder = folder(&stage);
    // What an earlier upgrade has left is no part of the next backup.
    fs::create_dir_all(folder.join("v0.9.0")).unwrap();
    fs::write(folder.join("v0.9.0/earlier"), "x").unwrap();
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    let found = archives(&stage.site.path(""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(folder.join("v1.1.0")), "{found:?}");
    let names = names_in(&found[0]);
    assert!(names.iter().any(|name| name.ends_with("keys")), "{names:?}");
    let own = |name: &String| name.contains("earlier") || name.contains("current-version-info");
    assert!(!names.iter().any(own), "{names:?}");
}

#[test]
fn h38_backups_go_to_a_custom_folder_within_the_home_and_not_into_themselves() {
    backs_up_to("@node/saved/backups", |stage| stage.site.home("saved/backups"));
}

#[test]
fn h49_backups_go_to_a_custom_folder_outside_of_the_home() {
    backs_up_to("elsewhere", |stage| stage.site.path("elsewhere"));
}

#[test]
fn h50_an_empty_variable_leaves_backups_where_they_belong() {
    backs_up_to("", |stage| stage.site.home("nymvisor/backups"));
}

#[test]
fn a_custom_upgrade_data_folder_holds_versions_plan_and_history() {
    let stage = Stage::after(|site| site.set_env("NYMVISOR_UPGRADE_DATA_DIRECTORY", "own data"));
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    stage.until_log("started 1.1.0", 1);
    end(run);
    let data = stage.site.path("own data/nym-node");
    assert_eq!(fs::read_link(data.join("current")).unwrap(), Path::new("upgrades/v1.1.0"));
    assert_eq!(read_json(&data.join("upgrade-plan.json"))["current"]["name"], "v1.1.0");
    assert_eq!(
        read_json(&data.join("upgrade-history.json"))["history"][0]["info"]["name"],
        "v1.1.0"
    );
    assert!(!stage.site.data("").exists());
}

#[test]
fn the_binary_of_this_platform_is_preferred_and_any_is_the_fallback() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let mut announcement = stage.announcement("1.1.0");
    let right = announcement["platforms"]["any"].clone();
    let wrong = json!({ "checksum": "", "checksumAlgorithm": "sha256", "url": "ftp://nowhere/" });
    announcement["platforms"] = json!({ platform_key(): right, "any": wrong, "plan9-mips": wrong });
    stage.publish(&announcement);
    until_runs(&stage, "1.1.0");
    let mut announcement = stage.announcement("1.2.0");
    announcement["platforms"]["plan9-mips"] = wrong;
    stage.publish(&announcement);
    until_runs(&stage, "1.2.0");
    end(run);
}

#[test]
fn checksums_are_sha256_or_sha512_in_either_case() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    let mut announcement = stage.announcement("1.1.0");
    let digits = announcement["platforms"]["any"]["checksum"].as_str().unwrap().to_uppercase();
    announcement["platforms"]["any"]["checksum"] = json!(digits);
    stage.publish(&announcement);
    until_runs(&stage, "1.1.0");
    let mut announcement = stage.announcement("1.2.0");
    let mut digests = digest::Digests::new(digest::Algorithm::Sha512);
    digests.update(FakeDaemon::new("nym-node", "1.2.0").script().as_bytes());
    let digits = digests.finish().sha512.unwrap().to_uppercase();
    announcement["platforms"]["any"]["checksum"] = json!(digits);
    announcement["platforms"]["any"]["checksumAlgorithm"] = json!("sha512");
    stage.publish(&announcement);
    until_runs(&stage, "1.2.0");
    // A wrong one is found out with either.
    let mut announcement = stage.announcement("1.3.0");
    announcement["platforms"]["any"]["checksum"] = json!(digits);
    announcement["platforms"]["any"]["checksumAlgorithm"] = json!("sha512");
    stage.publish(&announcement);
    until_fails(&stage, "digest-mismatch");
    assert_eq!(stage.assert_consistent(), "v1.2.0");
    end(run);
}

#[test]
fn a_missing_checksum_is_refused_where_one_is_demanded() {
    let stage = Stage::new();
    let mut announcement = stage.announcement("1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!("");
    stage.publish(&announcement);
    let (run, pid) = started(&stage);
    let text = until_fails(&stage, "no-checksum");
    assert!(text.contains("v1.1.0") && text.contains("enforce_download_checksum"), "{text}");
    assert_never_stopped(&stage, pid);
    assert_eq!(stage.server.count("/bin/1.1.0"), 0);
    end(run);
}

#[test]
fn without_enforcement_a_missing_checksum_is_accepted_and_a_wrong_one_is_not() {
    let stage = Stage::new().with("DAEMON_ENFORCE_DOWNLOAD_CHECKSUM", "false");
    let (run, _) = started(&stage);
    let mut announcement = stage.announcement("1.1.0");
    announcement["platforms"]["any"]["checksum"] = json!("");
    stage.publish(&announcement);
    until_runs(&stage, "1.1.0");
    let mut announcement = stage.announcement("1.2.0");
    announcement["platforms"]["any"]["checksum"] = json!("0".repeat(64));
    stage.publish(&announcement);
    until_fails(&stage, "digest-mismatch");
    // One that can't be read as a checksum is no missing one.
    let mut announcement = stage.announcement("1.3.0");
    announcement["platforms"]["any"]["checksum"] = json!("what");
    stage.publish(&announcement);
    until_fails(&stage, "no-checksum");
    assert_eq!(stage.assert_consistent(), "v1.1.0");
    end(run);
}

#[test]
fn build_info_that_is_announced_must_be_that_of_the_binary() {
    let stage = Stage::new();
    let (run, pid) = started(&stage);
    let mut announcement = stage.announcement("1.1.0");
    let other = FakeDaemon::new("nym-node", "1.1.0").with("commit_sha", "beef");
    announcement["binaryDetails"] = other.build_info().clone();
    stage.publish(&announcement);
    let text = until_fails(&stage, "build-info");
    assert!(text.contains("commit_sha") && text.contains("beef"), "{text}");
    assert_never_stopped(&stage, pid);
    // The right one, under the same name.
    serve(&stage, &mut announcement, "/bin/right", &other);
    stage.publish(&announcement);
    until_runs(&stage, "1.1.0");
    end(run);
}

#[test]
fn h47_a_new_binary_keeps_the_rights_of_the_old_one() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(stage.site.data("genesis/bin/nym-node"), mode).unwrap();
    stage.announce("1.1.0");
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
    let meta = fs::metadata(stage.site.data("upgrades/v1.1.0/bin/nym-node")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o750);
    let backup = &archives(&stage.site.home("nymvisor/backups"))[0];
    assert_eq!(fs::metadata(backup).unwrap().permissions().mode() & 0o7777, 0o600);
    let folder = backup.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn h49_what_is_relative_does_not_depend_on_the_next_working_directory() {
    let mut stage = Stage::after(|site| {
        site.set_env("DAEMON_HOME", "node");
        site.set_env("NYMVISOR_UPGRADE_DATA_DIRECTORY", "own");
    });
    let home = stage.site.home("");
    stage.set("DAEMON_HOME", home.to_str().unwrap().trim_end_matches('/'));
    stage.set("NYMVISOR_UPGRADE_DATA_DIRECTORY", "");
    stage.announce("1.1.0");
    let mut command = stage.run_command(&["run"]);
    command.current_dir("/");
    let run = stage.start_command(command);
    stage.until_log("started 1.1.0", 1);
    end(run);
    assert!(stage.site.path("own/nym-node/upgrades/v1.1.0").is_dir());
}

#[test]
fn a_redirect_to_the_binary_is_followed() {
    let stage = Stage::new();
    let announcement = stage.announcement("1.1.0");
    stage.server.put("/bin/1.1.0", Reply::redirect("/else/1.1.0"));
    let script = FakeDaemon::new("nym-node", "1.1.0").script();
    stage.server.put("/else/1.1.0", Reply::ok(script));
    stage.publish(&announcement);
    let run = stage.start(&["run"]);
    until_runs(&stage, "1.1.0");
    end(run);
}
