//! The commit point, and what follows it.

use chrono::{DateTime, Utc};

use super::{Error, Files};
use crate::disk;
use crate::machine::{Announcement, Upgrade};
use crate::release::{
    self, BuildInfo, CurrentVersion, History, HistoryEntry, Plan, UpgradeInfo, UpgradeName,
    if_there,
};

impl Files {
    /// Moves the version file (the commit point), then history, plan and link.
    ///
    /// `before` is what the plan called current when the attempt began. Another instance may have
    /// moved history, plan and link on since: they are never put back, see
    /// [`crate::machine::Queue::is_moved_by`].
    ///
    /// An error means that nothing is committed. What could not be moved after the commit point
    /// comes back in words; the next start moves it.
    pub fn commit(
        &self,
        upgrade: &Upgrade,
        before: Option<&Announcement>,
        at: DateTime<Utc>,
    ) -> Result<String, Error> {
        let info =
            self.announcement(upgrade).or_else(|error| self.info_in_place(upgrade, error))?;
        let mut left = Vec::new();
        if self.version().ok().as_ref() == Some(&upgrade.target()) {
            // Who moved it may have been killed before its name was durable.
            left.extend(self.sync_version());
        } else {
            let version = CurrentVersion::of(&info, self.details_of(&info)?);
            left.extend(self.pass_commit_point(&version)?);
        }
        let moved = self.move_shared(upgrade, info, before, at);
        left.extend(moved.err().map(|error| error.to_string()));
        Ok(left.join("; "))
    }

    /// Writes the version file. Once that has its name it counts, also where its folder could not
    /// be synced: this is tried once more, and told if it fails again.
    pub(super) fn pass_commit_point(
        &self,
        version: &CurrentVersion,
    ) -> Result<Option<String>, Error> {
        let path = self.paths.current_version();
        let Err(error) = release::save(&*self.disk, &path, version) else { return Ok(None) };
        if self.version().ok() != Some(version.to_version()) {
            return Err(error.into());
        }
        Ok(self.sync_version())
    }

    /// Makes the version file's name durable; what is wrong with that, in words.
    pub(super) fn sync_version(&self) -> Option<String> {
        let path = self.paths.current_version();
        self.disk.sync_dir(disk::folder_of(&path)).err().map(|error| {
            format!(
                "{} may not outlive a power cut: can't sync its folder: {error}",
                path.display()
            )
        })
    }

    /// After the commit point the plan may have been changed by hand; the upgrade's own file holds
    /// what was performed.
    fn info_in_place(&self, upgrade: &Upgrade, error: Error) -> Result<UpgradeInfo, Error> {
        let name = UpgradeName::installed(&upgrade.name)?;
        let info: UpgradeInfo = release::load(&*self.disk, &self.paths.upgrade_info(&name))?;
        if self.version().ok().as_ref() == Some(&upgrade.target()) { Ok(info) } else { Err(error) }
    }

    pub(super) fn details_of(&self, info: &UpgradeInfo) -> Result<BuildInfo, Error> {
        let path = self.paths.upgrade_info(&info.name);
        let kept: Option<UpgradeInfo> = if_there(release::load(&*self.disk, &path))?;
        kept.and_then(|kept| kept.binary_details)
            .or_else(|| info.binary_details.clone())
            .ok_or(Error::NoDetails { path })
    }

    fn move_shared(
        &self,
        upgrade: &Upgrade,
        info: UpgradeInfo,
        before: Option<&Announcement>,
        at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let plan: Plan = release::load(&*self.disk, &self.paths.plan())?;
        let history = self.history()?;
        // A plan that was written anew may call current what the history doesn't name yet.
        let is_current = plan.current.name == info.name;
        let before = before.filter(|_| !is_current);
        let moves = is_current || self.queue_of(&plan, &history).is_moved_by(upgrade, before);
        let history = with_entry(history, &info, before, moves, at);
        let mut moved = plan.clone();
        if moves && !is_current {
            moved = moved.committed(info);
        } else if !is_current {
            moved.queued_up.retain(|queued| !queued.to_upgrade().is(upgrade));
        }
        self.change_data(|| {
            if let Some(history) = history {
                release::put(&*self.disk, &self.paths.history(), &history)?;
            }
            if moved != plan {
                release::put(&*self.disk, &self.paths.plan(), &moved)?;
            }
            self.put_link(&moved.current.name)
        })
    }
}

/// The history with this performance in it; `None` where it has it already. What was rolled back
/// counts as not performed.
///
/// All that was performed since the attempt began stands behind what the plan called current then.
/// Where others have moved the plan on since, the entry goes before theirs: the last one is that of
/// the plan's current.
fn with_entry(
    mut history: History,
    info: &UpgradeInfo,
    before: Option<&Announcement>,
    moves: bool,
    at: DateTime<Utc>,
) -> Option<History> {
    let stands = |entry: &HistoryEntry, name: &str| {
        entry.info.name.as_str() == name && entry.rolled_back_at.is_none()
    };
    let entries = &history.history;
    let is_before = |entry: &_| before.is_some_and(|before| stands(entry, &before.name));
    let since = entries.iter().rposition(is_before).map_or(0, |i| i + 1);
    if entries.iter().skip(since).any(|entry| stands(entry, info.name.as_str())) {
        return None;
    }
    let mut later = history.history.split_off(if moves { entries.len() } else { since });
    history = history.with(at, info.clone());
    history.history.append(&mut later);
    Some(history)
}
