//! Whether somebody asks a process of the demo to end.

use std::path::Path;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cli::Error;

/// Hears the requests to end, which then don't end the process by themselves.
#[derive(Debug)]
pub(in crate::cli) struct Asked(SignalFd);

impl Asked {
    /// Begins to hear. Must be called before there is a second thread: it would take the signals.
    pub(in crate::cli) fn hear() -> Result<Self, Error> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP] {
            signals.add(signal);
        }
        let failed = || Error::io("listen to signals on", Path::new("this machine"));
        signals.thread_block().map_err(|errno| failed()(errno.into()))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let heard = SignalFd::with_flags(&signals, flags);
        heard.map(Self).map_err(|errno| failed()(errno.into()))
    }

    /// The request that has come since the last look, if one has.
    pub(in crate::cli) fn to_end(&self) -> Option<Signal> {
        let heard = self.0.read_signal().ok().flatten()?;
        i32::try_from(heard.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    }
}
