//! What `journal report` writes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use nymvisor::machine::{Code, Event, Failure, Requester, Upgrade};
use serde_json::Value;

use super::written::{Told, announced};
use crate::model::tale::Tale;
use crate::model::values::{policy, upgrade};
use crate::support::site::Site;

pub(super) const MARKUP: &str = "</span><script>document.title='owned'</script>\
     <img src=x onerror=\"document.title='owned'\">&amp;'\u{202e}";

/// Writes the report with these options; gives its text.
pub(super) fn report(told: &Told, options: &[&str]) -> String {
    let file = told.site.path("report.html");
    let arguments = [&["journal", "report", "--html", file.to_str().unwrap()], options].concat();
    let outcome = told.site.run(&arguments);
    // The files of this installation know nothing of an upgrade that the test has made up.
    assert!([0, 13].contains(&outcome.status), "{}{}", outcome.stdout, outcome.stderr);
    fs::read_to_string(file).unwrap()
}

/// A text as it stands in the page.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;").replace('\u{202e}', "\\u{202e}")
}

/// An upgrade with markup wherever something comes from outside, that fails and is then performed.
pub(super) fn hostile() -> Told {
    let upgrade = announced(&Site::new(), MARKUP);
    let upgrade = Upgrade {
        requester: Requester::Upstream { url: format!("https://up.example/?{MARKUP}") },
        ..upgrade
    };
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade).fail(Code::Network);
    let told = Told::with(&tale, |event| match event {
        Event::WorkFailed { attempt, failure } => {
            let failure = Failure { text: MARKUP.to_owned(), ..failure };
            Event::WorkFailed { attempt, failure }
        }
        event => event,
    });
    announced(&told.site, MARKUP);
    told
}

#[test]
fn every_record_of_the_upgrade_is_in_it() {
    let told = Told::upgraded();
    let html = report(&told, &["--upgrade", "u1"]);
    let about = super::chosen(&told, &["--upgrade", "u1"]);
    let shown = told.site.ok(&["journal", "show", "--upgrade", "u1", "--output", "json"]);
    for (seq, line) in about.iter().zip(shown.lines()) {
        assert_eq!(html.matches(&format!("id=\"u1r{seq}\"")).count(), 1, "record {seq}");
        assert!(html.contains(&escaped(line)), "{line}");
    }
    assert_eq!(html.matches("<tr id=").count(), about.len());
    for wanted in [
        "<dt>Outcome</dt><dd><span class=\"good\">performed</span>",
        "<dt>From</dt><dd>genesis (1.0.0)",
        "<dt>To</dt><dd>u1 (1.1.0)",
        "by https://up.example/info.json",
        "sha-of-u1",
        "backup-",
        &format!("<code id=\"head\">{}</code>", told.head()),
    ] {
        assert!(html.contains(wanted), "{wanted} is not in\n{html}");
    }
}

/// The second time the file that was fetched before lies in its place.
#[test]
fn where_the_binary_came_from_first_is_told() {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(2).fail(Code::NoRoom);
    let (name, digest) = ("u1".to_owned(), "digest-of-u1".to_owned());
    tale.event(Event::PauseElapsed { name, digest }).work(2);
    let fetches = std::cell::Cell::new(0);
    let told = Told::with(&tale, |event| match event {
        Event::BinaryFetched { attempt, sha256, bytes, .. } => {
            fetches.set(fetches.get() + 1);
            let source = ["https://dl.example/first", "in place"][fetches.get() - 1].to_owned();
            Event::BinaryFetched { attempt, sha256, bytes, source }
        }
        event => event,
    });
    assert_eq!(fetches.get(), 2, "{:?}", told.records.last());
    let html = report(&told, &[]);
    let binary = html.split("<dt>Binary</dt>").nth(1).unwrap().split("</dd>").next().unwrap();
    assert!(binary.contains("https://dl.example/first"), "{binary}");
}

#[test]
fn whatever_comes_from_outside_is_text() {
    let told = hostile();
    let html = report(&told, &[]);
    // Its notes, who asked, and the cause of the failure.
    assert!(html.contains(&format!("<span class=\"notes\">{}</span>", escaped(MARKUP))), "{html}");
    assert!(html.contains(&format!("by https://up.example/?{}", escaped(MARKUP))), "{html}");
    let failed = told.seq("work-failed");
    let link = format!("<a href=\"#u1r{failed}\">record {failed}</a>: {}", escaped(MARKUP));
    assert!(html.contains(&link), "{html}");
    for forbidden in ["<script", "<img", "onerror=\"", "\u{202e}", "href=\"http", "url(", "@import"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn a_report_of_all_has_a_section_for_each_and_says_what_is_not_clean() {
    let mut told = Told::upgraded();
    told.tear("s2");
    let html = report(&told, &[]);
    assert!(html.contains("<h2>u1</h2>"));
    assert!(html.contains("NOT clean: the files on disk differ"));
    assert_eq!(html.matches("note: the last line of 00000001.jsonl was cut short").count(), 1);
    let json = told.site.run(&["journal", "report", "--html", "r.html", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["verdict"], &json["exit_status"]), (&"files".into(), &13.into()));
    assert_eq!(json["upgrades"][0]["outcome"], "performed");
    assert_eq!(json["head"]["hash"], told.head());
}

#[test]
fn the_file_is_whole_or_as_it_was() {
    let told = Told::upgraded();
    let file = told.site.path("report.html");
    fs::write(&file, "old").unwrap();
    let html = report(&told, &[]);
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = |path: &str| told.site.run(&["journal", "report", "--html", path]);
    let fifo = told.site.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("fifo", told.site.path("to-fifo")).unwrap();
    std::os::unix::fs::symlink("nowhere", told.site.path("to-nowhere")).unwrap();
    // Nothing but a file is replaced: as root `/dev/stdout` would be gone for good.
    for (bad, status) in [
        ("no-such-folder/report.html", 3),
        (".", 1),
        ("fifo", 1),
        ("to-fifo", 1),
        ("to-nowhere", 3),
    ] {
        let outcome = written(bad);
        assert_eq!(outcome.status, status, "{bad}: {}", outcome.stdout);
        assert!(outcome.stderr.contains("can't write the report to"), "{}", outcome.stderr);
    }
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    // A link stays, and what it leads to is replaced.
    let link = told.site.path("link.html");
    std::os::unix::fs::symlink("report.html", &link).unwrap();
    fs::write(&file, "old").unwrap();
    assert_eq!(written("link.html").status, 13);
    assert!(fs::read_to_string(&file).unwrap().ends_with("</html>\n") && link.is_symlink());
    let names = fs::read_dir(told.site.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".new")).collect();
    assert!(left.is_empty(), "{left:?}");
}
