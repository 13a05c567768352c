//! States in words.

use nymvisor::host::manager::Standing;
use nymvisor::machine::{
    AfterDrain, AfterFailure, Code, Daemon, DrainStep, Draining, Ending, Failed, Failure, Health,
    Notice, Phase, PhaseName, Restarting, Running, State, Version, Wait, Why,
};

fn state(phase: Phase) -> State {
    let installed = Version { name: "v1\n.0".to_owned(), version: "1.0.0".to_owned() };
    let policy = nymvisor::config::Config::draft().policy();
    State { phase, ..State::initial(installed, policy) }
}

fn draining(step: DrainStep, then: AfterDrain) -> Phase {
    Phase::Draining(Draining { daemon: Some(DAEMON), step, then })
}

const DAEMON: Daemon = Daemon { pid: 7, started_ticks: 1 };

/// Phase, status, and whether it is up, ending, past its grace.
#[test]
fn each_is_one_line_and_tells_what_matters() {
    let left_over = |stop| {
        let before =
            Box::new(Phase::Running(Running { daemon: DAEMON, settled: true, health: None }));
        AfterDrain::Recover { before, stop }
    };
    let failure = Failure { code: Code::Io, text: "no".to_owned() };
    let given_up = Failed {
        phase: PhaseName::Running,
        failure,
        then: AfterFailure::GivenUp { ending: Ending::Exited(1) },
        notice: None,
    };
    let wait = |wait| Phase::Restarting(Restarting { why: Why::SessionStart, wait });
    let table = [
        (
            Phase::Running(Running { daemon: DAEMON, settled: false, health: None }),
            ("Running v1 .0 (1.0.0), pid 7", true, false, false),
        ),
        (
            draining(DrainStep::Asked, AfterDrain::End(None)),
            ("Stopping: the daemon, pid 7, is asked to end", false, true, false),
        ),
        (
            draining(DrainStep::Sweeping, AfterDrain::End(None)),
            ("Stopping: the daemon, pid 7, has ended", false, true, true),
        ),
        (
            draining(DrainStep::Asked, left_over(false)),
            (
                "Starting: the daemon, pid 7, is asked to end (of an earlier session)",
                false,
                false,
                false,
            ),
        ),
        (
            draining(DrainStep::Killing, left_over(true)),
            ("Stopping: the daemon, pid 7, is killed (of an earlier session)", false, true, true),
        ),
        (wait(Wait::Spawning { stop: false }), ("Starting v1 .0 (1.0.0)", false, false, false)),
        (wait(Wait::Spawning { stop: true }), ("Starting v1 .0 (1.0.0)", false, true, false)),
        (
            wait(Wait::Delay { swept: true, elapsed: false }),
            ("v1 .0 (1.0.0) has ended, and is started again", false, false, false),
        ),
        (wait(Wait::Session { resume: None }), ("Stopped", false, true, true)),
        (Phase::Failed(given_up), ("v1 .0 (1.0.0) failed for good [io]", false, true, true)),
    ];
    for (phase, (status, is_up, is_ending, is_last)) in table {
        let expected = Standing { is_up, is_ending, is_last, status: status.to_owned() };
        assert_eq!(Standing::of(&state(phase)), expected);
    }
}

#[test]
fn so_are_commands_and_the_health_check() {
    let failure = Failure { code: Code::Io, text: "no".to_owned() };
    let given_up = Failed {
        phase: PhaseName::Running,
        failure: failure.clone(),
        then: AfterFailure::GivenUp { ending: Ending::Exited(1) },
        notice: Some(Notice::Swept),
    };
    let table = [
        (
            Phase::Running(Running {
                daemon: DAEMON,
                settled: false,
                health: Some(Health::Awaited),
            }),
            ("Running v1 .0 (1.0.0), pid 7, health check awaited", true, false, false),
        ),
        (
            draining(DrainStep::Asked, AfterDrain::FailedStart(failure)),
            (
                "v1 .0 (1.0.0) did not pass its health check: the daemon, pid 7, is asked to end",
                false,
                false,
                false,
            ),
        ),
        (
            Phase::Restarting(Restarting { why: Why::SessionStart, wait: Wait::PreStart }),
            ("Starting v1 .0 (1.0.0): the pre-start command runs", false, false, false),
        ),
        (Phase::Failed(given_up), ("v1 .0 (1.0.0) failed for good [io]", false, true, false)),
    ];
    for (phase, (status, is_up, is_ending, is_last)) in table {
        let expected = Standing { is_up, is_ending, is_last, status: status.to_owned() };
        assert_eq!(Standing::of(&state(phase)), expected);
    }
}

#[test]
fn nothing_counts_before_it_is_known_what_the_last_session_left() {
    let phase = Phase::Running(Running { daemon: DAEMON, settled: true, health: None });
    let standing = Standing::of(&State { recovering: true, ..state(phase) });
    assert!(!standing.is_up && !standing.is_ending);
    assert!(standing.status.starts_with("Starting"), "{}", standing.status);
}

#[test]
fn what_keeps_upgrades_waiting_is_told() {
    let phase = Phase::Running(Running { daemon: DAEMON, settled: true, health: None });
    let troubled = State { recording: false, plan_reads: false, ..state(phase) };
    assert_eq!(
        Standing::of(&troubled).status,
        "Running v1 .0 (1.0.0), pid 7; the journal can't be written, upgrades wait; \
         the plan can't be read, upgrades wait"
    );
}
