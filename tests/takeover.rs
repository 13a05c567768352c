//! An installation exactly as 0.1.x leaves it is taken over in place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::daemon::FakeDaemon;
use crate::support::run::Stage;
use crate::support::server::Server;
use crate::support::site::{Site, read_json};

/// The file of 0.1.8, with every key; `@` is the folder of the site.
const CONFIG: &str = r"# This is a TOML config file.
# For more information, see https://github.com/toml-lang/toml

##### main base nymvisor config options #####

[nymvisor]
# ID specifies the human readable ID of this particular nymvisor instance.
# Can be overridden with $NYMVISOR_ID environmental variable.
id = 'nym-node-default'
upstream_base_upgrade_url = 'https://nymtech.net/.wellknown/'
upstream_polling_rate = '1h'
disable_logs = false
upgrade_data_directory = '@DATA@'

[daemon]
name = 'nym-node'
home = '@HOME@'
absolute_upstream_upgrade_url = ''
allow_binaries_download = true
enforce_download_checksum = true
restart_after_upgrade = true
restart_on_failure = false
failure_restart_delay = '10s'
max_startup_failures = 10
startup_period_duration = '2m'
shutdown_grace_period = '10s'
backup_data_directory = ''
unsafe_skip_backup = false
";

fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, serde_json::to_string_pretty(value).unwrap()).unwrap();
}

fn info(name: &str, version: &str) -> Value {
    json!({
        "manual": false, "name": name, "notes": "", "publishDate": "2024-09-01T12:00:00Z",
        "version": version, "platforms": {}, "upgradeTime": "2024-10-01T14:00:00+02:00",
        "binaryDetails": FakeDaemon::new("nym-node", version).build_info(),
        "fromTheFuture": { "of": "0.1.x" },
    })
}

/// An upgraded installation; `data` is what holds `current` directly.
fn installation(data: &Path, home: &Path) {
    for (folder, version) in [("genesis", "1.0.0"), ("upgrades/v1.1.0", "1.1.0")] {
        FakeDaemon::new("nym-node", version).write(&data.join(folder).join("bin/nym-node"));
    }
    let mut genesis = info("genesis", "1.0.0");
    genesis["manual"] = json!(true);
    genesis["publishDate"] = Value::Null;
    write(&data.join("genesis/upgrade-info.json"), &genesis);
    let current = info("v1.1.0", "1.1.0");
    write(&data.join("upgrades/v1.1.0/upgrade-info.json"), &current);
    let plan = json!({ "current": current, "queuedUp": [], "planNote": 7 });
    write(&data.join("upgrade-plan.json"), &plan);
    let entry = json!({ "performedAt": "2024-10-01T12:00:03.5Z", "info": current, "by": "0.1.8" });
    write(&data.join("upgrade-history.json"), &json!({ "history": [entry] }));
    symlink(data.join("upgrades/v1.1.0"), data.join("current")).unwrap();
    let version = json!({
        "name": "v1.1.0", "version": "1.1.0", "upgradeTime": "2024-10-01T14:00:00+02:00",
        "binaryDetails": FakeDaemon::new("nym-node", "1.1.0").build_info(),
    });
    write(&home.join("nymvisor/current-version.json"), &version);
    let backup = home.join("nymvisor/backups/v1.1.0");
    fs::create_dir_all(&backup).unwrap();
    fs::write(backup.join("backup-2024-10-01-preupgrade.tar.gz"), "old").unwrap();
}

/// A site with such an installation; `custom` is its own data folder, or none.
fn site(custom: Option<&str>) -> (Site, PathBuf) {
    let site = Site::new();
    let data = custom.map_or_else(|| site.data(""), |custom| site.path(custom));
    let data = PathBuf::from(data.to_str().unwrap().trim_end_matches('/'));
    installation(&data, &site.home(""));
    let setting = custom.map(|_| data.to_str().unwrap()).unwrap_or_default();
    let home = site.home("");
    let home = home.to_str().unwrap().trim_end_matches('/');
    let config = CONFIG.replace("@DATA@", setting).replace("@HOME@", home);
    let path = site.config_file("nym-node-default");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, config).unwrap();
    (site, data)
}

fn stage(custom: Option<&str>) -> (Stage, PathBuf) {
    let (mut site, data) = site(custom);
    let server = Server::start();
    let home = site.home("");
    site.set_env("DAEMON_HOME", home.to_str().unwrap().trim_end_matches('/'));
    site.set_env("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", &server.url("/up"));
    site.set_env("NYMVISOR_UPSTREAM_POLLING_RATE", "200ms");
    (Stage::of(site, server), data)
}

