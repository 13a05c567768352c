//! Tells people how far a download is.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use super::Progress;
use crate::bars::Bar;
use crate::units::human;

/// Before the first line: most downloads are done by then.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses between lines grow to this.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// From one look to the next where a bar shows it.
const BAR_PAUSE: Duration = Duration::from_millis(100);

/// Moves the bar where there is one, else logs a line now and then. It doesn't end by itself.
pub async fn tell_progress(
    name: String,
    bar: Option<Bar>,
    progress: watch::Receiver<Progress>,
) -> Infallible {
    if let Some(bar) = bar {
        loop {
            let Progress { bytes, total } = *progress.borrow();
            bar.set(bytes, total);
            tokio::time::sleep(BAR_PAUSE).await;
        }
    }
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
        let Progress { bytes, total } = *progress.borrow();
        let total = total.map(|total| format!(" of {}", human(total))).unwrap_or_default();
        tracing::info!("fetching {name}: {}{total}", human(bytes));
    }
}
