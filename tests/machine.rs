//! The pure machine: stories, properties, and how a crash is recovered from.

mod begun;
mod daemon;
mod explore;
mod failures;
mod found;
mod hooks;
mod properties;
mod put_off;
mod queue;
mod recovery;
mod stops;
mod upgrades;
mod wishes;
