//! What no command accepts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::daemon::FakeDaemon;
use crate::support::site::{Outcome, Site};

/// What every command needs of an installation.
const COMMANDS: [&str; 4] = ["run", "config", "daemon-build-info", "add-upgrade"];

fn arguments(site: &Site, command: &str) -> Vec<String> {
    let mut arguments = vec![command.to_owned()];
    if command == "add-upgrade" {
        let binary = site.binary("nym-node", "1.1.0").to_str().unwrap().to_owned();
        arguments.extend([binary, "--upgrade-name".to_owned(), "v1.1.0".to_owned()]);
    }
    arguments
}

/// Runs a command that must fail so and change nothing.
fn refused(site: &Site, arguments: &[String], status: i32, said: &[&str]) -> Outcome {
    let mut before = site.tree();
    before.retain(|path, _| !is_ours_while_running(path));
    let outcome = site.run(arguments);
    assert_eq!(outcome.status, status, "{arguments:?}: {}", outcome.stderr);
    for said in said {
        assert!(outcome.stderr.contains(said), "{arguments:?}: {said:?} in {}", outcome.stderr);
    }
    assert_eq!(outcome.stdout, "", "{arguments:?}");
    let mut after = site.tree();
    after.retain(|path, _| !is_ours_while_running(path));
    assert_eq!(after, before, "{arguments:?}");
    outcome
}

/// Logs and locks of `run` itself.
fn is_ours_while_running(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let parts = ["/data/logs", "run.lock", "/.locks", "/data/journal", "/data/requests"];
    parts.iter().any(|part| path.contains(part))
}

