//! `config`.

use super::Error;
use super::output::{Output, print};
use crate::config::{self, Config, Env};
use crate::disk::Disk;

/// Shows the configuration as it holds, the environment included.
pub(super) fn show(disk: &dyn Disk, env: &Env, output: Output) -> Result<(), Error> {
    let (config, _) = config::load(disk, env)?;
    print_config(output, &config)
}

pub(super) fn print_config(output: Output, config: &Config) -> Result<(), Error> {
    match output {
        Output::Text => print(&config::to_text(config)),
        Output::Json => print(&format!("{}\n", config::to_json(config))),
    }
}
