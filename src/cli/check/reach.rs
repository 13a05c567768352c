//! Whether the places answer that the binary is announced at.

use super::finding::Finding;
use super::site::{Site, in_words};
use crate::host::fetch;
use crate::host::http::{self, Timeouts};
use crate::release::Platform;
use crate::units::human;

const WHAT: &str = "download";

/// What the places said.
pub(super) struct Reached {
    pub(super) findings: Vec<Finding>,
    /// Size of the file, where a server tells it.
    pub(super) bytes: Option<u64>,
}

/// Asks each place for the first byte.
pub(super) async fn look(site: &Site<'_>, platform: &Platform) -> Reached {
    let places = platform.places();
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for place in &places {
        match fetch::reach(place, &Timeouts::default()).await {
            Ok(bytes) => answers.push((http::redact(place), bytes)),
            Err(error) => failures.push(in_words(&error)),
        }
    }
    let mut findings: Vec<Finding> = failures
        .into_iter()
        .map(|text| {
            if answers.is_empty() {
                Finding::fail(WHAT, text, "check the network, or have the announcement corrected")
            } else {
                Finding::warn(WHAT, text, "nothing: another place answers")
            }
        })
        .collect();
    let bytes = answers.iter().find_map(|(_, bytes)| *bytes);
    if let Some((place, _)) = answers.first() {
        let size = bytes.map_or_else(|| "of a size that it doesn't tell".to_owned(), human);
        findings.insert(0, Finding::ok(WHAT, format!("{place} answers: {size}")));
    }
    let max = site.config.daemon.max_binary_size;
    if bytes.is_some_and(|bytes| bytes > max) {
        findings.push(Finding::fail(
            "size",
            format!("{} is more than daemon.max_binary_size allows", human(bytes.unwrap_or(0))),
            format!("raise it above {} if the size is right", human(max)),
        ));
    }
    let differ = answers.iter().any(|(_, other)| other.is_some() && *other != bytes);
    if differ {
        let text = "the places announce files of different sizes: not all have the right one";
        findings.push(Finding::warn(WHAT, text, "tell upstream; the checksum decides"));
    }
    findings.extend(plain_http(&places));
    Reached { findings, bytes }
}

fn plain_http(places: &[&str]) -> Option<Finding> {
    let open = places.iter().find(|place| {
        http::check_url(place).is_ok_and(|url| http::is_plain_http_beyond_loopback(&url))
    })?;
    Some(Finding::warn(
        WHAT,
        format!("{} is plain http: anybody on the way can change what comes", http::redact(open)),
        "have it announced with https; the checksum is what protects it now",
    ))
}
