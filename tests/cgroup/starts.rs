//! A start in a group: by a process that waits there, and to the daemon like any other start.

use nymvisor::proc;

use super::{Nest, Signal, Stage, fs, is_live, read_only, start_in};
use crate::support::run::process::until_gone;

/// What a program sees of how it was started.
const DESCRIBE: &str = r#"
trap 'exit 0' INT
{
    env | grep -v '^NYMVISOR_SESSION_TOKEN=' | sort
    readlink /proc/$$/fd/0
    ls /proc/$$/fd
    grep -E '^(NoNewPrivs|Seccomp|Cpus)' /proc/$$/status
    # Without a child, for which the shell would block signals for an instant.
    while read -r line; do
        case $line in SigB*|SigI*|SigC*) echo "$line" ;; esac
    done < /proc/$$/status
    tr '\0' ' ' < /proc/$$/cmdline
    ps -o nice=,tty= $$
    pwd; umask; ulimit -a
} > "$home/seen.new" 2>&1
mv "$home/seen.new" "$home/seen"
echo started 1.0.0 $$ >> "$home/events.log"
while :; do sleep 0.02; done
"#;

#[test]
fn the_daemon_sees_no_difference() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.install_script(DESCRIBE);
    let mut seen = Vec::new();
    for number in 1..3 {
        let command = stage.run_command(&["run", "two words", "", "ünï"]);
        let command = if number == 1 {
            nest.within(&command)
        } else {
            let Some(command) = read_only(&command) else { return };
            command
        };
        let mut run = stage.start_command(command);
        let pid = stage.until_started(number);
        assert_eq!(nest.groups().len(), 2 - number);
        assert_eq!(proc::stat(pid).unwrap().parent, run.pid());
        assert_eq!(proc::stat(pid).unwrap().group, pid);
        seen.push(fs::read_to_string(stage.site.home("seen")).unwrap());
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    }
    assert!(seen[0].contains("/dev/null") && seen[0].contains("DAEMON_HOME="), "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}

/// The way into a group takes longer than many a daemon needs to end.
#[test]
fn who_waits_is_in_its_group_before_the_daemon_is_asked_to_end() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.install_script(&format!(
        "trap 'for group in {}/nymvisor-*; do
            while read -r pid; do echo asked $pid; done < \"$group/cgroup.procs\"
        done >> \"$home/events.log\"; exit 0' INT
        echo started 1.0.0 $$ >> \"$home/events.log\"
        while :; do sleep 0.02; done",
        nest.folder.display()
    ));
    let mut run = stage.start_command(nest.within(&stage.run_command(&["run"])));
    let old = stage.until_started(1);
    stage.announce("1.1.0");
    let new: u32 = stage.until_log("started 1.1.0", 1).rsplit(' ').next().unwrap().parse().unwrap();
    let asked = [format!("asked {old}"), format!("asked {new}")];
    for asked in asked {
        assert_eq!(stage.logged(&asked), 1, "{asked}: {}", stage.story());
    }
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn one_that_is_no_program_fails_in_the_same_words() {
    let Some(nest) = Nest::new() else { return };
    let mut told = Vec::new();
    for within in [true, false] {
        let stage = Stage::new()
            .with("DAEMON_MAX_STARTUP_FAILURES", "2")
            .with("DAEMON_FAILURE_RESTART_DELAY", "5ms");
        stage.install(b"<html>not found</html>");
        let command = stage.run_command(&["run"]);
        let command = if within {
            nest.within(&command)
        } else {
            let Some(command) = read_only(&command) else { return };
            command
        };
        assert_eq!(stage.start_command(command).wait().status, Some(4));
        let failed = stage.until_event("spawn-failed", 2);
        let text = failed.data()["failure"]["text"].as_str().unwrap().to_owned();
        let here = stage.site.path("").display().to_string();
        told.push(text.replace(here.trim_end_matches('/'), ""));
        assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    }
    assert!(told[0].contains("Exec format error"), "{told:?}");
    assert_eq!(told[0], told[1]);
}

/// The process that waits for the next start, while the daemon takes its time to end.
fn waiting(run: u32) -> Option<u32> {
    let stats = proc::stats().unwrap().into_iter();
    let mut children = stats.filter(|stat| stat.live && stat.parent == run);
    let waits = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"nymvisor, about to be a daemon\0")
    };
    children.find(|stat| waits(stat.pid)).map(|stat| stat.pid)
}

