//! Signals that somebody sends to us.

use std::time::{Duration, Instant};

use super::super::signals::{Signal, Signals};
use super::Teller;
use crate::machine::Event;

/// Stop signals so close to each other are one request: `timeout` and service managers send one
/// to the process and another to its group, and a second request would cost the daemon its grace.
const SAME_REQUEST: Duration = Duration::from_millis(250);

/// Tells of each signal.
pub(super) async fn heed(mut signals: Signals, teller: Teller) {
    let mut last_stop: Option<Instant> = None;
    loop {
        match signals.next().await {
            Signal::Forward(signal) => {
                teller.tell(Event::SignalReceived { signal: signal as i32 });
            }
            Signal::Stop(signal) => {
                let is_same = last_stop.is_some_and(|last| last.elapsed() < SAME_REQUEST);
                last_stop = Some(Instant::now());
                if !is_same {
                    teller.tell(Event::StopRequested { signal: signal as i32 });
                }
            }
        }
    }
}
