//! What tests share.

pub(crate) mod helper;
pub(crate) mod server;
