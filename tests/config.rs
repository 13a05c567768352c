//! The configuration: file, environment, precedence, look-up, output.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nymvisor::config::{self, Address, Config, Env, Error, Paths, Root};
use nymvisor::disk::RealDisk;
use nymvisor::release::UpgradeName;

const MINIMAL: &str = "[nymvisor]\n[daemon]\nname = 'nym-node'\nhome = '/home/nym/node'\n";

pub(crate) fn env(pairs: &[(&str, &str)]) -> Env {
    Env::of(pairs.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))))
}

pub(crate) fn sample() -> Config {
    let mut config = Config::draft();
    config.daemon.name = "nym-node".into();
    config.daemon.home = "/home/nym/.nym/nym-nodes/default-nym-node".into();
    config.daemon.restart_on_failure = false;
    config.finish().unwrap()
}

pub(crate) fn read_text(text: &str) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    config::read(&RealDisk, &path).map(Option::unwrap)
}

#[test]
fn the_text_output_is_that_of_the_guide() {
    insta::assert_snapshot!(config::to_text(&sample()));
}

#[test]
fn the_json_output_is_that_of_the_guide() {
    insta::assert_snapshot!(config::to_json(&sample()));
}

#[test]
fn the_file_has_a_comment_on_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    config::write(&RealDisk, &path, &sample()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
}

#[test]
fn h48_values_survive_a_save_whatever_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let odd = "/a&b/'c'/\"d\"=<e>\\f\n\t\u{7f}ä\u{1f600}#[x]'''\"\"\"";
    let url = "https://us'er:p&ss@example.com/a?b='c'&d=\"e\"=<f>&amp;#x";
    let mut config = sample();
    config.daemon.home = odd.into();
    config.daemon.name = "a&b='c'".into();
    config.nymvisor.upgrade_data_directory =
        Some(PathBuf::from(OsString::from_vec(b"/not/\xff\xfe/utf8".to_vec())));
    config.daemon.absolute_upstream_upgrade_url = Some(Address::parse(url).unwrap());
    config.daemon.failure_restart_delay = Duration::from_millis(3_723_004);
    config.daemon.max_binary_size = 1_500_000_001;
    config::write(&RealDisk, &path, &config).unwrap();
    let once = fs::read(&path).unwrap();
    let read = config::read(&RealDisk, &path).unwrap().unwrap();
    assert_eq!(read, config);
    config::write(&RealDisk, &path, &read).unwrap();
    assert_eq!(fs::read(&path).unwrap(), once);
}

#[test]
fn a_file_may_lack_any_key() {
    let config = read_text(MINIMAL).unwrap().finish().unwrap();
    let mut expected = sample();
    expected.daemon.home = "/home/nym/node".into();
    expected.daemon.restart_on_failure = true;
    assert_eq!(config, expected);
    assert_eq!(read_text("").unwrap(), Config::draft());
    for required in ["[daemon]\nname = 'a'", "[daemon]\nhome = '/a'"] {
        let text = read_text(required).unwrap().finish().unwrap_err().to_string();
        assert!(text.contains("is missing"), "{text}");
    }
}

#[test]
fn a_malformed_file_is_reported_with_line_and_column() {
    let table = [
        ("[nymvisor\n", "line 1, column 10"),
        ("[nymvisor]\nid = ", "line 2, column 6"),
        ("[nymvisor]\nid = 'a", "line 2, column"),
        ("[nymvisor]\nid = 3", "line 2, column 6: nymvisor.id must be a text in quotes"),
        ("[nymvisor]\nid = 'a/b'", "line 2, column 6: nymvisor.id must be 1 to 128"),
        ("[nymvisor]\nid = ''", "line 2, column 6: nymvisor.id must be"),
        ("[nymvisor]\nid = 'a'\nid = 'b'", "line 3, column 1"),
        (
            "[nymvisor]\nidd = 'a'",
            "line 2, column 1: unknown key 'nymvisor.idd'; did you mean 'id'?",
        ),
        ("[nymvisr]\n", "line 1, column 2: unknown key 'nymvisr'; did you mean 'nymvisor'?"),
        ("nymvisor = 3", "line 1, column 1: 'nymvisor' is a table"),
        ("[daemon]\n\n  restart_on_failur = true", "line 3, column 3: unknown key"),
        ("[daemon]\nprepare_ahead = 'yes'", "line 2, column 17: daemon.prepare_ahead must be true"),
        ("[daemon]\nmax_startup_failures = -1", "line 2, column 24"),
        ("[daemon]\nmax_startup_failures = 1.5", "line 2, column 24"),
        ("[daemon]\nmax_binary_size = 0", "line 2, column 19"),
        ("[daemon]\nfailure_restart_delay = '10'", "line 2, column 25"),
        ("[daemon]\nhome = [1, 2, 300]", "line 2, column 8"),
        ("[daemon]\nhome = ''", "line 2, column 8"),
        ("[nymvisor]\nupstream_polling_rate = '0s'", "line 2, column 25: nymvisor.upstream_"),
        ("[nymvisor]\nupstream_base_upgrade_url = 'ftp://x'", "line 2, column 29"),
    ];
    for (text, place) in table {
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains("config.toml, ") && error.contains(place), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"[daemon]\n# \xff").unwrap();
    let error = config::read(&RealDisk, &path).unwrap_err().to_string();
    assert!(error.contains("line 2, column 3"), "{error}");
    assert!(config::read(&RealDisk, &folder.path().join("none")).unwrap().is_none());
}

