//! A file that lies in several places.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use nymvisor::digest;
use nymvisor::host::fetch::{Fetched, Order};
use nymvisor::host::http::Timeouts;
use nymvisor::machine::Code;
use nymvisor::release::UpgradeInfo;
use serde_json::json;

use super::{Bench, TAG, run, sha256};
use crate::support::run::Stage;
use crate::support::server::{Reply, Server};

/// The bench's server and two more, with the file under the same path.
struct Three {
    bench: Bench,
    others: [Server; 2],
}

impl Three {
    fn new() -> Self {
        Self { bench: Bench::new(), others: [Server::start(), Server::start()] }
    }

    fn servers(&self) -> [&Server; 3] {
        [&self.bench.server, &self.others[0], &self.others[1]]
    }

    fn put(&self, replies: [Reply; 3]) {
        for (server, reply) in self.servers().iter().zip(replies) {
            server.put("/file", reply);
        }
    }

    /// A wrong file of the right length.
    fn wrong(&self) -> Reply {
        let mut bytes = self.bench.bytes.clone();
        *bytes.last_mut().unwrap() ^= 1;
        Reply::ok(bytes).etag(TAG).ranges()
    }

    fn order(&self) -> Order {
        let timeouts = Timeouts {
            retry_pause: Duration::from_millis(1),
            idle: Duration::from_millis(500),
            ..Timeouts::default()
        };
        let mirrors = self.others.iter().map(|server| server.url("/file")).collect();
        Order { mirrors, timeouts, ..self.bench.order() }
    }

    fn counts(&self) -> [usize; 3] {
        self.servers().map(|server| server.count("/file"))
    }

    /// What the requests to one of them asked for.
    fn asked(&self, index: usize, header: &str) -> Vec<Option<String>> {
        let requests = self.servers()[index].requests("/file");
        requests.iter().map(|request| request.header(header).map(str::to_owned)).collect()
    }

    fn assert_from(&self, fetched: &Fetched, index: usize) {
        assert_eq!(fetched.source, self.servers()[index].url("/file"));
        self.bench.is_whole();
    }
}

#[tokio::test]
async fn what_one_place_cannot_deliver_the_next_is_asked_for_at_once() {
    for (name, first) in [
        ("404", Reply::status(404)),
        ("403", Reply::status(403)),
        ("503", Reply::status(503)),
        ("silent", Reply::never()),
        ("stalled", Reply::ok(vec![1; 1_200_000]).stall_after(1000)),
        ("short", Reply::ok(vec![1; 1_200_000]).cut_after(1000)),
        ("empty", Reply::ok("")),
        ("endless", Reply::endless(vec![b'x'; 100_000])),
        ("elsewhere", Reply::redirect("ftp://127.0.0.1/file")),
        ("wrong", Reply::ok("something else")),
    ] {
        let three = Three::new();
        three.put([first, Reply::status(500), three.bench.good()]);
        // A single try, so no pause: it would be the second round.
        let order = Order { max_bytes: 2_000_000, ..three.order() };
        let fetched = run(&order).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        three.assert_from(&fetched, 2);
        assert_eq!(three.counts(), [1, 1, 1], "{name}");
    }
}

#[tokio::test]
async fn the_first_that_has_it_is_the_only_one_asked() {
    let three = Three::new();
    three.put([three.bench.good(), three.bench.good(), three.bench.good()]);
    let fetched = run(&three.order()).await.unwrap();
    three.assert_from(&fetched, 0);
    assert_eq!(three.counts(), [1, 0, 0]);
}

#[tokio::test]
async fn a_place_where_nobody_listens_is_passed_over() {
    let three = Three::new();
    three.others[0].put("/file", three.bench.good());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let order = Order { url: format!("http://{closed}/file"), ..three.order() };
    three.assert_from(&run(&order).await.unwrap(), 1);
}

