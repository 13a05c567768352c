//! What tests share.

pub(crate) mod auditor;
pub(crate) mod daemon;
pub(crate) mod groups;
pub(crate) mod helper;
pub(crate) mod nest;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod site;
pub(crate) mod terminal;
pub(crate) mod tools;