#[test]
fn h49_relative_paths_become_absolute() {
    let mut config = sample();
    config.set_by_env(&env(&[("DAEMON_HOME", "x/../y")])).unwrap();
    config
        .set_by_flag("daemon.backup_data_directory", "--daemon-backup-data-directory", "b".as_ref())
        .unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(config.daemon.home, here.join("x/../y"));
    assert_eq!(config.daemon.backup_data_directory, Some(here.join("b")));
}

#[test]
fn credentials_are_never_shown() {
    let mut config = sample();
    let url = "https://nym:s3cret@example.com/x?token=s3cret";
    config.set_by_env(&env(&[("DAEMON_ABSOLUTE_UPSTREAM_UPGRADE_URL", url)])).unwrap();
    let shown = [
        config::to_text(&config),
        config::to_json(&config).to_string(),
        format!("{config:?} {}", config.polled_url()),
    ];
    for text in shown {
        assert!(!text.contains("s3cret") && text.contains("example.com/x?…"), "{text}");
    }
    assert_eq!(config.polled_url().url().password(), Some("s3cret"));
    for bad in [
        "ftp://nym:s3cret@example.com",
        "nym:s3cret@example.com",
        "http://a:s3cret@:x",
        "ftp://example.com/x?token=s3cret",
        "example.com?token=s3cret@home",
    ] {
        let error = env(&[("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", bad)]).check().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        let text = format!("[nymvisor]\nupstream_base_upgrade_url = '{bad}'");
        let error = read_text(&text).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn the_polled_url_is_derived_from_the_base() {
    let polled = |base: &str| {
        let mut config = sample();
        config.nymvisor.upstream_base_upgrade_url = Address::parse(base).unwrap();
        config.polled_url().url().to_string()
    };
    let file = "/nym-node/upgrade-info.json";
    assert_eq!(polled("https://a.b/.wellknown/"), format!("https://a.b/.wellknown{file}"));
    assert_eq!(polled("https://a.b/x//"), format!("https://a.b/x{file}"));
    assert_eq!(polled("http://a.b"), format!("http://a.b{file}"));
    assert_eq!(polled("http://a.b/x/?k=v&l"), format!("http://a.b/x{file}?k=v&l"));
    let mut config = sample();
    config.daemon.absolute_upstream_upgrade_url = Some(Address::parse("http://c/d").unwrap());
    assert_eq!(config.polled_url().to_string(), "http://c/d");
}

#[test]
fn the_file_is_found_by_path_then_id_then_as_the_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let load = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = [("HOME", home)].into_iter().chain(pairs.iter().copied()).collect();
        config::load(&RealDisk, &env(&pairs))
    };
    let instances = folder.path().join(".nym/nymvisors/instances");
    let make = |id: &str| {
        let text = format!("[nymvisor]\nid = '{id}'\n{}", &MINIMAL["[nymvisor]\n".len()..]);
        fs::create_dir_all(instances.join(id).join("config")).unwrap();
        fs::write(instances.join(id).join("config/config.toml"), text).unwrap();
    };
    assert!(matches!(load(&[]), Err(Error::NoInstance { .. })));
    fs::create_dir_all(instances.join("no-instance/data")).unwrap();
    make("one");
    assert_eq!(load(&[]).unwrap().0.nymvisor.id, "one");
    make("two");
    let several = load(&[]).unwrap_err().to_string();
    assert!(several.contains("one, two") && several.contains("NYMVISOR_ID=one"), "{several}");
    assert_eq!(load(&[("NYMVISOR_ID", "two")]).unwrap().0.nymvisor.id, "two");
    let none = load(&[("NYMVISOR_ID", "three")]).unwrap_err().to_string();
    assert!(none.contains("'three'") && none.contains("one, two"), "{none}");

    let outside = folder.path().join("outside.toml");
    fs::write(&outside, MINIMAL.replacen('\n', "\nid = 'out'\n", 1)).unwrap();
    let outside = outside.to_str().unwrap();
    let (config, paths) = load(&[("NYMVISOR_CONFIG_PATH", outside)]).unwrap();
    assert_eq!(config.nymvisor.id, "out");
    assert_eq!(paths.journal(), instances.join("out/data/journal"));
    let foreign = load(&[("NYMVISOR_CONFIG_PATH", outside), ("NYMVISOR_ID", "one")]);
    assert!(matches!(foreign, Err(Error::Foreign { .. })), "{foreign:?}");

    config::claim(&RealDisk, &paths).unwrap();
    load(&[("NYMVISOR_CONFIG_PATH", outside)]).unwrap();
    let second = folder.path().join("second.toml");
    fs::copy(outside, &second).unwrap();
    let second = [("NYMVISOR_CONFIG_PATH", second.to_str().unwrap())];
    assert!(matches!(load(&second), Err(Error::Foreign { .. })), "claimed by the first");
    fs::remove_file(outside).unwrap();
    load(&second).unwrap();
}

