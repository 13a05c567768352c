//! Taking the daemon's arguments out of ours.

use std::ffi::{OsStr, OsString};

/// Splits a command line into what is ours and, for `run`, what is the daemon's.
///
/// Everything after `run` is the daemon's as it is, whatever it looks like and whether it is UTF-8
/// or not. Only a lone `--help` or `-h` is ours, and the first `--` is taken away, so that
/// `run -- --help` asks the daemon. `None` where the command is not `run`.
#[must_use]
pub fn split(mut arguments: Vec<OsString>) -> (Vec<OsString>, Option<Vec<OsString>>) {
    let Some(run) = position_of_run(&arguments) else { return (arguments, None) };
    let mut daemon_args = arguments.split_off(run + 1);
    if let [only] = daemon_args.as_slice()
        && (only == "--help" || only == "-h")
    {
        arguments.append(&mut daemon_args);
        return (arguments, None);
    }
    if daemon_args.first().is_some_and(|first| first == "--") {
        daemon_args.remove(0);
    }
    (arguments, Some(daemon_args))
}

/// Where `run` is, if it is the command: only our global option can stand before it.
fn position_of_run(arguments: &[OsString]) -> Option<usize> {
    let mut rest = arguments.iter().enumerate().skip(1);
    while let Some((position, argument)) = rest.next() {
        if argument == "run" {
            return Some(position);
        }
        if argument == "-c" || argument == "--config-env-file" {
            rest.next();
        } else if !holds_env_file(argument) {
            return None;
        }
    }
    None
}

fn holds_env_file(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.starts_with(b"-c") || bytes.starts_with(b"--config-env-file=")
}
