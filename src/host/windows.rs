//! Maintenance windows that open and close by a wall clock that may jump.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{Moment, Windows};

/// The clock may be set, and the machine may sleep, so it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Tells what the calendar says now, and whenever that is something else. It never ends.
///
/// The clock is looked at at least once a minute of monotonic time.
pub async fn watch(
    windows: Windows,
    clock: impl Fn() -> DateTime<Utc>,
    mut tell: impl FnMut(Moment),
) {
    let mut told = None;
    loop {
        let now = clock();
        let moment = windows.at(now);
        if told != Some(moment) {
            told = Some(moment);
            tell(moment);
        }
        tokio::time::sleep(next_look(moment, now)).await;
    }
}

fn next_look(moment: Moment, now: DateTime<Utc>) -> Duration {
    let changes_at = match moment {
        Moment::Open { closes_at } => closes_at,
        Moment::Closed { opens_at } => opens_at,
    };
    let left = changes_at.and_then(|at| (at - now).to_std().ok()).unwrap_or(LOOK_AGAIN);
    // Not before the moment itself, by a timer that counts milliseconds.
    left.saturating_add(Duration::from_millis(1)).min(LOOK_AGAIN)
}
