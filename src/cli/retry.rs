//! `retry`: what was held back after a failure is tried again.

use clap::Args;

use super::{Error, ask, output, user};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::release::UpgradeName;
use crate::requests::{Request, Wish};

/// What `retry` needs to know.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Name of the upgrade that is to be tried again
    name: String,
    #[command(flatten)]
    output: output::OutputArgs,
}

/// Has an upgrade tried again: by the engine that runs, or on the record for the next one.
pub(super) fn retry(disk: &dyn Disk, env: &Env, args: &RetryArgs) -> Result<(), Error> {
    let name: UpgradeName = args.name.parse()?;
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path()])?;
    let wish = Wish::Retry { name: name.to_string() };
    let request = Request { wish, requester: user::requester(env) };
    let what = format!("nothing holds {name} back");
    let (granted, text) = ask::engine(&config, &paths, request, &what)?;
    if granted {
        return output::print_answer(args.output.output, &text);
    }
    let hint = "`nymvisor check` says what the next upgrade waits for";
    Err(Error::Refused(format!("{text}; {hint}")))
}