fn is_alone_in(pid: u32, group: &std::path::Path) -> Option<()> {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    (members == format!("{pid}\n")).then_some(())
}

#[test]
fn h06_what_waits_for_the_next_start_ends_with_nymvisor() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.switch("ignore-int.1.0.0", "");
    let mut run = start_in(&nest, &stage);
    let daemon = stage.until_started(1);
    stage.announce("1.1.0");
    let waits = stage.until("one that waits", || waiting(run.pid()));
    assert_eq!(nest.groups().len(), 2);
    run.kill();
    until_gone(waits);
    until_gone(daemon);
    let mut run = start_in(&nest, &stage);
    stage.until_log("started 1.1.0", 1);
    stage.until("the groups of before are removed", || (nest.groups().len() == 1).then_some(()));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

/// Somebody kills it: the next start needs no such process.
#[test]
fn what_waits_may_be_killed_and_the_daemon_is_started_all_the_same() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.switch("ignore-int.1.0.0", "");
    let mut run = start_in(&nest, &stage);
    let daemon = stage.until_started(1);
    stage.announce("1.1.0");
    let waits = stage.until("one that waits", || waiting(run.pid()));
    for pid in [waits, daemon] {
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }
    let pid = stage.until_log("started 1.1.0", 1);
    let pid: u32 = pid.rsplit(' ').next().unwrap().parse().unwrap();
    stage.until_phase("Running");
    assert!(is_live(pid) && pid != waits);
    assert_eq!(nest.groups().len(), 1, "it has a group all the same");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

/// Somebody stops it, or freezes the group: the first goes on, the second is ended, and another
/// process is the daemon. Neither is a failure of the version that is to be started.
#[test]
fn what_waits_may_be_stopped_or_frozen_and_the_daemon_is_started_all_the_same() {
    let Some(nest) = Nest::new() else { return };
    for is_frozen in [false, true] {
        let stage = Stage::new();
        stage.switch("ignore-int.1.0.0", "");
        let mut run = start_in(&nest, &stage);
        let daemon = stage.until_started(1);
        stage.announce("1.1.0");
        let waits = stage.until("one that waits", || waiting(run.pid()));
        let group = nest.groups().pop().unwrap();
        stage.until("it is in its group", || is_alone_in(waits, &group));
        let signal = |pid: u32, signal| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).unwrap();
        };
        if is_frozen {
            fs::write(group.join("cgroup.freeze"), "1").unwrap();
        } else {
            signal(waits, Signal::SIGSTOP);
        }
        let name = fs::read_to_string(format!("/proc/{waits}/comm")).unwrap();
        signal(daemon, Signal::SIGKILL);
        let pid = stage.until_log("started 1.1.0", 1);
        assert_eq!(pid.ends_with(&format!(" {waits}")), !is_frozen, "{pid}");
        stage.until_phase("Running");
        let failed = stage.records().iter().any(|record| record.event() == "spawn-failed");
        assert!(!failed, "{}", stage.story());
        assert_eq!(name, "nymvisor-waits\n");
        assert_eq!(nest.groups().len(), 1, "it has a group all the same");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert!(nest.groups().is_empty(), "{:?}", nest.groups());
        assert_eq!(stage.assert_consistent(), "v1.1.0");
    }
}

