//! Whether the upgrade would be taken up at all: its version and name, what holds it back, when.

use chrono::{DateTime, SecondsFormat, Utc};

use super::finding::Finding;
use super::site::{Site, in_words};
use super::subject::Subject;
use crate::config::Moment;
use crate::disk::Kind;
use crate::machine::{Hold, Order, Trouble, compare};
use crate::release::{Spread, UpgradeInfo};
use crate::units::span;

/// Times further apart than this are told as such.
const SMALL_SECONDS: i64 = 2;

pub(super) fn findings(site: &Site<'_>, subject: &Subject) -> Vec<Finding> {
    let info = &subject.info;
    let mut findings = vec![version(site, info)];
    findings.extend(name(site, subject));
    findings.push(hold(site, info));
    findings.push(time(site, info));
    findings.extend(waits(site, info));
    findings.extend(afterwards(site, info));
    if !site.config.daemon.prepare_ahead {
        findings.push(Finding::warn(
            "order",
            "daemon.prepare_ahead is off: fetch, check and copy are made with the daemon down",
            "switch it on for the shortest down time",
        ));
    }
    findings
}

/// Only what is newer is taken up, unless the operator allowed otherwise.
fn version(site: &Site<'_>, info: &UpgradeInfo) -> Finding {
    const WHAT: &str = "version";
    let installed = match &site.installed {
        Ok(installed) => installed,
        Err(error) => {
            return Finding::fail(WHAT, in_words(error), "put the version file back or repair it");
        }
    };
    if installed.name == info.name.as_str() {
        let text = format!("{} is the version that is installed", info.name);
        return Finding::fail(WHAT, text, "nothing to do");
    }
    let version = info.version.to_string();
    let current = site.plan.as_ref().ok().map(|plan| plan.current.version.to_string());
    let highest = current
        .filter(|current| compare(current, &installed.version) == Order::Newer)
        .filter(|current| *current != version)
        .unwrap_or_else(|| installed.version.clone());
    match compare(&version, &highest) {
        Order::Newer => Finding::ok(WHAT, format!("{version} is newer than {highest}")),
        Order::Same | Order::Older | Order::Unknown if info.allow_downgrade => Finding::warn(
            WHAT,
            format!("{version} is not newer than {highest}; whoever queued it allowed that"),
            "make sure that the older version can read the data of the newer one",
        ),
        Order::Same | Order::Older | Order::Unknown => Finding::fail(
            WHAT,
            format!("{version} is not newer than {highest}: it would be dropped"),
            format!(
                "if it is meant: `nymvisor add-upgrade --allow-downgrade --upgrade-name <NAME> \
                 <BINARY>`{}",
                if info.name.is_genesis() { " with another name" } else { "" }
            ),
        ),
    }
}

/// A name that was performed here is not used again.
fn name(site: &Site<'_>, subject: &Subject) -> Option<Finding> {
    let name = &subject.info.name;
    if let Err(error) = &site.history {
        return Some(Finding::fail("name", in_words(error), "repair the history"));
    }
    let entry = site.history.as_ref().ok()?.find(name)?;
    let is_new = subject.hypothetical && entry.rolled_back_at.is_none();
    (is_new && site.installed.as_ref().is_ok_and(|version| version.name != name.as_str())).then(
        || {
            Finding::fail(
                "name",
                format!("'{name}' was performed here at {}", shown(entry.performed_at)),
                "it has to be announced under another name",
            )
        },
    )
}

