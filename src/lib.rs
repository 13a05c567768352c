//! A process manager for Nym binaries.
pub mod cli;
pub mod config;
pub mod digest;
pub mod disk;
pub mod exit;
pub mod host;
pub mod journal;
pub mod logs;
pub mod machine;
pub mod narrate;
pub mod proc;
pub mod release;
pub mod requests;
pub mod shell;
