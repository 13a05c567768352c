//! Where a search begins.

use std::fmt;

use nymvisor::machine::{Code, Effect, PhaseName, Policy, Timer, Upgrade};

use crate::model::engine::Engine;
use crate::model::luck::Luck;
use crate::model::stimulus::{How, Stimulus, Tamper, catalogue};
use crate::model::tale::Tale;

/// The bounds of a search that begins in the middle of a story are counted from there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beginning {
    /// An instance that has never run.
    First,
    /// The daemon runs, and the first upgrade has just been queued.
    Ready,
    /// The first upgrade is prepared, and waits for its time.
    Prepared,
    /// The first upgrade is prepared and due, and its lock is being taken.
    Due,
    /// The first upgrade has failed and pauses, while the second is performed.
    Pauses,
    /// Nymvisor was killed in the middle of the first upgrade, and somebody lost files of it.
    FilesLost,
    /// A phase of the first upgrade.
    At(PhaseName),
    /// The daemon crashed while the upgrade was being prepared, and its restart is delayed.
    Waits,
    /// The swap failed, and it is looked whether it is committed all the same.
    Failed,
    /// The first upgrade is performed, and its daemon is up.
    Upgraded,
    /// The same, and a phase of the next upgrade is reached before the backup was read whole, and
    /// before older ones were looked for.
    Unread(PhaseName),
    /// What was upgraded has failed its start, and is to be rolled back.
    FailsStart,
    /// The data of the version before is being restored.
    GoesBack,
    /// With commands: the first upgrade is up, and its health is checked.
    Asked,
    /// The same, and a phase of the next upgrade is reached while its command still runs.
    Told(PhaseName),
    /// It is not healthy, and the next upgrade is being prepared: so many steps of that are done.
    Unhealthy(usize),
}

impl Beginning {
    pub(super) fn engine(self, policy: &Policy) -> Engine {
        let (first, policy) = (catalogue(0), policy.clone());
        let upgraded = || {
            let mut tale = Tale::ready(policy.clone(), &first);
            tale.due().until(PhaseName::Restarting).work(1);
            tale
        };
        let fails = || {
            let mut tale = upgraded();
            // With two startup failures allowed, the second is one too many.
            tale.daemon_ends(How::Status, 1).fire(&Timer::RestartDelay);
            tale.until(PhaseName::Running).daemon_ends(How::Status, 1);
            tale
        };
        let tale = match self {
            Self::First => return Engine::new(policy),
            Self::Ready => {
                let mut tale = Tale::running(policy);
                tale.queue(&first);
                tale
            }
            Self::Prepared | Self::Due => {
                let mut tale = Tale::ready(policy, &first);
                let _ = matches!(self, Self::Due).then(|| tale.due());
                tale
            }
            Self::Pauses => pauses(policy, &first),
            Self::FilesLost => {
                let mut tale = Tale::at(policy, &first, PhaseName::BackingUp);
                tale.crash();
                for lost in [Tamper::LosePlan, Tamper::LoseVersion] {
                    tale.engine.happen(&Stimulus::Tamper(lost)).unwrap();
                }
                tale
            }
            Self::At(phase) => Tale::at(policy, &first, phase),
            Self::Waits => {
                let mut tale = Tale::running(policy);
                // Late enough to be no startup failure.
                tale.queue(&first).daemon_ends(How::Status, 600_000);
                tale
            }
            Self::Failed => {
                let mut tale = Tale::at(policy, &first, PhaseName::Swapping);
                tale.fail(Code::Io);
                tale
            }
            Self::Upgraded => upgraded(),
            Self::Unread(phase) => {
                let mut tale = upgraded();
                let unread = std::mem::take(&mut tale.engine.world.work);
                tale.queue(&catalogue(1)).work(4).due().until(phase);
                tale.engine.world.work.extend(unread);
                tale.engine.world.work.push(Effect::ReviewBackups);
                tale
            }
            Self::FailsStart => fails(),
            Self::Asked | Self::Told(_) | Self::Unhealthy(_) => with_commands(self, policy),
            Self::GoesBack => {
                let mut tale = fails();
                tale.work(1);
                tale
            }
        };
        tale.engine
    }
}

fn pauses(policy: Policy, first: &Upgrade) -> Tale {
    let mut tale = Tale::running(policy);
    tale.queue(first).fail(Code::Network);
    tale.queue(&catalogue(1)).work(4).due().until(PhaseName::BackingUp);
    tale
}

fn with_commands(from: Beginning, policy: Policy) -> Tale {
    let second = catalogue(1);
    match from {
        Beginning::Unhealthy(steps) => Tale::unhealthy_while(policy, &catalogue(0), &second, steps),
        Beginning::Told(phase) => {
            let mut tale = Tale::asked(policy, &catalogue(0));
            tale.finish("check-health", Luck::Good);
            let told = std::mem::take(&mut tale.engine.world.work);
            tale.queue(&second).work(4).due().until(phase);
            tale.engine.world.work.extend(told);
            tale
        }
        _ => Tale::asked(policy, &catalogue(0)),
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("from the beginning"),
            Self::Ready => f.write_str("with an upgrade queued"),
            Self::Prepared => f.write_str("with an upgrade prepared"),
            Self::Due => f.write_str("with an upgrade due"),
            Self::Pauses => f.write_str("with an upgrade that pauses"),
            Self::FilesLost => f.write_str("with files lost"),
            Self::At(phase) => write!(f, "from {phase}"),
            Self::Waits => f.write_str("with a restart delayed"),
            Self::Failed => f.write_str("after a swap that failed"),
            Self::Upgraded => f.write_str("after an upgrade"),
            Self::Unread(phase) => write!(f, "from {phase} with a backup unread"),
            Self::FailsStart => f.write_str("after a failed start"),
            Self::GoesBack => f.write_str("in a roll-back"),
            Self::Asked => f.write_str("with the health awaited"),
            Self::Unhealthy(steps) => write!(f, "unhealthy, {steps} steps into the next"),
            Self::Told(phase) => write!(f, "from {phase} with a command that runs"),
        }
    }
}
