//! The one test crate.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends with a panic"
)]
mod backup;
mod room;
