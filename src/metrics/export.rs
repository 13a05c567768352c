//! The metrics in the text format that Prometheus reads, `OpenMetrics`. README has a table of them,
//! which a test compares with what is told here.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use super::Origin;
use super::figures::Figures;
use super::page::{Label, Page};
use super::tally::Tally;
use crate::config::Moment;
use crate::health::{self, Need};
use crate::machine::{Hold, PhaseName, Stage, State, Trouble, Upgrade, Version};

const SECONDS: Option<&Unit> = Some(&Unit::Seconds);
const BYTES: Option<&Unit> = Some(&Unit::Bytes);

/// What there is to tell at one time.
#[derive(Debug)]
struct Told {
    origin: Origin,
    figures: Figures,
    now: DateTime<Utc>,
}

/// All metrics in words, as they are at `now`.
pub(super) fn text(
    origin: Origin,
    figures: Figures,
    now: DateTime<Utc>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Told { origin, figures, now }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Told {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.versions(&mut page)?;
        self.phases(&mut page)?;
        self.daemon(&mut page)?;
        self.failures(&mut page)?;
        self.coming(&mut page)?;
        self.kept_back(&mut page)?;
        self.done(&mut page)?;
        self.backups(&mut page)?;
        self.polls(&mut page)
    }
}

impl Told {
    fn state(&self) -> Option<&State> {
        self.figures.state.as_ref()
    }

