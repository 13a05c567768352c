//! `daemon-build-info`.

use super::output::{Output, print_build_info};
use super::{Error, probe};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::release::load_current_version;

/// Asks the binary of the version that this instance runs.
pub(super) fn show(disk: &dyn Disk, env: &Env, output: Output) -> Result<(), Error> {
    let (_, paths) = config::load(disk, env)?;
    let version = load_current_version(disk, &paths.current_version())?;
    let info = probe::ask(&paths.binary(&version.name)).map_err(Error::of_installed)?;
    print_build_info(output, &info)
}
