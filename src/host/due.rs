//! Waits for a time of the wall clock.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The clock may be set, and the machine may sleep, so it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Waits until `clock` has reached `at`, whatever jumps it makes, and gives what it said then.
///
/// It is looked at at least once a minute of monotonic time.
pub async fn until(at: DateTime<Utc>, clock: impl Fn() -> DateTime<Utc>) -> DateTime<Utc> {
    loop {
        let now = clock();
        let Ok(left) = (at - now).to_std() else { return now };
        if left.is_zero() {
            return now;
        }
        tokio::time::sleep(left.min(LOOK_AGAIN)).await;
    }
}
