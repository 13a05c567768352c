//! Records in words, for the log and for `journal show`.

use crate::machine::{
    Archive, Attempt, Effect, Ending, Event, Failure, Link, Outcome, PhaseName, Queue, Record,
    Requester, Row, Upgrade, Version,
};
use crate::units::human;

mod hooks;
mod log;
mod rows;
mod wishes;
mod work;

pub(crate) use log::log;
pub use rows::row;

/// An instance's first session begins the journal: its look is the second record.
const FIRST_RECOVERED: u64 = 2;

/// One line: number, time, phases, what happened; `back` is the roll-back that was under way.
#[must_use]
pub fn line(record: &Record, back: Option<&Attempt>) -> String {
    format!(
        "{:>6}  {}  {:<24}  {}",
        record.seq,
        record.at.format("%Y-%m-%d %H:%M:%S%.3fZ"),
        phases(record),
        text(record, back),
    )
}

/// Whether the log tells of it as a warning or an error, or it leads to Failed.
#[must_use]
pub fn is_trouble(record: &Record) -> bool {
    let falls = record.to == PhaseName::Failed && record.from != PhaseName::Failed;
    falls || matches!(severity(record), Severity::Bad | Severity::Odd)
}

/// What happened, and what it led to where that is not plain from it; `back` is the roll-back that
/// was under way.
#[must_use]
pub fn text(record: &Record, back: Option<&Attempt>) -> String {
    let mut text = event(&record.event, back);
    for effect in &record.effects {
        if let Effect::RunHook(call) = effect {
            text = format!("{text}; the {} command is run", call.hook.name());
        }
        if let Effect::Answer { granted, text: answer, .. } = effect {
            let word = if *granted { "granted" } else { "refused" };
            text = format!("{text}; {word}: {answer}");
        }
    }
    let Event::Recovered { row, observed } = &record.event else { return text };
    if record.seq <= FIRST_RECOVERED && *row == Row::AtRest {
        "this is the first session on record".clone_into(&mut text);
    }
    for effect in &record.effects {
        if let Effect::MendLink(name) = effect {
            let mended = match observed.link {
                Link::NoLink => format!("; `current` is no link, and should lead to {name}"),
                Link::Absent | Link::Astray(_) | Link::LeadsTo(_) => {
                    format!("; `current` is mended: {} -> {name}", observed.link.words())
                }
            };
            text.push_str(&mended);
        }
    }
    text
}

fn phases(record: &Record) -> String {
    if record.from == record.to {
        record.to.to_string()
    } else {
        format!("{} -> {}", record.from, record.to)
    }
}

enum Severity {
    Bad,
    Odd,
    Normal,
    Small,
}

fn severity(record: &Record) -> Severity {
    match &record.event {
        Event::HookEnded { ending, .. } => hooks::severity(*ending),
        Event::HealthFailed { .. }
        | Event::WorkFailed { .. }
        | Event::SpawnFailed { .. }
        | Event::JournalFailed { .. }
        | Event::BackupDamaged { .. } => Severity::Bad,
        Event::DaemonEnded { ending, .. } if ending.is_crash() => {
            if record.from == PhaseName::Running { Severity::Bad } else { Severity::Normal }
        }
        Event::GraceElapsed
        | Event::PlanLost { .. }
        | Event::FileMended { .. }
        | Event::CopyRefreshed { keeps_up: false, .. }
        | Event::RollBackRequested { .. }
        | Event::HoldRequested { .. }
        | Event::ReleaseRequested { .. }
        | Event::HoldElapsed { .. }
        | Event::CancelRequested { .. }
        | Event::HomeRestored { .. } => Severity::Odd,
        Event::Recovered { row, .. } if *row != Row::AtRest => Severity::Odd,
        Event::Recovered { observed, .. } if observed.link == Link::NoLink => Severity::Odd,
        Event::SwapCommitted { left, .. } if !left.is_empty() => Severity::Odd,
        Event::SessionStarted { .. } | Event::GroupGone | Event::SignalReceived { .. } => {
            Severity::Small
        }
        Event::Recovered { .. }
        | Event::StopRequested { .. }
        | Event::DaemonSpawned { .. }
        | Event::StartupPassed
        | Event::DaemonEnded { .. }
        | Event::DelayElapsed
        | Event::QueueRead { .. }
        | Event::AnnouncementReceived { .. }
        | Event::CameDue { .. }
        | Event::WindowOpened { .. }
        | Event::WindowClosed { .. }
        | Event::PauseElapsed { .. }
        | Event::RetryRequested { .. }
        | Event::RestoreSkipped { .. }
        | Event::BinaryFetched { .. }
        | Event::BinaryChecked { .. }
        | Event::RoomFound { .. }
        | Event::HomeCopied { .. }
        | Event::CopyRefreshed { keeps_up: true, .. }
        | Event::BackupExamined { .. }
        | Event::BackupsOutlived { .. }
        | Event::LockTaken { .. }
        | Event::BackupSealed { .. }
        | Event::BackupSkipped { .. }
        | Event::BinaryPresent { .. }
        | Event::HealthPassed { .. }
        | Event::SwapCommitted { .. }
        | Event::StoodDown { .. }
        | Event::JournalRestored => Severity::Normal,
    }
}