#[test]
fn a_custom_data_folder_gets_the_daemons_name_unless_0_1_x_used_it_directly() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = sample();
    let root = Root::of(&env(&[("NYM_HOME_DIR", "/nym"), ("HOME", "/home/x")])).unwrap();
    let data = |config: &Config| {
        Paths::new(&RealDisk, root.clone(), "/c".into(), config).data().to_owned()
    };
    assert_eq!(data(&config), Path::new("/nym/.nym/nymvisors/data/nym-node"));
    config.nymvisor.upgrade_data_directory = Some(folder.path().to_owned());
    assert_eq!(data(&config), folder.path().join("nym-node"));
    std::os::unix::fs::symlink("genesis", folder.path().join("current")).unwrap();
    assert_eq!(data(&config), folder.path().join("nym-node"));
    fs::write(folder.path().join("upgrade-plan.json"), "{}").unwrap();
    assert_eq!(data(&config), folder.path());
}

#[test]
fn the_paths_are_those_of_the_guide() {
    let mut config = sample();
    let root = Root::of(&env(&[("HOME", "/home/nym")])).unwrap();
    let file = root.config_of("nym-node-default");
    let paths = Paths::new(&RealDisk, root, file, &config);
    let name: UpgradeName = "v1.1.0".parse().unwrap();
    let data = Path::new("/home/nym/.nym/nymvisors/data/nym-node");
    assert_eq!(paths.binary(&name), data.join("upgrades/v1.1.0/bin/nym-node"));
    assert_eq!(paths.binary(&UpgradeName::genesis()), data.join("genesis/bin/nym-node"));
    assert_eq!(paths.upgrade_info(&name), data.join("upgrades/v1.1.0/upgrade-info.json"));
    assert_eq!(Paths::link_target(&name), Path::new("upgrades/v1.1.0"));
    assert_eq!(paths.backup_of(&name), config.daemon.home.join("nymvisor/backups/v1.1.0"));
    config.daemon.backup_data_directory = Some("/b".into());
    let paths = Paths::new(&RealDisk, paths.root().clone(), "/c".into(), &config);
    assert_eq!(paths.backup_of(&name), Path::new("/b/v1.1.0"));
}

#[test]
fn the_policy_is_in_milliseconds() {
    let policy = sample().policy();
    assert!(!policy.restart_on_failure && policy.prepare_ahead);
    assert_eq!(policy.failure_restart_delay_ms, 10_000);
    assert_eq!((policy.startup_period_ms, policy.shutdown_grace_ms), (120_000, 10_000));
}
