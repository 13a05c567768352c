//! A simulated machine for the engine's pure part, and a deliberately dumb oracle.
//!
//! [`engine::Engine`] puts `step`, a journal kept in memory and a [`host::World`] together; a
//! [`stimulus::Stimulus`] makes one plausible thing happen. Whatever a record orders is checked
//! by the [`oracle::Oracle`], which knows the promises but nothing of how `step` keeps them.

pub(crate) mod back;
mod copy;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod hooks;
pub(crate) mod host;
pub(crate) mod luck;
pub(crate) mod numbers;
pub(crate) mod oracle;
pub(crate) mod parts;
pub(crate) mod settle;
pub(crate) mod show;
pub(crate) mod stimulus;
mod swap;
pub(crate) mod tale;
mod tamper;
pub(crate) mod values;
pub(crate) mod wishes;
