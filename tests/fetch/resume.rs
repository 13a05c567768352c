//! What a download that broke off goes on from, and what it throws away.

use std::fs;

use nymvisor::digest;
use nymvisor::host::fetch::{Error, Order};
use nymvisor::machine::Code;

use super::{Bench, TAG, run, sha256};
use crate::support::server::Reply;

const DATE: &str = "Tue, 29 Oct 2024 09:48:31 GMT";
const LATER: &str = "Tue, 29 Oct 2024 09:48:32 GMT";
const START_WRONG: &str = "bytes 499999-1199999/1200000";
const TOTAL_WRONG: &str = "bytes 500000-1199999/1200001";
const TOTAL_OPEN: &str = "bytes 500000-1199999/*";

/// Name, how the first reply looks, how the later ones do, and which of the requests that follow
/// ask for a range.
type Case = (&'static str, fn(Reply) -> Reply, fn(Reply) -> Reply, &'static [bool]);

#[tokio::test]
async fn resume_matrix() {
    let plain = |bench: &Bench| Reply::ok(bench.bytes.clone()).ranges();
    let cases: Vec<Case> = vec![
        ("strong tag", |r| r.etag(TAG), |r| r.etag(TAG), &[true]),
        ("tag not repeated", |r| r.etag(TAG), |r| r, &[true]),
        ("tag changed", |r| r.etag(TAG), |r| r.etag("\"v2\""), &[true]),
        ("weak tag", |r| r.etag("W/\"v1\""), |r| r.etag("W/\"v1\""), &[false]),
        ("no validator", |r| r, |r| r, &[false]),
        (
            "date",
            |r| r.last_modified(DATE).header("Date", LATER),
            |r| r.last_modified(DATE).header("Date", LATER),
            &[true],
        ),
        (
            "date too young",
            |r| r.last_modified(DATE).header("Date", DATE),
            |r| r.last_modified(DATE).header("Date", LATER),
            &[false],
        ),
        ("date alone", |r| r.last_modified(DATE), |r| r.last_modified(DATE), &[false]),
        ("no length", |r| r.etag(TAG).chunked(), |r| r.etag(TAG), &[false]),
        ("start wrong", tagged, |r| r.etag(TAG).content_range(START_WRONG), &[true, false]),
        ("total wrong", tagged, |r| r.etag(TAG).content_range(TOTAL_WRONG), &[true, false]),
        ("total unknown", tagged, |r| r.etag(TAG).content_range(TOTAL_OPEN), &[true, false]),
        ("range garbled", tagged, |r| r.etag(TAG).content_range("pieces"), &[true, false]),
    ];
    for (name, first, later, asks_range) in cases {
        let bench = Bench::new();
        bench.begin(first(plain(&bench))).await;
        bench.server.put("/file", later(plain(&bench)));
        run(&bench.order()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let asked: Vec<bool> = bench.ranges()[1..].iter().map(Option::is_some).collect();
        assert_eq!(asked, asks_range, "{name}");
        bench.is_whole();
    }
}

fn tagged(reply: Reply) -> Reply {
    reply.etag(TAG)
}

#[tokio::test]
async fn a_refused_range_is_followed_by_a_plain_request() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    bench.server.put_each("/file", [Reply::status(416), bench.good()]);
    run(&bench.order()).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000), None]);
    bench.is_whole();
}

#[tokio::test]
async fn a_server_that_ignores_the_range_is_read_from_the_start() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    bench.server.put("/file", Reply::ok(bench.bytes.clone()).etag(TAG));
    run(&bench.order()).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000)]);
    bench.is_whole();
}

#[tokio::test]
async fn a_206_of_another_version_is_not_appended() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    let other = Reply::status(206)
        .body(&bench.bytes[500_000..])
        .header("Content-Range", "bytes 500000-1199999/1200000")
        .etag("\"v2\"");
    bench.server.put_each("/file", [other, bench.good()]);
    run(&bench.order()).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000), None]);
    bench.is_whole();
}

#[tokio::test]
async fn a_part_of_another_url_is_built_upon_only_for_the_same_checksum() {
    let bench = Bench::new();
    let mut other = bench.bytes.clone();
    other[7] ^= 1;
    for (path, bytes, start) in
        [("/moved", &bench.bytes, Some("bytes=500000-")), ("/other", &other, None)]
    {
        bench.begin(bench.good()).await;
        bench.server.put(path, Reply::ok(bytes.clone()).etag("\"moved\"").ranges());
        let order =
            Order { url: bench.server.url(path), expect: Some(sha256(bytes)), ..bench.order() };
        run(&order).await.unwrap();
        assert_eq!(bench.server.requests(path)[0].header("range"), start, "{path}");
        assert_eq!(bench.server.count(path), 1);
        assert_eq!(&fs::read(bench.part()).unwrap(), bytes);
        fs::remove_file(bench.part()).unwrap();
    }
}