#[tokio::test]
async fn with_a_checksum_one_place_completes_what_another_began() {
    let three = Three::new();
    let good = || three.bench.good();
    three.put([good().cut_after(400_000), good().cut_after(300_000), good()]);
    three.assert_from(&run(&three.order()).await.unwrap(), 2);
    for (index, range) in [(0, None), (1, Some("bytes=400000-")), (2, Some("bytes=700000-"))] {
        assert_eq!(three.asked(index, "range"), [range.map(str::to_owned)]);
        // The tag of the first server is none of theirs.
        assert_eq!(three.asked(index, "if-range"), [None]);
    }
}

#[tokio::test]
async fn its_own_validator_is_shown_to_a_server_that_is_asked_again() {
    let three = Three::new();
    let cut = three.bench.good().cut_after(400_000);
    three.bench.server.put_each("/file", [cut, three.bench.good()]);
    three.others.iter().for_each(|server| server.put("/file", Reply::status(503)));
    three.assert_from(&run(&Order { tries: 2, ..three.order() }).await.unwrap(), 0);
    assert_eq!(three.asked(0, "if-range"), [None, Some(TAG.to_owned())]);
    assert_eq!(three.counts(), [2, 1, 1]);
}

#[tokio::test]
async fn a_file_of_another_length_is_not_appended() {
    let three = Three::new();
    let longer = [three.bench.bytes.as_slice(), b"more"].concat();
    let longer = Reply::ok(longer).etag(TAG).ranges();
    three.put([three.bench.good().cut_after(400_000), longer, three.bench.good()]);
    // The second is asked for its rest, then for all of it, which is wrong in one go.
    three.assert_from(&run(&three.order()).await.unwrap(), 2);
    assert_eq!(three.counts(), [1, 2, 1]);
    assert_eq!(three.asked(1, "range"), [Some("bytes=400000-".to_owned()), None]);
    assert_eq!(three.asked(2, "range"), [None]);
}

#[tokio::test]
async fn wrong_bytes_in_a_mixture_are_found_out_and_blamed_on_nobody_before_one_go() {
    let three = Three::new();
    let cut = three.bench.good().cut_after(400_000);
    three.put([cut, three.wrong(), three.bench.good()]);
    three.assert_from(&run(&three.order()).await.unwrap(), 2);
    assert_eq!(three.counts(), [2, 2, 1]);
    assert_eq!(three.asked(2, "range"), [None]);
}

#[tokio::test]
async fn without_a_checksum_each_place_starts_anew() {
    let three = Three::new();
    let good = || three.bench.good();
    three.put([good().cut_after(400_000), good().cut_after(300_000), good()]);
    three.assert_from(&run(&Order { expect: None, ..three.order() }).await.unwrap(), 2);
    for index in 0..3 {
        assert_eq!(three.asked(index, "range"), [None]);
    }
}

#[tokio::test]
async fn only_a_file_that_is_wrong_everywhere_is_held_against_the_announcement() {
    let three = Three::new();
    let order = Order { tries: 3, ..three.order() };
    for (last, code, counts) in [
        (three.wrong(), Code::DigestMismatch, [1, 1, 1]),
        (Reply::status(404), Code::HttpStatus, [1, 1, 1]),
        (Reply::status(503), Code::HttpStatus, [1, 1, 3]),
        (three.bench.good().cut_after(10), Code::Network, [1, 1, 3]),
    ] {
        let before = three.counts();
        three.put([three.wrong(), three.wrong(), last]);
        let error = run(&order).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let asked: Vec<usize> = three.counts().iter().zip(before).map(|(n, b)| n - b).collect();
        assert_eq!(asked, counts, "{error}");
        for server in three.servers() {
            assert!(error.to_string().contains(&server.url("/file")), "{error}");
        }
        // A beginning that broke off may stay; nothing that is wrong does.
        let left = fs::read(three.bench.part()).unwrap_or_default();
        // Ten bytes a round, each built upon the last.
        let kept = if code == Code::Network { 30 } else { 0 };
        assert_eq!(left, three.bench.bytes[..kept]);
    }
}

