//! Short names for the values that tests are made of.

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::machine::{
    Archive, Binary, Code, Daemon, Event, Failure, Hooks, Policy, Queue, Requester, Upgrade,
    Version,
};

/// So many minutes after the beginning of the tests' time.
pub(crate) fn at(minutes: i64) -> DateTime<Utc> {
    let zero = "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    zero + TimeDelta::minutes(minutes)
}

pub(crate) fn version(name: &str, version: &str) -> Version {
    Version { name: name.to_owned(), version: version.to_owned() }
}

pub(crate) fn genesis() -> Version {
    version("genesis", "1.0.0")
}

/// What runs at the beginning, as the plan knows it.
pub(crate) fn genesis_upgrade() -> Upgrade {
    Upgrade { manual: true, requester: Requester::Plan, ..upgrade("genesis", "1.0.0", 0) }
}

/// An upgrade that upstream announces, due after so many minutes.
pub(crate) fn upgrade(name: &str, version: &str, due: i64) -> Upgrade {
    Upgrade {
        name: name.to_owned(),
        version: version.to_owned(),
        digest: format!("digest-of-{name}"),
        due_at: at(due),
        manual: false,
        allow_downgrade: false,
        requester: Requester::Upstream { url: "https://up.example/info.json".to_owned() },
        announced_for: None,
        rescheduled: None,
    }
}

pub(crate) fn by_command(upgrade: Upgrade) -> Upgrade {
    let requester = Requester::Command { uid: 1000, user: "nym".to_owned() };
    Upgrade { requester, ..upgrade }
}

pub(crate) fn queue(entries: &[Upgrade]) -> Queue {
    Queue {
        current: Some(genesis_upgrade()),
        entries: entries.to_vec(),
        performed: Vec::new(),
        in_place: Vec::new(),
    }
}

pub(crate) fn binary(name: &str) -> Binary {
    Binary { sha256: format!("sha-of-{name}"), bytes: 60, identity: format!("file-of-{name}") }
}

pub(crate) fn archive(serial: u64) -> Archive {
    let path = format!("backup-{serial}.tar.zst");
    Archive { path, bytes: 16, sha256: Some("sha".to_owned()), entries: 3, skipped: 0 }
}

pub(crate) fn daemon(pid: u32) -> Daemon {
    Daemon { pid, started_ticks: u64::from(pid) * 10 }
}

pub(crate) fn failure(code: Code) -> Failure {
    Failure { code, text: "as the test wants it".to_owned() }
}

/// The defaults of the configuration file.
pub(crate) fn policy() -> Policy {
    Policy {
        restart_on_failure: true,
        restart_after_upgrade: true,
        prepare_ahead: true,
        skip_backup: false,
        rollback_on_failed_upgrade: false,
        rollback_restores_data: true,
        prunes_backups: false,
        keeps_windows: false,
        hooks: Hooks::default(),
        checks_health: false,
        max_startup_failures: 10,
        failure_restart_delay_ms: 10_000,
        startup_period_ms: 120_000,
        shutdown_grace_ms: 10_000,
    }
}

/// Every command is there, and the health is checked.
#[expect(clippy::needless_pass_by_value, reason = "it changes what it is given")]
pub(crate) fn with_hooks(policy: Policy) -> Policy {
    let hooks = Hooks {
        pre_upgrade: true,
        per_stop: true,
        pre_start: true,
        post_upgrade: true,
        on_failure: true,
    };
    Policy { hooks, checks_health: true, ..policy }
}

/// Every code, each once.
pub(crate) const CODES: [Code; 24] = [
    Code::Network,
    Code::HttpStatus,
    Code::NoRoom,
    Code::LockBusy,
    Code::Io,
    Code::AnnouncementChanged,
    Code::BinaryChanged,
    Code::DigestMismatch,
    Code::NoChecksum,
    Code::NoPlatform,
    Code::BadUrl,
    Code::TooLarge,
    Code::BuildInfo,
    Code::Downgrade,
    Code::NoBinary,
    Code::ResumedTooOften,
    Code::DaemonCrashed,
    Code::FailedStart,
    Code::RolledBack,
    Code::Cancelled,
    Code::HookAborted,
    Code::HookPostponed,
    Code::HookFailed,
    Code::Unhealthy,
];

/// There is room, and the plan was heard.
pub(crate) fn room_found(attempt: u64) -> Event {
    Event::RoomFound { attempt, needed_bytes: 10, free_bytes: 100, by_plan: true }
}
