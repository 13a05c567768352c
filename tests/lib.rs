//! The one test crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod backup;
mod config;
mod daemon;
mod fetch;
mod journal;
mod locks;
mod machine;
mod model;
mod place;
mod processes;
mod release;
mod room;
mod state_machine_md;
mod support;
mod upstream;
mod watch;