/// What happened, in words; `back` is the roll-back that was under way.
#[must_use]
pub fn event(event: &Event, back: Option<&Attempt>) -> String {
    let tried = |attempt: &u64| tried(*attempt, back);
    match event {
        Event::SessionStarted { nymvisor, pid, .. } => {
            format!("a session began (nymvisor {nymvisor}, process {pid})")
        }
        Event::Recovered { row, .. } => self::row(*row).to_owned(),
        Event::StopRequested { signal } => format!("{} asks to stop", signal_name(*signal)),
        Event::SignalReceived { signal } => format!("{} for the daemon", signal_name(*signal)),
        Event::DaemonSpawned { daemon } => format!("the daemon is up, process {}", daemon.pid),
        Event::SpawnFailed { failure } => self::failure(failure),
        Event::StartupPassed => "the daemon's startup period is over".to_owned(),
        Event::DaemonEnded { ending, uptime_ms } => ended(*ending, *uptime_ms),
        Event::GroupGone => "nothing of the daemon's process group is left".to_owned(),
        Event::GraceElapsed => "the grace period is over, the daemon is killed".to_owned(),
        Event::DelayElapsed => "the delay before the restart is over".to_owned(),
        Event::QueueRead { queue } => self::queue(queue),
        Event::PlanLost { failure } => plan_lost(failure),
        Event::FileMended { file, set_aside } => mended(file, set_aside.as_deref()),
        Event::AnnouncementReceived { upgrade } => format!("announced: {}", self::upgrade(upgrade)),
        Event::CameDue { attempt, .. } => format!("upgrade {attempt} is due"),
        Event::PauseElapsed { name, .. } => format!("the pause of {name} is over"),
        Event::RetryRequested { name, requester, .. } => {
            format!("{} wants {name} to be tried again", self::requester(requester))
        }
        Event::HoldRequested { .. }
        | Event::ReleaseRequested { .. }
        | Event::HoldElapsed { .. }
        | Event::CancelRequested { .. }
        | Event::WindowOpened { .. }
        | Event::WindowClosed { .. } => wishes::text(event),
        Event::RollBackRequested { to, keep_data, requester, .. } => {
            roll_back_requested(&to.name, *keep_data, requester)
        }
        Event::HomeRestored { attempt, aside, moved_aside } => {
            work::home_restored(&tried(attempt), aside, *moved_aside)
        }
        Event::RestoreSkipped { attempt } => format!("{}: the data is kept", tried(attempt)),
        Event::SwapCommitted { attempt, left } => work::committed(&tried(attempt), back, left),
        Event::BinaryFetched { attempt, sha256, bytes, source } => {
            work::fetched(*attempt, *bytes, source, sha256)
        }
        Event::BinaryChecked { attempt, binary } => work::checked(*attempt, binary),
        Event::RoomFound { attempt, needed_bytes, free_bytes, by_plan: _ } => {
            work::room_found(*attempt, *needed_bytes, *free_bytes)
        }
        Event::HomeCopied { attempt, entries, bytes } => work::copied(*attempt, *entries, *bytes),
        Event::CopyRefreshed { attempt, changed, bytes, keeps_up } => {
            work::refreshed(*attempt, *changed, *bytes, *keeps_up)
        }
        Event::LockTaken { attempt } => format!("{}: the upgrade lock is held", tried(attempt)),
        Event::BackupSealed { attempt, archive } => work::sealed(*attempt, archive),
        Event::BackupExamined { archive } => work::examined(archive),
        Event::BackupDamaged { archive, failure } => work::damaged(archive, failure),
        Event::BackupsOutlived { archives } => outlived(archives),
        Event::BackupSkipped { attempt } => format!("upgrade {attempt}: no backup, UNSAFE"),
        Event::BinaryPresent { attempt } => format!("upgrade {attempt}: the binary is still there"),
        Event::StoodDown { attempt } => work::stood_down(&tried(attempt)),
        Event::JournalFailed { failure } => journal_failed(failure),
        Event::JournalRestored => "the journal can be written again".to_owned(),
        Event::HookEnded { .. } | Event::HealthPassed { .. } | Event::HealthFailed { .. } => {
            hooks::text(event)
        }
        Event::WorkFailed { attempt, failure } => work_failed(&tried(attempt), failure),
    }
}

