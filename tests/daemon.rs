//! The daemon's process, with real ones.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use nymvisor::host::daemon::{
    Command, Error, Running, group_gone, kill_group, signal_leader, spawn,
};
use nymvisor::host::signals::{Signal as Request, Signals};
use nymvisor::machine::{Daemon, Ending};
use nymvisor::proc::{self, Stat};
use tempfile::tempdir;

use crate::support::helper::{Guarded, again, again_after, eventually, is_live, number_in, role};

const AGAIN: &str = "daemon::in_another_role";

/// A daemon that is a shell with this script, in which `$1` is the folder.
fn shell(script: &str, folder: &Path) -> Command {
    let args = ["-c".into(), script.into(), "sh".into(), folder.as_os_str().to_owned()];
    Command {
        binary: "/bin/sh".into(),
        args: args.into(),
        token: "instance:session".to_owned(),
        remove_env: Vec::new(),
        envs: Vec::new(),
    }
}

fn start(script: &str, folder: &Path) -> Running {
    spawn(&shell(script, folder)).unwrap()
}

/// What this program does when a test starts it again.
#[tokio::test]
async fn in_another_role() {
    let Some((role, folder)) = role() else { return };
    match role.as_str() {
        "parent" => {
            let mut running = start("echo $$ > $1/pid; exec sleep 300", &folder);
            running.ended().await;
        }
        "supervisor" => {
            let mut signals = Signals::listen().unwrap();
            let script = "trap 'echo got >> $1/got; asked=1' INT; echo $$ > $1/pid
                while [ -z \"$asked\" ]; do sleep 0.02; done; sleep 0.4; exit 0";
            let mut running = start(script, &folder);
            let asked = signals.next().await;
            assert_eq!(asked, Request::Stop(Signal::SIGINT));
            assert!(signal_leader(running.daemon, Signal::SIGINT).unwrap());
            assert_eq!(running.ended().await, Ending::Exited(0));
        }
        "describe" => {
            let script = "readlink /proc/$$/fd/0 > $1/stdin; env > $1/env
                while read -r line; do case $line in Sig[BI]*) echo \"$line\";; esac
                done < /proc/$$/status > $1/signals; exit 7";
            let mut command = shell(script, &folder);
            command.envs.push(("ADDED".into(), "yes".into()));
            command.remove_env.push("UNWANTED".into());
            // As `run` does, before anything else.
            let _signals = Signals::listen().unwrap();
            let ending = spawn(&command).unwrap().ended().await;
            fs::write(folder.join("ending"), format!("{ending:?}")).unwrap();
        }
        "deaf" => {
            // Without listening for signals, which would change what is ignored.
            // Without a child, for which the shell would block signals for an instant.
            let script = "while read -r line; do case $line in Sig[BI]*) echo \"$line\";; esac
                done < /proc/$$/status > $1/signals";
            start(script, &folder).ended().await;
        }
        "listener" => {
            let mut signals = Signals::listen().unwrap();
            fs::write(folder.join("ready"), "1\n").unwrap();
            let mut heard = String::new();
            loop {
                let signal = signals.next().await;
                heard.push_str(&format!("{signal:?}\n"));
                fs::write(folder.join("heard"), &heard).unwrap();
                if signal == Request::Stop(Signal::SIGQUIT) {
                    return;
                }
            }
        }
        other => panic!("no such role: {other}"),
    }
}

#[tokio::test]
async fn h05_helpers_end_with_the_daemon() {
    let folder = tempdir().unwrap();
    let mut running = start("sleep 300 & echo $! > $1/helper; kill -9 $$", folder.path());
    assert_eq!(running.ended().await, Ending::Killed(9));
    let helper = number_in(&folder.path().join("helper"));
    assert!(is_live(helper), "the helper outlives its leader");
    group_gone(running.daemon).await;
    assert!(!is_live(helper));
}

