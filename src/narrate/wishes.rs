//! Holds, cancellations, windows and times that were set anew, in words.

use chrono::{DateTime, Utc};

use super::requester;
use crate::machine::{Event, Upgrade};

pub(super) fn text(event: &Event) -> String {
    if let Event::HoldRequested { until, requester: by, .. } = event {
        let end = until.map_or_else(String::new, |until| format!(" until {}", shown(until)));
        return format!("{} wants upgrades to be held{end}", requester(by));
    }
    if let Event::ReleaseRequested { requester: by, .. } = event {
        return format!("{} wants upgrades to be held no longer", requester(by));
    }
    if let Event::HoldElapsed { until, .. } = event {
        return format!("the hold is over, which was until {}", shown(*until));
    }
    if let Event::CancelRequested { upgrade, requester: by, .. } = event {
        return format!("{} wants {} not to be performed", requester(by), upgrade.name);
    }
    if let Event::WindowOpened { closes_at } = event {
        return match closes_at {
            Some(closes_at) => format!("a maintenance window is open until {}", shown(*closes_at)),
            None => "a maintenance window is open, and no end of it in sight".to_owned(),
        };
    }
    if let Event::WindowClosed { opens_at } = event {
        return match opens_at {
            Some(opens_at) => {
                format!("no maintenance window is open; the next one opens {}", shown(*opens_at))
            }
            None => "no maintenance window is open, and none comes".to_owned(),
        };
    }
    String::new()
}

/// Whose time it is, and which it was, where it is not the announced one.
pub(super) fn retimed(upgrade: &Upgrade) -> String {
    let Some(announced) = upgrade.announced_for else { return String::new() };
    let announced = shown(announced);
    match &upgrade.rescheduled {
        Some(wish) => {
            let windows = if wish.ignores_windows { ", whatever the windows" } else { "" };
            let by = requester(&wish.requester);
            format!(" (rescheduled by {by}{windows}; announced for {announced})")
        }
        None => format!(" (spread; announced for {announced})"),
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}
