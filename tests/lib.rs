//! The one test crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]

mod add_upgrade;
mod cli;
mod config;
mod config_env;
mod init;
mod probe;
mod release;
mod support {
    pub(crate) mod daemon;
    pub(crate) mod site;
}