#[tokio::test]
async fn h05_a_deaf_daemon_is_killed_with_its_helpers() {
    let folder = tempdir().unwrap();
    let script = "trap '' INT TERM; sleep 300 & echo $! > $1/helper; while :; do sleep 1; done";
    let mut running = start(script, folder.path());
    let helper = number_in(&folder.path().join("helper"));
    assert!(signal_leader(running.daemon, Signal::SIGINT).unwrap());
    assert!(kill_group(running.daemon).unwrap());
    assert_eq!(running.ended().await, Ending::Killed(9));
    group_gone(running.daemon).await;
    assert!(!is_live(helper));
}

#[test]
fn h06_the_daemon_dies_with_its_supervisor() {
    let folder = tempdir().unwrap();
    let mut parent = Guarded(again(AGAIN, "parent", folder.path()).spawn().unwrap());
    let daemon = number_in(&folder.path().join("pid"));
    assert!(is_live(daemon));
    // SIGKILL: the supervisor can do nothing about it.
    parent.0.kill().unwrap();
    eventually("the daemon's end", || (!is_live(daemon)).then_some(()));
}

#[test]
fn h07_an_interrupt_from_the_terminal_reaches_the_daemon_once() {
    let folder = tempdir().unwrap();
    let mut command = again(AGAIN, "supervisor", folder.path());
    let mut supervisor = Guarded(command.process_group(0).spawn().unwrap());
    number_in(&folder.path().join("pid"));
    // What a terminal does on Ctrl-C: to the whole foreground group.
    let group = Pid::from_raw(supervisor.0.id().cast_signed());
    killpg(group, Signal::SIGINT).unwrap();
    assert!(supervisor.0.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("got")).unwrap(), "got\n");
}

#[test]
fn h08_no_signal_is_lost_before_it_is_read() {
    let folder = tempdir().unwrap();
    let mut listener = Guarded(again(AGAIN, "listener", folder.path()).spawn().unwrap());
    number_in(&folder.path().join("ready"));
    let pid = Pid::from_raw(listener.0.id().cast_signed());
    let heard = || fs::read_to_string(folder.path().join("heard")).unwrap_or_default();
    for (signal, request) in [
        (Signal::SIGHUP, "Forward(SIGHUP)"),
        (Signal::SIGUSR1, "Forward(SIGUSR1)"),
        (Signal::SIGUSR2, "Forward(SIGUSR2)"),
        (Signal::SIGINT, "Stop(SIGINT)"),
        (Signal::SIGTERM, "Stop(SIGTERM)"),
        (Signal::SIGQUIT, "Stop(SIGQUIT)"),
    ] {
        nix::sys::signal::kill(pid, signal).unwrap();
        eventually(request, || heard().contains(request).then_some(()));
    }
    assert!(listener.0.wait().unwrap().success());
}

#[test]
fn a_hangup_that_nohup_ignores_stays_ignored() {
    let folder = tempdir().unwrap();
    let mut command = again_after("trap '' HUP", AGAIN, "listener", folder.path());
    let mut listener = Guarded(command.spawn().unwrap());
    number_in(&folder.path().join("ready"));
    let pid = Pid::from_raw(listener.0.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGHUP).unwrap();
    nix::sys::signal::kill(pid, Signal::SIGQUIT).unwrap();
    assert!(listener.0.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("heard")).unwrap(), "Stop(SIGQUIT)\n");
}

#[tokio::test]
async fn h10_arguments_of_any_bytes_arrive_as_they_are() {
    let folder = tempdir().unwrap();
    let odd = OsString::from_vec(b"--\xff\n=\xfe".to_vec());
    let mut command = shell("printf %s \"$2\" > $1/arg", folder.path());
    command.args.push(odd.clone());
    assert_eq!(spawn(&command).unwrap().ended().await, Ending::Exited(0));
    assert_eq!(fs::read(folder.path().join("arg")).unwrap(), odd.into_vec());
}

