//! The pure machine: stories, properties, and how a crash is recovered from.

mod properties;
