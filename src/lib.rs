//! A process manager for Nym binaries.
pub mod digest;
pub mod config;
pub mod disk;
pub mod exit;
pub mod host;
pub mod journal;
pub mod machine;
pub mod proc;
pub mod release;
