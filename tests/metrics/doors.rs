//! Where metrics are told: nowhere, on a port, on a socket, and where that is taken.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{place, scrape, until, watched};
use crate::support::run::Stage;
use crate::support::site::Site;

/// How many sockets a process listens on.
fn listening(pid: u32) -> usize {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let own: BTreeSet<String> = links
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?;
            Some(link.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap();
    let listens = |line: &str, state: usize, value: &str, inode: usize| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(state) == Some(&value) && words.get(inode).is_some_and(|id| own.contains(*id))
    };
    let tcp = table("tcp") + &table("tcp6");
    let tcp = tcp.lines().filter(|line| listens(line, 3, "0A", 9)).count();
    // The flag of a socket that accepts connections.
    let unix = table("unix").lines().filter(|line| listens(line, 3, "00010000", 6)).count();
    tcp + unix
}

fn socket(stage: &Stage) -> (std::path::PathBuf, String) {
    let path = stage.site.path("m.sock");
    let place = format!("unix:{}", path.display());
    (path, place)
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

#[test]
fn without_the_key_nothing_listens() {
    let stage = Stage::new();
    let mut run = stage.start(&["run"]);
    stage.until_phase("Running");
    assert_eq!(listening(run.pid()), 0);
    let refused = stage.site.run(&["metrics", "show"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("set nymvisor.metrics_listen"), "{}", refused.stderr);
    let end = run.stop(Signal::SIGINT);
    assert!(!end.stderr.contains("metrics"), "{}", end.stderr);
    // The same with it: it would have been seen.
    let stage = watched();
    let mut run = stage.start(&["run"]);
    place(&stage, &run);
    assert_eq!(listening(run.pid()), 1);
    let daemon = stage.until_started(1);
    assert_eq!(listening(daemon), 0, "the daemon got it too");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_socket_has_its_mode_and_goes_with_the_run() {
    let mut stage = Stage::new();
    let (path, place) = socket(&stage);
    stage.set("NYMVISOR_METRICS_LISTEN", &place);
    let refused = stage.site.run(&["metrics", "show"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("tells nothing"), "{}", refused.stderr);
    let mut run = stage.start(&["run"]);
    stage.until("the socket", || is_socket(&path).then_some(()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    stage.until_phase("Running");
    assert_eq!(listening(run.pid()), 1);
    let shown = stage.site.ok(&["metrics", "show"]);
    assert!(shown.contains("\nnymvisor_daemon_up 1\n"), "{shown}");
    // One that a killed run left is replaced.
    run.kill();
    assert!(is_socket(&path));
    let mut run = stage.start(&["run"]);
    stage.until("metrics", || (stage.site.run(&["metrics", "show"]).status == 0).then_some(()));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(!path.exists(), "it is still there");
    let names = fs::read_dir(stage.site.path("")).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("m.sock")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What a kill left beside it, and nothing else: not what another run is at, and no file.
#[test]
fn what_a_dead_run_left_beside_its_socket_goes() {
    let mut stage = Stage::new();
    let (path, place) = socket(&stage);
    stage.set("NYMVISOR_METRICS_LISTEN", &place);
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let beside = |of: &str| stage.site.path(&format!("m.sock.{of}.new"));
    let dead = beside(&ended.id().to_string());
    let alive = beside(&std::process::id().to_string());
    let foreign = [beside("0"), beside("+1"), beside("x")];
    for path in foreign.iter().chain([&dead, &alive]) {
        drop(UnixListener::bind(path).unwrap());
    }
    let file = beside("99999999");
    fs::write(&file, "precious").unwrap();
    let mut run = stage.start(&["run"]);
    stage.until("the socket", || is_socket(&path).then_some(()));
    assert!(!dead.exists());
    for path in foreign.iter().chain([&alive, &file]) {
        assert!(path.exists(), "{}", path.display());
    }
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn what_is_in_the_way_is_said_and_left_alone() {
    let mut stage = Stage::new();
    let (path, place) = socket(&stage);
    stage.set("NYMVISOR_METRICS_LISTEN", &place);
    fs::write(&path, "precious").unwrap();
    let mut run = stage.start(&["run"]);
    stage.until_phase("Running");
    stage
        .until("the warning", || run.stderr().contains("is there, and is no socket").then_some(()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let mut run = stage.start(&["run"]);
    stage.until("the warning", || {
        run.stderr().contains("another process listens there").then_some(())
    });
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(is_socket(&path), "it is the other's");
    drop(other);
    // One of another kind can't be connected to, and is somebody's all the same.
    fs::remove_file(&path).unwrap();
    let other = UnixDatagram::bind(&path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let mut run = stage.start(&["run"]);
    stage.until("the warning", || {
        run.stderr().contains("another process listens there (").then_some(())
    });
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "it is the other's");
    drop(other);
    stage.set("NYMVISOR_METRICS_LISTEN", &format!("unix:{}/no/m.sock", path.display()));
    let mut run = stage.start(&["run"]);
    stage.until("the warning", || run.stderr().contains("its folder must be").then_some(()));
    stage.until_phase("Running");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_port_in_use_is_waited_for_with_the_daemon_up() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let stage = Stage::new().with("NYMVISOR_METRICS_LISTEN", &taken.to_string());
    let mut run = stage.start(&["run"]);
    stage.until_phase("Running");
    stage.until("the warning", || {
        run.stderr().contains("another process listens there").then_some(())
    });
    assert!(run.stderr().contains(&taken.to_string()), "{}", run.stderr());
    drop(other);
    assert_eq!(place(&stage, &run), taken);
    until(&stage, taken, "daemon_up", 1.0);
    let shown = stage.site.ok(&["metrics", "show"]);
    assert!(shown.ends_with("# EOF\n"), "{shown}");
    assert!(scrape(taken).text.lines().count() > 100);
    assert_eq!(run.stderr().matches("another process listens there").count(), 1);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn nothing_but_this_machine_is_taken() {
    let table = [
        ("0.0.0.0:9184", "reverse proxy"),
        ("[::]:9184", "reverse proxy"),
        ("192.0.2.1:9184", "reverse proxy"),
        ("localhost:9184", "127.0.0.1:9184"),
        ("9184", "127.0.0.1:9184"),
        ("127.0.0.1", "127.0.0.1:9184"),
        ("unix:m.sock", "absolute path"),
        ("unix:/", "absolute path"),
        ("unix:/run/", "absolute path"),
        ("unix:/run/a/../m.sock", "without '..'"),
    ];
    let long = format!("unix:/{}", "x".repeat(95));
    for (value, remedy) in table.into_iter().chain([(long.as_str(), "95 bytes")]) {
        let site = Site::new().initialised().with_env("NYMVISOR_METRICS_LISTEN", value);
        let refused = site.run(&["run"]);
        assert_eq!(refused.status, 3, "{value}");
        let told = refused.stderr.contains("the variable NYMVISOR_METRICS_LISTEN is '");
        assert!(told && refused.stderr.contains(remedy), "{value}: {}", refused.stderr);
    }
    let path = Site::new().initialised();
    for fine in ["127.0.0.1:9184", "127.9.9.9:0", "[::1]:9184", "unix:/run/nymvisor/m.sock"] {
        let file = path.config_file("nym-node-default");
        let text = fs::read_to_string(&file).unwrap();
        let set = text.lines().map(|line| {
            if line.starts_with("metrics_listen") {
                format!("metrics_listen = '{fine}'\n")
            } else {
                format!("{line}\n")
            }
        });
        fs::write(&file, set.collect::<String>()).unwrap();
        let shown: serde_json::Value =
            serde_json::from_str(&path.ok(&["config", "--output", "json"])).unwrap();
        assert_eq!(shown["nymvisor"]["metrics_listen"], fine);
    }
}

/// What the unit shuts off, and what the socket needs of it.
#[test]
fn the_unit_lets_the_socket_be_made() {
    let unit = |place: &str| {
        let site = Site::new().initialised().with_env("NYMVISOR_METRICS_LISTEN", place);
        let outcome = site.run(&["systemd-unit", "run"]);
        (outcome.status, outcome.stdout, outcome.stderr)
    };
    let (_, tcp, _) = unit("127.0.0.1:9184");
    assert!(tcp.contains("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"), "{tcp}");
    assert!(!tcp.contains("RuntimeDirectory"), "{tcp}");
    let (_, below_run, _) = unit("unix:/run/nymvisor/a/m.sock");
    assert!(below_run.contains("\nRuntimeDirectory=nymvisor/a\n"), "{below_run}");
    let (_, by_its_link, _) = unit("unix:/var/run/nymvisor/m.sock");
    assert!(by_its_link.contains("\nRuntimeDirectory=nymvisor\n"), "{by_its_link}");
    // All of it would be written to.
    for place in ["unix:/run/m.sock", "unix:/var/run/m.sock"] {
        let (status, _, said) = unit(place);
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("unix:/run/nymvisor/m.sock"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (_, elsewhere, _) = unit(&format!("unix:{path}/m.sock"));
    let written = elsewhere.lines().find(|line| line.starts_with("ReadWritePaths=")).unwrap();
    assert!(written.split(['=', ' ']).any(|word| word == path), "{written}");
    let (status, _, said) = unit(&format!("unix:{path}/no/m.sock"));
    assert_eq!(status, 3);
    assert!(said.contains("/no is not there"), "{said}");
}
