//! What has to hold of a move, and of a rest.

use std::collections::BTreeMap;

use nymvisor::machine::{Effect, Phase, PhaseName, Record, State, Swapping, replay};

use crate::model::engine::{Engine, through_json};
use crate::state_machine_md::states::word;

/// Event, the phase it meets, the phase it leads to.
pub(super) type Pair = (&'static str, PhaseName, PhaseName);

/// How often each was taken.
pub(super) type Pairs = BTreeMap<Pair, u64>;

/// A move that was made. Its turns were checked by the model already: the counts of failures are
/// the oracle's, no second daemon.
pub(super) fn of_move(before: &Engine, after: &Engine) -> Result<(), String> {
    if after.records.is_empty() && after.up && before.up && before.state != after.state {
        return Err("the state changes with no record".to_owned());
    }
    for (record, state) in after.records.iter().zip(&after.states) {
        let swaps = record.effects.iter().any(|effect| matches!(effect, Effect::CommitSwap { .. }));
        let Phase::Swapping(Swapping { attempt, committed, .. }) = &state.phase else {
            if swaps {
                return Err("a swap is ordered out of its phase".to_owned());
            }
            continue;
        };
        if !swaps || *committed {
            continue;
        }
        if attempt.binary.is_none() {
            return Err("a swap without a verified binary".to_owned());
        }
        let files = &after.world.files;
        let is_sealed = attempt.backup.as_ref().is_some_and(|archive| {
            files.backups.iter().any(|(kept, home)| kept == archive && *home == files.home)
        });
        if !is_sealed && !state.policy.skip_backup {
            return Err("a swap without a sealed backup".to_owned());
        }
        if after.world.process.is_some() {
            return Err("a swap with a daemon there".to_owned());
        }
    }
    Ok(())
}

/// The daemon runs and nothing is left to do, or the run has ended.
pub(super) fn of_rest(mut engine: Engine) -> Result<(), String> {
    if !engine.up && engine.world.exit.is_some() {
        return if engine.world.process.is_none() || engine.state.recovering {
            Ok(())
        } else {
            Err("the run has ended and left a daemon".to_owned())
        };
    }
    engine.settle().map(drop)
}

/// Counts the edges that the records of a move are.
pub(super) fn pairs(before: &Engine, after: &Engine, pairs: &mut Pairs) {
    let states = std::iter::once(&before.state).chain(&after.states);
    for (record, state) in after.records.iter().zip(states) {
        if !state.recovering {
            *pairs.entry((word(&record.event), record.from, record.to)).or_default() += 1;
        }
    }
}

/// The records of a move, as they come back from the journal, lead where the move led.
pub(super) fn replays(
    before: &Engine,
    records: &[Record],
    states: &[State],
    mut is_known: impl FnMut(&Record) -> bool,
) -> Result<(), String> {
    let befores = std::iter::once(&before.state).chain(states);
    for ((record, before), after) in records.iter().zip(befores).zip(states) {
        if !is_known(record) {
            through_json(record)?;
        }
        let replayed = replay(before, record).map_err(|why| format!("no replay: {why:?}"))?;
        if replayed != *after {
            return Err("replay differs from live".to_owned());
        }
    }
    Ok(())
}

/// The same thing is to be done, or waits to be told, twice: hearing it again and again leads
/// nowhere else.
pub(super) fn repeats_itself(engine: &Engine) -> bool {
    let has_twin = |at: usize| engine.world.work[..at].contains(&engine.world.work[at]);
    let is_told_twice = |at: usize| engine.waiting[..at].contains(&engine.waiting[at]);
    (0..engine.world.work.len()).any(has_twin) || (0..engine.waiting.len()).any(is_told_twice)
}