#[test]
fn binaries_that_are_none() {
    let site = Site::new().initialised();
    let write = |name: &str, content: &str, mode: u32| {
        let path = site.path("built").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let other = FakeDaemon::new("nym-api", "1.1.0");
    other.write(&site.path("built/nym-api"));
    let api = site.path("built/nym-api").to_str().unwrap().to_owned();
    let folder = site.path("built").to_str().unwrap().to_owned();
    let odd_version = write("odd", &FakeDaemon::new("nym-node", "tomorrow").script(), 0o755);
    let cases = [
        (write("text", "hello", 0o755), "text"),
        (write("plain", "#!/bin/sh\necho {}", 0o644), "plain"),
        (write("garbage", "#!/bin/sh\necho garbage", 0o755), "garbage"),
        (write("half", "#!/bin/sh\necho '{\"binary_name\": '", 0o755), "half"),
        (write("fails", "#!/bin/sh\nexit 3", 0o755), "fails"),
        (folder, "built"),
        (site.path("built/none").to_str().unwrap().to_owned(), "none"),
        (odd_version, "tomorrow"),
        (api, "nym-api"),
    ];
    for (binary, said) in cases {
        let mut add = arguments(&site, "add-upgrade");
        add[1].clone_from(&binary);
        refused(&site, &add, 1, &[said]);
        // For init another daemon's binary begins an installation of its own.
        if !binary.ends_with("nym-api") {
            let home = site.path("fresh-home").to_str().unwrap().to_owned();
            let init = ["init", "--id", "fresh", "--daemon-home", &home, &binary];
            refused(&site, &init.map(str::to_owned), 1, &[said]);
        }
    }
}

#[test]
fn a_binary_that_hangs_is_given_up_after_ten_seconds() {
    let site = Site::new().initialised();
    let path = site.path("built/hangs");
    fs::write(&path, "#!/bin/sh\nsleep 1000").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut add = arguments(&site, "add-upgrade");
    add[1] = path.to_str().unwrap().to_owned();
    refused(&site, &add, 1, &["hangs", "10"]);
}

#[test]
fn no_instance_and_several() {
    let site = Site::new();
    for command in COMMANDS {
        refused(&site, &arguments(&site, command), 3, &["no nymvisor instance", "nymvisor init"]);
    }
    let site = Site::new().initialised();
    let mut second = site.init_arguments("1.0.0").map(str::to_owned).to_vec();
    second.extend(["--id".to_owned(), "second".to_owned()]);
    site.ok(&second);
    for command in COMMANDS {
        let said = ["several nymvisor instances", "nym-node-default, second", "NYMVISOR_ID"];
        refused(&site, &arguments(&site, command), 3, &said);
    }
    let site = site.with_env("NYMVISOR_ID", "third");
    for command in COMMANDS {
        refused(&site, &arguments(&site, command), 3, &["third", "nym-node-default"]);
    }
}

#[test]
fn a_malformed_configuration() {
    let good = {
        let site = Site::new().initialised();
        fs::read_to_string(site.config_file("nym-node-default")).unwrap()
    };
    let truncated = good[..good.find("polling_rate = ").unwrap() + 16].to_owned();
    let cases: [(String, &[&str]); 5] = [
        (truncated, &["config.toml, line ", ", column "]),
        ("[nymvisor\n".to_owned(), &["config.toml, line 1, column "]),
        (
            good.replace("max_startup_failures", "max_starup_failures"),
            &["max_starup_failures", "max_startup_failures", "line "],
        ),
        (
            good.replace("restart_on_failure = true", "restart_on_failure = 'often'"),
            &["restart_on_failure", "line ", "column "],
        ),
        (
            good.replace("= '1h'", "= 'soon'").replace("= \"1h\"", "= 'soon'"),
            &["upstream_polling_rate must be a duration", "line ", "column "],
        ),
    ];
    for (text, said) in cases {
        assert_ne!(text, good);
        let site = Site::new().initialised();
        fs::write(site.config_file("nym-node-default"), text).unwrap();
        for command in COMMANDS {
            refused(&site, &arguments(&site, command), 3, said);
        }
        let init = site.init_arguments("1.0.0").map(str::to_owned);
        refused(&site, &init, 3, said);
    }
}

#[test]
fn h34_every_malformed_variable() {
    let cases = [
        ("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", "nymtech.net"),
        ("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", "ftp://nymtech.net/"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "0"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "0s"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "often"),
        ("NYMVISOR_DISABLE_LOGS", "yes"),
        ("NYMVISOR_ID", "../evil"),
        ("DAEMON_NAME", "a/b"),
        ("DAEMON_ABSOLUTE_UPSTREAM_UPGRADE_URL", "http://"),
        ("DAEMON_ALLOW_BINARIES_DOWNLOAD", "2"),
        ("DAEMON_ENFORCE_DOWNLOAD_CHECKSUM", "nein"),
        ("DAEMON_RESTART_AFTER_UPGRADE", "on"),
        ("DAEMON_RESTART_ON_FAILURE", "never"),
        ("DAEMON_FAILURE_RESTART_DELAY", "10"),
        ("DAEMON_MAX_STARTUP_FAILURES", "-1"),
        ("DAEMON_STARTUP_PERIOD_DURATION", "2 moons"),
        ("DAEMON_SHUTDOWN_GRACE_PERIOD", "-10s"),
        ("DAEMON_UNSAFE_SKIP_BACKUP", "maybe"),
        ("DAEMON_PREPARE_AHEAD", "x"),
        ("DAEMON_MAX_BINARY_SIZE", "0"),
    ];
    for (variable, value) in cases {
        let site = Site::new().initialised().with_env(variable, value);
        for command in ["run", "config"] {
            let said = [variable, value, "allowed is"];
            refused(&site, &[command.to_owned()], 3, &said);
        }
    }
}

#[test]
fn truncated_json_files_are_named_and_left_alone() {
    let files = [
        ".nym/nymvisors/data/nym-node/upgrade-plan.json",
        "node/nymvisor/current-version-info.json",
    ];
    for file in files {
        let site = Site::new().initialised();
        let path = site.path(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = format!("{name}, line ");
        refused(&site, &arguments(&site, "add-upgrade"), 3, &[&said, "repair the file"]);
        let init = site.init_arguments("1.0.0").map(str::to_owned);
        refused(&site, &init, 3, &[&said]);
    }
    let site = Site::new().initialised();
    fs::write(site.data("upgrade-history.json"), "{\"history\": [").unwrap();
    refused(&site, &arguments(&site, "add-upgrade"), 3, &["upgrade-history.json, line 1"]);
}

#[test]
fn an_installation_without_its_binary_or_its_version() {
    let site = Site::new().initialised();
    fs::rename(site.data("genesis/bin/nym-node"), site.path("away")).unwrap();
    let said = ["genesis", "bin/nym-node", "missing"];
    refused(&site, &["run".to_owned()], 3, &said);

    let site = Site::new().initialised();
    fs::remove_file(site.home("nymvisor/current-version-info.json")).unwrap();
    fs::remove_file(site.data("current")).unwrap();
    let said = ["nothing tells which version runs here", "current-version-info.json"];
    refused(&site, &["run".to_owned()], 3, &said);
}

#[test]
fn without_a_home_there_is_no_instance() {
    let site = Site::new();
    let binary = site.binary("nym-node", "1.0.0").to_str().unwrap().to_owned();
    refused(&site, &["init".to_owned(), binary], 2, &["home", "--daemon-home"]);
}

#[test]
fn odd_links_of_the_current_version_are_named() {
    let cases: [fn(&Site); 3] = [
        |_| {},
        |site| symlink("upgrades/gone", site.data("current")).unwrap(),
        |site| fs::create_dir(site.data("current")).unwrap(),
    ];
    for (index, odd) in cases.into_iter().enumerate() {
        let site = Site::new().initialised();
        fs::remove_file(site.data("current")).unwrap();
        odd(&site);
        // The version file says what runs here; the link is for people.
        let shown = site.ok(&["daemon-build-info", "--output", "json"]);
        assert!(shown.contains("1.0.0"), "case {index}");
        if index > 0 {
            let init = site.init_arguments("1.0.0").map(str::to_owned);
            refused(&site, &init, 3, &["current"]);
        }
    }
}

/// A user who owns nothing.
const STRANGER: u32 = 65_534;

#[test]
fn read_only_folders_are_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can try this as the owner of what it can't write");
        return;
    }
    let read_only = [
        (".nym/nymvisors/data/nym-node", "add-upgrade"),
        (".nym/nymvisors/instances/nym-node-default/data", "run"),
        ("node/nymvisor", "run"),
        (".nym/nymvisors/instances", "init"),
    ];
    for (folder, command) in read_only {
        let site = Site::new().initialised();
        let program = site.path("built/nymvisor");
        fs::copy(env!("CARGO_BIN_EXE_nymvisor"), &program).unwrap();
        let mut arguments = arguments(&site, command);
        if command == "init" {
            arguments = site.init_arguments("1.0.0").map(str::to_owned).to_vec();
            arguments.extend(["--id".to_owned(), "second".to_owned()]);
        }
        for entry in walkdir::WalkDir::new(site.path("")) {
            let entry = entry.unwrap();
            std::os::unix::fs::lchown(entry.path(), Some(STRANGER), Some(STRANGER)).unwrap();
        }
        fs::set_permissions(site.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
        let before = site.tree();
        let mut run = Command::new(&program);
        run.args(&arguments).env_clear().env("HOME", site.path("")).env("PATH", "/usr/bin:/bin");
        let out = run.current_dir(site.path("")).uid(STRANGER).gid(STRANGER).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(3), "{folder}: {said}");
        assert!(said.contains(folder) && said.contains("ermission denied"), "{folder}: {said}");
        let mut after = site.tree();
        after.retain(|path, _| before.contains_key(path) || !is_ours_while_running(path));
        assert_eq!(after, before, "{folder}");
    }
}