    fn versions(&self, page: &mut Page<'_>) -> fmt::Result {
        let Origin { id, daemon, .. } = &self.origin;
        let ours = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("id", id.clone()),
            ("daemon", daemon.clone()),
        ];
        page.info(
            "nymvisor_build",
            "Version of nymvisor, the instance and its daemon",
            Some(ours),
        )?;
        let installed = self.state().map(|state| version(&state.installed));
        page.info("nymvisor_daemon_version", "The installed version", installed)
    }

    fn phases(&self, page: &mut Page<'_>) -> fmt::Result {
        let points = self.state().map(health::points).unwrap_or_default();
        let healthy = self.figures.is_up() && points.is_empty();
        let help = "Whether the daemon is up and nothing needs a person, as /healthz says";
        page.gauge("nymvisor_healthy", None, help, Some(number(healthy)))?;
        let needs = Need::ALL.map(|need| {
            let has = points.iter().any(|point| point.need == need);
            (("need", need.name().to_owned()), number(has))
        });
        page.gauges("nymvisor_attention", None, "Whether this needs a person", needs)?;
        let at = self.state().map(|state| state.phase.name());
        let phases = PhaseName::ALL.map(|phase| (label(phase), number(Some(phase) == at)));
        page.gauges("nymvisor_phase", None, "1 for the phase of the engine", phases)?;
        let since = self.figures.phase_since.map(seconds);
        let help = "When the phase was entered";
        page.gauge("nymvisor_phase_entered_timestamp", SECONDS, help, since)?;
        let spent = self.figures.in_phase.iter();
        let spent = spent.map(|(phase, spent)| (label(phase), spent.as_secs_f64()));
        page.counters("nymvisor_phase", SECONDS, "Time in each phase", spent)?;
        let help = "Records made for the journal";
        page.counter("nymvisor_records", None, help, &self.figures.records)
    }

    fn daemon(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = &self.figures;
        page.gauge(
            "nymvisor_daemon_up",
            None,
            "Whether the daemon is up",
            Some(number(figures.is_up())),
        )?;
        let started = figures.started_at.map(seconds);
        let help = "When the daemon was last started";
        page.gauge("nymvisor_daemon_started_timestamp", SECONDS, help, started)?;
        let help = "Time without a daemon";
        page.counter("nymvisor_daemon_down", SECONDS, help, &figures.down.as_secs_f64())?;
        let help = "Starts of the daemon after the first, by what they came after";
        page.counters("nymvisor_daemon_restarts", None, help, words("why", &figures.restarts))?;
        let help = "Ends of the daemon that nobody asked for, with a status other than 0";
        page.counter("nymvisor_daemon_crashes", None, help, &figures.crashes)?;
        let failures = self.state().map(|state| state.startup_failures);
        page.gauge("nymvisor_startup_failures", None, "Startup failures in a row", failures)?;
        let most = self.state().map(|state| state.policy.max_startup_failures.max(1));
        let help = "So many startup failures in a row end the run";
        page.gauge("nymvisor_startup_failures_max", None, help, most)
    }

    fn failures(&self, page: &mut Page<'_>) -> fmt::Result {
        let failures = words("code", &self.figures.failures);
        page.counters("nymvisor_failures", None, "Failures by their code", failures)?;
        let outcomes = self.figures.outcomes.iter();
        let outcomes =
            outcomes.map(|(outcome, count)| (("outcome", outcome.name().to_owned()), count));
        page.counters("nymvisor_upgrades", None, "What became of upgrades", outcomes)
    }

    fn coming(&self, page: &mut Page<'_>) -> fmt::Result {
        let queued = self.state().map(|state| count(state.queue.entries.len()));
        page.gauge("nymvisor_queued_upgrades", None, "Upgrades in the plan", queued)?;
        let mut held = Tally::of(&["pause", "quarantine", "cancelled", "await-binary"]);
        for trouble in self.state().map(|state| state.troubles.iter()).into_iter().flatten() {
            if let Some(hold) = held_by(trouble) {
                held.add(hold, 1);
            }
        }
        let held = held.iter().map(|(hold, count): (_, u64)| (("hold", hold.to_owned()), count));
        page.gauges("nymvisor_held_upgrades", None, "Upgrades that are held back", held)?;
        let next = self.state().and_then(next);
        let target = next.map(|(upgrade, _)| version(&upgrade.target()));
        page.info("nymvisor_next_upgrade", "The upgrade that comes next", target)?;
        let due = next.map(|(upgrade, _)| seconds(upgrade.due_at));
        let help = "When the next upgrade is due";
        page.gauge("nymvisor_next_upgrade_due_timestamp", SECONDS, help, due)?;
        let ready = next.map(|(_, is_ready)| number(is_ready));
        let help = "Whether nothing is left to prepare of the next upgrade";
        page.gauge("nymvisor_next_upgrade_ready", None, help, ready)
    }

    /// What keeps every upgrade from stopping the daemon, or the next one where it is told that
    /// the windows don't count for it.
    fn kept_back(&self, page: &mut Page<'_>) -> fmt::Result {
        let holding = self.state().and_then(|state| state.holding.as_ref());
        let next =
            self.state().and_then(next).and_then(|(upgrade, _)| upgrade.rescheduled.as_ref());
        let windows = self.origin.windows.as_ref();
        let windows = windows.filter(|_| next.is_none_or(|wish| !wish.ignores_windows));
        let (is_closed, opens_at) = match windows.map(|windows| windows.at(self.now)) {
            Some(Moment::Closed { opens_at }) => (true, opens_at),
            Some(Moment::Open { .. }) | None => (false, None),
        };
        let by = |name: &str| ("by", name.to_owned());
        let kept = [(by("hold"), number(holding.is_some())), (by("window"), number(is_closed))];
        let help = "Whether this keeps an upgrade that is due from stopping the daemon";
        page.gauges("nymvisor_upgrades_kept_back", None, help, kept)?;
        let until = [("hold", holding.and_then(|holding| holding.until)), ("window", opens_at)];
        let until = until.into_iter().filter_map(|(name, at)| Some((by(name), seconds(at?))));
        let help = "When that ends";
        page.gauges("nymvisor_upgrades_kept_back_until_timestamp", SECONDS, help, until)
    }

    fn done(&self, page: &mut Page<'_>) -> fmt::Result {
        let last = self.figures.last.as_ref();
        let ends = last.map(|last| {
            let ends = [
                ("from", &last.from.name),
                ("from_version", &last.from.version),
                ("to", &last.to.name),
                ("to_version", &last.to.version),
            ];
            ends.map(|(name, value)| (name, value.clone())).to_vec()
        });
        page.info("nymvisor_last_upgrade", "The last upgrade or roll-back", ends)?;
        let at = last.map(|last| seconds(last.at));
        let help = "When the last upgrade or roll-back was committed";
        page.gauge("nymvisor_last_upgrade_timestamp", SECONDS, help, at)?;
        // Interrupted, one may have gone through a phase more than once.
        let mut spent = Tally::of(&[]);
        for phase in last.iter().flat_map(|last| &last.phases) {
            spent.add(phase.phase, phase.us);
        }
        let spent = spent.iter().map(|(phase, us)| (label(phase), micros(us)));
        let help = "Time in each phase of the last upgrade or roll-back";
        page.gauges("nymvisor_last_upgrade_phase", SECONDS, help, spent)?;
        let down = last.and_then(|last| last.down_us).map(micros);
        let help = "Time without a daemon in the last upgrade or roll-back";
        page.gauge("nymvisor_last_upgrade_down", SECONDS, help, down)
    }

    fn backups(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = &self.figures;
        let performed = self.state().and_then(|state| state.performed.as_ref()?.backup.as_ref());
        let last = figures.backup.as_ref().or(performed);
        let bytes = last.map(|archive| archive.bytes);
        page.gauge("nymvisor_last_backup", BYTES, "Size of the last backup", bytes)?;
        let entries = last.map(|archive| archive.entries);
        page.gauge("nymvisor_last_backup_entries", None, "Entries of the last backup", entries)?;
        let help = "Backups that were sealed";
        page.counter("nymvisor_backups_sealed", None, help, &figures.backups_sealed)?;
        let help = "Backups that were read after they were sealed, and are not whole";
        page.counter("nymvisor_backups_damaged", None, help, &figures.backups_damaged)
    }

    fn polls(&self, page: &mut Page<'_>) -> fmt::Result {
        let polls = self.figures.polls.iter();
        let polls = polls.map(|(polled, count)| (("result", polled.name().to_owned()), count));
        page.counters("nymvisor_polls", None, "Polls of upstream by their result", polls)?;
        let rate = self.origin.polling_rate.as_secs_f64();
        let help = "How often upstream is asked";
        page.gauge("nymvisor_poll_interval", SECONDS, help, Some(rate))?;
        let asked = self.figures.polled_at.map(seconds);
        let help = "When upstream was last asked";
        page.gauge("nymvisor_last_poll_timestamp", SECONDS, help, asked)?;
        let answered = self.figures.answered_at.map(seconds);
        let help = "When upstream last answered";
        page.gauge("nymvisor_last_answer_timestamp", SECONDS, help, answered)
    }
}

