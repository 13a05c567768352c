//! Waits of monotonic time.

use serde::{Deserialize, Serialize};

/// The timers, each with its one reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timer {
    /// From the polite signal to SIGKILL. Fires `GraceElapsed`.
    Grace,
    /// From a crash to the next start. Fires `DelayElapsed`.
    RestartDelay,
    /// The time in which a crash is a startup failure. Fires `StartupPassed`.
    Startup,
    /// The pause after a transient failure. Fires `PauseElapsed`.
    Pause {
        /// Name of the upgrade.
        name: String,
        /// Digest of its announcement.
        digest: String,
    },
}
