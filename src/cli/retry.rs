//! `retry`: what was held back after a failure is tried again.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use clap::Args;

use super::{Error, output, user};
use crate::config::{self, Env, Paths};
use crate::disk::{Disk, RealDisk};
use crate::host::lock::{self, HeldLock};
use crate::journal::{self, Owner};
use crate::machine::{Effect, Event, Requester, State, step};
use crate::release::UpgradeName;
use crate::requests::{self, Request, Wish};

/// How long a running engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `retry` needs to know.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Name of the upgrade that is to be tried again
    name: String,
}

/// Has an upgrade tried again: by the engine that runs, or on the record for the next one.
pub(super) fn retry(disk: &dyn Disk, env: &Env, args: &RetryArgs) -> Result<(), Error> {
    let name: UpgradeName = args.name.parse()?;
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path()])?;
    let requester = user::requester(env);
    let content = format!("{}\n", std::process::id());
    let answer = match HeldLock::acquire(&paths.instance_lock(), 0o600, &content) {
        Ok(_lock) => {
            let owner = Owner { instance: config.nymvisor.id.clone(), daemon: config.daemon.name };
            alone(&paths, owner, name.as_str(), requester)?
        }
        Err(lock::Error::Busy { .. }) => ask(&paths, name.as_str(), requester)?,
        Err(error @ lock::Error::Io { .. }) => return Err(Error::Unusable(error.to_string())),
    };
    let (granted, text) = answer;
    if granted { output::print(&format!("{text}\n")) } else { Err(Error::Refused(text)) }
}

fn ask(paths: &Paths, name: &str, requester: Requester) -> Result<(bool, String), Error> {
    let folder = paths.requests();
    let failed = || Error::io("leave a request in", &folder);
    let request = Request { wish: Wish::Retry { name: name.to_owned() }, requester };
    let id = requests::leave(&RealDisk, &folder, &request).map_err(failed())?;
    let answer = requests::await_answer(&RealDisk, &folder, &id, PATIENCE).map_err(failed())?;
    answer.map(|answer| (answer.granted, answer.text)).ok_or_else(|| {
        Error::Refused(format!(
            "the nymvisor that runs has not answered within {} s; see its log",
            PATIENCE.as_secs()
        ))
    })
}

/// No engine runs: the fact is put on the record, and the next session finds it there.
fn alone(
    paths: &Paths,
    owner: Owner,
    name: &str,
    requester: Requester,
) -> Result<(bool, String), Error> {
    let Some(state) = journal::last_state(&RealDisk, &paths.journal(), &owner)? else {
        return Ok((false, format!("nothing holds {name} back: nothing was run here yet")));
    };
    let session = format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%S%.3fZ"), std::process::id());
    let event =
        Event::RetryRequested { name: name.to_owned(), requester, request: session.clone() };
    let opened =
        journal::open(Arc::new(RealDisk), &paths.journal(), owner, session, state, Utc::now())?;
    let answer = |state: &State| {
        let transition = step(state, &event).ok()?;
        let answer = transition.effects.iter().find_map(answer_in)?;
        Some((transition, answer))
    };
    let mut journal = opened.journal;
    let Some((transition, answer)) = answer(&opened.state) else {
        return Err(Error::Refused(format!("{name} can't be retried in the state that was left")));
    };
    if answer.0 {
        // What it orders besides the answer is up to the next session, which looks for itself.
        let _ = journal.append(&opened.state, &event, &transition, Utc::now())?;
    }
    Ok(answer)
}

fn answer_in(effect: &Effect) -> Option<(bool, String)> {
    if let Effect::Answer { granted, text, .. } = effect {
        return Some((*granted, text.clone()));
    }
    None
}
