//! Whether there is room, asked before the daemon is stopped.
