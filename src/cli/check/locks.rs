//! Whether the locks are free, or held by who should hold them. None is taken.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::finding::Finding;
use super::site::Site;
use super::subject::Subject;
use crate::cli::run;
use crate::host::lock::{Holder, held_by};
use crate::host::processes;

/// A change of the plan takes milliseconds: who holds its lock for longer is in the way.
const PLAN_PATIENCE: Duration = Duration::from_secs(2);
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What the holder of `upgrade.lock` has written into it.
#[derive(Debug, Deserialize)]
struct Claim {
    instance: String,
    upgrade: String,
}

pub(super) fn findings(site: &Site<'_>, subject: Option<&Subject>) -> Vec<Finding> {
    vec![upgrade_lock(site, subject), plan_lock(site), home(site)]
}

fn upgrade_lock(site: &Site<'_>, subject: Option<&Subject>) -> Finding {
    const WHAT: &str = "upgrade-lock";
    let path = site.paths.upgrade_lock();
    let Some(holder) = held_by(&path) else { return Finding::ok(WHAT, "it is free") };
    let claim: Option<Claim> = serde_json::from_str(&holder.content).ok();
    let is_ours = site.runner.as_ref().is_some_and(|runner| runner.pid == holder.pid)
        && claim.as_ref().is_some_and(|claim| claim.instance == site.config.nymvisor.id);
    let what = claim.map_or_else(String::new, |claim| {
        format!(
            " of the instance '{}' for the upgrade '{}'",
            claim.instance.escape_debug(),
            claim.upgrade.escape_debug()
        )
    });
    let text = format!("{} is held by {}{what}", path.display(), who(&holder));
    let is_for_it =
        subject.is_none_or(|subject| text.contains(&format!("'{}'", subject.info.name)));
    match (is_ours, is_for_it) {
        (true, true) => Finding::ok(WHAT, "it is held by this instance's `run`, for this upgrade"),
        (true, false) => Finding::warn(WHAT, text, "nothing: this instance gives it back itself"),
        (false, _) => {
            Finding::fail(WHAT, text, "wait until that one is done, or end it if it shouldn't be")
        }
    }
}

fn plan_lock(site: &Site<'_>) -> Finding {
    const WHAT: &str = "plan-lock";
    let path = site.paths.plan_lock();
    let since = Instant::now();
    loop {
        match held_by(&path) {
            None => return Finding::ok(WHAT, "it is free"),
            Some(holder) if since.elapsed() >= PLAN_PATIENCE => {
                let text = format!("{} is held by {}", path.display(), who(&holder));
                return Finding::fail(WHAT, text, "end that process, or wait until it is done");
            }
            Some(_) => std::thread::sleep(LOOK_PAUSE),
        }
    }
}

/// Who serves the home.
fn home(site: &Site<'_>) -> Finding {
    const WHAT: &str = "run";
    if let Some(runner) = &site.runner {
        return Finding::ok(WHAT, format!("`nymvisor run` is up: {}", who(runner)));
    }
    if let Some(holder) = held_by(&site.paths.home_lock()) {
        let text = format!("another instance serves this home: {}", who(&holder));
        return Finding::fail(WHAT, text, "stop that one, or give this instance another home");
    }
    let sought = processes::Sought {
        home: site.paths.home().to_owned(),
        daemon_name: site.config.daemon.name.clone(),
        binaries_dir: site.paths.data().to_owned(),
        our_args: Vec::new(),
        user_home: std::env::var_os("HOME"),
        token_prefix: run::token_prefix(&site.paths),
        config_path: site.paths.config_file().to_owned(),
        instance_id: site.config.nymvisor.id.clone(),
    };
    match processes::foreign(&sought) {
        Some(stranger) => Finding::fail(
            WHAT,
            format!("process {} serves this home without nymvisor: {}", stranger.pid, stranger.why),
            "stop it (if it is a service of its own, disable that one)",
        ),
        None => Finding::warn(
            WHAT,
            "`nymvisor run` is not up: nothing is prepared ahead, and nothing performed",
            "start it (systemctl start, or `nymvisor run …`)",
        ),
    }
}

fn who(holder: &Holder) -> String {
    holder
        .pid
        .map_or_else(|| "a process that can't be told".to_owned(), |pid| format!("process {pid}"))
}
