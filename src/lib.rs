//! A process manager for Nym binaries: it runs one daemon, and upgrades it.
//!
//! # Theory of operation
//!
//! `nymvisor run` is a pure state machine in an asynchronous shell, with a journal between them.
//!
//! 1. The [`machine`] decides. It gets facts ([`machine::Event`]) and gives orders
//!    ([`machine::Effect`]); it knows no clock, no file and no process.
//! 2. The [`journal`] remembers. Each transition is a record, durable before anything it orders is
//!    begun.
//! 3. The [`shell`] acts, through a [`host`]. It carries out orders, and turns what happens into
//!    facts. It decides nothing.
//!
//! After a crash the journal tells what may have been done, and a look at the disk and the
//! processes what was done; [`machine::recover`] compares the two, and its result is a fact like
//! any other. `state-machine.md` tells the whole story, phase by phase.
//!
//! # The two laws
//!
//! **Write-ahead:** nothing is done that a durable record does not order. Only the journal makes a
//! [`journal::Order`], from a record that is synced; so forgetting it does not compile. The one
//! exception is a type of its own ([`journal::HeldOrder`]): while nothing can be written, the
//! daemon is still looked after.
//!
//! **Determinism:** the same records give the same state, byte for byte, on every machine. The
//! machine is a function, and [`machine::replay`] accepts only what it would have decided itself.
//!
//! # Who uses whom
//!
//! | module | uses |
//! |---|---|
//! | `cli` | everything below |
//! | `session` | config, disk, host, journal, machine, release |
//! | `shell` | host, journal, machine, narrate |
//! | `host` | bars, config, digest, disk, journal, machine, metrics, proc, release, requests |
//! | | units |
//! | `metrics` | config, health, machine, proc, spans |
//! | `requests` | disk, machine |
//! | `logs` | bars, disk, retention |
//! | `narrate` | journal, machine, units |
//! | `journal` | digest, disk, machine, retention |
//! | `config` | disk, machine, release, retention |
//! | `release` | digest, disk, machine |
//! | `health` | machine |
//! | `spans` | machine |
//! | `machine` | nothing |
//! | `bars` | nothing |
//! | `digest` | nothing |
//! | `disk` | nothing |
//! | `unit` | exit |
//! | `exit` | nothing |
//! | `proc` | nothing |
//! | `retention` | nothing |
//! | `units` | nothing |
//!
//! The modules of [`host`] do not know one another either, but for its `local`, which puts them
//! together, and what two of them share: `http`, and `backup`, which `restore` reads back. A test
//! holds all of this against the sources.

pub mod bars;
pub mod cli;
pub mod config;
pub mod digest;
pub mod disk;
pub mod exit;
pub mod health;
pub mod host;
pub mod journal;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod narrate;
pub mod proc;
pub mod release;
pub mod requests;
pub mod retention;
pub mod session;
pub mod shell;
pub mod spans;
pub mod unit;
pub mod units;
