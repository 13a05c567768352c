//! The one test crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod daemon;
mod locks;
mod processes;
mod support {
    pub(crate) mod helper;
}
mod watch;
mod fetch;
mod place;
mod support {
    pub(crate) mod server;
}
mod upstream;
mod release;
