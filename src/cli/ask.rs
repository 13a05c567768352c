//! How a command has something done by the engine: by the one that runs, or on the record for the
//! next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::Error;
use crate::config::{Config, Paths};
use crate::disk::{Disk, Kind, RealDisk};
use crate::host::lock::{self, HeldLock};
use crate::host::wishes;
use crate::journal::{self, Owner};
use crate::machine::{Effect, Phase, State, Wishes, step};
use crate::requests::{self, Request};

/// How long a running engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// While nobody answers it is looked so often whether the lock is free.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What the lock file says while a command has the lock, for the moment of one record.
const IN_PASSING: &str = "a command, for a moment";

/// An answer: whether it was granted, and in words.
pub(super) type Answer = (bool, String);

/// Whose journal it is.
pub(super) fn owner(config: &Config) -> Owner {
    Owner { instance: config.nymvisor.id.clone(), daemon: config.daemon.name.clone() }
}

/// Whether the lock whose file says this is held by a command, which lets go of it at once.
pub(super) fn is_in_passing(content: &str) -> bool {
    content.lines().nth(1) == Some(IN_PASSING)
}

/// Has `request` answered. `what` it is about stands in messages.
///
/// Who holds the lock may be a `run`, which answers, or one that ends, or another command: then
/// the lock is free before long, and nobody takes up what was asked.
pub(super) fn engine(
    config: &Config,
    paths: &Paths,
    request: Request,
    what: &str,
) -> Result<Answer, Error> {
    let (owner, folder) = (owner(config), paths.requests());
    let content = format!("{}\n{IN_PASSING}\n", std::process::id());
    let failed = || Error::io("leave a request in", &folder);
    let withdraw = |id: &str| requests::withdraw(&RealDisk, &folder, id).map_err(failed());
    let since = Instant::now();
    let mut left = None;
    loop {
        match HeldLock::acquire(&paths.instance_lock(), 0o600, &content) {
            Ok(_lock) => {
                let late = left.as_deref().map(withdraw).transpose()?.flatten();
                return match late {
                    Some(answer) => Ok(told(answer, paths, &owner)),
                    None => alone(paths, owner, request, what),
                };
            }
            Err(lock::Error::Busy { .. }) => {}
            Err(error @ lock::Error::Io { .. }) => return Err(Error::Unusable(error.to_string())),
        }
        let id = match left.take() {
            Some(id) => id,
            None => requests::leave(&RealDisk, &folder, &request).map_err(failed())?,
        };
        let answer = requests::await_answer(&RealDisk, &folder, &id, LOOK_AGAIN);
        if let Some(answer) = answer.map_err(failed())? {
            return Ok(told(answer, paths, &owner));
        }
        if since.elapsed() >= PATIENCE {
            // It must not be carried out when nobody expects it.
            let late = withdraw(&id)?;
            return late.map(|answer| told(answer, paths, &owner)).ok_or_else(|| silent(paths));
        }
        left = Some(id);
    }
}

fn told(answer: requests::Answer, paths: &Paths, owner: &Owner) -> Answer {
    let state = || journal::last_state(&RealDisk, &paths.journal(), owner).ok().flatten();
    match state().filter(|_| !answer.granted) {
        Some(state) => (false, with_phase(answer.text, &state.phase)),
        None => (answer.granted, answer.text),
    }
}

fn silent(paths: &Paths) -> Error {
    Error::Refused(format!(
        "the nymvisor that runs has not answered within {} s; see its log in {}, and `nymvisor \
         journal show -n 20`, and ask again",
        PATIENCE.as_secs(),
        paths.logs().display()
    ))
}

/// No engine runs: the fact is put on the record, and the next session finds it there.
fn alone(paths: &Paths, owner: Owner, request: Request, what: &str) -> Result<Answer, Error> {
    // Only `run` sets one aside: what it says up to the damage is older than what lies beside it.
    if journal::state_of_any(&RealDisk, &paths.journal())?.is_err() {
        refuse_damaged(&RealDisk, paths)?;
    }
    let Some(state) = journal::last_state(&RealDisk, &paths.journal(), &owner)? else {
        refuse_damaged(&RealDisk, paths)?;
        return Ok((false, format!("{what}: nothing was run here yet; `nymvisor run` is first")));
    };
    let session = format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%S%.3fZ"), std::process::id());
    let event = request.into_event(session.clone(), false);
    let opened =
        journal::open(Arc::new(RealDisk), &paths.journal(), owner, session, state, Utc::now())?;
    let answer = |state: &State| {
        let transition = step(state, &event).ok()?;
        let answer = transition.effects.iter().find_map(answer_in)?;
        Some((transition, answer))
    };
    let mut journal = opened.journal;
    let Some((transition, answer)) = answer(&opened.state) else {
        return Err(Error::Refused(format!(
            "{what}: not in the state that was left, which `nymvisor journal show -n 5` tells; \
             `nymvisor run` goes on from there"
        )));
    };
    if answer.0 {
        // What it orders besides the answer is up to the next session, which looks for itself.
        let wishes = transition.effects.iter().find_map(kept_in).cloned();
        let _ = journal.append(&opened.state, &event, &transition, Utc::now())?;
        if let Some(wishes) = wishes {
            let path = paths.wishes();
            wishes::keep(&RealDisk, &path, &wishes).map_err(Error::io("write", &path))?;
        }
        return Ok(answer);
    }
    Ok((false, with_phase(answer.1, &opened.state.phase)))
}

/// A refusal, with what is under way where something is, and what to do then.
pub(super) fn with_phase(text: String, phase: &Phase) -> String {
    let Some(attempt) = phase.attempt() else { return text };
    let what = if attempt.back.is_some() { "roll-back of" } else { "upgrade to" };
    format!(
        "{text}; the {what} {} is under way, in the phase {}: wait for its end, which `nymvisor \
         journal show` tells, or start `nymvisor run` where none is up, which goes on with it",
        attempt.upgrade.name,
        phase.name()
    )
}

/// A journal that is there and can't be read is no journal of an instance that has never run.
pub(super) fn refuse_damaged(disk: &dyn Disk, paths: &Paths) -> Result<(), Error> {
    let folder = paths.journal();
    if !matches!(disk.kind(&folder), Ok(Some(Kind::Folder)))
        || journal::segments(disk, &folder)?.is_empty()
    {
        return Ok(());
    }
    Err(Error::Unusable(format!(
        "the journal in {} is damaged; `nymvisor journal verify` says where, and the next \
         `nymvisor run` sets it aside and goes by the files",
        folder.display()
    )))
}

fn kept_in(effect: &Effect) -> Option<&Wishes> {
    if let Effect::KeepWishes(wishes) = effect { Some(wishes) } else { None }
}

fn answer_in(effect: &Effect) -> Option<Answer> {
    if let Effect::Answer { granted, text, .. } = effect {
        return Some((*granted, text.clone()));
    }
    None
}
