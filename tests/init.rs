//! `init`: what it makes, what it refuses, what it leaves alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::daemon::FakeDaemon;
use crate::support::site::{Site, read_json};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A later version, as the engine leaves the files once it is committed.
fn commit(site: &Site, name: &str, version: &str) {
    let daemon = FakeDaemon::new("nym-node", version);
    daemon.write(&site.data(&format!("upgrades/{name}/bin/nym-node")));
    let info = json!({
        "manual": false, "name": name, "notes": "", "publishDate": null, "version": version,
        "platforms": {}, "upgradeTime": "2026-01-01T00:00:00Z",
        "binaryDetails": daemon.build_info(),
    });
    let current = json!({
        "name": name, "version": version, "upgradeTime": "2026-01-01T00:00:00Z",
        "binaryDetails": daemon.build_info(),
    });
    let history = json!({"history": [{"performedAt": "2026-01-02T00:00:00Z", "info": info}]});
    let plan = json!({"current": info, "queuedUp": []});
    let write = |path: &Path, value: &Value| fs::write(path, value.to_string()).unwrap();
    write(&site.data(&format!("upgrades/{name}/upgrade-info.json")), &info);
    write(&site.data("upgrade-history.json"), &history);
    write(&site.data("upgrade-plan.json"), &plan);
    write(&site.home("nymvisor/current-version-info.json"), &current);
    fs::remove_file(site.data("current")).unwrap();
    symlink(format!("upgrades/{name}"), site.data("current")).unwrap();
}

#[test]
fn it_makes_the_folders_of_the_guide() {
    let site = Site::new().initialised();
    let tree = site.tree();
    let lines = tree.iter().map(|(path, what)| {
        let mut words = what.splitn(3, ' ');
        let mode = words.next().unwrap();
        let content = words.nth(1).unwrap();
        let link = if content.starts_with("-> ") { content } else { "" };
        format!("{mode:>4} {} {link}", path.display()).trim_end().to_owned()
    });
    let listed = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(listed);

    let details = FakeDaemon::new("nym-node", "1.0.0").build_info().clone();
    let genesis = json!({
        "manual": true, "name": "genesis", "notes": "", "publishDate": null, "version": "1.0.0",
        "platforms": {}, "upgradeTime": "1970-01-01T00:00:00Z", "binaryDetails": details,
    });
    assert_eq!(read_json(&site.data("genesis/upgrade-info.json")), genesis);
    let plan = read_json(&site.data("upgrade-plan.json"));
    assert_eq!(plan, json!({"current": genesis, "queuedUp": []}));
    let current = json!({
        "name": "genesis", "version": "1.0.0", "upgradeTime": "1970-01-01T00:00:00Z",
        "binaryDetails": details,
    });
    assert_eq!(read_json(&site.home("nymvisor/current-version-info.json")), current);
}

#[test]
fn it_prints_the_configuration_with_flags_and_environment() {
    let site = Site::new().with_env("DAEMON_MAX_STARTUP_FAILURES", "5");
    let mut arguments = site.init_arguments("1.0.0").map(String::from).to_vec();
    let flags = "--id mine --upstream-base-upgrade-url https://a.b/?x='y'&z \
        --upstream-polling-rate 30m --disable-nymvisor-logs --upgrade-data-directory up \
        --daemon-absolute-upstream-upgrade-url https://c.d/info.json \
        --allow-download-upgrade-binaries f --enforce-download-checksum 0 \
        --restart-daemon-after-upgrade=false --restart-daemon-on-failure=false \
        --on-failure-daemon-restart-delay 1s --max-daemon-startup-failures 3 \
        --startup-period-duration 3m --daemon-shutdown-grace-period 4s \
        --daemon-backup-data-directory ../backups --unsafe-skip-backup -o json";
    arguments.extend(flags.split_whitespace().map(String::from));
    let shown: Value = serde_json::from_str(&site.ok(&arguments)).unwrap();
    let here = site.path("");
    let nymvisor = json!({
        "id": "mine", "upstream_base_upgrade_url": "https://a.b/?…",
        "upstream_polling_rate": "30m", "disable_logs": true,
        "upgrade_data_directory": here.join("up"), "metrics_listen": null,
        "version_retention": null, "journal_retention": null, "log_retention": "14",
        "maintenance_windows": null, "upgrade_spread": "0s",
    });
    let daemon = json!({
        "name": "nym-node", "home": here.join("node"),
        "absolute_upstream_upgrade_url": "https://c.d/info.json",
        "allow_binaries_download": false, "enforce_download_checksum": false,
        "restart_after_upgrade": false, "restart_on_failure": false,
        "failure_restart_delay": "1s", "max_startup_failures": 5,
        "startup_period_duration": "3m", "shutdown_grace_period": "4s",
        "backup_data_directory": here.join("../backups"), "unsafe_skip_backup": true,
        "prepare_ahead": true, "max_binary_size": 2_147_483_648_u64,
        "backup_rate_limit": null, "backup_changes_limit": 67_108_864,
        "backup_retention": null,
        "rollback_on_failed_upgrade": false, "rollback_restores_data": true,
        "pre_upgrade_command": null, "pre_start_command": null,
        "post_upgrade_command": null, "on_failure_command": null, "hook_timeout": "5m",
        "health_check_url": null, "health_check_command": null, "health_check_interval": "5s",
    });
    assert_eq!(shown, json!({"nymvisor": nymvisor, "daemon": daemon}));
    let again: Value = serde_json::from_str(&site.ok(&["config", "-o", "json"])).unwrap();
    assert_eq!(again, shown);
    let saved = fs::read_to_string(site.config_file("mine")).unwrap();
    assert!(saved.contains("https://a.b/?x='y'&z"), "{saved}");
    assert!(site.path("up/nym-node/current").is_dir() && site.path("../backups").is_dir());
    fs::remove_dir(site.path("../backups")).unwrap();
}

