//! What other hands do to the files.

use super::engine::Engine;
use super::files::{Plan, enqueue};
use super::stimulus::{Tamper, catalogue};
use super::values;

impl Engine {
    pub(super) fn tamper(&mut self, tamper: Tamper) {
        let down = !self.up;
        let files = &mut self.world.files;
        match tamper {
            Tamper::Queue(pick) => {
                let upgrade = catalogue(pick);
                let used = files.history.contains(&upgrade.name);
                if let Some(queue) = files.queue.as_mut().filter(|_| !used) {
                    enqueue(queue, &upgrade);
                }
            }
            Tamper::Unqueue(pick) => {
                if let Some(queue) = &mut files.queue {
                    queue.entries.retain(|entry| entry.name != catalogue(pick).name);
                }
            }
            Tamper::Reschedule(pick, later) => self.world.reschedule(pick, later),
            Tamper::PutBinary(pick) | Tamper::ChangeBinary(pick) => self.put_binary(pick),
            Tamper::OtherInstance(pick) => {
                let name = catalogue(pick).name;
                let Some(queue) = &mut files.queue else { return };
                // A plan that was lost and rebuilt may queue what others have performed long ago.
                let used = files.history.contains(&name);
                let mut entries = queue.entries.iter().filter(|_| !used);
                let entry = entries.find(|entry| entry.name == name).cloned();
                // The lock keeps the two apart.
                if let Some(upgrade) = entry.filter(|_| !self.world.lock) {
                    queue.make_current(&upgrade);
                    files.history.push(upgrade.name.clone());
                    files.link = Some(upgrade.name);
                }
            }
            Tamper::Lock(busy) => self.world.lock_busy = busy && !self.world.lock,
            Tamper::LoseVersion if down => files.version = None,
            Tamper::LosePlan if down => files.queue = None,
            Tamper::LoseLink if down => files.link = None,
            Tamper::MoveVersion if down && !files.half_restored => {
                files.version = Some(values::version("hand", "1.0.5"));
            }
            Tamper::LoseVersion | Tamper::LosePlan | Tamper::LoseLink | Tamper::MoveVersion => {}
        }
    }

    fn put_binary(&mut self, pick: u8) {
        let name = catalogue(pick).name;
        let identity = format!("file {}", self.world.serial());
        let files = &mut self.world.files;
        let binary = nymvisor::machine::Binary { identity, ..values::binary(&name) };
        files.binaries.insert(name.clone(), binary);
        if let Some(queue) = &mut files.queue
            && queue.entries.iter().any(|entry| entry.name == name)
            && !queue.in_place.contains(&name)
        {
            queue.in_place.push(name);
        }
    }
}
