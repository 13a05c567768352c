//! Whether the binary can be had, and is the right one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::{Finding, Verdict};
use super::site::{Site, in_words};
use super::{reach, whole};
use crate::digest::Algorithm;
use crate::host::local::BUILD_INFO_PATIENCE;
use crate::host::{fetch, place, probe};
use crate::release::{Platform, UpgradeInfo, platform_key};
use crate::units::human;

/// What there is to say about the binary, and what it still costs.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    pub(super) findings: Vec<Finding>,
    /// Bytes that are still to be fetched; `None` where nobody knows.
    pub(super) missing_bytes: Option<u64>,
    /// Bytes and milliseconds of the download that this check has made.
    pub(super) fetched: Option<(u64, u64)>,
}

/// What lies in its place counts; else what is announced for this platform.
pub(super) async fn look(site: &Site<'_>, info: &UpgradeInfo, fetch: bool) -> Outlook {
    let path = site.paths.binary(&info.name);
    let mut findings = Vec::new();
    if path.symlink_metadata().is_ok() {
        match in_place(info, &path) {
            Ok(finding) => {
                findings.push(finding);
                findings.push(ask(site, info, &path).await);
                return Outlook { findings, missing_bytes: Some(0), fetched: None };
            }
            Err(finding) => findings.push(finding),
        }
        let may_be_replaced =
            info.local_binary.is_none() && site.config.daemon.allow_binaries_download;
        if !may_be_replaced {
            return Outlook { findings, ..Outlook::default() };
        }
        // The wrong one is kept aside, and gives way.
        for finding in &mut findings {
            finding.verdict = Verdict::Warn;
            finding.remedy = Some("nothing: it is kept aside, and fetched anew".to_owned());
        }
    }
    if !site.config.daemon.allow_binaries_download {
        findings.push(Finding::fail(
            "binary",
            format!("there is no {}, and downloads are switched off", path.display()),
            format!("`nymvisor add-upgrade --add-binary --upgrade-name {} <BINARY>`", info.name),
        ));
        return Outlook { findings, ..Outlook::default() };
    }
    let mut outlook = announced(site, info, fetch).await;
    findings.append(&mut outlook.findings);
    Outlook { findings, ..outlook }
}

async fn announced(site: &Site<'_>, info: &UpgradeInfo, fetch: bool) -> Outlook {
    let Some(platform) = info.platform() else {
        let keys: Vec<String> =
            info.platforms.keys().map(|key| format!("'{}'", key.escape_debug())).collect();
        let finding = Finding::fail(
            "platform",
            format!("nothing for {}; there is: {}", platform_key(), keys.join(", ")),
            format!(
                "build it and run `nymvisor add-upgrade --add-binary --upgrade-name {} <BINARY>`",
                info.name
            ),
        );
        return Outlook { findings: vec![finding], ..Outlook::default() };
    };
    let mut findings =
        vec![Finding::ok("platform", format!("there is one for {}", platform_key()))];
    findings.push(checksum(site, platform));
    let reached = reach::look(site, platform).await;
    findings.extend(reached.findings);
    let part = fetch::part_of(&site.paths.binary(&info.name));
    let there = part.symlink_metadata().map_or(0, |meta| meta.len());
    let missing_bytes = reached.bytes.map(|bytes| bytes.saturating_sub(there));
    let mut fetched = None;
    if fetch && !findings.iter().any(|finding| finding.verdict == Verdict::Fail) {
        let (found, cost) = whole::fetch_whole(site, info, platform).await;
        findings.extend(found);
        fetched = cost;
    }
    Outlook { findings, missing_bytes, fetched }
}

fn checksum(site: &Site<'_>, platform: &Platform) -> Finding {
    const WHAT: &str = "checksum";
    match platform.checksum() {
        Ok(Some(_)) => Finding::ok(WHAT, format!("a {} is announced", platform.checksum_algorithm)),
        Ok(None) if site.config.daemon.enforce_download_checksum => Finding::fail(
            WHAT,
            "none is announced, and daemon.enforce_download_checksum is on",
            "have one announced, or put the binary in place with `add-upgrade --add-binary`",
        ),
        Ok(None) => Finding::warn(
            WHAT,
            "none is announced: whatever the server sends would be run",
            "have one announced, and keep daemon.enforce_download_checksum on",
        ),
        Err(error) => Finding::fail(WHAT, in_words(&error), "have the announcement corrected"),
    }
}

/// The digest of what lies in its place.
fn in_place(info: &UpgradeInfo, path: &Path) -> Result<Finding, Finding> {
    const WHAT: &str = "binary";
    let failed = |text: String| {
        let remedy = format!(
            "if it is yours: `nymvisor add-upgrade --add-binary --force --upgrade-name {} \
             <BINARY>`; else remove it",
            info.name
        );
        Finding::fail(WHAT, text, remedy)
    };
    let expected = info.expected_in_place().map_err(|error| failed(in_words(&error)))?;
    let algorithm = expected.as_ref().map_or(Algorithm::Sha256, |checksum| checksum.algorithm);
    let is = place::digest_file(path, algorithm).map_err(|error| failed(in_words(&error)))?;
    let found = is.sha512.as_ref().unwrap_or(&is.sha256);
    let size = human(is.bytes);
    match expected {
        Some(checksum) if checksum.hex != *found => Err(failed(format!(
            "{} has the checksum {found}, expected {}",
            path.display(),
            checksum.hex
        ))),
        Some(_) => Ok(Finding::ok(WHAT, format!("it is in its place, {size}, checksum right"))),
        None => {
            Ok(Finding::ok(WHAT, format!("it is in its place, {size}, nothing to compare with")))
        }
    }
}

/// Asks a binary whose digest is right what it is.
pub(super) async fn ask(site: &Site<'_>, info: &UpgradeInfo, path: &Path) -> Finding {
    const WHAT: &str = "build-info";
    let is_executable =
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Finding::ok(WHAT, "not asked: it is made executable by the upgrade");
    }
    match probe::build_info(path, BUILD_INFO_PATIENCE).await {
        Err(error @ probe::Error::NotExecutable { .. })
            if *path != site.paths.binary(&info.name) =>
        {
            let remedy = "set TMPDIR to a folder that isn't mounted noexec";
            Finding::warn(WHAT, format!("not asked: {}", in_words(&error)), remedy)
        }
        Err(error) => Finding::fail(
            WHAT,
            in_words(&error),
            "the file is not the daemon's binary, or not for this machine; get the right one",
        ),
        Ok(details) => match info.contradicted_by(&site.config.daemon.name, &details) {
            None => Finding::ok(WHAT, format!("it says {} itself", details.build_version)),
            Some((what, expected, found)) => Finding::fail(
                WHAT,
                format!("it says {what} '{}', expected '{expected}'", found.escape_debug()),
                "the file or the announcement is wrong; have it corrected",
            ),
        },
    }
}
