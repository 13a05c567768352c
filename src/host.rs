//! What the engine's effects do on a real machine.
pub mod fetch;
pub mod http;
pub mod place;
pub mod upstream;
