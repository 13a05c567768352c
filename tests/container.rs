//! As the first process of a container.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nymvisor::proc;

use crate::support::run::Stage;

const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

fn is_allowed() -> bool {
    let tried = Command::new("unshare").args(UNSHARE).arg("true").output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn orphans_are_buried_and_a_stop_is_heard() {
    if !is_allowed() {
        return eprintln!("skipped: no process namespace can be made here (unshare)");
    }
    let stage = Stage::new();
    // A process in a session of its own that loses its parent at once, and ends; again and again.
    stage.install_script(
        "trap 'echo signal INT >> $home/events.log; exit 0' INT\n\
         echo started 1.0.0 $$ >> $home/events.log\n\
         for n in 1 2 3 4 5; do\n\
             (setsid sh -c 'sleep 0.1; echo orphan ended >> $0/events.log' $home &)\n\
         done\n\
         while :; do sleep 0.05 & wait $!; done\n",
    );
    let inner = stage.run_command(&["run"]);
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg(inner.get_program()).args(inner.get_args());
    command.env_clear().current_dir(stage.site.path(""));
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut run = stage.start_command(command);
    stage.until_log("orphan ended", 5);
    let first = proc::stats().unwrap().into_iter().find(|stat| stat.parent == run.pid()).unwrap();
    let children = || {
        let stats = proc::stats().unwrap().into_iter();
        stats.filter(|stat| stat.parent == first.pid).collect::<Vec<_>>()
    };
    stage.until("no zombie is left", || children().iter().all(|child| child.live).then_some(()));
    assert_eq!(children().len(), 1, "the daemon");
    // What ends it outside of a container by default is heard here only by who listens.
    kill(Pid::from_raw(i32::try_from(first.pid).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().status, Some(0));
    assert_eq!(stage.logged("signal INT"), 1);
    assert_eq!(stage.records().last().unwrap().to(), "Restarting");
}
