//! The one test crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod daemon;
mod fetch;
mod locks;
mod place;
mod processes;
mod config;
mod release;
mod support;
mod upstream;
mod watch;
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends with a panic"
)]
mod backup;
mod room;
