//! Whether the operator's commands can be run, and what asks a new version for its health.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::finding::Finding;
use super::site::Site;
use crate::host::http;

const WHAT: &str = "command";

/// Nothing where none is configured.
pub(super) fn findings(site: &Site<'_>) -> Vec<Finding> {
    let daemon = &site.config.daemon;
    let all = [
        ("pre_upgrade_command", &daemon.pre_upgrade_command),
        ("pre_start_command", &daemon.pre_start_command),
        ("post_upgrade_command", &daemon.post_upgrade_command),
        ("on_failure_command", &daemon.on_failure_command),
        ("health_check_command", &daemon.health_check_command),
    ];
    let set = all.into_iter().filter_map(|(key, line)| Some((key, line.as_ref()?)));
    let mut findings: Vec<Finding> =
        set.map(|(key, line)| of_program(key, &line.program)).collect();
    if let Some(address) = &daemon.health_check_url
        && http::is_plain_http_beyond_loopback(address.url())
    {
        let shown = address.without_credentials();
        let text = format!("daemon.health_check_url is plain http beyond this machine: {shown}");
        let remedy = "ask on loopback, or with https: anybody on the way can answer";
        findings.push(Finding::warn("health", text, remedy));
    }
    findings
}

fn of_program(key: &str, program: &Path) -> Finding {
    let shown = program.display();
    let why = match std::fs::metadata(program) {
        Err(error) => error.to_string(),
        Ok(meta) if !meta.is_file() => "that is no file".to_owned(),
        Ok(_) => match access(program, AccessFlags::X_OK) {
            Ok(()) => return Finding::ok(WHAT, format!("daemon.{key}: {shown} can be executed")),
            Err(error) => error.desc().to_owned(),
        },
    };
    let text = format!("daemon.{key}: {shown} can't be executed: {why}");
    let remedy = "put an executable file there, for the user that runs nymvisor, or unset the key";
    // What is only told of something stops nothing.
    if matches!(key, "post_upgrade_command" | "on_failure_command") {
        Finding::warn(WHAT, text, remedy)
    } else {
        Finding::fail(WHAT, text, remedy)
    }
}
