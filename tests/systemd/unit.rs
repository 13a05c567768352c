//! What `systemd-unit` prints, as text and to systemd's own eyes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nymvisor::unit::{Unit, word};

use crate::support::site::Site;

/// The one in README.
fn readmes() -> Unit {
    let root = PathBuf::from("/home/nym/.nym");
    Unit {
        daemon: "nym-node".to_owned(),
        user: "nym".to_owned(),
        program: "/usr/local/bin/nymvisor".into(),
        env_file: None,
        daemon_args: ["run", "--id", "my-node"].map(OsString::from).to_vec(),
        environment: vec![("NYMVISOR_ID", "nym-node-default".into())],
        config_file: root.join("nymvisors/instances/nym-node-default/config/config.toml"),
        folders: vec![
            root.join("nym-nodes/my-node"),
            root.join("nymvisors/data/nym-node"),
            root.join("nymvisors/instances/nym-node-default"),
            root.join("nym-nodes/my-node/nymvisor/backups"),
        ],
        runtime_folder: None,
        grace: Duration::from_secs(10),
    }
}

/// The values of a setting, one for each time that it stands there.
fn values<'a>(unit: &'a str, setting: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('=')).collect()
}

#[test]
fn the_one_in_readme_is_what_the_command_prints() {
    let readme = include_str!("../../README.md");
    let (_, from) = readme.split_once("```ini\n").expect("README shows a unit");
    let (shown, _) = from.split_once("```\n").unwrap();
    let text = readmes().text().unwrap();
    assert_eq!(shown, text, "README is to show:\n{text}");
}

#[test]
fn words_are_quoted_as_systemd_reads_them() {
    let table = [
        ("/usr/bin/plain-1.0_x", "/usr/bin/plain-1.0_x"),
        ("100%", "100%%"),
        ("two words", "\"two words\""),
        ("", "\"\""),
        (";", "\";\""),
        ("#1", "\"#1\""),
        ("it's", "\"it's\""),
        ("say \"no\"", "\"say \\\"no\\\"\""),
        ("back\\slash", "\"back\\\\slash\""),
        ("grüße", "grüße"),
        ("$HOME", "$HOME"),
    ];
    for (text, expected) in table {
        assert_eq!(word(OsStr::new(text)).unwrap(), expected, "{text}");
    }
    for bad in [&b"line\nbreak"[..], b"\xff", b"\x1b[31m"] {
        let error = word(OsStr::from_bytes(bad)).unwrap_err().to_string();
        assert!(error.contains("can't stand in a unit") && !error.contains('\x1b'), "{error}");
    }
}

#[test]
fn the_command_line_reaches_nymvisor_as_it_was_typed() {
    let with = |args: &[&str]| {
        let daemon_args = args.iter().map(OsString::from).collect();
        let unit = Unit { daemon_args, env_file: Some("/etc/a b.env".into()), ..readmes() };
        values(&unit.text().unwrap(), "ExecStart")[0].to_owned()
    };
    let start = "/usr/local/bin/nymvisor --config-env-file \"/etc/a b.env\" run";
    assert_eq!(with(&[]), start);
    assert_eq!(with(&["run", "5$ or 5%"]), format!("{start} run \"5$$ or 5%%\""));
    assert_eq!(with(&["--help"]), format!("{start} -- --help"));
    assert_eq!(with(&["--", "x"]), format!("{start} -- -- x"));
    for bad in ["/opt/it's/nymvisor", "/opt/$x/nymvisor"] {
        let unit = Unit { program: bad.into(), ..readmes() };
        assert!(unit.text().unwrap_err().to_string().contains("can't be started"), "{bad}");
    }
}

#[test]
fn what_lies_where_is_what_is_protected() {
    let text = readmes().text().unwrap();
    assert_eq!(values(&text, "ProtectHome"), ["read-only"]);
    assert_eq!(values(&text, "PrivateTmp"), ["yes"]);
    let written = values(&text, "ReadWritePaths")[0];
    assert_eq!(written.split(' ').count(), 3, "the backups lie in the home: {written}");
    let elsewhere = Unit {
        folders: vec!["/var/lib/nym".into()],
        config_file: "/var/lib/nym/config.toml".into(),
        grace: Duration::from_mins(5),
        ..readmes()
    };
    let text = elsewhere.text().unwrap();
    assert_eq!(values(&text, "ProtectHome"), ["yes"]);
    assert_eq!(values(&text, "TimeoutStopSec"), ["330"]);
    let in_tmp = Unit { program: "/tmp/nymvisor".into(), ..elsewhere };
    assert_eq!(values(&in_tmp.text().unwrap(), "PrivateTmp"), ["no"]);
    assert_eq!(values(&text, "Delegate"), ["yes"]);
    let roots = Unit { user: "root".to_owned(), ..readmes() };
    assert!(values(&roots.text().unwrap(), "CapabilityBoundingSet")[0].contains("CAP_CHOWN"));
}

