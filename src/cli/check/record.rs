//! Whether the journal is healthy: without it no upgrade begins.

use super::finding::Finding;
use super::history::records;
use super::site::{Site, in_words};
use super::version::shown;
use crate::cli::backups;
use crate::journal::Part;
use crate::machine::{PhaseName, State};
use crate::narrate;

const WHAT: &str = "journal";
const VERIFY: &str = "`nymvisor journal verify` tells more; the next `nymvisor run` mends it";

pub(super) fn findings(site: &Site<'_>) -> Vec<Finding> {
    let parts = match &site.parts {
        Ok(parts) => parts,
        Err(error) => return vec![Finding::fail(WHAT, in_words(error), VERIFY)],
    };
    let Some(last) = records(parts).last() else {
        if parts.is_empty() && site.state.is_none() {
            let text = "nothing was run here yet; the first `nymvisor run` begins it";
            return vec![Finding::ok(WHAT, text)];
        }
        return vec![Finding::fail(WHAT, "there is one, and no record can be read", VERIFY)];
    };
    let said = format!("record {} of {}", last.seq, shown(last.at));
    // A note behind the last record is about what can't be read.
    if let Some(Part::Note(note)) = parts.last() {
        return vec![Finding::fail(WHAT, format!("{said} is the last that reads: {note}"), VERIFY)];
    }
    let Some(state) = &site.state else {
        return vec![Finding::fail(
            WHAT,
            format!("the segment after {said} can't be read"),
            VERIFY,
        )];
    };
    let mut findings = troubles(state);
    findings.extend(half_restored(site));
    if findings.is_empty() {
        let text =
            format!("it is well; {said}: {}", narrate::event(&last.event, state.phase.roll_back()));
        findings.push(Finding::ok(WHAT, text));
    }
    findings.extend(phase(site, state));
    findings
}

/// `run` would refuse to begin.
fn half_restored(site: &Site<'_>) -> Option<Finding> {
    let refused = backups::refuse_amid_a_restore(&site.paths).err()?;
    Some(Finding::fail("home", refused.to_string(), "then check again"))
}

fn troubles(state: &State) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !state.recording {
        let text = "it could not be written, and no upgrade begins until it can";
        findings.push(Finding::fail(WHAT, text, "see the disk of the instance's data"));
    }
    if !state.plan_reads {
        let text = "the plan could not be read, and no upgrade begins until it can";
        findings.push(Finding::fail("plan", text, "repair upgrade-plan.json"));
    }
    findings
}

/// What is in between.
fn phase(site: &Site<'_>, state: &State) -> Option<Finding> {
    const WHAT: &str = "phase";
    let name = state.phase.name();
    if let Some(back) = state.phase.roll_back() {
        let remedy = if site.runner.is_some() {
            "wait until it is done, then check again: until then this rests on what is rolled back"
        } else {
            "start `nymvisor run`, then check again: until then this rests on what is rolled back"
        };
        let (upgrade, to) = (&back.upgrade.name, back.target().name);
        let text = format!("the roll-back of {upgrade} to {to} is pending, and is done first");
        return Some(Finding::warn(WHAT, text, remedy));
    }
    match name {
        PhaseName::Running | PhaseName::Restarting => None,
        PhaseName::Failed => Some(Finding::warn(
            WHAT,
            "the daemon, or an attempt, failed the last time",
            "see `nymvisor journal show -n 20`",
        )),
        PhaseName::Draining
        | PhaseName::BackingUp
        | PhaseName::Locking
        | PhaseName::Downloading
        | PhaseName::Verifying
        | PhaseName::Swapping => Some(Finding::warn(
            WHAT,
            format!("an attempt is under way, in the phase {name}"),
            "wait until it is done, or start `nymvisor run` to finish it",
        )),
    }
}
