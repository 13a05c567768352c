//! Metrics and health, as a monitor gets them from a real `run`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::helper::DEADLINE;
use crate::support::run::{Run, Stage};

mod counted;
mod doors;
mod files;
mod healthz;
mod hostile;

/// An answer over HTTP.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// The values of a scrape by their series, `name{label="value"}`.
pub(crate) struct Scrape {
    text: String,
    values: BTreeMap<String, f64>,
}

impl Scrape {
    fn of(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        };
        let values = lines.map(value).collect();
        Self { text, values }
    }

    fn get(&self, series: &str) -> Option<f64> {
        self.values.get(&format!("nymvisor_{series}")).copied()
    }

    fn is(&self, series: &str, value: f64) -> bool {
        self.get(series).is_some_and(|found| (found - value).abs() < 1e-9)
    }

    pub(crate) fn assert(&self, series: &str, value: f64) {
        assert!(self.is(series, value), "{series} is {:?}\n{}", self.get(series), self.text);
    }
}

/// A stage whose runs tell metrics on any port.
pub(crate) fn watched() -> Stage {
    Stage::new().with("NYMVISOR_METRICS_LISTEN", "127.0.0.1:0")
}

/// A run whose first upgrade has no right checksum, and where it tells metrics.
fn with_a_wrong_digest() -> (Stage, Run, SocketAddr) {
    let stage = watched();
    let mut bad = stage.announcement("1.1.0");
    bad["platforms"]["any"]["checksum"] = json!("00".repeat(32));
    stage.publish(&bad);
    let run = stage.start(&["run"]);
    let place = place(&stage, &run);
    (stage, run, place)
}

/// Where a run tells them, once it does.
pub(crate) fn place(stage: &Stage, run: &Run) -> SocketAddr {
    stage.until("the place of the metrics in the log", || {
        let said = run.stderr();
        let (_, rest) = said.split_once("metrics and health are told on ")?;
        rest.split_whitespace().next()?.parse().ok()
    })
}

/// Sends this and takes all that comes.
fn exchange(place: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(place)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    // It may have been refused before all of it was sent.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

fn ask(place: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    exchange(place, request.as_bytes()).unwrap()
}

fn scrape(place: SocketAddr) -> Scrape {
    let answer = ask(place, "GET", "/metrics");
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    Scrape::of(answer.body)
}

/// Scrapes until a series has this value.
pub(crate) fn until(stage: &Stage, place: SocketAddr, series: &str, value: f64) -> Scrape {
    stage.until(&format!("{series} {value}"), || {
        let scrape = scrape(place);
        scrape.is(series, value).then_some(scrape)
    })
}

/// What `/healthz` says, and with which status.
fn health(place: SocketAddr) -> (u16, Value) {
    let answer = ask(place, "GET", "/healthz");
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// What `status` says, and with which exit status.
fn status(stage: &Stage) -> (i32, Value) {
    let outcome = stage.site.run(&["status", "--output", "json"]);
    (outcome.status, serde_json::from_str(&outcome.stdout).unwrap())
}