/// A nymvisor, an instance and arguments that take some quoting.
fn odd_site() -> (Site, String) {
    let site = Site::new();
    let folder = site.path("100% odd; folder");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("nymvisor");
    if fs::hard_link(env!("CARGO_BIN_EXE_nymvisor"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_nymvisor"), &program).unwrap();
    }
    let run = |arguments: &[&OsStr]| {
        let mut command = site.command(arguments);
        let inner: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
        let mut odd = Command::new(&program);
        odd.args(inner).env_clear();
        odd.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = odd;
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let home = site.path("50% my \"home\"");
    let binary = site.binary("nym-node", "1.0.0");
    run(&["init".as_ref(), "--daemon-home".as_ref(), home.as_ref(), binary.as_ref()]);
    let unit = run(&["systemd-unit", "run", "--id", "a b$c%d", ";"].map(OsStr::new));
    (site, unit)
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn systemd_finds_nothing_wrong_with_it() {
    let (site, unit) = odd_site();
    assert_eq!(values(&unit, "Environment").len(), 2, "HOME and the instance: {unit}");
    let path = site.path("nym-node.service");
    fs::write(&path, &unit).unwrap();
    let Some((fine, said)) = systemd_analyze(&["verify", "--man=no"], &path) else {
        return eprintln!("skipped: there is no systemd-analyze");
    };
    assert!(fine && said.is_empty(), "{said}\n{unit}");
    // The same with a mistake: it would have been told.
    fs::write(&path, unit.replace("KillMode=mixed", "KillMode=gently")).unwrap();
    let (_, said) = systemd_analyze(&["verify", "--man=no"], &path).unwrap();
    assert!(said.contains("kill mode"), "{said}");
}

#[test]
fn a_folder_for_a_socket_is_made_below_run() {
    assert!(values(&readmes().text().unwrap(), "RuntimeDirectory").is_empty());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nym-node.service");
    let runtime_folder = Some("nymvisor/a b".into());
    let unit =
        Unit { user: "root".to_owned(), program: "/bin/sh".into(), runtime_folder, ..readmes() };
    let text = unit.text().unwrap();
    assert_eq!(values(&text, "RuntimeDirectory"), ["\"nymvisor/a b\""]);
    fs::write(&path, text).unwrap();
    let Some((fine, said)) = systemd_analyze(&["verify", "--man=no"], &path) else {
        return eprintln!("skipped: there is no systemd-analyze");
    };
    assert!(fine && said.is_empty(), "{said}");
}

/// The figure is systemd's own, from 0 to 10; below 5 it calls it OK.
#[test]
fn systemd_calls_it_hardly_exposed() {
    let folder = tempfile::tempdir().unwrap();
    for (user, bound) in [("nym", "30"), ("root", "40")] {
        let path = folder.path().join(format!("{user}.service"));
        let unit = Unit { user: user.to_owned(), program: "/bin/sh".into(), ..readmes() };
        fs::write(&path, unit.text().unwrap()).unwrap();
        let threshold = format!("--threshold={bound}");
        let asked = ["security", "--offline=true", "--no-pager", &threshold];
        let Some((fine, said)) = systemd_analyze(&asked, &path) else {
            return eprintln!("skipped: there is no systemd-analyze");
        };
        assert!(fine, "{said}");
    }
}

#[test]
fn what_it_depends_on_is_said_where_it_is_missing() {
    let site = Site::new().initialised();
    let outcome = site.run(&["systemd-unit"]);
    assert_eq!(outcome.status, 0);
    assert!(outcome.stderr.contains("without arguments"), "{}", outcome.stderr);
    let set = Site::new().initialised().with_env("DAEMON_FAILURE_RESTART_DELAY", "1s");
    let outcome = set.run(&["systemd-unit", "run"]);
    let warning = "warning: set here, and not in the unit: DAEMON_FAILURE_RESTART_DELAY;";
    assert!(outcome.stderr.starts_with(warning), "{}", outcome.stderr);
    let backups = site.path("elsewhere").into_os_string().into_string().unwrap();
    let lost = site.with_env("DAEMON_BACKUP_DATA_DIRECTORY", &backups);
    let outcome = lost.run(&["systemd-unit", "run"]);
    assert_eq!(outcome.status, 3);
    assert!(outcome.stderr.contains("elsewhere is not there"), "{}", outcome.stderr);
}
