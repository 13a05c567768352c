//! Rest: once nothing has happened for a while, memory is given back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::super::memory;

/// Nothing happens for so long before memory is given back. Longer than the threads of the
/// blocking pool live, and than the steps of a start lie apart.
const QUIET: Duration = Duration::from_secs(5);

/// What keeps the engine from resting. Between a rest and the next stir no timer runs for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Unrest {
    stirred: Rc<Notify>,
    is_working: Rc<Cell<bool>>,
}

impl Unrest {
    /// Something has happened.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Whether there is work under way that tells of itself when it is done.
    pub(super) fn set_working(&self, is_working: bool) {
        self.is_working.set(is_working);
    }

    /// Gives memory back each time that it has become quiet.
    pub(super) async fn rest(self) {
        loop {
            self.stirred.notified().await;
            while tokio::time::timeout(QUIET, self.stirred.notified()).await.is_ok() {}
            if !self.is_working.get() {
                memory::give_back();
            }
        }
    }
}
