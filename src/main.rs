//! The `nymvisor` command.

use std::ffi::OsString;
use std::process::ExitCode;

use nymvisor::host::daemon;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(ended) = daemon::wait_if_poised(&args) {
        return ended;
    }
    nymvisor::cli::main(args).into()
}
