//! What is on the simulated disk.

use std::collections::BTreeMap;

use nymvisor::machine::{Archive, Binary, Effect, Queue, Upgrade, Version};

use super::values;

/// What survives a crash.
#[derive(Debug, Clone, Default, PartialEq, Hash)]
pub(crate) struct Files {
    pub(crate) version: Option<Version>,
    pub(crate) queue: Option<Queue>,
    pub(crate) link: Option<String>,
    /// Binaries in their places.
    pub(crate) binaries: BTreeMap<String, Binary>,
    /// Archives, and the generation of the home that each holds.
    pub(crate) backups: Vec<(Archive, u64)>,
    /// The home's generation: every start of a daemon changes it.
    pub(crate) home: u64,
    /// So many generations there have been.
    pub(crate) homes: u64,
    /// A restore has begun and is not done: no daemon may be started on it.
    pub(crate) half_restored: bool,
    /// Names in the history that were not rolled back, oldest first.
    pub(crate) history: Vec<String>,
}

/// What a plan does when an upgrade of it is committed.
pub(crate) trait Plan {
    fn make_current(&mut self, upgrade: &Upgrade);
}

impl Plan for Queue {
    fn make_current(&mut self, upgrade: &Upgrade) {
        self.entries.retain(|entry| entry.name != upgrade.name);
        self.in_place.retain(|name| *name != upgrade.name);
        if !self.performed.contains(&upgrade.name) {
            self.performed.push(upgrade.name.clone());
        }
        self.current = Some(upgrade.clone());
    }
}

impl Files {
    /// What `init` leaves.
    pub(crate) fn new() -> Self {
        Self {
            version: Some(values::genesis()),
            queue: Some(values::queue(&[])),
            link: Some("genesis".to_owned()),
            binaries: BTreeMap::new(),
            backups: Vec::new(),
            home: 0,
            homes: 0,
            half_restored: false,
            history: Vec::new(),
        }
    }

    pub(crate) fn has(&self, archive: &Archive) -> bool {
        self.backups.iter().any(|(kept, _)| kept.path == archive.path)
    }

    /// A daemon, or a hand, changes what is in the home.
    pub(crate) fn touch_home(&mut self) {
        self.homes += 1;
        self.home = self.homes;
    }

    /// The version file, then history, plan and link.
    pub(crate) fn roll_back(&mut self, upgrade: &Upgrade, to: &Version, shared: bool) -> String {
        self.version = Some(to.clone());
        let Some(queue) = self.queue.as_mut().filter(|_| shared) else {
            return "the plan".to_owned();
        };
        if let Some(failed) = queue.current.take_if(|current| current.name == upgrade.name) {
            self.history.retain(|name| *name != upgrade.name);
            queue.performed.retain(|name| *name != upgrade.name);
            let genesis = values::genesis_upgrade();
            let other = values::upgrade(&to.name, &to.version, 0);
            queue.current = Some(if to.name == genesis.name { genesis } else { other });
            if !queue.entries.iter().any(|entry| entry.name == failed.name) {
                enqueue(queue, &failed);
            }
        }
        self.link = queue.current.as_ref().map(|current| current.name.clone());
        String::new()
    }

    pub(super) fn do_chore(&mut self, effect: &Effect) {
        match (effect, &mut self.queue) {
            (Effect::DiscardBackup(archive), _) => {
                self.backups.retain(|(kept, _)| kept.path != archive.path);
            }
            (Effect::RestoreVersionFile(version), _) => self.version = Some(version.clone()),
            (Effect::MendLink(name), _) => self.link = Some(name.clone()),
            (Effect::RebuildPlan { current, queued }, queue) => {
                let current = Some(values::upgrade(&current.name, &current.version, 0));
                let (entries, performed) = (queued.clone(), self.history.clone());
                *queue = Some(Queue { current, entries, performed, ..Queue::default() });
            }
            (Effect::QueueAnnouncement(upgrade), Some(queue)) => enqueue(queue, upgrade),
            (Effect::DropFromQueue(names), Some(queue)) => {
                queue.entries.retain(|entry| !names.contains(&entry.name));
            }
            _ => {}
        }
    }
}

/// Puts an upgrade into a plan, sorted as the plan is.
pub(crate) fn enqueue(queue: &mut Queue, upgrade: &Upgrade) {
    queue.entries.retain(|e| e.name != upgrade.name && e.version != upgrade.version);
    queue.entries.push(upgrade.clone());
    queue.entries.sort_by(|a, b| (a.due_at, &a.version).cmp(&(b.due_at, &b.version)));
}
