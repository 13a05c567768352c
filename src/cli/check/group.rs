//! Whether what the daemon starts can outlive it: by which means it is found.

use super::finding::Finding;
use super::site::Site;
use crate::cli::run;
use crate::host::cgroup::Place;
use crate::machine::{Phase, Running};

const WHAT: &str = "group";
/// What holds where there is none.
const ELSE: &str = "what it starts is found by its process group and the session's token";

/// Of the daemon that is up; else of one that a `run` would start here.
pub(super) fn finding(site: &Site<'_>) -> Finding {
    let prefix = run::token_prefix(&site.paths);
    let running = site.state.as_ref().filter(|_| site.runner.is_some());
    if let Some(Phase::Running(Running { daemon, .. })) = running.map(|state| &state.phase) {
        let pid = daemon.pid;
        if Place::at("/".into(), &prefix).holds(pid) {
            let text = format!("the daemon, process {pid}, has a control group of its own");
            return Finding::ok(WHAT, text);
        }
        let text = format!("the daemon, process {pid}, has no control group of its own; {ELSE}");
        let remedy = "let `run` start where it may make groups: the unit that `nymvisor \
                      systemd-unit` prints has `Delegate=yes`; its log says what is missing";
        return Finding::warn(WHAT, text, remedy);
    }
    let text = match Place::find(&prefix) {
        Ok(place) => format!(
            "a `run` from here would give the daemon a control group of its own in {}",
            place.folder().display()
        ),
        Err(why) => format!(
            "a `run` from here would give the daemon no control group of its own ({why}); {ELSE}"
        ),
    };
    Finding::ok(WHAT, text)
}