#[test]
fn the_daemon_gets_our_environment_without_what_is_for_us_alone() {
    let folder = tempdir().unwrap();
    let mut command = again(AGAIN, "describe", folder.path());
    command.envs([("NOTIFY_SOCKET", "@x"), ("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "2")]);
    command.envs([("UNWANTED", "1"), ("KEPT", "as it is")]);
    command.env("NYMVISOR_SESSION_TOKEN", "of an outer one");
    assert!(command.status().unwrap().success());
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("ending"), "Exited(7)");
    assert_eq!(read("stdin"), "/dev/null\n");
    let env = read("env");
    let value = |name: &str| {
        env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    for gone in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "UNWANTED"] {
        assert_eq!(value(gone), None, "{gone}");
    }
    assert_eq!(value("KEPT").as_deref(), Some("as it is"));
    assert_eq!(value("ADDED").as_deref(), Some("yes"));
    assert_eq!(value("NYMVISOR_SESSION_TOKEN").as_deref(), Some("instance:session"));
}

#[test]
fn signals_that_a_launcher_ignores_reach_the_daemon_all_the_same() {
    for role in ["describe", "deaf"] {
        let folder = tempdir().unwrap();
        let prelude = "trap '' INT QUIT TERM USR1 USR2";
        let mut command = again_after(prelude, AGAIN, role, folder.path());
        assert!(command.status().unwrap().success());
        let signals = fs::read_to_string(folder.path().join("signals")).unwrap();
        let heard = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1];
        for line in signals.lines() {
            let mask = u64::from_str_radix(line.split_once(":\t").unwrap().1, 16).unwrap();
            for signal in heard {
                assert_eq!(mask >> (signal as i32 - 1) & 1, 0, "{role}: {signal} in {line}");
            }
        }
    }
}

#[test]
fn signals_that_a_launcher_blocks_reach_us_and_the_daemon_all_the_same() {
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGCHLD] {
        blocked.add(signal);
    }
    // What this thread starts inherits its mask.
    blocked.thread_block().unwrap();
    let folder = tempdir().unwrap();
    let mut listener = Guarded(again(AGAIN, "listener", folder.path()).spawn().unwrap());
    number_in(&folder.path().join("ready"));
    let pid = Pid::from_raw(listener.0.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGQUIT).unwrap();
    eventually("its end", || listener.0.try_wait().unwrap());

    let status = again(AGAIN, "deaf", folder.path()).status().unwrap();
    assert!(status.success());
    let signals = fs::read_to_string(folder.path().join("signals")).unwrap();
    assert!(signals.contains("SigBlk:\t0000000000000000\n"), "{signals}");
}

#[test]
fn the_status_is_known_where_a_launcher_ignores_sigchld() {
    let folder = tempdir().unwrap();
    let mut command = again_after("trap '' CHLD", AGAIN, "describe", folder.path());
    assert!(command.status().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("ending")).unwrap(), "Exited(7)");
}

#[tokio::test]
async fn zombies_in_the_group_dont_count() {
    let folder = tempdir().unwrap();
    // A child in a group of its own, which never waits for its own child in the leader's group.
    let script = "import os, sys, time
group = os.getpgrp()
if os.fork() == 0:
    os.setpgid(0, 0)
    zombie = os.fork()
    if zombie == 0:
        os.setpgid(0, group)
        os._exit(0)
    os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
    open(sys.argv[1] + '/keeper', 'w').write(f'{os.getpid()}\\n')
    time.sleep(300)
while not os.path.exists(sys.argv[1] + '/keeper'):
    time.sleep(0.01)
";
    let mut command = shell("", folder.path());
    command.binary = "/usr/bin/env".into();
    command.args =
        ["python3".into(), "-c".into(), script.into(), folder.path().as_os_str().to_owned()].into();
    let mut running = spawn(&command).unwrap();
    let keeper = number_in(&folder.path().join("keeper"));
    assert_eq!(running.ended().await, Ending::Exited(0));
    assert!(kill_group(running.daemon).unwrap(), "the zombie is still in the group");
    group_gone(running.daemon).await;
    nix::sys::signal::kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_process_whose_first_thread_ended_is_still_live() {
    let folder = tempdir().unwrap();
    // Threads of Python carry on after the first has left by the bare system call.
    let script = "import ctypes, platform, sys, threading, time
threading.Thread(target=lambda: time.sleep(300)).start()
ctypes.CDLL(None).syscall({'x86_64': 60}.get(platform.machine(), 93), 0)
";
    let mut command = shell("", folder.path());
    command.binary = "/usr/bin/env".into();
    command.args = ["python3".into(), "-c".into(), script.into()].into();
    let mut running = spawn(&command).unwrap();
    let pid = running.daemon.pid;
    eventually("the first thread's end", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains(") Z ").then_some(())
    });
    assert!(is_live(pid));
    kill_group(running.daemon).unwrap();
    assert_eq!(running.ended().await, Ending::Killed(9));
}

