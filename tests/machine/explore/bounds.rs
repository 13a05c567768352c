//! What a search is bounded by.

use std::fmt;
use std::time::Duration;

/// How often the bounded things may happen, in the order of [`super::moves::Cost::ALL`] without
/// what is free.
pub(super) type Left = [u8; 5];

/// The bounds of one search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) upgrades: u8,
    /// Any of these, which may overlap.
    pub(super) left: &'static [Left],
    /// A search ends when it knows so many states; the shallowest come first.
    pub(super) states_max: usize,
    /// And when it has taken so long.
    pub(super) share: Duration,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} upgrades", self.upgrades)?;
        let mut word = ", ";
        for [crashes, daemon, faults, stops, journal] in self.left {
            write!(
                f,
                "{word}{crashes} crashes {daemon} daemon crashes {faults} faults {stops} stops \
                 {journal} journal failures"
            )?;
            word = ", or ";
        }
        Ok(())
    }
}

/// What is left after one thing of the `index`-th cost; `None` where there was none left.
pub(super) fn spend(mut left: Left, index: usize) -> Option<Left> {
    if let Some(of) = index.checked_sub(1) {
        left[of] = left[of].checked_sub(1)?;
    }
    Some(left)
}
