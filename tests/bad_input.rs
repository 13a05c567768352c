//! Bad input: a clear message, a documented exit status, nothing changed.

mod at_start;
mod commands;
