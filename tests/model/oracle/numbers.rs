//! What the oracle keeps of attempts, numbered anew.

use std::collections::{BTreeMap, BTreeSet};

use nymvisor::machine::Archive;

use super::Oracle;

impl Oracle {
    /// Archives that it holds to be of no use, and whose they are.
    pub(crate) fn backed(&self) -> impl Iterator<Item = (u64, Option<&Archive>)> {
        self.backed.iter().map(|(attempt, archive)| (*attempt, archive.as_ref()))
    }

    /// Leaves what can still be asked about: what has a new number.
    pub(crate) fn renumber(
        &mut self,
        attempt: &impl Fn(u64) -> Option<u64>,
        archive: &mut impl FnMut(&mut Archive),
    ) {
        let work = [&mut self.checked, &mut self.locked, &mut self.roomy, &mut self.hooked];
        for set in work.into_iter().chain([&mut self.settled_data]) {
            if set.iter().any(|id| attempt(*id) != Some(*id)) {
                *set = set.iter().filter_map(|id| attempt(*id)).collect::<BTreeSet<_>>();
            }
        }
        self.upgrades = std::mem::take(&mut self.upgrades)
            .into_iter()
            .filter_map(|(id, upgrade)| Some((attempt(id)?, upgrade)))
            .collect::<BTreeMap<_, _>>();
        self.backed = std::mem::take(&mut self.backed)
            .into_iter()
            .filter_map(|(id, mut backed)| {
                backed.iter_mut().for_each(&mut *archive);
                Some((attempt(id)?, backed))
            })
            .collect::<BTreeMap<_, _>>();
    }
}
