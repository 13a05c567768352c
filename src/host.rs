//! What the engine's effects do on a real machine.
pub mod backup;
pub mod room;
pub mod daemon;
pub mod lock;
pub mod processes;
pub mod signals;
pub mod watch;
pub mod fetch;
pub mod http;
pub mod place;
pub mod upstream;
