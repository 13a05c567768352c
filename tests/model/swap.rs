//! The simulated swap, and the second look where it has failed.

use nymvisor::machine::{Announcement, Code, Event, Order, Upgrade, compare};

use super::files::Plan;
use super::host::{Luck, World};

impl World {
    /// The version file, then history, plan and link.
    pub(crate) fn commit(
        &mut self,
        upgrade: &Upgrade,
        before: Option<&Announcement>,
        luck: Luck,
    ) -> Result<String, Code> {
        if matches!(luck, Luck::Bad(pick) if pick.is_multiple_of(2)) {
            return Err(Code::Io);
        }
        if self.files.version.as_ref() != Some(&upgrade.target()) {
            self.announced(upgrade)?;
            self.files.version = Some(upgrade.target());
        }
        if luck != Luck::Half {
            luck.or(&[Code::Io])?;
        }
        let files = &mut self.files;
        let Some(queue) = files.queue.as_mut().filter(|_| luck != Luck::Half) else {
            return Ok("the plan".to_owned());
        };
        let current = queue.current.clone().unwrap();
        // Every name of the catalogue is performed once.
        let is_written = files.history.contains(&upgrade.name);
        if current.name == upgrade.name {
            files.history.extend((!is_written).then(|| upgrade.name.clone()));
            files.link = Some(current.name);
            return Ok(String::new());
        }
        let is_queued = queue.entries.iter().any(|entry| entry.is(upgrade));
        let is_newer = compare(&upgrade.version, &current.version) == Order::Newer;
        let as_before = before.is_none_or(|before| *before == current.announcement());
        if as_before || is_queued && (is_newer || upgrade.allow_downgrade) {
            queue.make_current(upgrade);
            files.history.extend((!is_written).then(|| upgrade.name.clone()));
        } else {
            queue.entries.retain(|entry| !entry.is(upgrade));
            let last = files.history.len().saturating_sub(1);
            if !is_written {
                files.history.insert(last, upgrade.name.clone());
            }
        }
        files.link = queue.current.as_ref().map(|current| current.name.clone());
        Ok(String::new())
    }

    /// A swap that failed may have moved the version file all the same.
    pub(super) fn stood_down(&self, attempt: u64, in_doubt: Option<&Upgrade>) -> Event {
        if in_doubt.is_some_and(|upgrade| self.files.version == Some(upgrade.target())) {
            return Event::SwapCommitted { attempt, left: "all but the version file".to_owned() };
        }
        Event::StoodDown { attempt }
    }
}
