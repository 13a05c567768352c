//! What is queued, and how far each is.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::failures::Held;
use super::seen::Seen;
use super::waits::{self, Outlook, Waits};
use crate::cli::check::estimate::basis_of;
use crate::cli::check::history::Past;
use crate::cli::check::version::shown;
use crate::machine::{
    Candidate, Hold, Order, Phase, PhaseName, Requester, Restarting, Stage, State, Upgrade, Wait,
    compare,
};

/// An upgrade in the plan.
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the JSON")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 (hex) of the announcement.
    pub digest: String,
    /// When it is to be performed.
    pub due_at: DateTime<Utc>,
    /// That time has come.
    pub due: bool,
    /// The run ends after it.
    pub manual: bool,
    /// Who asked for it.
    pub requester: Requester,
    /// How far it is, for programs.
    pub stage: &'static str,
    /// How far it is, in words.
    pub text: String,
    /// When a pause is over.
    pub until: Option<DateTime<Utc>>,
    /// It comes next.
    pub next: bool,
    /// When it was announced for.
    pub announced_for: DateTime<Utc>,
    /// Who has set another time, where somebody has.
    pub rescheduled_by: Option<Requester>,
    /// It doesn't wait for a maintenance window.
    pub ignores_windows: bool,
    /// It may not stop the daemon before this; `None` where a person has to settle something.
    pub earliest_at: Option<DateTime<Utc>>,
    /// What it waits for besides its preparation.
    pub waits_for: Vec<Waits>,
}

impl Queued {
    /// A hold or a window that it waits for, and until when, in words.
    pub(in crate::cli) fn kept_back(&self) -> Option<String> {
        let keeps = |waits: &&Waits| matches!(waits.what, "hold" | "window");
        let kept: Vec<&str> =
            self.waits_for.iter().filter(keeps).map(|waits| waits.text.as_str()).collect();
        (!kept.is_empty()).then(|| {
            let not_before = self.earliest_at.map_or_else(String::new, |at| {
                format!("; it may stop the daemon from {} on", shown(at))
            });
            format!("{}{not_before}", kept.join(", and then "))
        })
    }
}

/// How long the daemon will be down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Milliseconds; `None` where no upgrade on record tells.
    pub ms: Option<u64>,
    /// What that rests on.
    pub basis: String,
}

/// The same as `check` says, with the size of the home that `run` has found last.
pub(super) fn expected(seen: &Seen) -> Expected {
    let past = Past::of(&seen.parts);
    let home_bytes = if seen.policy.skip_backup { Some(0) } else { past.sized_bytes() };
    match &past.down {
        Some(down) => Expected { ms: Some(down.expected_ms(home_bytes)), basis: basis_of(down) },
        None => Expected { ms: None, basis: "no run to estimate from".to_owned() },
    }
}

/// The queue of `state`, in its order; what another instance is ahead with comes first.
pub(super) fn of(state: &State, held: &[Held], runs: bool, seen: &Seen) -> Vec<Queued> {
    let candidate = state.candidate.as_ref().filter(|_| runs);
    let next = candidate.map(|candidate| &candidate.upgrade).or_else(|| state.next_upgrade());
    let entries = &state.queue.entries;
    let ahead = next.filter(|next| !entries.iter().any(|entry| entry.is(next)));
    ahead
        .into_iter()
        .chain(entries)
        .map(|upgrade| {
            let is_next = next.is_some_and(|next| next.is(upgrade));
            queued(upgrade, is_next, state, held, runs, seen)
        })
        .collect()
}

fn queued(
    upgrade: &Upgrade,
    next: bool,
    state: &State,
    held: &[Held],
    runs: bool,
    seen: &Seen,
) -> Queued {
    let held = held.iter().find(|held| held.name == upgrade.name && held.digest == upgrade.digest);
    let (stage, text) = stage(upgrade, state, held, runs, seen.now);
    let outlook = match stage {
        "under-way" | "superseded" => Outlook::default(),
        _ => waits::outlook(upgrade, state, held, seen),
    };
    let wish = upgrade.rescheduled.as_ref();
    Queued {
        name: upgrade.name.clone(),
        version: upgrade.version.clone(),
        digest: upgrade.digest.clone(),
        due_at: upgrade.due_at,
        due: upgrade.due_at <= seen.now,
        manual: upgrade.manual,
        requester: upgrade.requester.clone(),
        stage,
        text,
        until: held.and_then(|held| held.until),
        next,
        announced_for: upgrade.announced_for.unwrap_or(upgrade.due_at),
        rescheduled_by: wish.map(|wish| wish.requester.clone()),
        ignores_windows: wish.is_some_and(|wish| wish.ignores_windows),
        earliest_at: outlook.earliest_at,
        waits_for: outlook.waits,
    }
}

