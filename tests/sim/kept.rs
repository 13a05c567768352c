//! What is held and cancelled is kept beside the journal. Killed at each operation, and the journal
//! damaged after that: what a person was told counts, and nothing comes back that was taken back.

use std::path::Path;
use std::sync::Arc;

use nymvisor::config::Paths;
use nymvisor::host::wishes;
use nymvisor::journal::Opened;
use nymvisor::machine::{Event, State, Wishes, step};
use nymvisor::session::{self, Beginning};

use super::disk::{Fault, Keep, Reach, SimDisk};
use super::install;
use super::story::owner;
use crate::model::stimulus::catalogue;
use crate::model::values::{at, policy};
use crate::model::wishes::{cancel, hold, person, release};

fn begin(disk: &SimDisk, paths: &Paths) -> Result<Opened, session::Error> {
    let beginning = Beginning {
        disk: Arc::new(disk.clone()),
        paths: paths.clone(),
        owner: owner(),
        session: "s".to_owned(),
        policy: policy(),
        at: at(1),
    };
    session::begin(beginning).map(|(opened, _)| opened)
}

/// As a command does where nothing runs, and `run` in the same order: on the record, then beside
/// it, then the answer. Whether there is one.
fn say(disk: &SimDisk, paths: &Paths, event: &Event) -> bool {
    let Ok(mut opened) = begin(disk, paths) else { return false };
    let transition = step(&opened.state, event).unwrap();
    let wishes = transition.state.wishes();
    let is_recorded = opened.journal.append(&opened.state, event, &transition, at(2)).is_ok();
    is_recorded && wishes::keep(disk, &paths.wishes(), &wishes).is_ok() && !disk.is_stopped()
}

/// What the next session knows, and has kept beside the journal by the time that it runs.
fn next_session(disk: &SimDisk, paths: &Paths) -> Wishes {
    let state: State = begin(disk, paths).unwrap().state;
    let known = state.wishes();
    if !known.are_none() {
        wishes::keep(disk, &paths.wishes(), &known).unwrap();
    }
    known
}

fn damage(disk: &SimDisk, paths: &Paths) {
    let is_segment =
        |name: &&std::ffi::OsString| Path::new(name).extension().is_some_and(|it| it == "jsonl");
    let names = disk.peek_names(&paths.journal());
    let Some(last) = names.iter().filter(is_segment).max() else { return };
    let path = paths.journal().join(last);
    let mut bytes = disk.peek(&path).unwrap();
    if let Some(byte) = bytes.get_mut(20) {
        *byte ^= 1;
    }
    disk.put(&path, &bytes);
}

fn wishes_after(before: &[Event]) -> (SimDisk, Paths, Wishes) {
    let (disk, paths) = install::installed();
    assert!(before.iter().all(|event| say(&disk, &paths, event)));
    let wishes = next_session(&disk, &paths);
    (disk, paths, wishes)
}

/// Each operation of what `event` leads to is the last one of its process.
fn killed_everywhere(before: &[Event], event: &Event) {
    let (disk, paths, _) = wishes_after(before);
    let (_, _, wanted) = wishes_after(&[before, std::slice::from_ref(event)].concat());
    for kill_at in 1.. {
        let killed = disk.copy();
        killed.plan(Some(Fault::new(kill_at, Reach::Stop)));
        let is_answered = say(&killed, &paths, event);
        killed.plan(None);
        for keep in [None, Some(Keep::Nothing), Some(Keep::Names), Some(Keep::Bytes)] {
            let left = killed.copy();
            if let Some(keep) = keep {
                left.cut_power(keep);
            }
            let told = format!("{event:?}, killed at {kill_at}, then {keep:?}");
            // The journal is gone before anybody has looked at it.
            let damaged = left.copy();
            damage(&damaged, &paths);
            let known = next_session(&damaged, &paths);
            assert!(!is_answered || known == wanted, "{told}: {known:?}");
            // A session has begun since.
            let known = next_session(&left, &paths);
            assert!(!is_answered || known == wanted, "{told}: {known:?}");
            damage(&left, &paths);
            assert_eq!(next_session(&left, &paths), known, "{told}");
        }
        if is_answered {
            return;
        }
    }
}

#[test]
fn what_was_answered_outlives_a_damaged_journal_and_what_was_taken_back_does_not_return() {
    let unwanted = cancel(&catalogue(0));
    let (requester, request) = (person(), "r".to_owned());
    let name = catalogue(0).name;
    let retry = Event::RetryRequested { name, requester, request };
    killed_everywhere(&[], &hold(None));
    killed_everywhere(&[hold(None)], &release());
    killed_everywhere(&[], &unwanted);
    killed_everywhere(std::slice::from_ref(&unwanted), &retry);
    killed_everywhere(&[unwanted.clone(), hold(None)], &release());
    killed_everywhere(&[hold(None), unwanted], &retry);
}