/// Arguments that need the site's paths.
type Arguments = Box<dyn Fn(&Site) -> Vec<String>>;
/// Arguments, variables, exit status, what is said.
type Case = (Arguments, &'static [(&'static str, &'static str)], i32, &'static str);

#[test]
fn a_refused_init_leaves_nothing_behind() {
    let good = |site: &Site| site.init_arguments("1.0.0").map(String::from).to_vec();
    let with = |flag: &'static str, value: &'static str| {
        move |site: &Site| {
            let mut arguments = good(site);
            arguments.extend([flag.to_owned(), value.to_owned()]);
            arguments
        }
    };
    let script = |script: &'static str| -> Arguments {
        Box::new(move |site: &Site| {
            let path = site.path("built/odd");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            ["init", "--daemon-home", "node", text(&path)].map(String::from).to_vec()
        })
    };
    let nameless = r#"#!/bin/sh
        echo '{"binary_name":"../x","build_timestamp":"","build_version":"1.0.0","commit_sha":"",
        "commit_timestamp":"","commit_branch":"","rustc_version":"","rustc_channel":"",
        "cargo_profile":""}'"#;
    let table: Vec<Case> = vec![
        (Box::new(|s| vec!["init".into(), text(&s.binary("n", "1.0.0")).into()]), &[], 2, "home"),
        (script("no program"), &[], 1, "is no program for this machine"),
        (script("#!/bin/sh\necho hello"), &[], 1, "printed no build info"),
        (script("#!/bin/sh\nexit 3"), &[], 1, "failed (status 3)"),
        (script(nameless), &[], 1, "'../x'"),
        (Box::new(good), &[("DAEMON_NAME", "nym-api")], 1, "is a 'nym-node'"),
        (Box::new(good), &[("DAEMON_HOME", "built/nym-node-1.0.0")], 3, "is not a folder"),
        (Box::new(good), &[("DAEMON_BACKUP_DATA_DIRECTORY", "file/b")], 3, "can't create"),
        (Box::new(good), &[("DAEMON_HOME", "file/home")], 3, "Not a directory"),
        (Box::new(good), &[("NYMVISOR_UPGRADE_DATA_DIRECTORY", "file/b")], 3, "file/b"),
        (Box::new(good), &[("NYMVISOR_CONFIG_PATH", "file/c.toml")], 3, "file/c.toml"),
        (Box::new(good), &[("NYMVISOR_CONFIG_PATH", "new/deep/file")], 0, ""),
        (Box::new(with("--id", "../x")), &[], 2, "--id is '../x'"),
        (Box::new(with("--upstream-polling-rate", "0s")), &[], 2, "--upstream-polling-rate"),
        (Box::new(with("--output", "xml")), &[], 2, "xml"),
    ];
    for (arguments, variables, status, hint) in table {
        let mut site = Site::new();
        fs::write(site.path("file"), "").unwrap();
        for (name, value) in variables {
            site.set_env(name, value);
        }
        let arguments = arguments(&site);
        let before = site.tree();
        let outcome = site.run(&arguments);
        assert_eq!(outcome.status, status, "{arguments:?} {variables:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(hint), "{hint}: {}", outcome.stderr);
        if status != 0 {
            assert!(outcome.stdout.is_empty() && outcome.stderr.contains("error: "));
            site.assert_unchanged(&before);
        }
    }
}

