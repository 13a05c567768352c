//! The wait for an upgrade's time, with a wall clock that jumps.

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::host::due::until;
use tokio::time::{Duration, Instant};

use crate::model::values::at;

/// A clock that is set by so much once it has gone for ten seconds.
fn set_after_ten_seconds(by: TimeDelta) -> impl Fn() -> DateTime<Utc> {
    let begun = Instant::now();
    move || {
        let gone = begun.elapsed();
        let right = at(0) + TimeDelta::from_std(gone).unwrap();
        if gone < Duration::from_secs(10) { right } else { right + by }
    }
}

#[tokio::test(start_paused = true)]
async fn h36_a_clock_that_is_set_forward_is_noticed_within_a_minute() {
    let begun = Instant::now();
    let said = until(at(24 * 60), set_after_ten_seconds(TimeDelta::days(2))).await;
    assert!(begun.elapsed() <= Duration::from_secs(61), "{:?}", begun.elapsed());
    assert!(said >= at(24 * 60));
}

#[tokio::test(start_paused = true)]
async fn h36_a_clock_that_is_set_back_is_believed() {
    let begun = Instant::now();
    let said = until(at(2), set_after_ten_seconds(TimeDelta::hours(-1))).await;
    assert_eq!(begun.elapsed().as_secs() / 60, 62);
    assert!(said >= at(2) && said < at(3));
}

/// A day that the machine slept through passes for the wall clock alone.
#[tokio::test(start_paused = true)]
async fn h36_a_time_far_away_is_met_to_the_minute() {
    let begun = Instant::now();
    until(at(40 * 24 * 60), set_after_ten_seconds(TimeDelta::zero())).await;
    let gone = begun.elapsed();
    let expected = Duration::from_hours(40 * 24);
    assert!(gone >= expected && gone <= expected + Duration::from_secs(1), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_already_is_not_waited_for() {
    let begun = Instant::now();
    until(at(0), set_after_ten_seconds(TimeDelta::zero())).await;
    until(at(-60), set_after_ten_seconds(TimeDelta::zero())).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
