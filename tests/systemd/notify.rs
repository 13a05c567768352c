//! What the service manager is told, on a socket as systemd has one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::run::Stage;

/// The manager's end: every line that came, and when.
struct Manager {
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Manager {
    /// Reads on and on, as the kernel queues ten datagrams by default.
    fn of(socket: UnixDatagram) -> Self {
        let lines = Arc::<Mutex<Vec<(Instant, String)>>>::default();
        let heard = lines.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = std::str::from_utf8(&buffer[..length]).unwrap();
                let now = Instant::now();
                let lines = text.lines().map(|line| (now, line.to_owned()));
                heard.lock().unwrap().extend(lines);
            }
        });
        Self { lines }
    }

    /// One in the stage's folder, which the runs to come are told of.
    fn on(stage: &mut Stage) -> Self {
        let path = stage.site.path("notify socket");
        let manager = Self::of(UnixDatagram::bind(&path).unwrap());
        stage.set("NOTIFY_SOCKET", path.to_str().unwrap());
        manager
    }

    fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    fn count(&self, beginning: &str) -> usize {
        self.said().iter().filter(|line| line.starts_with(beginning)).count()
    }

    /// Waits for the `count`th line that begins so.
    fn until(&self, stage: &Stage, beginning: &str, count: usize) -> String {
        let asked = || {
            let mut said = self.said();
            said.retain(|line| line.starts_with(beginning));
            said.get(count - 1).cloned()
        };
        stage.until(&format!("{count} x {beginning}: {:?}", self.said()), asked)
    }

    fn position(&self, line: &str) -> usize {
        let said = self.said();
        said.iter().position(|said| said == line).unwrap_or_else(|| panic!("{line}: {said:#?}"))
    }
}

#[test]
fn it_is_ready_with_the_daemon_and_says_how_an_upgrade_goes() {
    let mut stage = Stage::new();
    let manager = Manager::on(&mut stage);
    let mut run = stage.start(&["run"]);
    manager.until(&stage, "READY=1", 1);
    let pid = stage.until_started(1);
    let running = format!("STATUS=Running genesis (1.0.0), pid {pid}");
    let said = manager.said();
    let before: Vec<_> = said.iter().take_while(|line| *line != "READY=1").collect();
    assert!(before.iter().any(|line| line.starts_with("STATUS=Starting genesis")), "{said:?}");
    assert!(before.iter().all(|line| !line.starts_with("STATUS=Running")), "{said:?}");
    manager.until(&stage, &running, 1);

    let mut later = stage.announcement("1.2.0");
    later["upgradeTime"] = "2099-01-01T12:00:00Z".into();
    stage.publish(&later);
    manager.until(&stage, &format!("{running}; v1.2.0 due 2099-01-01 12:00:00Z, ready"), 1);

    stage.announce("1.1.0");
    let pid = stage.until_started(2);
    let running = format!("STATUS=Running v1.1.0 (1.1.0), pid {pid}");
    manager.until(&stage, &running, 1);
    let at = |line: &str| manager.position(line);
    let steps = [
        "STATUS=Upgrade to v1.1.0 (1.1.0): backing up",
        "STATUS=Upgrade to v1.1.0 (1.1.0): moving the files",
        "STATUS=Starting v1.1.0 (1.1.0)",
    ];
    assert!(steps.is_sorted_by_key(|step| at(step)), "{:#?}", manager.said());
    assert_eq!(manager.count("STOPPING"), 0);

    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    let said = manager.said();
    assert!(at("STOPPING=1") > at("READY=1"));
    assert_eq!((manager.count("READY=1"), manager.count("STOPPING=1")), (1, 1), "{said:#?}");
    assert_eq!(manager.count("WATCHDOG"), 0, "nobody asked for it");
    let between = &said[at("READY=1")..at("STOPPING=1")];
    let extended = between.iter().filter(|line| line.starts_with("EXTEND")).count();
    assert_eq!(extended, 0, "the manager waits for nothing: {said:#?}");
}

