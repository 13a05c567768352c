//! The one test crate: it links once, and `tidy` sees to it that no file is forgotten.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind")]
#![expect(clippy::naive_bytecount, reason = "a few bytes")]
#![expect(clippy::print_stderr, reason = "a test that can't be made here says so")]
#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "short texts, in the order in which they are read"
)]

mod add_upgrade;
mod backup;
mod backups_cli;
mod bad_input;
mod cgroup;
mod check;
mod cli;
mod config;
mod config_env;
mod container;
mod daemon;
mod demo;
mod due;
mod fetch;
mod files;
mod hazards;
mod hooks;
mod init;
mod journal;
mod journal_cli;
mod journal_verify;
mod locks;
mod logs;
mod machine;
mod manual;
mod memory;
mod metrics;
mod model;
mod place;
mod power_cut;
mod probe;
mod processes;
mod prune;
mod readme;
mod readme_session;
mod release;
mod restore;
mod rollback;
mod room;
mod sim;
mod spread;
mod state_machine_md;
mod status;
mod supervision;
mod support;
mod sweep;
mod systemd;
mod takeover;
mod tidy;
mod told;
mod upgrades;
mod upstream;
mod watch;
mod window;
mod windows;
