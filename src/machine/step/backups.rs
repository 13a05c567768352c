//! Backups once their attempt is over: read whole, kept as long as the retention wants, removed.

use super::super::effect::Effect;
use super::super::phase::{Phase, Running};
use super::super::values::Archive;
use super::{Next, Rejected, Step};

/// What was written ahead of the stop is read from its start to its end once the daemon is up.
pub(super) fn examine(next: &mut Next) {
    let Some(last) = next.state.last_performed().filter(|_| next.state.recording) else { return };
    let unread = last.backup.clone().filter(Archive::is_unread);
    let from = last.from.clone();
    next.effects.extend(unread.map(|archive| Effect::ExamineBackup { archive, from }));
}

pub(super) fn examined(next: &mut Next, archive: &Archive) -> Step {
    let performed = next.state.performed.as_mut();
    let known = performed.and_then(|last| last.backup.as_mut());
    let known = known.filter(|known| known.path == archive.path && known.is_unread());
    *known.ok_or(Rejected::Stale)? = archive.clone();
    review(next);
    Ok(())
}

/// Old backups go only once what runs has lived through its startup period, and the newest backup
/// is known to be whole.
pub(super) fn review(next: &mut Next) {
    let state = &next.state;
    let is_settled = matches!(state.phase, Phase::Running(Running { settled: true, .. }));
    let is_read = |last: &Archive| !last.is_unread();
    let newest = state.last_performed().and_then(|last| last.backup.as_ref());
    let may = state.policy.prunes_backups && state.recording;
    if may && is_settled && newest.is_none_or(is_read) {
        next.order(Effect::ReviewBackups);
    }
}

/// What a roll-back could still ask for stays, whatever the shell says. What no record can order
/// the removal of is found again after another start.
pub(super) fn outlived(next: &mut Next, archives: &[Archive]) -> Step {
    if !next.state.recording {
        return Err(Rejected::Stale);
    }
    for archive in archives {
        let is_needed = next.state.needed_backups().any(|needed| needed.path == archive.path);
        if !is_needed {
            discard(next, Some(archive.clone()));
        }
    }
    Ok(())
}

/// The home is as it was: a loop of failures must not fill the disk with copies of it.
pub(super) fn discard(next: &mut Next, archive: Option<Archive>) {
    let archive = archive.filter(|archive| !next.state.unneeded.contains(archive));
    next.state.unneeded.extend(archive);
    discard_unneeded(next);
}

/// Nothing is removed that no durable record orders.
pub(super) fn discard_unneeded(next: &mut Next) {
    if next.state.recording {
        let unneeded = std::mem::take(&mut next.state.unneeded);
        next.effects.extend(unneeded.into_iter().map(Effect::DiscardBackup));
    }
}
