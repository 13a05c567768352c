//! The `nymvisor` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    nymvisor::cli::main(std::env::args_os().collect()).into()
}