/// An earlier failure of the same announcement.
fn hold(site: &Site<'_>, info: &UpgradeInfo) -> Finding {
    const WHAT: &str = "hold";
    let upgrade = info.to_upgrade();
    let trouble = site.state.as_ref().and_then(|state| state.trouble_with(&upgrade));
    let Some(Trouble { failure, times, hold, .. }) = trouble else {
        return Finding::ok(WHAT, "nothing holds it back");
    };
    let code = serde_json::json!(failure.code);
    let why = format!("[{}] {}", code.as_str().unwrap_or_default(), failure.text);
    let is_cancelled = trouble.is_some_and(Trouble::is_cancelled);
    let retry = format!("once that is put right: `nymvisor retry {}`", info.name);
    match hold {
        Hold::Free => Finding::ok(WHAT, format!("it failed before, and may be tried: {why}")),
        Hold::Quarantine if is_cancelled => {
            let retry = format!("`nymvisor retry {}` takes that back", info.name);
            Finding::fail(WHAT, format!("it is {}", failure.text), retry)
        }
        Hold::Quarantine => Finding::fail(WHAT, format!("it is held back: {why}"), retry),
        Hold::Pause => Finding::warn(
            WHAT,
            format!("it failed {times} times, and is tried again after a pause: {why}"),
            format!("`nymvisor retry {}` tries it at once", info.name),
        ),
        Hold::AwaitBinary => {
            let binary = site.paths.binary(&info.name);
            if matches!(site.disk.kind(&binary), Ok(Some(Kind::File(_)))) {
                return Finding::ok(WHAT, "it waited for its binary, which is there now");
            }
            Finding::fail(
                WHAT,
                format!("it waits for its binary: {why}"),
                format!(
                    "`nymvisor add-upgrade --add-binary --upgrade-name {} <BINARY>`",
                    info.name
                ),
            )
        }
    }
}

/// The time that counts: spread, or as a person wishes.
pub(super) fn due(site: &Site<'_>, info: &UpgradeInfo) -> DateTime<Utc> {
    let over = site.config.nymvisor.upgrade_spread;
    let spread = Spread::known(site.disk, &site.paths.spread_seed(), over);
    info.to_spread_upgrade(spread.as_ref()).due_at
}

/// A hold, or a window that is not open then: it is prepared, and waits.
fn waits(site: &Site<'_>, info: &UpgradeInfo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut from = due(site, info).max(site.now);
    if let Some(hold) = site.holding() {
        let end = hold.until.map_or_else(String::new, |end| format!(" until {}", shown(end)));
        let text = format!("upgrades are held by {}{end}", hold.requester.in_words());
        findings.push(Finding::warn("held", text, "`nymvisor upgrades release` ends that"));
        from = hold.until.map_or(from, |end| end.max(from));
    }
    let Some(windows) = &site.config.nymvisor.maintenance_windows else { return findings };
    if info.rescheduled.as_ref().is_some_and(|wish| wish.ignores_windows) {
        findings.push(Finding::ok("window", "it doesn't wait for a maintenance window"));
        return findings;
    }
    findings.push(match windows.at(from) {
        Moment::Open { .. } => Finding::ok("window", "a maintenance window is open then"),
        Moment::Closed { opens_at } => {
            let when = opens_at.map_or_else(|| "never".to_owned(), shown);
            Finding::warn(
                "window",
                format!("no maintenance window is open then; the next one opens: {when}"),
                format!(
                    "if it can't wait: `nymvisor upgrades reschedule {} --now --ignore-windows`",
                    info.name
                ),
            )
        }
    });
    findings
}

/// When it is due, by a clock that is looked at as well.
fn time(site: &Site<'_>, info: &UpgradeInfo) -> Finding {
    const WHAT: &str = "time";
    let due = due(site, info);
    let seconds = (due - site.now).num_seconds();
    let span = span(seconds.unsigned_abs());
    let text = if seconds > 0 {
        format!("due at {}, in {span}", shown(due))
    } else {
        format!("due since {}", shown(due))
    };
    let parts = site.parts.as_deref().unwrap_or_default();
    let last = super::history::records(parts).last().map(|record| record.at);
    match last.filter(|last| (*last - site.now).num_seconds() > SMALL_SECONDS) {
        Some(last) => Finding::warn(
            WHAT,
            format!(
                "{text}, by a clock that says {} and said {} before",
                shown(site.now),
                shown(last)
            ),
            "set the machine's clock (timedatectl)",
        ),
        None => Finding::ok(WHAT, text),
    }
}

/// What the operator has to do when it is done.
fn afterwards(site: &Site<'_>, info: &UpgradeInfo) -> Option<Finding> {
    let why = if info.manual {
        "it is a manual upgrade"
    } else if !site.config.daemon.restart_after_upgrade {
        "daemon.restart_after_upgrade is off"
    } else {
        return None;
    };
    Some(Finding::warn(
        "afterwards",
        format!("{why}: the run ends after it, with the daemon down"),
        "be there to start `nymvisor run` again, or have the service manager do it",
    ))
}

/// A time as it is written everywhere.
pub(in crate::cli) fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
