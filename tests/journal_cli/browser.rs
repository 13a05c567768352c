//! The report in a real browser, where there is one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::reported::{MARKUP, escaped, hostile, report};
use crate::support::run::Stage;
use crate::support::tools::is_missing;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Runs the browser; none where there is none, which is said.
fn browser(page: &Path, options: &[&str]) -> Option<Output> {
    let program = BROWSERS.into_iter().find(|program| !is_missing(program))?;
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        // It is to ask nobody on the network for anything of its own.
        .args(["--disable-quic", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .env("HOME", profile.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}

/// The page as the browser has understood it.
fn dom(page: &Path) -> Option<String> {
    Some(String::from_utf8(browser(page, &["--dump-dom"])?.stdout).unwrap())
}

/// What stands between the tags, references resolved.
fn text(html: &str) -> String {
    let texts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = texts.collect::<String>();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn a_browser_reads_in_it_what_the_journal_says() {
    let stage = Stage::new();
    let mut run = stage.start(&["run"]);
    stage.until_started(1);
    let mut announced = stage.announcement("1.1.0");
    announced["notes"] = "Read <this> first.".into();
    stage.publish(&announced);
    stage.until_event("backup-examined", 1);
    assert_eq!(run.stop(nix::sys::signal::Signal::SIGINT).status, Some(0), "{}", stage.story());
    let page = stage.site.path("report.html");
    let said = stage.site.ok(&["journal", "report", "--html", page.to_str().unwrap()]);
    let Some(dom) = dom(&page) else { return };
    let text = text(&dom);
    let verified = stage.site.ok(&["journal", "verify", "--output", "json"]);
    let verified: Value = serde_json::from_str(&verified).unwrap();
    let head = verified["head"]["hash"].as_str().unwrap();
    assert!(text.contains(head) && said.contains(head) && text.contains("clean"), "{text}");
    assert!(text.contains("Read <this> first."), "{text}");
    assert!(text.contains(&stage.server.url("/bin/1.1.0")), "where its binary came from: {text}");
    let exported = stage.site.ok(&["journal", "export", "--upgrade", "v1.1.0"]);
    let exported: Value = serde_json::from_str(&exported).unwrap();
    for record in exported["records"].as_array().unwrap() {
        for member in ["hash", "text"] {
            let wanted = record[member].as_str().unwrap();
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
    let sealed = stage.records().into_iter().find(|of| of.event() == "backup-examined").unwrap();
    let archive = &sealed.data()["archive"];
    assert!(text.contains(archive["sha256"].as_str().unwrap()), "{text}");
    assert!(text.contains(archive["path"].as_str().unwrap()), "{text}");
    // A picture for each phase and for the time without a daemon, on one scale.
    assert!(dom.matches("<rect class=\"phase\"").count() >= 7, "{dom}");
    assert_eq!(dom.matches("<rect class=\"gap\"").count(), 1, "{dom}");
    for (width, height) in [(1280, 900), (390, 844)] {
        let picture = page.with_extension(format!("{width}.png"));
        let shot = format!("--screenshot={}", picture.display());
        browser(&page, &[&shot, &format!("--window-size={width},{height}")]).unwrap();
        let bytes = fs::read(picture).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "a picture {width} wide");
    }
}

#[test]
fn a_browser_runs_nothing_of_what_came_from_outside() {
    let told = hostile();
    let html = report(&told, &[]);
    let Some(dom) = dom(&told.site.path("report.html")) else { return };
    assert!(dom.contains("<title>Upgrade u1 of nym-node</title>"), "{dom}");
    assert!(!dom.contains("<script") && !dom.contains("<img"), "{dom}");
    assert!(text(&dom).contains(&MARKUP.replace('\u{202e}', "\\u{202e}")), "{dom}");
    assert!(html.contains(&escaped(MARKUP)));
}