fn stage(
    upgrade: &Upgrade,
    state: &State,
    held: Option<&Held>,
    runs: bool,
    now: DateTime<Utc>,
) -> (&'static str, String) {
    let under_way = state.phase.attempt().filter(|attempt| attempt.upgrade.is(upgrade));
    if let Some(attempt) = under_way.filter(|attempt| attempt.back.is_none()) {
        let is_held = waits::hold(state, now).is_some();
        return under_way_in(&state.phase, attempt.resumed, runs, is_held);
    }
    if let Some(held) = held.filter(|held| runs || held.hold == Hold::Quarantine) {
        if held.is_cancelled() {
            return ("cancelled", format!("{}; {}", held.text, held.next));
        }
        let stage = match held.hold {
            Hold::Pause => "paused",
            Hold::Quarantine => "quarantined",
            Hold::AwaitBinary => "awaits-binary",
            Hold::Free => "waiting",
        };
        let code = serde_json::json!(held.code);
        return (stage, format!("failed [{}], {}", code.as_str().unwrap_or_default(), held.next));
    }
    let is_newer = compare(&upgrade.version, &state.installed.version) == Order::Newer;
    if upgrade.name == state.installed.name || (!is_newer && !upgrade.allow_downgrade) {
        return ("superseded", format!("not newer than {}; dropped", state.installed.version));
    }
    let candidate = state.candidate.as_ref().filter(|of| of.upgrade.is(upgrade));
    match candidate.map(|candidate| prepared(candidate, upgrade)) {
        Some((stage, words)) if runs => (stage, words.to_owned()),
        Some((_, words)) => {
            ("not-begun", format!("the next `nymvisor run` goes on; it was: {words}"))
        }
        None if !runs => ("not-begun", "the next `nymvisor run` prepares it".to_owned()),
        None if !state.recording => {
            ("waiting", "waits until the journal can be written".to_owned())
        }
        None if !state.plan_reads => ("waiting", "waits until the plan can be read".to_owned()),
        None => ("waiting", "waits for its turn".to_owned()),
    }
}

fn under_way_in(phase: &Phase, resumed: u32, runs: bool, is_held: bool) -> (&'static str, String) {
    let rests = matches!(phase, Phase::Restarting(Restarting { wait: Wait::Session { .. }, .. }));
    let text = match (runs && !rests, resumed) {
        (true, 0) => format!("under way, in the phase {}", phase.name()),
        (true, times) => {
            format!("under way, in the phase {}; taken up again {times} times", phase.name())
        }
        (false, _) if is_held && phase.name() != PhaseName::Swapping => {
            "interrupted; the next `nymvisor run` starts what ran before, for upgrades are held"
                .to_owned()
        }
        (false, _) => "interrupted; the next `nymvisor run` goes on with it".to_owned(),
    };
    ("under-way", text)
}

/// How far a preparation is, for programs and for people. That it was due is of the time which it
/// had; `run` may not yet have read that the plan has another.
fn prepared(candidate: &Candidate, upgrade: &Upgrade) -> (&'static str, &'static str) {
    match (&candidate.stage, candidate.due && candidate.upgrade.due_at == upgrade.due_at) {
        (Stage::Fetching, _) => ("fetching", "fetching the binary"),
        (Stage::Checking, _) => ("checking", "asking the binary for its build info"),
        (Stage::Sizing(_), _) => ("sizing", "looking for room for the backup"),
        (Stage::Copying(_), _) => ("copying", "copying the home"),
        (Stage::Ready(Some(_)), false) => ("ready", "ready"),
        (Stage::Ready(Some(_)), true) => ("ready", "ready, and due"),
        (Stage::Ready(None), _) => ("ready", "nothing is prepared ahead: prepare_ahead is off"),
        (Stage::Hooking(_), _) => ("pre-upgrade", "due; the pre-upgrade command runs"),
        (Stage::Refreshing(_), _) => ("refreshing", "due; copying what changed in the home"),
        (Stage::Locking(_), _) => ("locking", "due; taking the upgrade lock"),
        (Stage::Locked(_), _) => ("locked", "due; the daemon is stopped next"),
    }
}
