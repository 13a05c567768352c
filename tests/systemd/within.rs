//! An upgrade and a roll-back within what the unit leaves: its folders, and its system calls.
//! Metrics are told on a socket meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::proc;

use crate::support::run::Stage;

/// What the unit lets be written to.
fn written(stage: &Stage) -> Vec<String> {
    let unit = stage.site.ok(&["systemd-unit", "run"]);
    let line = unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

/// `run`, started by a program with these arguments.
pub(super) fn started_by(stage: &Stage, program: &str, arguments: &[&str]) -> Command {
    let inner = stage.run_command(&["run"]);
    let mut command = Command::new(program);
    command.args(arguments).arg(inner.get_program()).args(inner.get_args());
    command.env_clear().current_dir(stage.site.path(""));
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Each folder is a mount of its own there, across which nothing can be renamed.
#[test]
fn nothing_else_is_written_to() {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no mount namespace can be made here (unshare)");
    }
    let mut stage = Stage::new();
    let socket = stage.site.path("sockets/metrics.sock");
    fs::create_dir(socket.parent().unwrap()).unwrap();
    stage.set("NYMVISOR_METRICS_LISTEN", &format!("unix:{}", socket.display()));
    let folders = written(&stage);
    let own = stage.site.path("");
    let binds: String = folders.iter().map(|it| format!("mount --bind '{it}' '{it}'\n")).collect();
    let own = own.to_str().unwrap().trim_end_matches('/');
    let script = format!(
        "set -e\nmount --make-rprivate /\nmount --bind '{own}' '{own}'\n{binds}\
         mount -o remount,bind,ro '{own}'\nmount -o remount,bind,ro /\n\
         ! touch '{own}/anywhere' 2> '/dev/null'\nexec \"$@\"\n"
    );
    let arguments = ["--mount", "sh", "-c", &script, "sh"];
    stage.announce("1.1.0");
    let mut run = stage.start_command(started_by(&stage, "unshare", &arguments));
    stage.until_event("backup-examined", 1);
    stage.until_log("started 1.1.0", 1);
    let told = stage.site.ok(&["metrics", "show"]);
    assert!(told.contains("nymvisor_daemon_restarts_total{why=\"upgraded\"} 1"), "{told}");
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.0", 2);
    let end = run.stop(Signal::SIGTERM);
    assert!(!socket.exists(), "the socket is still there");
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    assert!(!end.stderr.contains("os error 30"), "read-only: {}", end.stderr);
    assert!(!end.stderr.contains("ERROR"), "{}", end.stderr);
    stage.assert_consistent();
}

/// The system calls of a set of systemd's, those of the sets in it included.
fn members(set: &str, found: &mut BTreeSet<String>) -> bool {
    let output = Command::new("systemd-analyze").args(["syscall-filter", set]).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return false };
    let text = String::from_utf8(output.stdout).unwrap();
    // The set's name, then its description behind a #, then one a line.
    for name in text.lines().skip(1).map(str::trim).filter(|line| !line.starts_with('#')) {
        if name.starts_with('@') {
            members(name, found);
        } else if !name.is_empty() {
            found.insert(name.to_owned());
        }
    }
    true
}

#[test]
fn its_system_calls_are_let_through() {
    let mut allowed = BTreeSet::new();
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !has_strace || !members("@system-service", &mut allowed) {
        return eprintln!("skipped: there is no strace, or no systemd-analyze");
    }
    assert!(allowed.contains("openat") && !allowed.contains("mount"), "{allowed:?}");
    let mut stage = Stage::new();
    let place = format!("unix:{}", stage.site.path("metrics.sock").display());
    stage.set("NYMVISOR_METRICS_LISTEN", &place);
    let trace = stage.site.path("trace");
    let arguments = ["-f", "-qq", "-c", "-U", "name", "-o", trace.to_str().unwrap()];
    stage.announce("1.1.0");
    let mut run = stage.start_command(started_by(&stage, "strace", &arguments));
    stage.until_event("backup-examined", 1);
    stage.until_log("started 1.1.0", 1);
    stage.site.ok(&["metrics", "show"]);
    let traced = proc::stats().unwrap().into_iter().find(|stat| stat.parent == run.pid()).unwrap();
    kill(Pid::from_raw(i32::try_from(traced.pid).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().status, Some(0));
    let called = fs::read_to_string(trace).unwrap();
    let called: Vec<&str> = called.lines().map(str::trim).filter(|line| is_name(line)).collect();
    assert!(called.contains(&"fdatasync"), "{called:?}");
    let refused: Vec<_> = called.iter().filter(|name| !allowed.contains(**name)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

fn is_name(line: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !line.is_empty() && line.chars().all(is_word) && !["syscall", "total"].contains(&line)
}
