//! The poller and the client's rules, against a server that misbehaves.

use std::time::Duration;

use nymvisor::digest;
use nymvisor::host::http::{self, Error, RedirectRefused, Timeouts};
use nymvisor::host::upstream::{BODY_BYTES_MAX, Poll, Poller, next_pause, random};
use nymvisor::machine::Code;
use reqwest::Url;

use crate::support::server::{Reply, Server};

/// Short enough for a test, long enough for a busy machine.
fn short() -> Timeouts {
    let idle = Duration::from_millis(300);
    Timeouts { idle, total: Duration::from_secs(2), ..Timeouts::default() }
}

/// For exchanges that are expected to succeed, or to fail by something else than time.
fn patient() -> Timeouts {
    Timeouts::default()
}

fn poller(url: &str) -> Poller {
    Poller::new(url, patient()).unwrap()
}

fn body(bytes: &[u8]) -> Poll {
    Poll::Body { bytes: bytes.to_vec(), digest: digest::sha256(bytes) }
}

#[tokio::test]
async fn a_body_is_handed_out_once() {
    let server = Server::start();
    server.put("/info", Reply::ok("{1}"));
    let mut poller = poller(&server.url("/info"));
    assert_eq!(poller.poll().await.unwrap(), body(b"{1}"));
    assert_eq!(poller.poll().await.unwrap(), Poll::Unchanged, "same body, no validators");
    server.put("/info", Reply::ok("{2}"));
    assert_eq!(poller.poll().await.unwrap(), body(b"{2}"));
    poller.forget();
    assert_eq!(poller.poll().await.unwrap(), body(b"{2}"));
}

