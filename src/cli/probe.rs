//! Asking a binary what it is, from a command.

use std::path::Path;
use std::time::Duration;

use super::Error;
use crate::host::probe;
use crate::release::{BuildInfo, ReleaseVersion};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the binary, for 10 s at most.
pub(super) fn ask(binary: &Path) -> Result<BuildInfo, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start asking", binary))?;
    Ok(runtime.block_on(probe::build_info(binary, TIMEOUT))?)
}

/// The version of a binary that was given to the command.
pub(super) fn version_of(binary: &Path, details: &BuildInfo) -> Result<ReleaseVersion, Error> {
    details
        .build_version
        .parse()
        .map_err(|error| Error::Refused(format!("{} can't be used: {error}", binary.display())))
}
