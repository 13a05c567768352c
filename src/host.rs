//! What the engine's effects do on a real machine.

pub mod probe;