#[test]
fn a_failure_at_the_last_step_takes_everything_back() {
    let site = Site::new().initialised();
    // The second instance fails where its configuration is written: a folder has that name.
    let file = site.config_file("second");
    fs::create_dir_all(file.with_file_name(".config.toml.new").join("x")).unwrap();
    let before = site.tree();
    let binary = site.binary("nym-node", "1.0.0");
    let arguments = ["init", "--id", "second", "--daemon-home", "other/home", text(&binary)];
    let outcome = site.run(&arguments);
    assert_eq!(outcome.status, 3, "{}", outcome.stderr);
    site.assert_unchanged(&before);
}

#[test]
fn h20_a_repeated_init_changes_nothing_whatever_runs() {
    let site = Site::new().initialised();
    let before = site.tree();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let genesis = site.data("genesis/bin/nym-node");
    let first = inode(&genesis);
    site.ok(&site.init_arguments("1.0.0"));
    site.assert_unchanged(&before);
    assert_eq!(inode(&genesis), first);

    commit(&site, "v1.1.0", "1.1.0");
    let before = site.tree();
    for version in ["1.0.0", "1.1.0"] {
        site.ok(&site.init_arguments(version));
        site.assert_unchanged(&before);
    }
    let binary = site.binary("nym-node", "1.0.0");
    site.ok(&["init", text(&binary), "--upstream-polling-rate", "7m"]);
    assert!(site.ok(&["config"]).contains("7m"), "the configuration may be changed");
    let refused = site.run(&site.init_arguments("1.2.0"));
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("nymvisor add-upgrade "), "{}", refused.stderr);
}

#[test]
fn what_was_configured_before_holds_in_a_repeated_init() {
    let site = Site::new();
    let mut arguments = site.init_arguments("1.0.0").to_vec();
    arguments.extend(["--max-daemon-startup-failures", "3"]);
    site.ok(&arguments);
    site.ok(&site.init_arguments("1.0.0"));
    assert!(site.ok(&["config"]).contains("max startup failures:              3\n"));
    let binary = site.binary("nym-node", "1.0.0");
    let refused = site.run(&["init", "--daemon-home", "other", text(&binary)]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("another --id"), "{}", refused.stderr);
}

#[test]
fn h21_a_second_instance_shares_the_data_and_starts_as_genesis() {
    let site = Site::new().initialised();
    commit(&site, "v1.1.0", "1.1.0");
    let shared = |site: &Site| {
        let mut tree = site.tree();
        tree.retain(|path, _| path.starts_with(".nym/nymvisors/data"));
        tree
    };
    let before = shared(&site);
    let binary = site.binary("nym-node", "1.0.0");
    let second = ["init", "--id", "two", "--daemon-home", "two", text(&binary)];
    site.ok(&second);
    assert_eq!(shared(&site), before);
    let version = read_json(&site.path("two/nymvisor/current-version-info.json"));
    assert_eq!((&version["name"], &version["version"]), (&json!("genesis"), &json!("1.0.0")));
    let current = site.binary("nym-node", "1.1.0");
    site.ok(&["init", "--id", "three", "--daemon-home", "three", text(&current)]);
    let version = read_json(&site.path("three/nymvisor/current-version-info.json"));
    assert_eq!(version["name"], "v1.1.0");

    // Another daemon's instance lives beside it.
    let api = site.binary("nym-api", "9.0.0");
    site.ok(&["init", "--daemon-home", "api", text(&api)]);
    assert!(site.path(".nym/nymvisors/data/nym-api/current/bin/nym-api").is_file());
    assert_eq!(
        shared(&site).keys().filter(|p| p.starts_with(".nym/nymvisors/data/nym-node")).count(),
        before.keys().filter(|p| p.starts_with(".nym/nymvisors/data/nym-node")).count()
    );
}

#[test]
fn a_second_instance_on_the_same_home_is_made_with_a_warning() {
    let site = Site::new().initialised();
    let binary = site.binary("nym-node", "1.0.0");
    let second = site.run(&["init", "--id", "two", "--daemon-home", "./node/", text(&binary)]);
    assert_eq!(second.status, 0, "{}", second.stderr);
    assert!(
        second.stderr.starts_with("warning: the instance 'nym-node-default' has the same home")
    );
    assert!(site.config_file("two").is_file());
}

