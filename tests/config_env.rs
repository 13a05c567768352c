//! The configuration from the environment, from a `-c` file and from flags.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use nymvisor::config::{Config, Env, Error};

use crate::config::{env, read_text, sample};

#[test]
fn every_malformed_variable_is_named_with_what_is_allowed() {
    let table = [
        ("NYMVISOR_ID", "a/b", "characters"),
        ("NYMVISOR_ID", "..", "characters"),
        ("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", "example.com", "http://"),
        ("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", "file:///etc/passwd", "http://"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "0", "duration"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "0s", "more than zero"),
        ("NYMVISOR_UPSTREAM_POLLING_RATE", "soon", "duration"),
        ("NYMVISOR_DISABLE_LOGS", "yes", "true"),
        ("NYMVISOR_UPGRADE_DATA_DIRECTORY", "a\0b", "path"),
        ("DAEMON_NAME", "../sh", "characters"),
        ("DAEMON_HOME", "a\0b", "path"),
        ("DAEMON_ABSOLUTE_UPSTREAM_UPGRADE_URL", "http://", "http://"),
        ("DAEMON_ALLOW_BINARIES_DOWNLOAD", "2", "true"),
        ("DAEMON_ENFORCE_DOWNLOAD_CHECKSUM", "on", "true"),
        ("DAEMON_RESTART_AFTER_UPGRADE", "truee", "true"),
        ("DAEMON_RESTART_ON_FAILURE", "-", "true"),
        ("DAEMON_FAILURE_RESTART_DELAY", "10", "duration"),
        ("DAEMON_MAX_STARTUP_FAILURES", "-1", "whole number"),
        ("DAEMON_STARTUP_PERIOD_DURATION", "1 fortnight", "duration"),
        ("DAEMON_SHUTDOWN_GRACE_PERIOD", "999999years", "duration"),
        ("DAEMON_BACKUP_DATA_DIRECTORY", "\0", "path"),
        ("DAEMON_UNSAFE_SKIP_BACKUP", "no", "true"),
        ("DAEMON_PREPARE_AHEAD", "maybe", "true"),
        ("DAEMON_BACKUP_RETENTION", "0", "at least 1"),
        ("DAEMON_BACKUP_RETENTION", "5 6", "a number to keep"),
        ("DAEMON_BACKUP_RETENTION", "0d", "an age such as 90d"),
        ("DAEMON_BACKUP_RETENTION", "many", "'5 90d'"),
        ("NYMVISOR_VERSION_RETENTION", "0", "at least 1"),
        ("NYMVISOR_JOURNAL_RETENTION", "-1", "a number to keep"),
        ("NYMVISOR_LOG_RETENTION", "14 days ago", "an age such as 90d"),
        ("DAEMON_MAX_BINARY_SIZE", "0GiB", "number of bytes"),
        ("DAEMON_MAX_BINARY_SIZE", "99999999999GiB", "number of bytes"),
    ];
    for (name, value, allowed) in table {
        let text = env(&[(name, value)]).check().unwrap_err().to_string();
        assert!(text.contains(name) && text.contains(allowed), "{name}={value}: {text}");
        let shown = value.replace('\0', "\\u{0}");
        assert!(text.contains(&format!("'{shown}'")), "{name}={value}: {text}");
    }
    let not_utf8 = (OsString::from("DAEMON_RESTART_ON_FAILURE"), OsString::from_vec(vec![0xff]));
    assert!(Env::of([not_utf8]).check().is_err());
}

#[test]
fn h50_an_empty_variable_counts_as_unset() {
    let all = [
        "NYMVISOR_ID",
        "DAEMON_NAME",
        "DAEMON_HOME",
        "DAEMON_BACKUP_DATA_DIRECTORY",
        "DAEMON_RESTART_ON_FAILURE",
        "NYMVISOR_UPSTREAM_POLLING_RATE",
        "DAEMON_MAX_STARTUP_FAILURES",
    ];
    let empty = env(&all.map(|name| (name, "")));
    empty.check().unwrap();
    let mut config = sample();
    config.set_by_env(&empty).unwrap();
    assert_eq!(config, sample());
}

#[test]
fn values_have_several_spellings() {
    let set = |name: &str, value: &str| {
        let mut config = sample();
        config.set_by_env(&env(&[(name, value)])).unwrap();
        config
    };
    for (text, on) in [("TRUE", true), ("t", true), ("1", true), ("False", false), ("F", false)] {
        assert_eq!(set("NYMVISOR_DISABLE_LOGS", text).nymvisor.disable_logs, on);
    }
    for (text, secs) in [("10s", 10), ("1h 30m", 5400), ("1h30m", 5400), ("0s", 0)] {
        let delay = set("DAEMON_FAILURE_RESTART_DELAY", text).daemon.failure_restart_delay;
        assert_eq!(delay, Duration::from_secs(secs), "{text}");
    }
    for (text, bytes) in [("1", 1), ("2GiB", 1 << 31), ("3 kb", 3000), ("5MiB", 5 << 20)] {
        assert_eq!(set("DAEMON_MAX_BINARY_SIZE", text).daemon.max_binary_size, bytes, "{text}");
    }
    let kept = [
        ("5", "5"),
        (" 5  90d", "5 90d"),
        ("90d 5", "5 90d"),
        ("12weeks", "84d"),
        ("36h", "1day 12h"),
        ("1h 30m 2", "2 1h 30m"),
    ];
    for (text, shown) in kept {
        let retention = set("DAEMON_BACKUP_RETENTION", text).daemon.backup_retention.unwrap();
        assert_eq!(retention.to_string(), shown, "{text}");
        assert_eq!(set("DAEMON_BACKUP_RETENTION", shown).daemon.backup_retention, Some(retention));
    }
}

