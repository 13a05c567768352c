use nix::sys::signal::Signal;

use crate::support::run::Stage;

#[test]
fn smoke() {
    let stage = Stage::new();
    stage.announce("1.1.0");
    let mut run = stage.start(&["run"]);
    stage.until_event("swap-committed", 1);
    stage.until_log("started 1.1.0", 1);
    let end = run.stop(Signal::SIGINT);
    assert_eq!(end.status, Some(0), "{}", end.stderr);
    println!("{}", stage.story());
    println!("{:?} {:?}", stage.phases(), stage.events());
    assert_eq!(stage.assert_consistent(), "v1.1.0");
}