#[tokio::test]
async fn a_part_with_a_broken_note_or_too_many_bytes_is_thrown_away() {
    let bench = Bench::new();
    for damage in [0, 1, 2] {
        bench.begin(bench.good()).await;
        match damage {
            0 => fs::write(bench.note(), "{\"url_dig").unwrap(),
            1 => fs::remove_file(bench.note()).unwrap(),
            _ => fs::write(bench.part(), vec![0; 1_200_000]).unwrap(),
        }
        let before = bench.server.count("/file");
        bench.server.put("/file", bench.good());
        run(&bench.order()).await.unwrap();
        assert_eq!(bench.ranges()[before..], [None]);
        bench.is_whole();
        fs::remove_file(bench.part()).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_part_is_found_out_and_fetched_once_more() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    fs::write(bench.part(), vec![0; 400_000]).unwrap();
    bench.server.put("/file", bench.good());
    run(&bench.order()).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(400_000), None]);
    bench.is_whole();
}

#[tokio::test]
async fn only_a_file_fetched_in_one_go_counts_as_a_mismatch() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    // The same tag on other bytes: the resumption itself can't notice.
    let mut other = bench.bytes.clone();
    other[1_100_000] ^= 1;
    bench.server.put("/file", Reply::ok(other.clone()).etag(TAG).ranges());
    let error = run(&bench.order()).await.unwrap_err();
    let Error::DigestMismatch { expected, found, bytes, .. } = &error else { panic!("{error}") };
    assert_eq!((expected, found), (&digest::sha256(&bench.bytes), &digest::sha256(&other)));
    assert_eq!(*bytes, 1_200_000);
    assert_eq!(bench.ranges(), [None, Some(500_000), None]);
    bench.is_empty();
}

#[tokio::test]
async fn the_one_go_is_not_resumed_when_it_breaks_off() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    fs::write(bench.part(), vec![0; 500_000]).unwrap();
    let good = bench.good();
    bench.server.put_each("/file", [good.clone(), good.clone().cut_after(10_000), good]);
    run(&Order { tries: 2, ..bench.order() }).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000), None, None]);
    bench.is_whole();
}

#[tokio::test]
async fn a_mismatch_is_not_tried_again() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good());
    let order = Order { expect: Some(sha256(b"other")), tries: 5, ..bench.order() };
    assert_eq!(run(&order).await.unwrap_err().code(), Code::DigestMismatch);
    assert_eq!(bench.server.count("/file"), 1);
    bench.is_empty();
}

#[tokio::test]
async fn tries_go_on_where_the_last_one_stopped() {
    let bench = Bench::new();
    let cut = || bench.good().cut_after(400_000);
    for expect in [None, Some(sha256(&bench.bytes))] {
        let before = bench.server.count("/file");
        bench.server.put_each("/file", [cut(), Reply::status(503), cut(), bench.good()]);
        run(&Order { expect, tries: 4, ..bench.order() }).await.unwrap();
        let ranges = [None, Some(400_000), Some(400_000), Some(800_000)];
        assert_eq!(bench.ranges()[before..], ranges);
        bench.is_whole();
        fs::remove_file(bench.part()).unwrap();
    }
}

#[tokio::test]
async fn tries_are_counted_and_kept_for_what_may_pass() {
    let bench = Bench::new();
    for (status, tries) in [(503, 3), (429, 3), (404, 1), (403, 1), (410, 1)] {
        let path = format!("/{status}");
        bench.server.put(&path, Reply::status(status));
        let order = Order { url: bench.server.url(&path), tries: 3, ..bench.order() };
        assert_eq!(run(&order).await.unwrap_err().code(), Code::HttpStatus);
        assert_eq!(bench.server.count(&path), tries, "{status}");
    }
}

#[tokio::test]
async fn without_a_checksum_nothing_of_an_earlier_call_is_trusted() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    bench.server.put("/file", bench.good());
    run(&Order { expect: None, ..bench.order() }).await.unwrap();
    assert_eq!(bench.ranges(), [None, None]);
    bench.is_whole();
}
