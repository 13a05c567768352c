//! Sums by key, in a fixed order.

use std::ops::AddAssign;

/// Sums by key. Those that it begins with are told as zero too, so that a first one shows as a
/// rise.
#[derive(Debug, Clone)]
pub(super) struct Tally<K, N>(Vec<(K, N)>);

impl<K: PartialEq + Copy, N: AddAssign + Default + Copy> Tally<K, N> {
    pub(super) fn of(keys: &[K]) -> Self {
        Self(keys.iter().map(|key| (*key, N::default())).collect())
    }

    pub(super) fn add(&mut self, key: K, number: N) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, sum)) => *sum += number,
            None => self.0.push((key, number)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, N)> {
        self.0.iter().copied()
    }
}