/// A try: `upgrade 3`, or `roll-back of v1.1.0 (1.1.0) to genesis (1.0.0)` where it is one.
fn tried(attempt: u64, back: Option<&Attempt>) -> String {
    let back = back.filter(|of| of.id == attempt);
    match back.and_then(|of| of.back.as_ref().map(|back| (&of.from, &back.to))) {
        Some((from, to)) => format!("roll-back of {} to {}", version(from), version(to)),
        None => format!("upgrade {attempt}"),
    }
}

fn ended(ending: Ending, uptime_ms: u64) -> String {
    format!("the daemon {} after {}", self::ending(ending), seconds(uptime_ms))
}

fn work_failed(tried: &str, failure: &Failure) -> String {
    format!("{tried} failed: {}", self::failure(failure))
}

fn outlived(archives: &[Archive]) -> String {
    let bytes = archives.iter().map(|archive| archive.bytes).sum();
    let paths: Vec<&str> = archives.iter().map(|archive| archive.path.as_str()).collect();
    format!("beyond the retention: {} ({})", paths.join(", "), human(bytes))
}

fn version(version: &Version) -> String {
    format!("{} ({})", version.name, version.version)
}

fn plan_lost(failure: &Failure) -> String {
    format!("the plan can't be used, no upgrade begins until it can: {}", self::failure(failure))
}

fn journal_failed(failure: &Failure) -> String {
    let why = self::failure(failure);
    format!("no record can be written, no upgrade begins until one can: {why}")
}

fn mended(file: &str, set_aside: Option<&str>) -> String {
    match set_aside {
        Some(aside) => {
            format!("{file} was damaged; it is kept as {aside}, and what is known goes on")
        }
        None => format!("{file} was missing, and is written anew from what is known"),
    }
}

fn roll_back_requested(to: &str, keep_data: bool, by: &Requester) -> String {
    let data = if keep_data { " and keep the data" } else { "" };
    format!("{} wants to go back to {to}{data}", requester(by))
}

fn failure(failure: &Failure) -> String {
    let code = serde_json::to_value(failure.code).unwrap_or_default();
    format!("{} [{}]", failure.text, code.as_str().unwrap_or_default())
}

/// How the daemon ended: `exited with status 3`.
#[must_use]
pub fn ending(ending: Ending) -> String {
    match ending {
        Ending::Exited(status) => format!("exited with status {status}"),
        Ending::Killed(signal) => format!("was ended by {}", signal_name(signal)),
        Ending::NeverStarted => "could not be started".to_owned(),
        Ending::Unseen => "ended, its status unseen".to_owned(),
        Ending::Unhealthy => "did not pass its health check".to_owned(),
    }
}

/// How a run ended.
#[must_use]
pub fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "the run ended in order".to_owned(),
        Outcome::DaemonFailed(ending) => {
            format!("the daemon failed for good: it {}", self::ending(ending))
        }
        Outcome::RollBackFailed => "a roll-back could not go on, and the daemon is down; the log \
                                    says why and what to do"
            .to_owned(),
    }
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

fn upgrade(upgrade: &Upgrade) -> String {
    format!(
        "{} (version {}), due {}, by {}{}",
        upgrade.name,
        upgrade.version,
        upgrade.due_at.format("%Y-%m-%d %H:%M:%SZ"),
        requester(&upgrade.requester),
        wishes::retimed(upgrade),
    )
}

/// Who asked, in words.
#[must_use]
pub fn requester(requester: &Requester) -> String {
    match requester {
        Requester::Upstream { url } => url.clone(),
        Requester::Command { uid, user } => format!("the user {user} ({uid})"),
        Requester::Plan => "a hand-edited plan".to_owned(),
    }
}

fn queue(queue: &Queue) -> String {
    let current = queue.current.as_ref().map_or("nothing", |current| current.name.as_str());
    if queue.entries.is_empty() {
        return format!("the plan: current {current}, nothing queued");
    }
    let queued: Vec<String> = queue.entries.iter().map(upgrade).collect();
    format!("the plan: current {current}, queued {}", queued.join("; "))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}
