//! Where a group can't be made, entered or removed: the daemon is run all the same.

use std::path::PathBuf;

use nymvisor::host::cgroup::{Place, candidates};

use super::{CHAIN, Command, HIDDEN, Nest, Signal, Stage, fs, install, length, start_in};
use crate::support::groups::token_prefix;
use crate::support::nest::wrapped;

/// The instance that a stage has.
fn instance(stage: &Stage) -> PathBuf {
    stage.site.path(".nym/nymvisors/instances/nym-node-default")
}

/// An upgrade goes through, with helpers that stay in sight ended.
fn assert_upgrades(stage: &Stage, run: &mut crate::support::run::Run) {
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(stage.daemons().len(), 1, "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(stage.daemons().is_empty());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}

#[test]
fn where_no_more_groups_may_be_made_it_is_as_without() {
    let Some(nest) = Nest::new() else { return };
    fs::write(nest.folder.join("cgroup.max.descendants"), "0").unwrap();
    let stage = Stage::new();
    stage.switch("helper.1.0.0", "");
    let mut run = start_in(&nest, &stage);
    assert_upgrades(&stage, &mut run);
    let said = run.stderr();
    // Once, and not at each start.
    assert_eq!(said.matches("the daemon gets no control group in").count(), 1, "{said}");
    assert!(said.contains("Resource temporarily unavailable"), "{said}");
}

/// What was missing for one start may be there for the next.
#[test]
fn where_groups_may_be_made_again_they_are() {
    let Some(nest) = Nest::new() else { return };
    let most = nest.folder.join("cgroup.max.descendants");
    fs::write(&most, "0").unwrap();
    let stage = Stage::new();
    let mut run = start_in(&nest, &stage);
    stage.until_started(1);
    assert!(nest.groups().is_empty());
    fs::write(&most, "max").unwrap();
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert_eq!(nest.groups().len(), 1, "{}", stage.story());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty(), "{:?}", nest.groups());
}

/// Two containers may have an instance each at one path, and one group: what can't be seen is the
/// other's.
#[test]
fn h21_what_is_in_another_process_namespace_is_left_alone() {
    let Some(nest) = Nest::new() else { return };
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(unshare).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no process namespace can be made here (unshare)");
    }
    let stage = Stage::new();
    let group = nest.folder.join(format!("nymvisor-{}-other-1", token_prefix(&instance(&stage))));
    fs::create_dir(&group).unwrap();
    let mut other = Command::new("sh");
    other.args(["-c", "echo 0 > \"$0\" && exec sleep 1000"]).arg(group.join("cgroup.procs"));
    let other = crate::support::helper::Guarded(other.spawn().unwrap());
    let is_in = || fs::read_to_string(group.join("cgroup.procs")).unwrap().lines().count() == 1;
    stage.until("it is there", || is_in().then_some(()));
    let inner = stage.run_command(&["run"]);
    let command = wrapped(&inner, "unshare", &unshare.map(AsRef::as_ref));
    let mut run = stage.start_command(nest.within(&command));
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    assert!(super::is_live(other.0.id()), "{}", stage.story());
    let stats = nymvisor::proc::stats().unwrap();
    let first = stats.iter().find(|stat| stat.parent == run.pid()).unwrap().pid;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.cast_signed()), Signal::SIGTERM)
        .unwrap();
    assert_eq!(run.wait().status, Some(0));
    let said = run.stderr();
    assert_eq!(said.matches("is left alone").count(), 1, "{said}");
    assert_eq!(nest.groups(), [group]);
    assert!(super::is_live(other.0.id()));
}

/// Below a threaded group there is no place for whole processes.
#[test]
fn a_threaded_group_is_none_for_daemons() {
    let Some(nest) = Nest::new() else { return };
    let below = nest.folder.join("threaded");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.type"), "threaded").unwrap();
    let script = "echo 0 > \"$0/cgroup.procs\" && echo 0 > \"$0/threaded/cgroup.threads\" && \
                  exec \"$@\"";
    let stage = Stage::new();
    let inner = stage.run_command(&["run"]);
    let arguments = ["-c".as_ref(), script.as_ref(), nest.folder.as_os_str()];
    let mut run = stage.start_command(wrapped(&inner, "sh", &arguments));
    assert_upgrades(&stage, &mut run);
    let said = run.stderr();
    assert!(said.contains("no control group for the daemon"), "{said}");
}

/// As in a service with `User=` and `Delegate=yes`: the group is the user's, and nothing above it.
#[test]
fn a_user_with_a_group_of_his_own_has_it_and_without_one_has_not() {
    let Some(nest) = Nest::new() else { return };
    let setpriv = ["--reuid=12345", "--regid=12345", "--clear-groups"];
    let tried = Command::new("setpriv").args(setpriv).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no other user can be had here (setpriv)");
    }
    for is_delegated in [true, false] {
        let stage = Stage::new();
        install(&stage, "hidden", HIDDEN);
        let own = |path: PathBuf| std::os::unix::fs::chown(path, Some(12345), Some(12345)).unwrap();
        for entry in walkdir::WalkDir::new(stage.site.path("")) {
            own(entry.unwrap().into_path());
        }
        if is_delegated {
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                own(nest.folder.join(name));
            }
        }
        let within = if is_delegated { &nest } else { &Nest::new().unwrap() };
        let inner = stage.run_command(&["run"]);
        let command = wrapped(&inner, "setpriv", &setpriv.map(AsRef::as_ref));
        let _stopped = super::Stopped(&stage);
        let mut run = stage.start_command(within.within(&command));
        stage.until_started(1);
        assert_eq!(within.groups().len(), usize::from(is_delegated), "{}", stage.story());
        let hidden = super::pid_of(&stage, "hidden");
        assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
        assert_eq!(super::is_live(hidden), !is_delegated);
        assert!(within.groups().is_empty());
        let said = run.stderr();
        assert_eq!(said.contains("Permission denied"), !is_delegated, "{said}");
    }
}