#[tokio::test]
async fn requests_are_conditional() {
    let server = Server::start();
    let date = "Tue, 29 Oct 2024 09:48:31 GMT";
    server.put("/info", Reply::ok("{1}").etag("W/\"1\"").last_modified(date));
    let mut poller = poller(&server.url("/info"));
    assert_eq!(poller.poll().await.unwrap(), body(b"{1}"));
    assert_eq!(poller.poll().await.unwrap(), Poll::Unchanged);
    server.put("/info", Reply::ok("{2}").etag("W/\"2\""));
    assert_eq!(poller.poll().await.unwrap(), body(b"{2}"));
    assert_eq!(poller.poll().await.unwrap(), Poll::Unchanged);
    let requests = server.requests("/info");
    let sent: Vec<_> = requests
        .iter()
        .map(|request| (request.header("if-none-match"), request.header("if-modified-since")))
        .collect();
    let first = (Some("W/\"1\""), Some(date));
    assert_eq!(sent, [(None, None), first, first, (Some("W/\"2\""), None)]);
    let agent = concat!("nymvisor/", env!("CARGO_PKG_VERSION"));
    assert_eq!(requests[0].header("user-agent"), Some(agent));
    assert_eq!(requests[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn a_failure_changes_nothing_that_is_known() {
    let server = Server::start();
    let good = Reply::ok("{1}").etag("\"1\"");
    server.put_each(
        "/info",
        [good.clone(), Reply::status(500), Reply::ok("{half").etag("\"2\"").cut_after(3), good],
    );
    let mut poller = poller(&server.url("/info"));
    assert_eq!(poller.poll().await.unwrap(), body(b"{1}"));
    assert_eq!(poller.poll().await.unwrap_err().code(), Code::HttpStatus);
    assert_eq!(poller.poll().await.unwrap_err().code(), Code::Network);
    assert_eq!(poller.poll().await.unwrap(), Poll::Unchanged);
    assert_eq!(server.requests("/info")[3].header("if-none-match"), Some("\"1\""));
}

#[tokio::test]
async fn h22_h24_every_bad_answer_is_an_error_with_its_code() {
    let server = Server::start();
    let far = usize::try_from(BODY_BYTES_MAX).unwrap() + 1;
    let slow = Duration::from_millis(100);
    let cases: Vec<(&str, Reply, Code)> = vec![
        ("/404", Reply::status(404), Code::HttpStatus),
        ("/500", Reply::status(500), Code::HttpStatus),
        ("/204", Reply::status(204).body(""), Code::HttpStatus),
        ("/304", Reply::status(304), Code::HttpStatus),
        ("/206", Reply::status(206), Code::HttpStatus),
        ("/never", Reply::never(), Code::Network),
        ("/stall", Reply::ok("{1}").stall_after(2), Code::Network),
        ("/drip", Reply::endless("{").drip(1, slow), Code::Network),
        ("/half", Reply::ok("{1}").cut_after(1), Code::Network),
        ("/lie", Reply::ok("{1}").content_length(10), Code::Network),
        ("/chunks", Reply::ok("{1}").chunked().cut_after(2), Code::Network),
        ("/announced", Reply::ok(vec![b'x'; far]), Code::TooLarge),
        ("/claimed", Reply::ok("{1}").content_length(u64::MAX / 2), Code::TooLarge),
        ("/counted", Reply::ok(vec![b'x'; far]).chunked(), Code::TooLarge),
        ("/unlengthy", Reply::ok(vec![b'x'; far]).no_length(), Code::TooLarge),
        ("/endless", Reply::endless(vec![b'x'; 1000]), Code::TooLarge),
        ("/loop", Reply::redirect("/loop"), Code::HttpStatus),
        ("/ftp", Reply::redirect("ftp://example.org/x"), Code::BadUrl),
        ("/nowhere", Reply::status(302), Code::HttpStatus),
    ];
    for (path, reply, code) in cases {
        server.put(path, reply);
        let by_time = matches!(path, "/never" | "/stall" | "/drip");
        let timeouts = if by_time { short() } else { patient() };
        let mut poller = Poller::new(&server.url(path), timeouts).unwrap();
        let error = poller.poll().await.unwrap_err();
        assert_eq!(error.code(), code, "{path}: {error}");
        assert!(error.to_string().contains(&server.url(path)), "{path}: {error}");
    }
}

#[tokio::test]
async fn the_largest_body_is_still_taken() {
    let server = Server::start();
    let bytes = vec![b'x'; usize::try_from(BODY_BYTES_MAX).unwrap()];
    server.put("/info", Reply::ok(bytes.clone()).chunked());
    assert_eq!(poller(&server.url("/info")).poll().await.unwrap(), body(&bytes));
}

#[tokio::test]
async fn redirects_are_followed_five_times() {
    let server = Server::start();
    for hop in 1..=6 {
        server.put(&format!("/{hop}"), Reply::redirect(&format!("/{}", hop - 1)));
    }
    server.put("/0", Reply::ok("{1}"));
    assert_eq!(poller(&server.url("/5")).poll().await.unwrap(), body(b"{1}"));
    let error = poller(&server.url("/6")).poll().await.unwrap_err();
    let is_too_many = matches!(&error, Error::Redirect { refused: RedirectRefused::TooMany, .. });
    assert!(is_too_many, "{error}");
}

#[test]
fn h25_no_redirect_leaves_https() {
    let url = |text: &str| Url::parse(text).unwrap();
    let [plain, safe] = [url("http://user:secret@a.org/1"), url("https://b.org/2")];
    assert_eq!(http::check_redirect(std::slice::from_ref(&plain), &safe), Ok(()));
    assert_eq!(http::check_redirect(std::slice::from_ref(&plain), &plain), Ok(()));
    assert_eq!(http::check_redirect(std::slice::from_ref(&safe), &safe), Ok(()));
    for previous in [vec![safe.clone()], vec![plain.clone(), safe.clone()]] {
        let refused = http::check_redirect(&previous, &plain).unwrap_err();
        assert_eq!(refused, RedirectRefused::Downgrade { to: "http://a.org/1".into() });
    }
    let refused = http::check_redirect(&[safe], &url("file:///etc/passwd")).unwrap_err();
    assert!(matches!(refused, RedirectRefused::Scheme { .. }));
}

#[test]
fn only_http_urls_are_allowed() {
    for good in ["http://a", "https://a.org/x?y=1", "HTTPS://A.org:8443/", "http://[::1]/"] {
        http::check_url(good).unwrap();
    }
    for bad in ["", "a.org/x", "ftp://a.org/x", "file:///etc/passwd", "http://", "user:pw@a.org"] {
        let error = http::check_url(bad).unwrap_err();
        assert_eq!(error.code(), Code::BadUrl, "{bad}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}

#[test]
fn plain_http_is_told_apart_from_loopback() {
    let is_plain =
        |text: &str| http::is_plain_http_beyond_loopback(&http::check_url(text).unwrap());
    for safe in [
        "https://a.org",
        "http://localhost:1",
        "http://127.3.2.1",
        "http://[::1]:80",
        "http://x.localhost",
    ] {
        assert!(!is_plain(safe), "{safe}");
    }
    for plain in ["http://a.org", "http://10.0.0.1", "http://localhost.a.org", "http://[::2]"] {
        assert!(is_plain(plain), "{plain}");
    }
}

#[test]
fn credentials_are_dropped_whatever_the_url_looks_like() {
    for (url, clean) in [
        ("https://user:secret@a.org/x?y=secret", "https://a.org/x?…"),
        ("https://a.org/x?secret#secret", "https://a.org/x?…"),
        ("https://a.org/x?", "https://a.org/x?…"),
        ("https://a.org/x#secret", "https://a.org/x"),
        ("http://a.org:port/x?y=secret", "http://a.org:port/x?…"),
        ("http://a.org:port/x?y#secret", "http://a.org:port/x?…"),
        ("http://a.org:port/x#secret", "http://a.org:port/x"),
        ("https://secret@a.org", "https://a.org/"),
        ("http://u:secret@[::1]:8/x", "http://[::1]:8/x"),
        ("https:u:secret@a.org/x", "https://a.org/x"),
        ("http://u:secret@a.org:port/", "http://a.org:port/"),
        ("http://u:sec/secret@a.org", "http://a.org"),
        ("u:secret@a.org", "a.org"),
        ("postgres://u:secret@a.org/x", "postgres://a.org/x"),
        ("https://a.org/\u{1b}[31m", "https://a.org/%1B[31m"),
        ("not a url\u{1b}[31m", "not a url\\u{1b}[31m"),
    ] {
        assert_eq!(http::redact(url), clean);
    }
}

#[tokio::test]
async fn no_error_shows_credentials() {
    let server = Server::start();
    server.put("/404", Reply::status(404));
    server.put("/half", Reply::ok("{1}").cut_after(1));
    server.put("/never", Reply::never());
    server.put("/ftp", Reply::redirect("ftp://me:secret@example.org/x"));
    server.put("/port", Reply::redirect("http://me:secret@127.0.0.1:1/x"));
    server.put("/bad", Reply::redirect("http://me:secret@example.org:port/x?secret"));
    for path in ["/404", "/half", "/never", "/ftp", "/port", "/bad"] {
        let url = server.url_with("me:secret", path) + "?key=secret";
        let mut poller = Poller::new(&url, short()).unwrap();
        let error = poller.poll().await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let sent = server.requests(path)[0].header("authorization").map(str::to_owned);
        assert!(sent.is_some(), "credentials are for the server");
    }
}

#[tokio::test]
async fn a_refused_connection_names_its_cause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut poller = poller(&format!("http://me:secret@127.0.0.1:{port}/x"));
    let error = poller.poll().await.unwrap_err();
    assert_eq!(error.code(), Code::Network);
    let text = error.to_string();
    assert!(text.contains("refused") && !text.contains("secret"), "{text}");
}

#[test]
fn h34_h35_pauses_are_spread_and_never_zero() {
    let hour = Duration::from_hours(1);
    assert_eq!(next_pause(hour, 0.0), hour);
    assert_eq!(next_pause(hour, 0.5), Duration::from_mins(63));
    assert_eq!(next_pause(hour, 1.0), Duration::from_mins(66));
    for odd in [-1.0, 2.0, f64::NAN, f64::INFINITY] {
        let pause = next_pause(hour, odd);
        assert!(pause >= hour && pause <= Duration::from_mins(66), "{odd}");
    }
    assert!(next_pause(Duration::ZERO, 0.0) > Duration::ZERO);
    assert_eq!(next_pause(Duration::MAX, 1.0), Duration::MAX);
    let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    assert!(numbers.iter().any(|&number| number < 0.5) && numbers.iter().any(|&n| n >= 0.5));
}
