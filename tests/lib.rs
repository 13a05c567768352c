//! The one test crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod add_upgrade;
mod backup;
mod bad_input;
mod cli;
mod config;
mod config_env;
mod daemon;
mod demo;
mod fetch;
mod init;
mod locks;
mod place;
mod probe;
mod processes;
mod release;
mod restore;
mod room;
mod supervision;
mod support;
mod takeover;
mod upgrades;
mod upstream;
mod watch;
