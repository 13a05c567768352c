//! The simulated swap, and the second look where it has failed.

use nymvisor::machine::{Announcement, Code, Effect, Event, Order, Upgrade, compare};

use super::files::Plan;
use super::host::World;
use super::luck::Luck;

impl World {
    /// How a step of a swap turns out.
    pub(super) fn swap_outcome(
        &mut self,
        effect: &Effect,
        luck: Luck,
    ) -> Result<Option<Event>, Code> {
        Ok(Some(match effect {
            Effect::CommitSwap { attempt, upgrade, plan_current, .. } => {
                let left = self.commit(upgrade, plan_current.as_ref(), luck)?;
                Event::SwapCommitted { attempt: *attempt, left }
            }
            Effect::MoveShared { upgrade, plan_current } => {
                let _ = self.commit(upgrade, plan_current.as_ref(), luck);
                return Ok(None);
            }
            Effect::StandDown { attempt, in_doubt } => {
                self.cancel(*attempt);
                self.stood_down(*attempt, in_doubt.as_ref(), luck)?
            }
            _ => return Ok(None),
        }))
    }

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

    /// What is sealed at that moment may be reported until it has stood down.
    pub(super) fn begin_to_stand_down(&mut self, attempt: u64, effect: &Effect) {
        let is_seal = |work: &&Effect| matches!(work, Effect::SealBackup { .. });
        let late = self.work.iter().find(is_seal).cloned();
        self.cancel(attempt);
        self.work.push(effect.clone());
        self.work.extend(late);
    }

    /// A swap that failed may have moved the version file all the same. With bad luck that file
    /// turns out to be damaged.
    fn stood_down(
        &mut self,
        attempt: u64,
        in_doubt: Option<&Upgrade>,
        luck: Luck,
    ) -> Result<Event, Code> {
        let Some(upgrade) = in_doubt else { return Ok(Event::StoodDown { attempt }) };
        luck.or(&[Code::Io]).inspect_err(|_| self.files.version = None)?;
        if self.files.version == Some(upgrade.target()) {
            let left = "all but the version file".to_owned();
            return Ok(Event::SwapCommitted { attempt, left });
        }
        Ok(Event::StoodDown { attempt })
    }
}
