//! One plausible thing that happens, and how tests draw it at random.

use nymvisor::machine::{Policy, Upgrade};
use proptest::prelude::*;

use super::luck::Luck;
use super::values;

/// Something that happens around the engine. What is impossible at the moment does nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stimulus {
    /// A session begins with these settings.
    Start(Settings),
    /// Some ordered work ends.
    Finish(u8, Luck),
    /// A running timer fires.
    Fire(u8),
    /// The clock reaches the watched time.
    ComeDue,
    /// The plan is read, as after every change of it.
    ReadPlan,
    /// The daemon's leader ends, after so many milliseconds.
    DaemonEnds(How, u64),
    /// A person, or systemd, wants the run to end.
    Stop,
    /// A signal for the daemon.
    Signal,
    /// Upstream announces one of the catalogue.
    Announce(u8),
    /// Something changes files behind the engine's back.
    Tamper(Tamper),
    /// An operator says retry.
    Retry(u8),
    /// An operator says rollback.
    RollBack(u8),
    /// An operator says hold, with an end or without.
    Hold(bool),
    /// An operator says release.
    Release,
    /// The clock reaches the end of a hold.
    HoldEnds,
    /// An operator says cancel.
    Cancel(u8),
    /// A maintenance window opens, or closes.
    Window(bool),
    /// An answer that nobody waits for any more.
    Stale(u8),
    /// Nymvisor is killed, or the power fails.
    Crash {
        /// Bit by bit: which of the ordered work was done nevertheless.
        done: u8,
        /// The daemon outlives it.
        daemon_survives: bool,
    },
}

/// How a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Well,
    Status,
    Signal,
}

/// What other hands do to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// `add-upgrade`, of one of the catalogue.
    Queue(u8),
    /// An entry is taken out of the plan.
    Unqueue(u8),
    /// `upgrades reschedule`, of one of the catalogue, to a later time or now.
    Reschedule(u8, bool),
    /// `add-upgrade --add-binary`.
    PutBinary(u8),
    /// A binary in its place is replaced.
    ChangeBinary(u8),
    /// Another instance of the data folder performs what is queued.
    OtherInstance(u8),
    /// Another process takes the upgrade lock, or gives it back.
    Lock(bool),
    /// Files vanish while nothing runs.
    LoseVersion,
    LosePlan,
    LoseLink,
    /// Somebody moves the version file while nothing runs.
    MoveVersion,
}

/// The switches of one session.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) restarts: bool,
    pub(crate) restart_after_upgrade: bool,
    pub(crate) prepare_ahead: bool,
    pub(crate) skip_backup: bool,
    pub(crate) max_failures: u32,
    pub(crate) rolls_back: bool,
    pub(crate) restores_data: bool,
    pub(crate) keeps_windows: bool,
    /// Every command is there, and the health is checked.
    pub(crate) has_hooks: bool,
}

impl Settings {
    pub(crate) fn policy(self) -> Policy {
        let policy = values::policy();
        let policy = if self.has_hooks { values::with_hooks(policy) } else { policy };
        Policy {
            restart_on_failure: self.restarts,
            restart_after_upgrade: self.restart_after_upgrade,
            prepare_ahead: self.prepare_ahead,
            skip_backup: self.skip_backup,
            max_startup_failures: self.max_failures,
            rollback_on_failed_upgrade: self.rolls_back,
            rollback_restores_data: self.restores_data,
            prunes_backups: true,
            keeps_windows: self.keeps_windows,
            ..policy
        }
    }
}

/// The upgrades that ever turn up.
pub(crate) fn catalogue(pick: u8) -> Upgrade {
    match pick % 6 {
        0 => values::upgrade("u1", "1.1.0", 10),
        1 => values::upgrade("u2", "1.2.0", 5),
        2 => Upgrade { digest: "other-content".to_owned(), ..values::upgrade("u1", "1.1.0", 20) },
        3 => Upgrade { manual: true, ..values::by_command(values::upgrade("m3", "1.3.0", 0)) },
        4 => Upgrade {
            allow_downgrade: true,
            ..values::by_command(values::upgrade("back", "0.9.0", 30))
        },
        _ => values::upgrade("old", "0.8.0", 0),
    }
}

