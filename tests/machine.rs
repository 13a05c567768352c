//! The pure machine: stories, properties, and how a crash is recovered from.

mod daemon;
mod explore;
mod failures;
mod found;
mod hooks;
mod properties;
mod queue;
mod recovery;
mod stops;
mod upgrades;
mod wishes;
