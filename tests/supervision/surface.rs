//! What the daemon gets, and what of a run can be seen.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support::run::Stage;

const NOTHING: [&str; 0] = [];

/// Lets the daemon note its arguments, each ended by a NUL, and gives what it got.
fn arguments_of(args: &[OsString]) -> Vec<u8> {
    let stage = Stage::new();
    stage.install_script("for arg; do printf '%s\\0' \"$arg\"; done > $home/args; exit 0");
    let end = stage.run_to_end(args);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    fs::read(stage.site.home("args")).unwrap()
}

#[test]
fn h10_arguments_reach_the_daemon_as_they_are() {
    let raw: [&[u8]; 8] =
        [b"--flag", b"-h", b"", b"a b\nc", b"\xff\xfe=\x80", b"--", b"-V", b"run"];
    let args: Vec<_> = raw.iter().map(|arg| OsString::from_vec(arg.to_vec())).collect();
    let expected: Vec<u8> = raw.iter().flat_map(|arg| arg.iter().copied().chain([0])).collect();
    assert_eq!(arguments_of(&args), expected);
}

#[test]
fn h10_the_daemons_own_help_can_be_asked_for() {
    assert_eq!(arguments_of(&["--".into(), "--help".into()]), b"--help\0");
    assert_eq!(arguments_of(&["--help".into(), "run".into()]), b"--help\0run\0");
    assert_eq!(arguments_of(&["-c".into(), "x".into()]), b"-c\0x\0");
    assert_eq!(arguments_of(&[]), b"");
}

#[test]
fn stdout_and_stderr_of_the_daemon_pass_through_untouched_and_nothing_is_added_to_stdout() {
    let stage = Stage::new().with("RUST_LOG", "trace");
    stage.install_script(
        "printf '\\377\\000\\033[1m no newline'; printf 'said \\376\\n' >&2
        [ -e $home/again ] || { touch $home/again; exit 1; }
        exit 0",
    );
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(end.stdout, b"\xff\0\x1b[1m no newline\xff\0\x1b[1m no newline");
    let stderr = fs::read(stage.site.path("run-0.stderr")).unwrap();
    let said = stderr.windows(7).filter(|window| window == b"said \xfe\n").count();
    assert_eq!(said, 2);
}

#[test]
fn the_daemon_inherits_the_environment_but_what_is_for_us_alone() {
    let stage = Stage::new();
    stage.install_script("cat /proc/$$/environ > $home/env; exit 0");
    let mut command = stage.run_command(&NOTHING);
    command.env("NOTIFY_SOCKET", "/run/systemd/notify").env("WATCHDOG_USEC", "1000");
    command.env("WATCHDOG_PID", "1").env("MINE", OsString::from_vec(b"a\xffb".to_vec()));
    command.process_group(0);
    let end = stage.start_command(command).wait();
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    let env = fs::read(stage.site.home("env")).unwrap();
    let entries: Vec<&[u8]> = env.split(|byte| *byte == 0).collect();
    let has = |name: &[u8]| entries.iter().any(|entry| entry.starts_with(name));
    for gone in ["NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="] {
        assert!(!has(gone.as_bytes()), "{gone}");
    }
    assert!(entries.contains(&b"MINE=a\xffb".as_slice()));
    for there in ["DAEMON_HOME=", "HOME=", "PATH=", "NYMVISOR_SESSION_TOKEN="] {
        assert!(has(there.as_bytes()), "{there}");
    }
}

#[test]
fn the_daemon_reads_nothing_from_stdin() {
    let stage = Stage::new();
    stage.install_script("readlink /proc/$$/fd/0 > $home/stdin; cat >> $home/stdin; exit 0");
    let mut command = stage.run_command(&NOTHING);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"not for you").unwrap();
    command.stdin(reader).process_group(0);
    let end = stage.start_command(command).wait();
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert_eq!(fs::read_to_string(stage.site.home("stdin")).unwrap(), "/dev/null\n");
}

