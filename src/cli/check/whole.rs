//! Fetches the whole binary to a temporary folder, and asks it there.

use std::convert::Infallible;

use tokio::sync::watch;

use super::binary::ask;
use super::finding::Finding;
use super::site::{Site, in_words};
use crate::bars::Bar;
use crate::host::fetch::{Expected, Order, Progress, fetch, tell_progress};
use crate::host::http::Timeouts;
use crate::host::place;
use crate::machine::{Code, Remedy};
use crate::release::{Checksum, Platform, UpgradeInfo};
use crate::units::human;

const WHAT: &str = "fetch";
/// Somebody waits for the answer: fewer than an upgrade has.
const TRIES: u32 = 2;

/// What came of it, and the bytes and milliseconds that it took.
pub(super) async fn fetch_whole(
    site: &Site<'_>,
    info: &UpgradeInfo,
    platform: &Platform,
) -> (Vec<Finding>, Option<(u64, u64)>) {
    let folder = match tempfile::Builder::new().prefix("nymvisor-check-").tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            let text = format!("no temporary folder can be made: {error}");
            return (vec![Finding::fail(WHAT, text, "set TMPDIR to a folder with room")], None);
        }
    };
    let expect = platform.checksum().ok().flatten();
    let order = Order {
        url: platform.url.clone(),
        mirrors: platform.places().into_iter().skip(1).map(str::to_owned).collect(),
        part: folder.path().join(&site.config.daemon.name),
        expect: expect.map(|Checksum { algorithm, hex }| Expected { algorithm, hex }),
        max_bytes: site.config.daemon.max_binary_size,
        timeouts: Timeouts::default(),
        tries: TRIES,
    };
    let (stop, cancel) = watch::channel(false);
    // Nothing is left in the folder, nor the folder.
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        std::future::pending::<Infallible>().await
    };
    let progress = watch::Sender::new(Progress::default());
    let name = info.name.to_string();
    let told = tell_progress(name.clone(), Bar::begin(name), progress.subscribe());
    let got = tokio::select! {
        got = fetch(&order, cancel, &progress) => got,
        never = told => match never {},
        never = interrupted => match never {},
    };
    let got = match got {
        Ok(got) => got,
        Err(error) => return (vec![failed(error.code(), in_words(&error))], None),
    };
    let came = format!("{} from {} in {:.1} s", human(got.bytes), got.source, got.seconds);
    let mut findings = vec![Finding::ok(WHAT, format!("{came}; it is what is announced"))];
    if order.expect.is_none() {
        findings = vec![Finding::ok(WHAT, format!("{came}; sha256 {}", got.sha256))];
    }
    findings.push(match place::make_executable(&order.part) {
        Ok(_) => ask(site, info, &order.part).await,
        Err(error) => Finding::fail(WHAT, in_words(&error), "see the temporary folder (TMPDIR)"),
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hours")]
    let milliseconds = (got.seconds * 1000.0).max(1.0) as u64;
    (findings, Some((got.bytes, milliseconds)))
}

fn failed(code: Code, text: String) -> Finding {
    let remedy = match code.remedy() {
        Remedy::Quarantine => "the file or the announcement is wrong; have it corrected",
        Remedy::Pause | Remedy::AwaitBinary => {
            "an upgrade would try again after a pause; see the network, and the room in TMPDIR"
        }
    };
    Finding::fail(WHAT, text, remedy)
}
