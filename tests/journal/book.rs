//! A journal with a story in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nymvisor::disk::Disk;
use nymvisor::journal::{self, Committed, Opened, Owner};
use nymvisor::machine::{Event, PhaseName, State, step};
use sha2::{Digest, Sha256};

use super::memory::Memory;
use crate::model::tale::Tale;
use crate::model::values::{self, at, policy, upgrade};

pub(crate) const FOLDER: &str = "/journal";

pub(crate) fn owner() -> Owner {
    Owner { instance: "nym-node-default".to_owned(), daemon: "nym-node".to_owned() }
}

pub(crate) fn initial() -> State {
    State::initial(values::genesis(), policy())
}

/// What the disk says where the journal can't tell: told apart by its version.
pub(crate) fn from_disk() -> State {
    State::initial(values::version("from-disk", "9.9.9"), policy())
}

pub(crate) fn segment(number: u32) -> PathBuf {
    Path::new(FOLDER).join(format!("{number:08}.jsonl"))
}

/// The events of one whole upgrade, from the first start on.
pub(crate) fn story() -> Vec<Event> {
    let mut tale = Tale::new(policy());
    tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(3).due();
    tale.until(PhaseName::Restarting).work(1);
    tale.engine.records.into_iter().map(|record| record.event).collect()
}

pub(crate) fn open(disk: &Memory, state: State) -> Opened {
    try_open(disk, state).unwrap()
}

pub(crate) fn try_open(disk: &Memory, state: State) -> Result<Opened, journal::Error> {
    open_in(Arc::new(disk.clone()), Path::new(FOLDER), state)
}

pub(crate) fn open_in(
    disk: Arc<dyn Disk>,
    folder: &Path,
    state: State,
) -> Result<Opened, journal::Error> {
    journal::open(disk, folder, owner(), "s1".to_owned(), state, at(0))
}

/// One turn of the engine with this journal.
pub(crate) fn append(opened: &mut Opened, event: &Event) -> Result<Committed, journal::Error> {
    let transition = step(&opened.state, event).unwrap();
    let state = transition.state.clone();
    let committed = opened.journal.append(&opened.state, event, &transition, at(1))?;
    opened.state = state;
    Ok(committed)
}

/// A journal with the first so many events of the story; the states after each of them.
pub(crate) fn written(events: usize) -> (Memory, Vec<State>) {
    let disk = Memory::default();
    let mut opened = open(&disk, initial());
    let mut states = vec![initial()];
    for event in &story()[..events] {
        let (state, _) = append(&mut opened, event).unwrap().into_parts();
        states.push(state);
    }
    (disk, states)
}

/// The lines of a segment, each with its newline.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// A line sealed anew after it was changed, by the rule as it is documented.
pub(crate) fn seal(line: &str) -> String {
    let body = &line[..line.rfind(",\"hash\":").unwrap()];
    let digest = Sha256::digest(format!("{body}}}").as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{body},\"hash\":\"{hex}\"}}\n")
}