#[tokio::test(start_paused = true)]
async fn an_empty_group_is_gone_without_waiting() {
    let folder = tempdir().unwrap();
    let mut running = start("exit 3", folder.path());
    assert_eq!(running.ended().await, Ending::Exited(3));
    // The paused clock moves only if somebody sleeps.
    let before = tokio::time::Instant::now();
    group_gone(running.daemon).await;
    assert_eq!(tokio::time::Instant::now(), before);
}

#[tokio::test]
async fn the_leader_has_a_group_and_a_start_time_of_its_own() {
    let folder = tempdir().unwrap();
    // The name is made to mislead a reader that counts fields from the first parenthesis.
    let binary = folder.path().join("a) R 1 (b\u{e9}");
    fs::copy("/bin/sleep", &binary).unwrap();
    let mut command = shell("", folder.path());
    command.binary = binary;
    command.args = vec!["300".into()];
    let mut running = spawn(&command).unwrap();
    let stat = proc::stat(running.daemon.pid).unwrap();
    assert_eq!((stat.group, stat.parent), (stat.pid, std::process::id()));
    assert_eq!(stat.started_ticks, running.daemon.started_ticks);
    let ours = proc::stat(std::process::id()).unwrap();
    assert!(stat.started_ticks >= ours.started_ticks);
    assert!(kill_group(running.daemon).unwrap());
    assert_eq!(running.ended().await, Ending::Killed(9));
    let uptime = running.uptime();
    assert_eq!(uptime, running.uptime(), "it stands still after the end");
}

#[test]
fn fields_are_counted_from_the_last_parenthesis() {
    let tail = "R 7 8 8 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0\n";
    for name in ["plain", "with space", ") R 1 (", "))((", "\u{e9}"] {
        let stat = Stat::parse(format!("12 ({name}) {tail}").as_bytes()).unwrap();
        let wanted = Stat { pid: 12, parent: 7, group: 8, started_ticks: 4242, live: true };
        assert_eq!(stat, wanted, "{name}");
    }
    for broken in ["", "12", "12 (a", "12 (a)", "12 (a) R 7 8", "x (a) R 7 8"] {
        assert_eq!(Stat::parse(broken.as_bytes()), None, "{broken}");
    }
}

#[tokio::test]
async fn a_later_process_with_the_same_id_is_left_alone() {
    let folder = tempdir().unwrap();
    let mut running = start("exec sleep 300", folder.path());
    let other = Daemon {
        pid: running.daemon.pid,
        started_ticks: running.daemon.started_ticks.wrapping_sub(1),
    };
    assert!(!signal_leader(other, Signal::SIGKILL).unwrap());
    assert!(!kill_group(other).unwrap());
    group_gone(other).await;
    assert!(is_live(running.daemon.pid));
    // To the system call, these would be our own group and everybody.
    for pid in [0, 1] {
        assert!(!kill_group(Daemon { pid, started_ticks: 0 }).unwrap());
    }
    assert!(kill_group(running.daemon).unwrap());
    assert_eq!(running.ended().await, Ending::Killed(9));
    assert!(!signal_leader(running.daemon, Signal::SIGTERM).unwrap(), "it is gone");
}

#[tokio::test]
async fn what_cant_be_executed_is_named() {
    let folder = tempdir().unwrap();
    let mut command = shell("", folder.path());
    command.binary = folder.path().join("missing");
    let error = spawn(&command).unwrap_err();
    assert!(matches!(error, Error::Start { .. }));
    let text = error.to_string();
    assert!(text.contains(command.binary.to_str().unwrap()), "{text}");
    // Present, but nothing that the kernel could run.
    fs::write(&command.binary, "").unwrap();
    assert!(matches!(spawn(&command), Err(Error::Start { .. })));
    assert_eq!(command.binary.file_name(), Some(OsStr::new("missing")));
}