#[test]
fn a_run_that_never_gets_a_daemon_up_is_never_ready() {
    let mut stage = Stage::new().with("DAEMON_MAX_STARTUP_FAILURES", "2");
    stage.install(b"#!/nowhere\n");
    let manager = Manager::on(&mut stage);
    let end = stage.run_to_end(&["run"]);
    assert_eq!(end.status, Some(4), "{}", end.stderr);
    assert_eq!(manager.count("READY"), 0);
    assert_eq!(manager.count("STOPPING=1"), 1, "{:#?}", manager.said());
    assert!(manager.count("EXTEND_TIMEOUT_USEC=") > 0);
}

#[test]
fn a_long_drain_asks_for_more_time_until_it_is_over() {
    let mut stage = Stage::new();
    stage.switch("ignore-int", "");
    let manager = Manager::on(&mut stage);
    let mut run = stage.start(&["run"]);
    manager.until(&stage, "READY=1", 1);
    let pid = stage.until_started(1);
    let before = manager.count("EXTEND_TIMEOUT_USEC=");
    run.signal(Signal::SIGTERM);
    manager.until(&stage, "STOPPING=1", 1);
    let stopping = format!("STATUS=Stopping: the daemon, pid {pid}, is asked to end");
    manager.until(&stage, &stopping, 1);
    // At once, and again and again.
    manager.until(&stage, "EXTEND_TIMEOUT_USEC=30000000", before + 3);
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0), "the second request skips the grace");
    let killing = format!("STATUS=Stopping: the daemon, pid {pid}, is killed");
    let after = manager.said().split_off(manager.position(&killing));
    assert!(!after.iter().any(|line| line.starts_with("EXTEND")), "{after:#?}");
}

#[test]
fn the_watchdog_is_fed_at_twice_the_pace_and_only_if_it_is_ours() {
    let mut stage = Stage::new().with("WATCHDOG_USEC", "400000");
    let manager = Manager::on(&mut stage);
    let mut run = stage.start(&["run"]);
    manager.until(&stage, "WATCHDOG=1", 6);
    let heard: Vec<Instant> = {
        let lines = manager.lines.lock().unwrap();
        lines.iter().filter(|(_, line)| line == "WATCHDOG=1").map(|(at, _)| *at).collect()
    };
    // One that was late shortens the gap to the next as it was heard.
    let took = heard[5] - heard[0];
    assert!(took > Duration::from_millis(700), "five pauses of 200 ms took {took:?}");
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));

    stage.set("WATCHDOG_PID", "1");
    let before = manager.count("WATCHDOG");
    let mut run = stage.start(&["run"]);
    manager.until(&stage, "READY=1", 2);
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
    assert_eq!(manager.count("WATCHDOG"), before);
}

/// The kernel queues some datagrams for a manager that does something else, and then no more.
#[test]
fn a_manager_that_is_slow_hears_the_last_word_all_the_same() {
    let mut stage = Stage::new();
    let path = stage.site.path("notify socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X=1", &path).is_ok() {}
    stage.set("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut run = stage.start(&["run"]);
    let pid = stage.until_started(1);
    stage.until_event("daemon-spawned", 1);
    let manager = Manager::of(socket);
    manager.until(&stage, "READY=1", 1);
    manager.until(&stage, &format!("STATUS=Running genesis (1.0.0), pid {pid}"), 1);
    assert_eq!(run.stop(Signal::SIGTERM).status, Some(0));
}

#[test]
fn an_abstract_socket_does_and_a_useless_one_is_told_in_the_log() {
    let mut stage = Stage::new();
    let name = format!("nymvisor-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    stage.set("NOTIFY_SOCKET", &format!("@{name}"));
    let mut run = stage.start(&["run"]);
    manager.until(&stage, "READY=1", 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    for useless in ["vsock:2:1234", "/nowhere/at/all"] {
        stage.set("NOTIFY_SOCKET", useless);
        let before = stage.logged("started");
        let mut run = stage.start(&["run"]);
        stage.until_started(before + 1);
        let end = run.stop(Signal::SIGINT);
        assert_eq!(end.status, Some(0));
        let is_told = end.stderr.contains("no service manager is told anything: NOTIFY_SOCKET");
        assert_eq!(is_told, useless.starts_with("vsock"), "{}", end.stderr);
    }
}