#[tokio::test]
async fn every_url_is_checked_and_none_is_shown_with_its_password() {
    let three = Three::new();
    let secret = three.others[0].url_with("user:hunter2", "/file");
    let bad = ["ftp://user:hunter2@example.org/file", "file:///etc/passwd", "no url"];
    let order = |url: &str, mirrors: &[&str]| Order {
        url: url.to_owned(),
        mirrors: mirrors.iter().map(|&url| url.to_owned()).collect(),
        ..three.order()
    };
    let error = run(&order(bad[0], &bad[1..])).await.unwrap_err();
    assert_eq!(error.code(), Code::BadUrl);
    assert!(!error.to_string().contains("hunter2"), "{error}");

    let error = run(&order(bad[0], &[&secret])).await.unwrap_err();
    assert_eq!(error.code(), Code::HttpStatus, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");

    three.others[0].put("/file", three.bench.good());
    let fetched = run(&order(bad[2], &[bad[1], &secret])).await.unwrap();
    three.assert_from(&fetched, 1);
    assert_eq!(fetched.sha256, digest::sha256(&three.bench.bytes));
}

#[tokio::test]
async fn a_folder_that_is_missing_is_no_reason_to_try_elsewhere() {
    let three = Three::new();
    three.put([three.bench.good(), three.bench.good(), three.bench.good()]);
    let nowhere = three.bench.folder.path().join("no/part");
    let order = Order { part: nowhere, expect: Some(sha256(b"")), ..three.order() };
    assert_eq!(run(&order).await.unwrap_err().code(), Code::Io);
    assert_eq!(three.counts(), [0, 0, 0]);
}

#[test]
fn an_announcement_may_list_mirrors_and_its_digest_covers_them() {
    let announced = |urls: serde_json::Value| {
        let platform =
            json!({"checksum": "", "checksumAlgorithm": "sha256", "url": "a", "urls": urls});
        let info = json!({
            "manual": false, "name": "v2", "notes": "", "publishDate": null, "version": "2.0.0",
            "platforms": {"any": platform}, "upgradeTime": "2026-01-01T00:00:00Z",
        });
        UpgradeInfo::parse(info.to_string().as_bytes()).unwrap()
    };
    let places = |info: &UpgradeInfo| info.platform().unwrap().places().join(" ");
    let info = announced(json!(["b", "a", "c", "b"]));
    assert_eq!(places(&info), "a b c");
    assert_ne!(info.digest(), announced(json!(["b", "c"])).digest());
    assert_eq!(info, serde_json::from_str(&serde_json::to_string(&info).unwrap()).unwrap());
    // What somebody else means by that name is left alone.
    for other in [json!(null), json!("b"), json!({"b": 1}), json!([1, {}, []])] {
        assert_eq!(places(&announced(other)), "a");
    }
    let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(announced(json!(many)).platform().unwrap().places().len(), 16);
}

#[test]
fn an_upgrade_comes_from_the_mirror_that_has_it_and_the_journal_says_which() {
    let stage = Stage::new();
    let mirror = Server::start();
    let mut announcement = stage.announcement("1.1.0");
    let platform = &mut announcement["platforms"]["any"];
    let good = platform["url"].as_str().unwrap().to_owned();
    platform["url"] = json!(mirror.url_with("user:hunter2", "/gone"));
    platform["urls"] = json!([mirror.url("/gone/too"), "ftp://no", good]);
    stage.publish(&announcement);
    let mut run = stage.start(&["run"]);
    let fetched = stage.until_event("binary-fetched", 1);
    assert_eq!(fetched.data()["source"], good.as_str());
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    stage.assert_consistent();
    assert_eq!(mirror.count("/gone"), 1);
    let end = run.stop(nix::sys::signal::Signal::SIGINT);
    assert!(end.stderr.contains("/gone: the server answered 404"), "{}", end.stderr);
    assert!(!end.stderr.contains("hunter2") && !stage.story().contains("hunter2"));
}
