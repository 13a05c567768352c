//! The pure state machine.
mod values;
pub use values::*;