/// Random stimuli, as likely as makes long stories.
pub(crate) fn any() -> impl Strategy<Value = Stimulus> {
    let luck = prop_oneof![
        12 => Just(Luck::Good),
        2 => proptest::num::u8::ANY.prop_map(Luck::Bad),
        1 => Just(Luck::Half),
    ];
    let how = prop_oneof![Just(How::Well), Just(How::Status), Just(How::Signal)];
    let uptime = prop_oneof![Just(50_u64), Just(119_999), Just(120_000), Just(600_000)];
    prop_oneof![
        6 => settings().prop_map(Stimulus::Start),
        40 => (0..3_u8, luck).prop_map(|(pick, luck)| Stimulus::Finish(pick, luck)),
        6 => (0..3_u8).prop_map(Stimulus::Fire),
        6 => Just(Stimulus::ComeDue),
        8 => Just(Stimulus::ReadPlan),
        6 => (how, uptime).prop_map(|(how, uptime)| Stimulus::DaemonEnds(how, uptime)),
        2 => Just(Stimulus::Stop),
        1 => Just(Stimulus::Signal),
        6 => (0..6_u8).prop_map(Stimulus::Announce),
        8 => tamper().prop_map(Stimulus::Tamper),
        1 => (0..6_u8).prop_map(Stimulus::Retry),
        1 => (0..6_u8).prop_map(Stimulus::RollBack),
        2 => proptest::bool::ANY.prop_map(Stimulus::Hold),
        1 => Just(Stimulus::Release),
        1 => Just(Stimulus::HoldEnds),
        1 => (0..6_u8).prop_map(Stimulus::Cancel),
        3 => proptest::bool::weighted(0.7).prop_map(Stimulus::Window),
        2 => proptest::num::u8::ANY.prop_map(Stimulus::Stale),
        3 => (proptest::num::u8::ANY, proptest::bool::weighted(0.3))
            .prop_map(|(done, daemon_survives)| Stimulus::Crash { done, daemon_survives }),
    ]
}

fn tamper() -> impl Strategy<Value = Tamper> {
    prop_oneof![
        6 => (0..6_u8).prop_map(Tamper::Queue),
        1 => (0..6_u8).prop_map(Tamper::Unqueue),
        2 => (0..6_u8, proptest::bool::ANY)
            .prop_map(|(pick, later)| Tamper::Reschedule(pick, later)),
        1 => (0..6_u8).prop_map(Tamper::PutBinary),
        1 => (0..6_u8).prop_map(Tamper::ChangeBinary),
        1 => (0..6_u8).prop_map(Tamper::OtherInstance),
        1 => proptest::bool::ANY.prop_map(Tamper::Lock),
        1 => prop_oneof![
            Just(Tamper::LoseVersion),
            Just(Tamper::LosePlan),
            Just(Tamper::LoseLink),
            Just(Tamper::MoveVersion),
        ],
    ]
}

/// Mostly the usual settings, each switch at times the other way.
pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let odd = || proptest::bool::weighted(0.15);
    let often = || proptest::bool::weighted(0.3);
    let backs = (proptest::bool::ANY, odd(), often(), often());
    (odd(), odd(), odd(), odd(), 0..4_u32, backs).prop_map(
        |(restarts, after, ahead, skip, max, (rolls_back, keeps, keeps_windows, has_hooks))| {
            Settings {
                restarts: !restarts,
                restart_after_upgrade: !after,
                prepare_ahead: !ahead,
                skip_backup: skip,
                max_failures: max,
                rolls_back,
                restores_data: !keeps,
                keeps_windows,
                has_hooks,
            }
        },
    )
}
