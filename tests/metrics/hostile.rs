//! Who connects can't disturb the engine, nor keep others out.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{ask, exchange, place, scrape, until, watched};
use crate::support::helper::DEADLINE;

fn connected(place: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(place).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Reads until it is closed, whatever comes.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    bytes
}

#[test]
fn what_is_asked_for_is_one_of_two_pages() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    for path in ["/", "/metrics/", "/metricsx", "/../metrics", "/healthz/x", "*"] {
        let answer = ask(place, "GET", path);
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.head);
        assert!(!answer.body.contains("nymvisor_"), "{path}");
    }
    assert_eq!(ask(place, "GET", "/metrics?a=b").status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let answer = ask(place, method, "/metrics");
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    let head = ask(place, "HEAD", "/metrics");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = head.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(length.parse::<usize>().unwrap() > 1000, "{length}");
    assert!(head.head.contains("connection: close"), "{}", head.head);
    let body = b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\nbody";
    assert_eq!(exchange(place, body).unwrap().status, 200);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn nonsense_and_too_much_are_refused() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    let garbage: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        &[0; 4096],
    ];
    for bytes in garbage {
        let answer = exchange(place, bytes);
        assert!(
            answer.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
                || exchange(place, bytes).is_ok_and(|answer| [0, 400].contains(&answer.status))
        );
    }
    let mut many = b"GET /metrics HTTP/1.1\r\n".to_vec();
    for number in 0..65 {
        many.extend(format!("X-{number}: y\r\n").bytes());
    }
    many.extend(b"\r\n");
    assert_eq!(exchange(place, &many).unwrap().status, 431);
    let mut stream = connected(place);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    let mut sent = 0_usize;
    // An endless header is cut off, long before it fills the memory.
    while sent < 64 * 1024 * 1024 && stream.write_all(&[b'x'; 4096]).is_ok() {
        sent += 4096;
    }
    assert!(sent < 32 * 1024 * 1024, "{sent}");
    until(&stage, place, "daemon_up", 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn who_keeps_connections_open_keeps_nobody_out() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    until(&stage, place, "daemon_up", 1.0);
    let began = Instant::now();
    let mut open: Vec<TcpStream> = (0..100).map(|_| connected(place)).collect();
    for stream in &mut open {
        let _ = stream.write_all(b"GET /metrics HT");
    }
    scrape(place).assert("daemon_up", 1.0);
    // The engine goes on meanwhile.
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    until(&stage, place, "daemon_restarts_total{why=\"upgraded\"}", 1.0);
    let sockets = std::fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().count();
    assert!(sockets < 60, "{sockets} file descriptors are open");
    // Those that were left open are closed in the end, with no answer.
    for stream in open {
        let said = until_closed(stream);
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    }
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

#[test]
fn a_stop_does_not_wait_for_who_is_connected() {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    until(&stage, place, "daemon_up", 1.0);
    let mut slow = connected(place);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
    // One that asks and doesn't read.
    let mut deaf = connected(place);
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let asked = Instant::now();
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    until_closed(slow);
}