#[test]
fn a_command_is_words_and_its_program_absolute() {
    let variable = "DAEMON_PRE_UPGRADE_COMMAND";
    let read = |text: &str| {
        let mut config = sample();
        config.set_by_env(&env(&[(variable, text)])).unwrap();
        config.daemon.pre_upgrade_command
    };
    let cases: [(&str, std::path::PathBuf, &[&str]); 3] = [
        ("/bin/notify", "/bin/notify".into(), &[]),
        (
            "/bin/notify -t 'two words' \"a\\\"b\" $HOME",
            "/bin/notify".into(),
            &["-t", "two words", "a\"b", "$HOME"],
        ),
        ("'/opt/my hooks/run' ''", "/opt/my hooks/run".into(), &[""]),
    ];
    for (text, program, args) in cases {
        let line = read(text).unwrap();
        assert_eq!((&line.program, &line.args[..]), (&program, &to_owned(args)[..]), "{text}");
        // What is shown and saved is read again as the same.
        assert_eq!(read(&line.to_string()), Some(line), "{text}");
    }
    let refused = |text: &str, why: &str| {
        let error = Config::draft().set_by_env(&env(&[(variable, text)])).unwrap_err();
        assert!(error.to_string().contains(why), "{text}: {error}");
    };
    for text in ["'unfinished", "   ", "'' x"] {
        refused(text, "a program and its arguments");
    }
    // It would be another program for each folder in which a command is typed.
    for text in ["./hook.sh", "logger -t nymvisor", "~/hook.sh"] {
        refused(text, "its whole path is needed");
    }
}

fn to_owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn environment_counts_more_than_flags_and_flags_more_than_the_file() {
    let mut config = read_text(
        "[daemon]\nname='n'\nhome='/file'\nmax_startup_failures=1\nfailure_restart_delay='1s'",
    )
    .unwrap();
    config.set_by_flag("daemon.home", "--daemon-home", "/flag".as_ref()).unwrap();
    config.set_by_flag("daemon.max_startup_failures", "--max", "2".as_ref()).unwrap();
    config.set_by_env(&env(&[("DAEMON_MAX_STARTUP_FAILURES", "3")])).unwrap();
    assert_eq!(config.daemon.home, Path::new("/flag"));
    assert_eq!(config.daemon.max_startup_failures, 3);
    assert_eq!(config.daemon.failure_restart_delay, Duration::from_secs(1));
    let error = config.set_by_flag("daemon.max_startup_failures", "--max", "x".as_ref());
    assert!(error.unwrap_err().to_string().starts_with("--max is 'x'; allowed is a whole number"));
}

#[test]
fn the_env_file_overrides_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.env");
    let text = b"\xef\xbb\xbf# a comment\n\nexport A=1\r\nB = two words # comment\n\
        C='single # $x \\n'\nD=\"double \\\"x\\\" \\n\\$y\" # comment\n\
        E=\nexported=x\nF=a#b\nPATHLIKE=/\xff\nPATH=\nG=#c\nA=2\n";
    fs::write(&path, text).unwrap();
    let env = Env::read(Some(&path)).unwrap();
    let expected: [(&str, Option<&str>); 10] = [
        ("A", Some("2")),
        ("B", Some("two words")),
        ("C", Some("single # $x \\n")),
        ("D", Some("double \"x\" \n$y")),
        ("E", None),
        ("exported", Some("x")),
        ("F", Some("a#b")),
        ("PATH", None),
        ("G", None),
        ("missing", None),
    ];
    for (name, value) in expected {
        assert_eq!(env.get(name), value.map(OsStr::new), "{name}");
    }
    assert_eq!(env.get("PATHLIKE"), Some(OsStr::from_bytes(b"/\xff")));
    assert!(env.iter().any(|(name, _)| name == "CARGO_MANIFEST_DIR"), "the rest is inherited");
}

#[test]
fn a_malformed_env_file_is_reported_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.env");
    let table = [
        ("A=1\nB", 2, "no '='"),
        ("\n\n=x", 3, "key of letters"),
        ("1A=x", 1, "key of letters"),
        ("A B=x", 1, "key of letters"),
        ("A='x", 1, "not closed"),
        ("A=\"x\\q\"", 1, "backslash"),
        ("A=\"x\\", 1, "backslash"),
        ("A='x'y", 1, "after the closing quote"),
    ];
    for (text, line, problem) in table {
        fs::write(&path, text).unwrap();
        let error = Env::read(Some(&path)).unwrap_err().to_string();
        let place = format!("node.env, line {line}: ");
        assert!(error.contains(&place) && error.contains(problem), "{text:?}: {error}");
    }
    fs::write(&path, "DAEMON_PREPARE_AHEAD=perhaps").unwrap();
    assert!(matches!(Env::read(Some(&path)), Err(Error::Variable { .. })));
    assert!(matches!(Env::read(Some(folder.path())), Err(Error::Unreadable { .. })));
}