/// As in the unit of `systemd-unit`: all is read-only but the group of the service.
#[test]
fn its_own_group_is_all_that_has_to_be_writable() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    install(&stage, "hidden", HIDDEN);
    let top = candidates().remove(0);
    let script = "set -e; mount --bind \"$0\" \"$0\"; mount -o remount,bind,ro \"$0\"
        mount --bind \"$1\" \"$1\"; mount -o remount,bind,rw \"$1\"; echo 0 > \"$1/cgroup.procs\"
        ! mkdir \"$0/refused\" 2> /dev/null; shift; exec \"$@\"";
    let inner = stage.run_command(&["run"]);
    let (mount, shell) = (["--mount", "sh", "-c", script].map(AsRef::as_ref), &nest.folder);
    let arguments = [&mount[..], &[top.as_os_str(), shell.as_os_str()]].concat();
    let mut run = stage.start_command(wrapped(&inner, "unshare", &arguments));
    stage.until("a start, or a refusal", || {
        (stage.logged("started") == 1 || run.is_over()).then_some(())
    });
    if run.is_over() {
        return eprintln!("skipped: no mount namespace can be made here (unshare)");
    }
    let hidden = super::pid_of(&stage, "hidden");
    assert_eq!(nest.groups().len(), 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(!super::is_live(hidden));
    assert!(nest.groups().is_empty());
}

/// Something is mounted on it: nobody is in it, and it can't be removed.
#[test]
fn a_group_that_stays_holds_nothing_up_and_the_next_session_removes_it() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    let name = format!("nymvisor-{}-earlier-1", token_prefix(&instance(&stage)));
    let busy = nest.folder.join(name);
    fs::create_dir(&busy).unwrap();
    let script = "mount --bind \"$0\" \"$0\" && exec \"$@\"";
    let inner = stage.run_command(&["run"]);
    let arguments =
        ["--mount".as_ref(), "sh".as_ref(), "-c".as_ref(), script.as_ref(), busy.as_os_str()];
    let mut run = stage.start_command(nest.within(&wrapped(&inner, "unshare", &arguments)));
    stage.until_started(1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    let said = run.stderr();
    if said.contains("unshare failed") {
        return eprintln!("skipped: no mount namespace can be made here (unshare)");
    }
    assert!(said.contains("can't be removed (Device or resource busy"), "{said}");
    assert_eq!(nest.groups(), [busy]);
    let mut run = start_in(&nest, &stage);
    stage.until_started(2);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(nest.groups().is_empty());
}

/// What other names than ours there are is not looked at, and what isn't a group is none.
#[test]
fn what_is_not_ours_stays() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    let prefix = token_prefix(&instance(&stage));
    let names = ["nymvisor-0123456789abcdef-earlier-1", "nymvisor", &format!("x{prefix}-1")];
    for name in names {
        fs::create_dir(nest.folder.join(name)).unwrap();
    }
    // A record that leads astray: to a folder like a group of ours that is on no cgroup2.
    let astray = stage.site.path("astray");
    let like = astray.join(format!("nymvisor-{prefix}-earlier-1"));
    fs::create_dir_all(&like).unwrap();
    fs::write(like.join("cgroup.procs"), "").unwrap();
    let record = instance(&stage).join("data/control-groups");
    fs::write(&record, format!("relative\n\n{}\n", astray.display())).unwrap();
    let mut run = start_in(&nest, &stage);
    stage.until_started(1);
    let kept = fs::read_to_string(&record).unwrap();
    assert_eq!(kept, format!("{}\n", nest.folder.display()));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(nest.groups().len(), names.len());
    assert!(like.join("cgroup.procs").is_file());
}

/// The means of kernels before 5.14: frozen, so that none can fork, and killed one by one.
#[tokio::test]
async fn h05_what_forks_without_end_is_ended_without_an_order_for_it() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    let _stopped = super::Stopped(&stage);
    fs::write(stage.site.home("chain.sh"), CHAIN).unwrap();
    let group = Place::at(nest.folder.clone(), "test").make("session", 1).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo 0 > \"$0\" && setsid -f sh \"$1/chain.sh\" \"$1\""]);
    assert!(command.arg(group.entrance()).arg(stage.site.home("")).status().unwrap().success());
    stage.until("the chain", || (length(&stage, "chain") > 3).then_some(()));
    assert!(group.is_populated().unwrap());
    assert!(group.remove().is_err());
    stage.until("its end", || {
        group.kill_each();
        (!group.is_populated().unwrap()).then_some(())
    });
    let then = length(&stage, "chain");
    group.gone(|members| panic!("there was nobody: {members:?}")).await;
    group.remove().unwrap();
    assert_eq!(length(&stage, "chain"), then);
    assert!(!candidates().is_empty());
}
