//! The `nymvisor` command.
fn main() {}
