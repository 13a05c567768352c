//! The machine decides.
//!
//! [`step`] takes the state and a fact and says which state follows and what is to be done. It
//! reads no clock, no file and no process, keeps nothing and waits for nothing: times, exit
//! codes, digests and what was found on disk all arrive inside [`Event`]s. So the same events
//! lead to the same state on every machine, and the journal, which keeps them, is enough to know
//! it again ([`replay`]).
//!
//! The story of one upgrade: while [`Phase::Running`], the first upgrade of the queue that nothing
//! holds back becomes the candidate and is prepared, a stage a record. When it is both ready and
//! due, the lock is taken and the daemon drained; from there on it is an [`Attempt`], which goes
//! through one phase after the other, each confirming what was prepared, until the version file
//! has been moved. Whatever fails before that leads through [`Phase::Failed`] back to the old
//! version; whatever interrupts it is taken up by [`recover`].
//!
//! A person's [`Holding`], or a maintenance [`Window`] that is not open, keeps a candidate back: it
//! is prepared, and stops nothing.
//!
//! A roll-back is an [`Attempt`] too, with [`Attempt::back`] set. It goes through the same phases,
//! but has nothing to download or to verify.

mod effect;
mod event;
mod hook;
mod order;
mod phase;
mod record;
mod recover;
mod state;
mod step;
mod timer;
mod values;
mod wishes;

pub use effect::{Effect, Outcome};
pub use event::Event;
pub use hook::{Aftermath, Health, Hook, HookCall, HookEnding, Hooks, Notice, Verdict};
pub use order::{Order, compare};
pub use phase::{
    AfterDrain, AfterFailure, Attempt, Back, DrainStep, Draining, Failed, Phase, PhaseName,
    Restarting, Running, Swapping, Wait, Why,
};
pub use record::{Illegal, Record, replay};
pub use recover::{Link, Observed, RESUMPTIONS_MAX, Row, recover};
pub use state::{Candidate, Hold, Performed, Queue, Stage, State, Trouble, Undone};
pub use step::{Rejected, Transition, step};
pub use timer::Timer;
pub use values::{
    Announcement, Archive, Binary, Code, Daemon, Ending, Failure, Policy, Remedy, Requester,
    Rescheduled, Upgrade, Version,
};
pub use wishes::{Holding, KeptBack, Window, Wishes};