#[test]
fn commands_read_it_and_change_nothing() {
    for custom in [None, Some("own data")] {
        let (site, _) = site(custom);
        let before = site.tree();
        let shown: Value = serde_json::from_str(&site.ok(&["config", "-o", "json"])).unwrap();
        assert_eq!(shown["daemon"]["restart_on_failure"], false);
        assert_eq!(shown["daemon"]["absolute_upstream_upgrade_url"], Value::Null);
        assert_eq!(shown["daemon"]["backup_data_directory"], Value::Null);
        assert_eq!(shown["nymvisor"]["upgrade_data_directory"].is_null(), custom.is_none());
        let text = site.ok(&["config"]);
        assert!(text.contains("startup period duration:           2m\n"), "{text}");
        let details: Value =
            serde_json::from_str(&site.ok(&["daemon-build-info", "-o", "json"])).unwrap();
        assert_eq!(details["build_version"], "1.1.0");
        site.assert_unchanged(&before);
    }
}

#[test]
fn it_runs_and_upgrades_in_place_and_keeps_what_it_does_not_know() {
    for custom in [None, Some("own data")] {
        let (stage, data) = stage(custom);
        let config = fs::read(stage.site.config_file("nym-node-default")).unwrap();
        let mut run = stage.start(&["run"]);
        stage.until_log("started 1.1.0", 1);
        stage.announce("1.2.0");
        stage.until_log("started 1.2.0", 1);
        stage.until_phase("Running");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert_eq!(fs::read(stage.site.config_file("nym-node-default")).unwrap(), config);
        let plan = read_json(&data.join("upgrade-plan.json"));
        assert_eq!((&plan["current"]["name"], &plan["planNote"]), (&json!("v1.2.0"), &json!(7)));
        let history = read_json(&data.join("upgrade-history.json"));
        let entries = history["history"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["info"]["fromTheFuture"], json!({ "of": "0.1.x" }));
        assert_eq!(entries[0]["by"], "0.1.8");
        assert_eq!(entries[1]["info"]["name"], "v1.2.0");
        assert_eq!(fs::read_link(data.join("current")).unwrap(), Path::new("upgrades/v1.2.0"));
        let nymvisor = stage.site.home("nymvisor");
        let version = read_json(&nymvisor.join("current-version-info.json"));
        assert_eq!(version["name"], "v1.2.0");
        assert!(nymvisor.join("backups/v1.1.0/backup-2024-10-01-preupgrade.tar.gz").exists());
        assert!(data.join("genesis/bin/nym-node").exists());
        // And again: the older version file counts no more.
        let mut run = stage.start(&["run"]);
        stage.until_log("started 1.2.0", 2);
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert_eq!(stage.logged("started 1.1.0"), 1);
        if custom.is_some() {
            assert!(!stage.site.data("").exists(), "nothing of it is elsewhere");
            assert!(!data.join("nym-node").exists());
        }
    }
}

#[test]
fn what_0_1_x_had_queued_in_local_time_is_performed() {
    let (stage, data) = stage(None);
    let path = data.join("upgrade-plan.json");
    let mut plan = read_json(&path);
    let mut queued = stage.announcement("1.2.0");
    // An hour ago, and it looks like later.
    let zone = chrono::FixedOffset::east_opt(12 * 3600).unwrap();
    let due = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).with_timezone(&zone);
    queued["upgradeTime"] = json!(due.to_rfc3339());
    plan["queuedUp"] = json!([queued]);
    fs::write(&path, plan.to_string()).unwrap();
    write(&data.join("upgrades/v1.2.0/upgrade-info.json"), &queued);
    let mut run = stage.start(&["run"]);
    stage.until_log("started 1.2.0", 1);
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let plan = read_json(&path);
    assert_eq!(plan["current"]["name"], "v1.2.0");
    let at = plan["current"]["upgradeTime"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.parse::<chrono::DateTime<chrono::Utc>>().unwrap() == due);
    assert_eq!(stage.assert_consistent(), "v1.2.0");
}

#[test]
fn init_again_with_either_binary_changes_no_version() {
    let (site, data) = site(None);
    for version in ["1.0.0", "1.1.0"] {
        site.ok(&site.init_arguments(version));
        assert_eq!(read_json(&data.join("upgrade-plan.json"))["planNote"], 7);
        assert!(data.join("current/bin/nym-node").exists());
    }
    let details: Value =
        serde_json::from_str(&site.ok(&["daemon-build-info", "-o", "json"])).unwrap();
    assert_eq!(details["build_version"], "1.1.0");
}