/// The upgrade that comes next, and whether it only waits for its time.
fn next(state: &State) -> Option<(&Upgrade, bool)> {
    let Some(candidate) = &state.candidate else {
        return state.next_upgrade().map(|upgrade| (upgrade, false));
    };
    let is_ready = match candidate.stage {
        Stage::Ready(_)
        | Stage::Hooking(_)
        | Stage::Refreshing(_)
        | Stage::Locking(_)
        | Stage::Locked(_) => true,
        Stage::Fetching | Stage::Checking | Stage::Sizing(_) | Stage::Copying(_) => false,
    };
    Some((&candidate.upgrade, is_ready))
}

/// What a failed upgrade waits for, or that a person doesn't want it.
fn held_by(trouble: &Trouble) -> Option<&'static str> {
    match trouble.hold {
        Hold::Free => None,
        Hold::Pause => Some("pause"),
        Hold::Quarantine if trouble.is_cancelled() => Some("cancelled"),
        Hold::Quarantine => Some("quarantine"),
        Hold::AwaitBinary => Some("await-binary"),
    }
}

fn version(version: &Version) -> Vec<Label> {
    vec![("name", version.name.clone()), ("version", version.version.clone())]
}

fn label(phase: PhaseName) -> Label {
    ("phase", phase.to_string())
}

fn words<K: Serialize + Copy + PartialEq>(
    name: &'static str,
    tally: &Tally<K, u64>,
) -> impl Iterator<Item = (Label, u64)> {
    tally.iter().map(move |(key, count)| ((name, word(key)), count))
}

/// A word as the journal has it.
fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn number(is: bool) -> u64 {
    u64::from(is)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn micros(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// Since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}