#[test]
fn a_launcher_that_blocks_or_ignores_signals_makes_nobody_deaf() {
    for (count, how) in ["--block-signal", "--ignore-signal"].iter().enumerate() {
        let stage = Stage::new();
        stage.install_script("exec grep -E '^Sig(Blk|Ign)' /proc/self/status > $home/signals");
        let launched = || {
            let plain = stage.run_command(&NOTHING);
            let mut command = std::process::Command::new("env");
            command.arg(format!("{how}=INT,TERM,QUIT,USR1,USR2,PIPE"));
            command.arg(plain.get_program()).args(plain.get_args()).process_group(0);
            command.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?))));
            command.stdin(Stdio::null());
            stage.start_command(command)
        };
        let end = launched().wait();
        assert_eq!(end.status, Some(0), "{}", end.stderr);
        let signals = fs::read_to_string(stage.site.home("signals")).unwrap();
        for line in signals.lines() {
            let mask = u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap();
            // Of those that have a name; what a C library keeps for itself is its own.
            assert_eq!(mask & 0x7fff_ffff, 0, "{count}: {line}");
        }
        stage.install_script(
            "trap 'echo asked >> $home/events.log; exit 0' INT
            echo started >> $home/events.log; while :; do sleep 0.02; done",
        );
        let mut run = launched();
        stage.until_log("started", 1);
        assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
        assert_eq!(stage.logged("asked"), 1);
    }
}

#[test]
fn the_daemon_has_no_file_of_ours_open() {
    let stage = Stage::new();
    stage.install_script(
        "ls /proc/$$/fd > $home/open; readlink /proc/$$/fd/* >> $home/open; exit 0",
    );
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    let open = fs::read_to_string(stage.site.home("open")).unwrap();
    // Its script, and what it writes to, are its own.
    for ours in ["journal", ".lock", "socket:", "logs", "eventpoll", "inotify"] {
        assert!(!open.contains(ours), "{ours}: {open}");
    }
}

#[test]
fn a_closed_stderr_ends_nothing() {
    let stage = Stage::new();
    for (runs, closed) in ["a pipe without a reader", "no descriptor at all"].iter().enumerate() {
        stage.switch("exit-at-start", "1");
        let plain = stage.run_command(&NOTHING);
        let mut command = std::process::Command::new("/bin/sh");
        let redirection = if runs == 0 { "" } else { "2>&-" };
        command.arg("-c").arg(format!("exec \"$0\" \"$@\" {redirection}"));
        command.arg(plain.get_program()).args(plain.get_args()).process_group(0);
        command.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = crate::support::helper::Guarded(command.stderr(writer).spawn().unwrap());
        stage.until_event("daemon-ended", 2 * runs + 1);
        fs::remove_file(stage.site.home("exit-at-start")).unwrap();
        stage.until("a daemon that stays", || (stage.daemons().len() == 1).then_some(()));
        let starts = stage.logged("started");
        stage.until_log("started", starts.max(2 * (runs + 1)));
        let pid = nix::unistd::Pid::from_raw(child.0.id().cast_signed());
        nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "{closed}");
    }
}

#[test]
fn a_failure_with_nobody_to_tell_keeps_its_status() {
    let stage = Stage::new().with("DAEMON_RESTART_ON_FAILURE", "false");
    stage.switch("exit-at-start", "1");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = stage.run_command(&NOTHING).stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(4));
}

#[test]
fn disable_logs_silences_all_but_the_error_that_ends_the_run() {
    let stage = Stage::new()
        .with("NYMVISOR_DISABLE_LOGS", "true")
        .with("DAEMON_MAX_STARTUP_FAILURES", "2")
        .with("DAEMON_FAILURE_RESTART_DELAY", "5ms");
    stage.switch("exit-at-start", "6");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!(end.status, Some(4));
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    assert!(end.last_line().contains("exited with status 6"), "{end:?}");
    stage.switch("exit-at-start", "0");
    let end = stage.run_to_end(&NOTHING);
    assert_eq!((end.status, end.stderr.as_str()), (Some(0), ""));
    let logs = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/logs");
    let logged = fs::read_dir(logs).map_or(0, Iterator::count);
    assert_eq!(logged, 0);
}