/// What a package manager does with the program of a service that is up.
#[test]
fn the_file_of_nymvisor_may_be_replaced_while_it_runs() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    let program = stage.site.path("nymvisor-copy");
    let script = "cp \"$1\" \"$0\" && shift && exec \"$0\" \"$@\"";
    let inner = stage.run_command(&["run"]);
    let arguments = ["-c".as_ref(), script.as_ref(), program.as_os_str()];
    let command = crate::support::nest::wrapped(&inner, "sh", &arguments);
    let mut run = stage.start_command(nest.within(&command));
    stage.until_started(1);
    for (version, count) in [("1.1.0", 1), ("1.2.0", 1)] {
        fs::remove_file(&program).unwrap();
        // No program at all.
        fs::write(&program, "replaced").unwrap();
        stage.announce(version);
        stage.until_log(&format!("started {version}"), count);
        stage.until_phase("Running");
        stage.until("one group", || (nest.groups().len() == 1).then_some(()));
    }
    let said = run.stderr();
    assert!(!said.contains("no control group"), "{said}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}

#[test]
fn however_many_daemons_crash_or_can_not_be_started_nothing_piles_up() {
    let Some(nest) = Nest::new() else { return };
    for is_program in [true, false] {
        let stage = Stage::new()
            .with("DAEMON_MAX_STARTUP_FAILURES", "1000")
            .with("DAEMON_FAILURE_RESTART_DELAY", "5ms");
        if is_program {
            stage.install_script("exit 1");
        } else {
            stage.install(b"no program");
        }
        let mut run = start_in(&nest, &stage);
        let event = if is_program { "daemon-ended" } else { "spawn-failed" };
        let open = |count| {
            stage.until_event(event, count);
            fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().count()
        };
        let (before, after) = (open(5), open(40));
        assert!(after < before + 10, "{before} and then {after} files are open");
        assert!(nest.groups().len() < 5, "{:?}", nest.groups());
        let stats = nymvisor::proc::stats().unwrap();
        let children = stats.iter().filter(|stat| stat.parent == run.pid()).count();
        assert!(children < 5, "{children} children");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert!(nest.groups().is_empty(), "{:?}", nest.groups());
    }
}

/// More than any buffer between two processes holds.
#[test]
fn h06_arguments_and_environment_of_more_than_a_megabyte_arrive() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.install_script(
        "trap 'exit 0' INT
        { printenv HUGE_7; echo \"$*\"; } | wc -c > \"$home/length\"
        echo started 1.0.0 $$ >> \"$home/events.log\"
        while :; do sleep 0.02; done",
    );
    let word = "x".repeat(100_000);
    let args: Vec<&str> = ["run"].into_iter().chain([word.as_str(); 4]).collect();
    let mut command = nest.within(&stage.run_command(&args));
    for number in 0..8 {
        command.env(format!("HUGE_{number}"), &word);
    }
    let mut run = stage.start_command(command);
    stage.until_started(1);
    assert_eq!(nest.groups().len(), 1);
    let length = fs::read_to_string(stage.site.home("length")).unwrap();
    assert_eq!(length.trim(), (100_001 + "run".len() + 4 * 100_001 + 1).to_string());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

/// The new daemon's process is there, in its group, before the old one has ended.
#[test]
fn in_an_upgrade_nothing_has_to_be_forked_between_the_daemons() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    stage.switch("ignore-int.1.0.0", "");
    let mut run = start_in(&nest, &stage);
    let daemon = stage.until_started(1);
    stage.announce("1.1.0");
    let waits = stage.until("one that waits", || waiting(run.pid()));
    let group = nest.groups().pop().unwrap();
    stage.until("it is in its group", || is_alone_in(waits, &group));
    let pid = nix::unistd::Pid::from_raw(daemon.cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    assert!(stage.until_log("started 1.1.0", 1).ends_with(&format!(" {waits}")));
    stage.until("the group of the old one is removed", || {
        (nest.groups() == std::slice::from_ref(&group)).then_some(())
    });
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}
