//! A process manager for Nym binaries.
pub mod cli;
pub mod config;
pub mod disk;
pub mod exit;
pub mod host;
pub mod machine;
pub mod release;
