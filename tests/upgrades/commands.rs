//! Commands that come while no `run` is up, or at the same time as others.

use std::fs;

use nymvisor::host::lock::HeldLock;

use super::wishes::list;
use super::{end, started};
use crate::support::run::Stage;

/// No `run` is up, and another command has the lock for a moment: each of them is carried out.
#[test]
fn commands_at_the_same_time_are_all_carried_out() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    end(run);
    let holds: Vec<_> = (1..=6)
        .map(|hours| format!("{hours}h"))
        .map(|until| stage.site.command(&["upgrades", "hold", "--until", &until]).spawn().unwrap())
        .collect();
    for mut hold in holds {
        assert!(hold.wait().unwrap().success());
    }
    let asked = stage.events().iter().filter(|event| *event == "hold-requested").count();
    assert_eq!(asked, 6, "{}", stage.story());
}

/// Who had the lock has ended, and answers nothing.
#[test]
fn a_command_that_nobody_answers_does_it_itself_once_the_lock_is_free() {
    let stage = Stage::new();
    let (run, _) = started(&stage);
    end(run);
    let data = stage.site.path(".nym/nymvisors/instances/nym-node-default/data");
    let lock = HeldLock::acquire(&data.join("run.lock"), 0o600, "1\n").unwrap();
    let mut hold = stage.site.command(&["upgrades", "hold"]).spawn().unwrap();
    let left = || fs::read_dir(data.join("requests")).into_iter().flatten().flatten().count();
    stage.until("its request", || (left() == 1).then_some(()));
    drop(lock);
    assert!(hold.wait().unwrap().success());
    assert_eq!(left(), 0);
    assert!(list(&stage)["hold"].is_object());
}

/// systemd takes the exit status of a second `run` as final: the node would stay down.
#[test]
fn a_run_waits_for_the_lock_of_a_command() {
    let stage = Stage::new();
    let lock = stage.site.path(".nym/nymvisors/instances/nym-node-default/data/run.lock");
    let lock = HeldLock::acquire(&lock, 0o600, "1\na command, for a moment\n").unwrap();
    let mut run = stage.start(&["run"]);
    let since = std::time::Instant::now();
    // Longer than whoever has not yet written what it is would be waited for.
    while since.elapsed() < std::time::Duration::from_millis(300) {
        assert!(!run.is_over(), "{}", run.stderr());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(lock);
    stage.until_started(1);
    end(run);
}