#[test]
fn an_installation_of_0_1_x_is_taken_over_in_place() {
    let site = Site::new().initialised();
    // As 0.1.x left it: an absolute link, no data folder in the instance, the older file name.
    fs::remove_file(site.data("current")).unwrap();
    symlink(site.data("genesis"), site.data("current")).unwrap();
    fs::rename(
        site.home("nymvisor/current-version-info.json"),
        site.home("nymvisor/current-version.json"),
    )
    .unwrap();
    fs::remove_file(site.config_file("nym-node-default")).unwrap();
    let before = site.tree();
    site.ok(&site.init_arguments("1.0.0"));
    let mut after = site.tree();
    after.retain(|path, _| !path.ends_with("config.toml"));
    assert_eq!(after, before);
    assert!(site.ok(&["daemon-build-info"]).contains("1.0.0"));
}

#[test]
fn h15_a_missing_link_is_made_again_and_an_odd_one_is_refused() {
    let site = Site::new().initialised();
    commit(&site, "v1.1.0", "1.1.0");
    let link = site.data("current");
    fs::remove_file(&link).unwrap();
    site.ok(&site.init_arguments("1.0.0"));
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("upgrades/v1.1.0"));

    let refused = |what: &str| {
        let before = site.tree();
        let outcome = site.run(&site.init_arguments("1.0.0"));
        assert_eq!(outcome.status, 3, "{what}");
        assert!(outcome.stderr.contains(what), "{what}: {}", outcome.stderr);
        site.assert_unchanged(&before);
    };
    for (target, what) in [("upgrades/gone", "nothing"), ("/tmp", "none of ours"), ("..", "to ..")]
    {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        refused(what);
    }
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    refused("is no link");
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let files = [
        "data/nym-node/upgrade-plan.json",
        "data/nym-node/genesis/upgrade-info.json",
        "data/nym-node/upgrade-history.json",
        "instances/nym-node-default/config/config.toml",
    ];
    for file in files {
        let site = Site::new().initialised();
        fs::write(site.path(".nym/nymvisors").join(file), "{").unwrap();
        let before = site.tree();
        let outcome = site.run(&site.init_arguments("1.0.0"));
        assert_eq!(outcome.status, 3, "{file}");
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(outcome.stderr.contains(&format!("{name}, line 1, ")), "{}", outcome.stderr);
        site.assert_unchanged(&before);
    }
}

#[test]
fn h47_the_operators_own_file_is_not_touched() {
    let site = Site::new();
    let binary = site.binary("nym-node", "1.0.0");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o540)).unwrap();
    site.ok(&["init", "--daemon-home", "node", text(&binary)]);
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o540);
    let copy = fs::metadata(site.data("genesis/bin/nym-node")).unwrap();
    assert_eq!(copy.permissions().mode() & 0o777, 0o551);
}

#[test]
fn a_stranger_is_refused_and_root_keeps_the_owner() {
    const STRANGER: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let site = Site::new().initialised();
    for folder in [site.path(""), site.path("built")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // The program itself may lie where a stranger can't look.
    let program = site.path("built/nymvisor");
    fs::copy(env!("CARGO_BIN_EXE_nymvisor"), &program).unwrap();
    let newer = site.binary("nym-node", "1.1.0");
    let add = ["add-upgrade", text(&newer), "--upgrade-name", "v1.1.0"];
    for arguments in [&site.init_arguments("1.0.0")[..], &add] {
        let before = site.tree();
        let mut command = std::process::Command::new(&program);
        command.args(arguments).env_clear().env("HOME", site.path("")).env("PATH", "/usr/bin:/bin");
        let out = command.uid(STRANGER).gid(STRANGER).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("belongs to the user 'root', and you are"), "{said}");
        site.assert_unchanged(&before);
    }
    for entry in walkdir::WalkDir::new(site.path(".nym"))
        .into_iter()
        .chain(walkdir::WalkDir::new(site.home("")))
    {
        std::os::unix::fs::lchown(entry.unwrap().path(), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    site.ok(&add);
    for (path, what) in site.tree().iter().filter(|(path, _)| path.starts_with(".nym/nymvisors")) {
        assert!(what.contains(" 65534 "), "{}: {what}", path.display());
    }
}
